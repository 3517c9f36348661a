"""Orthanc tells the gateway what it deletes, by a script and a secret, and does not wait for a gateway that is down."""

import json
import shutil
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.request import Request, urlopen

import pytest
from django.http import HttpResponse
from django.test import Client, RequestFactory
from pytest_django import Settings

from orthancproxy.archive.levels import Level, patient_orthanc_id
from orthancproxy.feed.log import Kind, change_log
from orthancproxy.project.orthanc_events import MAX_BODY_BYTES, DeletionChecks, orthanc_events
from orthancproxy.sandbox.gateway import CHECKOUT, serving
from orthancproxy.sandbox.orthanc import Installation, LocalOrthanc, free_port
from orthancproxy.threads import DELETIONS
from tests.conftest import UseOrthanc
from tests.corpus import ask, instance, load
from tests.orthancs import StartOrthanc, installed_version
from tests.waiting import wait_until

SECRET = "0123456789abcdef" * 4
STUDY, OTHER = "-".join(["0123abcd"] * 5), "-".join(["89abcdef"] * 5)
SCRIPT = CHECKOUT / "docker/orthanc-events.lua"

Removed = list[tuple[Level, Sequence[str]]]
Send = Callable[..., HttpResponse]


def event(orthanc_id: str, level: str = "Study") -> dict[str, str]:
    return {"level": level, "id": orthanc_id}


@pytest.fixture
def removed() -> Removed:
    """What the view was told."""
    return []


@pytest.fixture
def send(removed: Removed, settings: Settings) -> Send:
    """Send events to the view, by default with the secret."""
    settings.ORTHANC_EVENTS_SECRET = SECRET
    view = orthanc_events(lambda level, ids: removed.append((level, ids)))

    def send(body: object, *, method: str = "POST", secret: str = SECRET, **headers: str) -> HttpResponse:
        content = body if isinstance(body, bytes) else json.dumps(body)
        headers = {"Authorization": f"Bearer {secret}", **headers}
        request = RequestFactory(headers=headers).generic(method, "/orthanc-events", content, "application/json")
        return view(request)

    return send


class TestEndpoint:
    def test_passes_on_what_was_deleted(self, send: Send, removed: Removed) -> None:
        patient = event(OTHER, "Patient")
        assert send([event(STUDY), event(OTHER), patient, event(STUDY)]).status_code == 204
        assert removed == [(Level.STUDY, [STUDY, OTHER]), (Level.PATIENT, [OTHER]), (Level.STUDY, [STUDY])]

    @pytest.mark.parametrize("secret", ["", SECRET[:-1], SECRET + "0", SECRET.upper(), "ż"])
    def test_rejects_another_secret(self, send: Send, removed: Removed, secret: str) -> None:
        answer = send([event(STUDY)], secret=secret)
        assert answer.status_code == 403
        assert json.loads(answer.content)["code"] == "FORBIDDEN"
        assert removed == []

    @pytest.mark.parametrize("proxied", ["X-Forwarded-For", "Forwarded"])
    def test_is_hidden_behind_a_proxy(self, send: Send, removed: Removed, proxied: str) -> None:
        assert send([event(STUDY)], **{proxied: "192.0.2.1"}).status_code == 404
        assert removed == []

    def test_does_not_exist_without_a_secret(self, send: Send, removed: Removed, settings: Settings) -> None:
        settings.ORTHANC_EVENTS_SECRET = ""
        assert send([event(STUDY)], secret="").status_code == 404
        assert removed == []

    def test_has_nothing_to_read(self, send: Send) -> None:
        assert send([], method="GET").status_code == 404

    @pytest.mark.parametrize(
        "body",
        [
            b"",
            b"{",
            b"\xff",
            b"[" * 10_000,
            {},
            [5],
            [{"id": STUDY}],
            [event(STUDY, "study")],
            [event(STUDY + "\n")],
            [event("../../tools/reset")],
            [event(STUDY), event(STUDY.upper())],
        ],
    )
    def test_rejects_what_is_malformed(self, send: Send, removed: Removed, body: object) -> None:
        answer = send(body)
        assert answer.status_code == 400
        assert json.loads(answer.content)["code"] == "BAD_USER_INPUT"
        assert removed == []

    def test_rejects_a_long_list(self, send: Send, removed: Removed) -> None:
        answer = send(b" " * MAX_BODY_BYTES + b"[]")
        assert answer.status_code == 413
        assert removed == []


