"""Viewings: what a caller gets of a series is one intention and one outcome, in all gateways with one database."""

import json
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth.models import Permission, User
from django.db import OperationalError, connections
from django.test import Client
from django.utils import timezone
from pytest_django import Settings

from orthancproxy.audit import viewings as module
from orthancproxy.audit.dicom_messages import messages
from orthancproxy.audit.events import Author, Subject
from orthancproxy.audit.kinds import AuditOutcome, Authentication, EventKind
from orthancproxy.audit.models import AuditEvent, Viewing
from orthancproxy.audit.viewings import viewings
from orthancproxy.sandbox.gateway import make_database
from orthancproxy.sandbox.orthanc import LocalOrthanc
from tests.conftest import GraphQL, UseOrthanc
from tests.manual_clock import ManualClock

CHECKOUT = Path(__file__).resolve().parents[2]
PREVIEW, FILE = "GET /api/orthanc/instances/{orthanc_id}/preview/", "GET /api/orthanc/instances/{orthanc_id}/file/"
KIM, DOCTOR = Author("kim", Authentication.SESSION, "192.0.2.7", "first"), Author("doctor", address="192.0.2.7")
STUDY = Subject("P001", "1.2.3")
INTENDED, SUCCESS = AuditOutcome.INTENDED, AuditOutcome.SUCCESS

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch, settings: Settings) -> ManualClock:
    """A clock that the test advances; a viewing is open for five minutes."""
    settings.ORTHANC_VIEWING_MINUTES = 5.0
    clock, start = ManualClock(), timezone.now()
    began = clock()

    def now() -> datetime:
        return start + timedelta(seconds=clock() - began)

    monkeypatch.setattr(viewings, "clock", now)
    return clock


def view(number: int = 1, author: Author = KIM, operation: str = PREVIEW, series: str = "a") -> None:
    for _ in range(number):
        viewings.count(author, EventKind.TRANSFERRED, operation, f"series/{series}", [STUDY], {"instances": 1})


def rows() -> list[tuple[str, str, str, int]]:
    """Return the user, outcome, target and number of instances of each event, oldest first."""
    events = AuditEvent.objects.filter(event=EventKind.TRANSFERRED).order_by("pk")
    return [(one.username, one.outcome, one.target, one.counts["instances"]) for one in events]


