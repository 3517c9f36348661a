"""The audit log is sent to an audit repository: every event arrives, whatever fails on the way."""

import re
import select
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from itertools import chain
from pathlib import Path
from typing import Any

import pytest
from django.utils import timezone
from lxml import etree
from prometheus_client import REGISTRY

from orthancproxy.audit import delivery
from orthancproxy.audit.delivery import Delivery, count_waiting, sent_position
from orthancproxy.audit.events import Subject
from orthancproxy.audit.kinds import AuditOutcome, EventKind
from orthancproxy.audit.models import AuditEvent, Viewing
from orthancproxy.audit.syslog import Receiver, SyslogConnection, Unanswered, parse_url, syslog_message
from orthancproxy.sandbox.orthanc import free_port
from tests.audit.certificates import Certificates, make_certificates
from tests.audit.events import create_event
from tests.audit.receiver import SyslogReceiver
from tests.audit.test_dicom_messages import SCHEMA, request_details
from tests.log_capture import logged
from tests.manual_clock import ManualClock
from tests.waiting import wait_until

INTENT = {"event": EventKind.DELETION, "outcome": AuditOutcome.INTENDED}
FRAME = re.compile(
    rb"<(?P<pri>8[45])>1 (?P<at>[0-9T:.-]+Z) (?P<host>\S+) orthanc-graphql-gateway - DICOM\+RFC3881 - "
    rb"\xef\xbb\xbf(?P<xml><AuditMessage>.*</AuditMessage>)"
)

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    return make_certificates(tmp_path_factory.mktemp("certificates"))


@pytest.fixture
def repository(certificates: Certificates) -> Iterator[SyslogReceiver]:
    with SyslogReceiver(certificates) as receiver:
        yield receiver


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def deliver_to(certificates: Certificates, clock: ManualClock) -> Callable[..., Delivery]:
    def make(port: int, **options: Any) -> Delivery:
        return Delivery(client_of(certificates, port), "PACS 1", monotonic=clock, **options)

    return make


def client_of(certificates: Certificates, port: int) -> Receiver:
    authority, client, key = (
        str(one) for one in (certificates.authority, certificates.client, certificates.client_key)
    )
    return Receiver("127.0.0.1", port, authority, client, key)


def parsed(message: bytes) -> etree._Element:
    found = FRAME.fullmatch(message)
    assert found, message
    root = etree.fromstring(found["xml"])
    SCHEMA.assertValid(root)
    return root


def ids(repository: SyslogReceiver) -> list[int]:
    """Return the events of what has arrived, of which each message is valid."""
    return [int(request_details(parsed(message))["event"]) for message in repository.messages]


def waiting_gauge() -> float | None:
    return REGISTRY.get_sample_value("orthanc_gateway_audit_events_waiting")


def create_events(count: int) -> list[int]:
    return [create_event(Subject(f"김-{number}", f"1.2.{number}")).pk for number in range(count)]


def test_message_is_that_of_the_export_in_a_frame_as_the_standard_profiles_it(
    repository: SyslogReceiver, deliver_to: Callable[..., Delivery]
) -> None:
    at = datetime(2026, 1, 31, 4, 0, 0, 5000, tzinfo=UTC)
    event = create_event(Subject("홍길동" * 21, "1.2.3"), username="간호사" * 50, at=at)
    deliver_to(repository.port).send()
    [message] = repository.messages
    found = FRAME.fullmatch(message)
    assert found
    assert (found["pri"], found["at"], found["host"]) == (b"85", b"2026-01-31T04:00:00.005000Z", b"PACS-1")
    root = parsed(message)
    assert root[1].get("UserID") == "간호사" * 50
    assert root.find("ParticipantObjectIdentification[2]").get("ParticipantObjectID") == "홍길동" * 21  # type: ignore[union-attr]
    assert request_details(root)["event"] == str(event.pk)


@pytest.mark.parametrize("outcome", [AuditOutcome.DENIED, AuditOutcome.FAILED])
def test_message_of_what_failed_is_a_warning(
    outcome: AuditOutcome, repository: SyslogReceiver, deliver_to: Callable[..., Delivery]
) -> None:
    create_event(outcome=outcome)
    deliver_to(repository.port).send()
    assert repository.messages[0].startswith(b"<84>1 ")