def test_deletions_that_arrive_during_a_check_are_checked_together(removed: Removed) -> None:
    release = threading.Event()
    DELETIONS.submit(release.wait)
    checks = DeletionChecks(lambda level, ids: removed.append((level, ids)))
    for number in range(20):
        checks.add(Level.STUDY, [f"study {number}"])
    checks.add(Level.PATIENT, ["patient"])
    release.set()
    DELETIONS.submit(bool).result()
    assert removed == [(Level.STUDY, [f"study {number}" for number in range(20)]), (Level.PATIENT, ["patient"])]


@pytest.mark.live
def test_what_orthanc_still_has_is_not_logged_as_deleted(
    archive: LocalOrthanc, use_orthanc: UseOrthanc, transactional_db: None, client: Client, settings: Settings
) -> None:
    settings.ORTHANC_EVENTS_SECRET = SECRET
    settings.ORTHANC_CHANGES_DAYS = 7
    use_orthanc(archive)
    # Orthanc uses a name of its network
    settings.ALLOWED_HOSTS = ["images.example.org"]
    headers = {"Authorization": f"Bearer {SECRET}", "Host": "gateway:8000"}
    overwritten = min(json.loads(ask(archive, "/studies")))
    events = [event(overwritten), event(STUDY), event(OTHER, "Patient")]

    assert client.post("/orthanc-events", events, "application/json", headers=headers).status_code == 204

    wait_until(lambda: len(change_log.after(0, 10)) == 2)
    assert [(one.change.kind, one.change.level, one.change.orthanc_id) for one in change_log.after(0, 10)] == [
        (Kind.DELETED, Level.STUDY, STUDY),
        (Kind.DELETED, Level.PATIENT, OTHER),
    ]


@dataclass
class Receiver:
    """An HTTP server in the gateway's place: it remembers events, and answers after a while."""

    seconds: float = 0
    status: int = 204
    events: list[dict[str, str]] = field(default_factory=list)
    headers: list[Mapping[str, str]] = field(default_factory=list)
    url: str = ""

    def answer(self, handler: BaseHTTPRequestHandler) -> None:
        self.headers.append(dict(handler.headers))
        self.events += json.loads(handler.rfile.read(int(handler.headers["Content-Length"])))
        time.sleep(self.seconds)
        handler.send_response(self.status)
        handler.end_headers()


@pytest.fixture
def receiver(monkeypatch: pytest.MonkeyPatch) -> Iterator[Receiver]:
    """A server that the Orthancs of a test send their events to."""
    receiver = Receiver()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            receiver.answer(self)

        def log_message(self, *args: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever).start()
        receiver.url = f"http://127.0.0.1:{server.server_port}/orthanc-events"
        send_to(receiver.url, monkeypatch)
        yield receiver
        server.shutdown()