class TestViewings:
    def test_120_pictures_of_a_series_are_an_intention_and_an_outcome(self, clock: ManualClock) -> None:
        for _ in range(120):
            view()
            clock.now += 2
        assert rows() == [("kim", INTENDED, "series/a", 1)]
        clock.now += 300
        viewings.close_expired()
        intention, outcome = AuditEvent.objects.order_by("pk")
        assert rows() == [("kim", INTENDED, "series/a", 1), ("kim", SUCCESS, "series/a", 120)]
        assert outcome.intention == intention
        for field in ("event", "operation", "username", "authentication", "address", "request_id", "target"):
            assert getattr(outcome, field) == getattr(intention, field)
        for event in (intention, outcome):
            assert list(event.subjects.values_list("patient_id", "study_instance_uid")) == [("P001", "1.2.3")]
        # from the first picture to the last
        assert outcome.duration_ms == pytest.approx(119 * 2000, abs=1000)
        assert not Viewing.objects.exists()

    def test_callers_series_and_operations_have_their_own(self, clock: ManualClock) -> None:
        others = [Author("kim", Authentication.API_TOKEN, "192.0.2.7"), Author("kim", Authentication.SESSION, None)]
        for author in (KIM, DOCTOR, *others):
            view(3, author)
        view(4, series="b")
        view(5, operation=FILE)
        clock.now += 301
        viewings.close_expired()
        counts = AuditEvent.objects.filter(outcome=SUCCESS).order_by("intention")
        assert [event.counts["instances"] for event in counts] == [3, 3, 3, 3, 4, 5]

    def test_picture_after_the_time_opens_another(self, clock: ManualClock) -> None:
        view(2)
        clock.now += 299
        view()
        clock.now += 2
        view(7)
        assert rows() == [
            ("kim", INTENDED, "series/a", 1),
            ("kim", INTENDED, "series/a", 1),
            ("kim", SUCCESS, "series/a", 3),
        ]

    def test_opening_closes_some_and_reading_closes_all(
        self, clock: ManualClock, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(module, "MAX_CLOSED_BY_PICTURE", 3)
        monkeypatch.setattr(module, "CLOSED_PER_TRANSACTION", 2)
        for number in range(12):
            view(series=str(number))
        clock.now += 301
        # its own is the last of the expired ones
        view(series="11")
        assert AuditEvent.objects.filter(outcome=SUCCESS).count() == 3
        assert Viewing.objects.filter(transfers=1).count() == 10
        viewings.close_expired()
        assert AuditEvent.objects.filter(outcome=SUCCESS).count() == 12
        assert Viewing.objects.count() == 1

    def test_two_workers_that_close_at_once_write_one_outcome(self, clock: ManualClock) -> None:
        for number in range(20):
            view(2, series=str(number))
        clock.now += 301

        def close(_: int) -> None:
            viewings.close_expired()
            connections.close_all()

        with ThreadPoolExecutor(4) as pool:
            list(pool.map(close, range(4)))
        assert [count for _, outcome, _, count in rows() if outcome == SUCCESS] == [2] * 20

    def test_unexpired_viewings_stay_open(self, clock: ManualClock) -> None:
        view(2)
        viewings.close_expired()
        assert rows() == [("kim", INTENDED, "series/a", 1)]

    def test_export_has_the_outcome_only_and_begins_transferring_if_there_is_none(self, clock: ManualClock) -> None:
        view(2)
        [begun] = AuditEvent.objects.all()
        [message] = messages(begun, "gateway")
        assert 'originalText="Begin Transferring DICOM Instances"' in message
        assert 'EventActionCode="E"' in message
        clock.now += 301
        viewings.close_expired()
        [message] = messages(AuditEvent.objects.get(outcome=SUCCESS), "gateway")
        assert 'originalText="DICOM Instances Transferred"' in message


SCRIPT = """
import os, sys
os.environ["DJANGO_SETTINGS_MODULE"] = "orthancproxy.project.settings"
import django
django.setup()
import json
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from django.db import connections
from django.utils import timezone
from orthancproxy.audit.events import Author, Subject
from orthancproxy.audit.kinds import EventKind
from orthancproxy.audit.models import AuditEvent, Viewing
from orthancproxy.audit.viewings import viewings

def view(number):
    name = f"GET {number % 3}"
    viewings.count(Author(sys.argv[1]), EventKind.TRANSFERRED, name, "series/a", [Subject("P")], {"instances": 1})
    connections.close_all()

def close(number):
    viewings.clock = lambda: timezone.now() + timedelta(hours=1)
    viewings.close_expired()
    connections.close_all()

print("ready", flush=True)
for line in sys.stdin:
    with ThreadPoolExecutor(4) as pool:
        list(pool.map({"view": view, "close": close}[line.strip()], range(60)))
    events = AuditEvent.objects.filter(username=sys.argv[1]).order_by("outcome", "operation")
    open_ones = Viewing.objects.filter(intention__in=events)
    print(json.dumps([
        [[one.outcome, one.operation, one.counts["instances"], one.intention_id is None] for one in events],
        [one.transfers for one in open_ones],
    ]), flush=True)
"""


class Worker:
    """A process that counts 60 files in three viewings, or closes expired ones, in four threads."""

    def __init__(self, environment: dict[str, str], user: str) -> None:
        command = [sys.executable, "-c", SCRIPT, user]
        pipe = subprocess.PIPE
        self.process = subprocess.Popen(command, cwd=CHECKOUT, env=environment, stdin=pipe, stdout=pipe, text=True)

    def begin(self, what: str) -> None:
        assert self.process.stdin
        self.process.stdin.write(f"{what}\n")
        self.process.stdin.flush()

    def read(self) -> str:
        assert self.process.stdout
        return self.process.stdout.readline()

    def kill(self) -> None:
        self.process.kill()
        self.process.communicate()


@pytest.mark.parametrize("database", ["sqlite", "postgresql"])
def test_processes_share_viewings_and_one_closes_what_a_killed_one_left(
    database: str, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    url = request.getfixturevalue("postgresql") if database == "postgresql" else ""
    environment = {"PATH": os.environ["PATH"], "DJANGO_DATA_DIR": str(tmp_path), "DATABASE_URL": url}
    make_database(environment)
    first, second = workers = [Worker(environment, tmp_path.name) for _ in range(2)]
    try:
        assert [worker.read() for worker in workers] == ["ready\n"] * 2
        for worker in workers:
            worker.begin("view")
        assert all(worker.read() for worker in workers)
        first.kill()
        second.begin("view")
        intentions = [[INTENDED, f"GET {number}", 1, True] for number in range(3)]
        assert json.loads(second.read()) == [intentions, [60] * 3]
        second.begin("close")
        outcomes = [[SUCCESS, f"GET {number}", 60, False] for number in range(3)]
        assert json.loads(second.read()) == [intentions + outcomes, []]
    finally:
        for worker in workers:
            worker.kill()


@pytest.mark.live
class TestPictures:
    """Files and pictures of the REST API."""

    @pytest.fixture(autouse=True)
    def _archive(self, archive: LocalOrthanc, use_orthanc: UseOrthanc, clock: ManualClock) -> None:
        use_orthanc(archive)

    @pytest.fixture
    def series(self, graphql: GraphQL) -> list[dict[str, Any]]:
        """Two series, each with three instances."""
        fields = "orthancId thumbnailUrl instances { orthancId fileUrl previewUrl thumbnailUrl }"
        found: list[dict[str, Any]] = graphql(f"{{ seriesList(first: 2) {{ nodes {{ {fields} }} }} }}")["seriesList"][
            "nodes"
        ]
        return found

    @pytest.mark.parametrize("what", ["fileUrl", "previewUrl", "thumbnailUrl"])
    def test_one_series_is_one_viewing(
        self, series: list[dict[str, Any]], graphql: GraphQL, clock: ManualClock, what: str
    ) -> None:
        for one in series:
            for instance in one["instances"] * 4:
                assert Client().get(instance[what]).getvalue()
        targets = [f"series/{one['orthancId']}" for one in series]
        assert rows() == [("", INTENDED, target, 1) for target in targets]
        clock.now += 301
        query = """{ auditEvents(filter: {events: [TRANSFERRED]}) { nodes {
            outcome target counts intentionId code subjects { studyInstanceUID } } } }"""
        later, _, intended, _ = graphql(query)["auditEvents"]["nodes"]
        assert (later["outcome"], later["counts"], later["code"]) == ("SUCCESS", {"instances": 12}, "110104")
        assert (intended["outcome"], intended["code"]) == ("INTENDED", "110102")
        assert later["target"] in targets
        assert later["subjects"] == intended["subjects"] != []

    def test_thumbnail_of_a_series_is_counted(self, series: list[dict[str, Any]], clock: ManualClock) -> None:
        for _ in range(3):
            assert Client().get(series[0]["thumbnailUrl"]).content
        clock.now += 301
        viewings.close_expired()
        events = AuditEvent.objects.filter(event=EventKind.TRANSFERRED).order_by("pk")
        assert [(one.outcome, one.counts) for one in events] == [(INTENDED, {"series": 1}), (SUCCESS, {"series": 3})]

    def test_open_viewing_is_not_unfinished(self, series: list[dict[str, Any]], graphql: GraphQL) -> None:
        Client().get(series[0]["instances"][0]["previewUrl"])
        query = "{ auditEvents(filter: {isUnfinished: true}) { totalCount } }"
        assert graphql(query)["auditEvents"]["totalCount"] == 0

    @pytest.mark.parametrize("what", ["fileUrl", "previewUrl", "thumbnailUrl"])
    def test_what_is_unchanged_is_not_audited(self, series: list[dict[str, Any]], what: str) -> None:
        url = series[0]["instances"][0][what]
        whole = Client().get(url)
        assert whole.getvalue()
        before = AuditEvent.objects.count()
        response = Client().get(url, headers={"If-None-Match": whole["ETag"]})
        assert (response.status_code, response.content) == (304, b"")
        # not even the name of the patient
        assert "Content-Disposition" not in response
        assert AuditEvent.objects.count() == before
        assert Viewing.objects.get().transfers == 1

    @pytest.mark.parametrize("what", ["fileUrl", "previewUrl", "thumbnailUrl"])
    def test_head_is_an_access_and_no_transfer(self, series: list[dict[str, Any]], what: str) -> None:
        url = series[0]["instances"][0][what]
        before = AuditEvent.objects.count()
        response = Client().head(url)
        assert (response.status_code, response.getvalue()) == (200, b"")
        [event] = AuditEvent.objects.order_by("pk")[before:]
        assert (event.event, event.outcome, event.counts) == (EventKind.ACCESSED, SUCCESS, {"instances": 1})
        assert not Viewing.objects.exists()

    def test_head_of_a_zip_is_an_access(self, series: list[dict[str, Any]]) -> None:
        assert not Client().head(f"/api/orthanc/series/{series[0]['orthancId']}/archive/").getvalue()
        assert list(AuditEvent.objects.order_by("-pk")[:1].values_list("event", flat=True)) == [EventKind.ACCESSED]

    def test_zips_and_failures_are_events_of_their_own(self, series: list[dict[str, Any]]) -> None:
        for _ in range(2):
            assert Client().get(f"/api/orthanc/series/{series[0]['orthancId']}/archive/").getvalue()
        preview = series[0]["instances"][0]["previewUrl"]
        for _ in range(2):
            assert Client().get(f"{preview}&frame=5").status_code == 404
        events = AuditEvent.objects.filter(event=EventKind.TRANSFERRED).order_by("pk")
        assert [(one.outcome, one.target.partition("/")[0]) for one in events] == [
            (SUCCESS, "series"),
            (SUCCESS, "series"),
            (AuditOutcome.FAILED, "instances"),
            (AuditOutcome.FAILED, "instances"),
        ]
        assert not Viewing.objects.exists()

    def test_without_minutes_each_picture_is_an_event(self, series: list[dict[str, Any]], settings: Settings) -> None:
        settings.ORTHANC_VIEWING_MINUTES = 0
        instance = series[0]["instances"][0]
        for _ in range(2):
            assert Client().get(instance["previewUrl"]).content
        assert rows() == [("", SUCCESS, f"instances/{instance['orthancId']}", 1)] * 2

    def test_picture_that_cannot_be_counted_is_not_sent(
        self, series: list[dict[str, Any]], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        url = series[0]["instances"][0]["previewUrl"]
        assert Client().get(url).status_code == 200

        def fail() -> datetime:
            raise OperationalError("database is locked")

        monkeypatch.setattr(viewings, "clock", fail)
        response = Client().get(url)
        assert (response.status_code, response.json()["code"]) == (503, "GATEWAY_UNAVAILABLE")
        assert Viewing.objects.get().transfers == 1

    def test_admin_shows_closed_viewings(self, series: list[dict[str, Any]], clock: ManualClock) -> None:
        for instance in series[0]["instances"]:
            assert Client().get(instance["previewUrl"]).content
        clock.now += 301
        user = User.objects.create_user("auditor", is_staff=True)
        user.user_permissions.set(Permission.objects.filter(codename="view_audit"))
        client = Client()
        client.force_login(user, backend="orthancproxy.project.login.PasswordBackend")
        response = client.get("/admin/orthancproxy/auditevent/?event__exact=TRANSFERRED")
        assert [event.counts for event in response.context["cl"].result_list] == [{"instances": 3}, {"instances": 1}]