def test_events_are_sent_once_in_their_order(
    repository: SyslogReceiver, deliver_to: Callable[..., Delivery], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(delivery, "EVENTS_PER_BATCH", 100)
    sender = deliver_to(repository.port)
    first = create_events(250)
    sender.send()
    assert ids(repository) == first
    assert repository.connections == 3
    sender.send()
    second = create_events(1)
    assert count_waiting(sender._receiver) == 1
    assert waiting_gauge() == 0
    # another process takes over
    deliver_to(repository.port).send()
    assert ids(repository) == first + second
    assert repository.connections == 4
    assert count_waiting(sender._receiver) == 0


def test_repository_that_is_away_gets_all_events_afterwards_and_the_log_has_one_line(
    certificates: Certificates, deliver_to: Callable[..., Delivery], clock: ManualClock
) -> None:
    port = free_port()
    sender, created = deliver_to(port), []
    with logged() as lines:
        for number in range(10):
            created += create_events(2)
            sender.send()
            assert waiting_gauge() == 2 * number + 2
            clock.now += 100
    assert [line["event"] for line in lines] == [
        "the audit repository cannot be reached, and it is tried again: [Errno 111] Connection refused"
    ]
    with SyslogReceiver(certificates, port) as repository:
        sender.send()
    assert ids(repository) == created


def test_attempts_become_rarer_up_to_one_a_minute(
    deliver_to: Callable[..., Delivery], clock: ManualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    attempts = []

    def refuse(receiver: Receiver) -> None:
        attempts.append(round(clock.now - started))
        raise ConnectionRefusedError

    monkeypatch.setattr(delivery, "SyslogConnection", refuse)
    create_event()
    sender, started = deliver_to(1), clock.now
    for _ in range(200):
        sender.send()
        clock.now += 1
    assert attempts == [0, 5, 15, 35, 75, 135, 195]


@pytest.mark.parametrize("resets", [False, True])
def test_connection_that_breaks_costs_no_event(
    resets: bool, repository: SyslogReceiver, deliver_to: Callable[..., Delivery], clock: ManualClock
) -> None:
    """What is sent to a socket that the receiver has closed is lost, without an error in the sender."""
    repository.resets = resets
    sender = deliver_to(repository.port)
    created = create_events(300)
    for max_messages in (0, 1, 150, 299):
        repository.max_messages = max_messages
        sender.send()
        assert sent_position(sender._receiver) == 0
        clock.now += 1000
    sender.send()
    assert sorted(set(ids(repository))) == created
    assert ids(repository)[-300:] == created


def test_end_of_a_connection_before_the_last_message_confirms_nothing(
    repository: SyslogReceiver, certificates: Certificates
) -> None:
    """The end is all that the sender reads, whether the receiver has read the second message or not."""
    repository.ends_after_each = True
    with SyslogConnection(client_of(certificates, repository.port)) as connection:
        connection.send(syslog_message("first", timezone.now(), "PACS 1"))
        connection._flush()
        poller = select.poll()
        poller.register(connection._socket, select.POLLRDHUP)
        assert poller.poll(20_000)
        connection.send(syslog_message("second", timezone.now(), "PACS 1"))
        with pytest.raises(OSError, match=r".") as raised:
            connection.end()
    assert not isinstance(raised.value, Unanswered)
    assert len(repository.messages) == 1


def test_event_that_is_sent_again_is_the_same_to_the_byte(
    repository: SyslogReceiver, deliver_to: Callable[..., Delivery], clock: ManualClock
) -> None:
    create_events(10)
    repository.max_messages = 5
    deliver_to(repository.port).send()
    deliver_to(repository.port).send()
    assert len(repository.messages) == 15
    assert len(set(repository.messages)) == 10


def test_what_arrived_shortly_before_an_outage_is_sent_again(
    repository: SyslogReceiver, certificates: Certificates, deliver_to: Callable[..., Delivery], clock: ManualClock
) -> None:
    """A repository that dies may not have written all that it has read."""
    now = timezone.now()
    sender = deliver_to(repository.port, now=lambda: now)
    groups = []
    for seconds in (0, 50, 50, 50, 10):
        now += timedelta(seconds=seconds)
        groups.append(create_events(2))
        sender.send()
    assert ids(repository) == list(chain(*groups))
    repository.stop()
    groups.append(create_events(2))
    sender.send()
    with SyslogReceiver(certificates, repository.port) as again:
        clock.now += 10
        sender.send()
    arrived = ids(again)
    # of the last minute at least, but not all
    assert set(chain(*groups[2:])) <= set(arrived)
    assert groups[0][0] not in arrived


def test_repository_that_never_confirms_gets_events_three_times_and_then_once(
    repository: SyslogReceiver,
    deliver_to: Callable[..., Delivery],
    clock: ManualClock,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    end = SyslogConnection.end

    def end_soon(connection: SyslogConnection) -> None:
        # all other steps have their usual time
        connection._socket.settimeout(0.5)
        end(connection)

    monkeypatch.setattr(SyslogConnection, "end", end_soon)
    repository.holds.set()
    sender = deliver_to(repository.port)
    [first] = create_events(1)
    with logged() as lines:
        for _ in range(4):
            sender.send()
            clock.now += 100
        [second] = create_events(1)
        sender.send()
    wait_until(lambda: len(repository.messages) == 4)
    assert ids(repository) == [first] * 3 + [second]
    assert len(lines) == 2
    assert "RFC 5425 section 4.4" in lines[0]["event"]
    assert lines[1]["event"] == "the audit repository never confirms what it gets: events it has not read may be lost"


def test_repository_of_another_authority_gets_nothing(
    repository: SyslogReceiver, tmp_path: Path, certificates: Certificates, clock: ManualClock
) -> None:
    create_events(1)
    other = client_of(make_certificates(tmp_path), repository.port)
    sender = Delivery(other, "PACS 1", monotonic=clock)
    with logged() as lines:
        sender.send()
    assert "certificate verify failed" in lines[0]["event"]
    # it trusts the repository, which does not trust it; TLS 1.3 says so after the handshake
    stranger = Receiver("127.0.0.1", repository.port, str(certificates.authority))
    with logged() as lines:
        Delivery(stranger, "PACS 1", monotonic=clock).send()
    assert len(lines) == 1
    assert repository.messages == []
    assert sent_position(stranger) == 0
    assert count_waiting(stranger) == 1


def test_operation_at_work_delays_no_event_and_its_outcome_is_sent_when_it_ends(
    repository: SyslogReceiver, deliver_to: Callable[..., Delivery]
) -> None:
    now = timezone.now()
    sender = deliver_to(repository.port)
    intention = create_event(**INTENT, at=now - timedelta(minutes=59))
    meanwhile = create_event()
    sender.send()
    assert ids(repository) == [meanwhile.pk]
    outcome = create_event(event=EventKind.DELETION, intention=intention)
    sender.send()
    assert ids(repository) == [meanwhile.pk, outcome.pk]


def test_operation_without_an_outcome_is_sent_after_an_hour(
    repository: SyslogReceiver, deliver_to: Callable[..., Delivery]
) -> None:
    now = timezone.now()
    sender = deliver_to(repository.port, now=lambda: now)
    first = create_event(**INTENT, at=now - timedelta(minutes=59))
    second = create_event(**INTENT, at=now - timedelta(minutes=30))
    wrong_clock = create_event(**INTENT, at=now + timedelta(days=3650))
    after = create_event()
    sender.send()
    assert ids(repository) == [after.pk]
    now += timedelta(minutes=2)
    sender.send()
    sender.send()
    assert ids(repository) == [after.pk, first.pk]
    assert parsed(repository.messages[-1])[0].get("EventOutcomeIndicator") == "12"
    now += timedelta(minutes=30)
    sender.send()
    assert ids(repository) == [after.pk, first.pk, second.pk, wrong_clock.pk]
    # it was a long one
    late = create_event(event=EventKind.DELETION, intention=first)
    sender.send()
    assert ids(repository)[4:] == [late.pk]


def test_operation_of_a_host_whose_clock_is_ahead_is_at_work(
    repository: SyslogReceiver, deliver_to: Callable[..., Delivery]
) -> None:
    now = timezone.now()
    sender = deliver_to(repository.port, now=lambda: now)
    intention = create_event(**INTENT, at=now + timedelta(minutes=1))
    sender.send()
    assert ids(repository) == []
    outcome = create_event(event=EventKind.DELETION, intention=intention)
    sender.send()
    assert ids(repository) == [outcome.pk]


def test_many_operations_without_an_outcome_are_sent(
    repository: SyslogReceiver, deliver_to: Callable[..., Delivery], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(delivery, "EVENTS_PER_BATCH", 3)
    created = [create_event(**INTENT, at=timezone.now() - timedelta(hours=2)).pk for _ in range(7)]
    created.append(create_event().pk)
    deliver_to(repository.port).send()
    assert sorted(ids(repository)) == created


def test_viewing_whose_time_is_over_is_sent(repository: SyslogReceiver, deliver_to: Callable[..., Delivery]) -> None:
    now = timezone.now()
    intention = create_event(
        event=EventKind.TRANSFERRED, outcome=AuditOutcome.INTENDED, counts={"instances": 1}, at=now
    )
    Viewing.objects.create(key="a", intention=intention, transfers=200, last_at=now, closes_at=now)
    deliver_to(repository.port).send()
    [message] = repository.messages
    assert request_details(parsed(message))["counts.instances"] == "200"


def test_event_about_many_studies_is_sent_in_messages_that_every_repository_takes(
    repository: SyslogReceiver, deliver_to: Callable[..., Delivery]
) -> None:
    """PS3.15 section A.6: 32,768 bytes."""
    subjects = [Subject("홍" * 64, "1." + "2" * 58 + f"{number:04}") for number in range(1000)]
    create_event(*subjects, event=EventKind.IMPORT)
    create_event(*subjects)
    deliver_to(repository.port).send()
    assert len(repository.messages) == 50
    assert max(map(len, repository.messages)) < 32_768
    named = [
        one.get("ParticipantObjectID")
        for message in repository.messages
        for one in parsed(message).findall("ParticipantObjectIdentification")
    ]
    assert [one for one in named if one and one.startswith("1.2")] == [one.study_instance_uid for one in subjects] * 2


def test_process_that_lost_its_lease_sends_no_more(
    repository: SyslogReceiver, deliver_to: Callable[..., Delivery]
) -> None:
    created = create_events(10)
    held = iter([True] * 5)
    deliver_to(repository.port, hold=lambda: next(held, False)).send()
    assert len(repository.messages) < 10
    deliver_to(repository.port).send()
    assert ids(repository)[-10:] == created


def test_process_that_was_overtaken_does_not_set_the_position_back(
    repository: SyslogReceiver, deliver_to: Callable[..., Delivery], monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = deliver_to(repository.port), deliver_to(repository.port)
    create_events(2)
    send = first._send

    def slowly(batch: delivery.Batch) -> None:
        send(batch)
        create_events(2)
        second.send()

    monkeypatch.setattr(first, "_send", slowly)
    first.send()
    assert count_waiting(first._receiver) == 0
    assert len(ids(repository)) == 6
    assert AuditEvent.objects.count() == 4


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("tls://audit.example.org:6514", ("audit.example.org", 6514)),
        ("tls://audit.example.org", ("audit.example.org", 6514)),
        ("tls://[2001:db8::7]:7000/", ("2001:db8::7", 7000)),
    ],
)
def test_url_of_a_repository(url: str, expected: tuple[str, int]) -> None:
    assert parse_url(url) == expected
    assert parse_url(Receiver(*expected).url) == expected


@pytest.mark.parametrize(
    "url", ["", "audit.example.org", "tcp://a:1", "tls://", "tls://a:0", "tls://a:99999", "tls://a/b", "tls://u@a"]
)
def test_other_urls_are_invalid(url: str) -> None:
    with pytest.raises(ValueError, match=r".*"):
        parse_url(url)


def test_name_outside_ascii_is_not_in_the_header() -> None:
    message = syslog_message("<AuditMessage/>", timezone.now(), "병원 1")
    assert message.split(b" ")[2] == b"---1"