def send_to(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Have the Orthancs that are started from now on send their events to a URL."""
    monkeypatch.setenv("ORTHANC_EVENTS_URL", url)
    monkeypatch.setenv("ORTHANC_EVENTS_SECRET", SECRET)


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder that Orthanc can read."""
    folder = Installation.find().make_folder(None)
    folder.chmod(0o755)
    yield folder
    shutil.rmtree(folder)


@pytest.fixture
def script(folder: Path) -> str:
    """The path of the script, as Orthanc sees it."""
    return Installation.find().inner_path(Path(shutil.copy(SCRIPT, folder)))


@pytest.fixture
def start(start_orthanc: StartOrthanc, script: str) -> Callable[[], LocalOrthanc]:
    """Start an Orthanc with the script, of two patients with one and two studies."""

    def start() -> LocalOrthanc:
        # for 1.10.1, whose scripts cannot set it
        orthanc = start_orthanc(configuration={"LuaScripts": [script], "HttpTimeout": 1})
        load(orthanc, [instance(1, 1), instance(1, 1, number=2), instance(2, 1), instance(2, 2, series=2)])
        return orthanc

    return start


def studies_of(orthanc: LocalOrthanc, patient_id: str) -> list[str]:
    """The ids of a patient's studies."""
    studies = json.loads(ask(orthanc, f"/patients/{patient_orthanc_id(patient_id)}/studies"))
    return [study["ID"] for study in studies]


def seconds_of(call: Callable[[], object]) -> float:
    started = time.monotonic()
    call()
    return time.monotonic() - started


@pytest.mark.live
class TestScript:
    def test_sends_the_studies_and_patients_that_are_deleted(
        self, start: Callable[[], LocalOrthanc], receiver: Receiver
    ) -> None:
        orthanc = start()
        [only], (first, second) = studies_of(orthanc, "P001"), studies_of(orthanc, "P002")

        ask(orthanc, f"/studies/{first}", "DELETE")
        ask(orthanc, f"/studies/{only}", "DELETE")
        ask(orthanc, f"/patients/{patient_orthanc_id('P002')}", "DELETE")

        everything = [first, only, patient_orthanc_id("P001"), second, patient_orthanc_id("P002")]
        wait_until(lambda: len(receiver.events) == len(everything))
        assert {one["id"] for one in receiver.events} == set(everything)
        assert [one["level"] for one in receiver.events].count("Patient") == 2
        assert {one["Authorization"] for one in receiver.headers} == {f"Bearer {SECRET}"}

    def test_takes_the_secret_from_a_file(
        self, start: Callable[[], LocalOrthanc], receiver: Receiver, folder: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        file = folder / "secret"
        file.write_text(f"{SECRET}\n")
        monkeypatch.delenv("ORTHANC_EVENTS_SECRET")
        monkeypatch.setenv("ORTHANC_EVENTS_SECRET_FILE", Installation.find().inner_path(file))
        ask(start(), f"/patients/{patient_orthanc_id('P001')}", "DELETE")
        wait_until(lambda: receiver.events)
        assert receiver.headers[0]["Authorization"] == f"Bearer {SECRET}"

    def test_does_not_keep_orthanc_waiting_for_a_gateway_that_hangs(
        self, start: Callable[[], LocalOrthanc], receiver: Receiver
    ) -> None:
        orthanc = start()
        receiver.seconds = 5
        [only], studies = studies_of(orthanc, "P001"), studies_of(orthanc, "P002")
        ask(orthanc, f"/studies/{only}", "DELETE")
        wait_until(lambda: receiver.events)
        # the timeout of the first event; the others are dropped
        assert seconds_of(lambda: [ask(orthanc, f"/studies/{one}", "DELETE") for one in studies]) < 4
        assert len(receiver.events) == 1

    def test_deletes_without_a_gateway(
        self, start: Callable[[], LocalOrthanc], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        send_to(f"http://127.0.0.1:{free_port()}/orthanc-events", monkeypatch)
        orthanc = start()
        ask(orthanc, f"/patients/{patient_orthanc_id('P002')}", "DELETE")
        assert seconds_of(lambda: ask(orthanc, "/system")) < 1
        assert len(json.loads(ask(orthanc, "/studies"))) == 1

    def test_reaches_the_feed_of_the_gateway(
        self, start: Callable[[], LocalOrthanc], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
    ) -> None:
        port = free_port()
        send_to(f"http://127.0.0.1:{port}/orthanc-events", monkeypatch)
        orthanc = start()
        with serving(orthanc.base_url, tmp_path, port=port, settings={"ORTHANC_EVENTS_SECRET": SECRET}):
            [deleted, _] = studies_of(orthanc, "P002")
            ask(orthanc, f"/studies/{deleted}", "DELETE")
            wait_until(lambda: ("DELETED", deleted) in feed(port))


def feed(port: int) -> list[tuple[str, str]]:
    """The kinds and resources of a gateway's changes."""
    body = json.dumps({"query": "{ archiveChanges { nodes { kind orthancId } } }"}).encode()
    url = f"http://127.0.0.1:{port}/graphql/"
    with urlopen(Request(url, body, {"Content-Type": "application/json"}), timeout=30) as answer:
        return [(one["kind"], one["orthancId"]) for one in json.load(answer)["data"]["archiveChanges"]["nodes"]]


@pytest.mark.live
def test_an_old_orthanc_with_a_long_timeout_sends_nothing(
    start_orthanc: StartOrthanc, script: str, receiver: Receiver
) -> None:
    orthanc = start_orthanc(configuration={"LuaScripts": [script]})
    load(orthanc, [instance()])
    ask(orthanc, f"/patients/{patient_orthanc_id('P001')}", "DELETE")
    if installed_version() < (1, 11):
        wait_until(lambda: '"HttpTimeout"' in orthanc.log_file.read_text())
        assert receiver.events == []
    else:
        wait_until(lambda: len(receiver.events) == 2)
