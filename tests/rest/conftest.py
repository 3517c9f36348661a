"""Archives, false Orthancs and running gateways for the tests of the REST API."""

import http.client
import json
import re
import threading
import warnings
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
from django.core.cache import cache
from pydicom import dcmread
from pydicom.data import get_testdata_file
from pydicom.dataset import Dataset
from pydicom.uid import generate_uid

from orthancproxy.sandbox.gateway import LocalGateway, serving
from orthancproxy.sandbox.orthanc import LocalOrthanc
from tests.corpus import load
from tests.orthancs import NOT_FOLLOWING

REPOSITORY = Path(__file__).parents[2]
STUDY = "11111111-11111111-11111111-11111111-11111111"
INSTANCE = "22222222-22222222-22222222-22222222-22222222"
SERIES = "33333333-33333333-33333333-33333333-33333333"


@pytest.fixture(autouse=True)
def _without_cached_pictures() -> Iterator[None]:
    cache.clear()
    yield
    cache.clear()


def shipped(name: str, **tags: Any) -> Dataset:
    """A file that pydicom ships, with UIDs of its own: several encodings of one image have the same there."""
    path = get_testdata_file(f"{name}.dcm", download=False)
    assert isinstance(path, str)
    dataset = dcmread(path)
    dataset.PatientID = name
    for keyword in ("StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID"):
        setattr(dataset, keyword, generate_uid(entropy_srcs=[name, keyword]))
    dataset.file_meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID
    for keyword, value in tags.items():
        setattr(dataset, keyword, value)
    return dataset


def encoded(dataset: Dataset) -> bytes:
    file = BytesIO()
    dataset.save_as(file)
    return file.getvalue()


@dataclass(frozen=True)
class Gallery:
    """An archive of files that pydicom ships: their bytes and their Orthanc ids by name."""

    orthanc: LocalOrthanc
    files: dict[str, bytes]
    ids: dict[str, str]

    def address(self, name: str, what: str) -> str:
        return f"/api/orthanc/instances/{self.ids[name]}/{what}/"


@pytest.fixture(scope="session")
def gallery(start_session_orthanc: Callable[..., LocalOrthanc]) -> Gallery:
    """CT without a window, MR with one, colour, several frames, and what Orthanc can't draw."""
    orthanc = start_session_orthanc()
    names = "CT_small MR_small examples_ybr_color SC_rgb_small_odd rtplan test-SR MR_small_jp2klossless rtdose".split()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        files = {name: encoded(shipped(name)) for name in names}
        wide = shipped("CT_small", PatientID="windowed", SOPInstanceUID=generate_uid(entropy_srcs=["windowed"]))
        wide.WindowCenter, wide.WindowWidth = ["40", "300"], ["400", "1500"]
        files["windowed"] = encoded(wide)
    load(orthanc, files.values())
    return Gallery(orthanc, files, {name: id_of(orthanc, file) for name, file in files.items()})


def id_of(orthanc: LocalOrthanc, file: bytes, status: str = "AlreadyStored") -> str:
    """Send a file, and return its Orthanc id."""
    connection = http.client.HTTPConnection("127.0.0.1", orthanc.port, timeout=60)
    connection.request("POST", "/instances", file)
    answer = json.loads(connection.getresponse().read())
    connection.close()
    assert answer["Status"] == status, answer
    return str(answer["ID"])


Answer = Callable[[BaseHTTPRequestHandler], object]


@dataclass
class FalseOrthanc:
    """An HTTP server that does what a test wants on a path, and remembers every request line."""

    answers: dict[str, Answer] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)
    base_url: str = ""


def send(handler: BaseHTTPRequestHandler, body: bytes, length: int | None = None, status: int = 200) -> None:
    handler.send_response(status)
    handler.send_header("Content-Length", str(len(body) if length is None else length))
    handler.end_headers()
    handler.wfile.write(body)


def _not_found(handler: BaseHTTPRequestHandler) -> None:
    send(handler, b"", status=404)


SYSTEM = (
    b'{"Version": "1.12.7", "Name": "false", "HasLabels": true, "Capabilities": {"HasExtendedFind": true},'
    b' "MainDicomTags": {"Patient": "0010,0020", "Study": "0020,000d", "Series": "0020,000e",'
    b' "Instance": "0008,0018;0028,0008"}}'
)
STATISTICS = b'{"CountPatients": 0, "CountStudies": 0, "CountSeries": 0, "CountInstances": 0, "TotalDiskSize": "0"}'
INSTANCE_ANSWER = (
    f'{{"ID": "{INSTANCE}", "ParentSeries": "{SERIES}", "Type": "Instance", "FileUuid": "a-uuid",'
    ' "FileSize": 5, "MainDicomTags": {"0008,0018": "1.2.3"}, "RequestedTags": {"0020,000e": "1.2"}}'
).encode()
SERIES_ANSWER = (
    f'{{"ID": "{SERIES}", "ParentStudy": "{STUDY}", "Type": "Series", "MainDicomTags": {{"0020,000e": "1.2"}}}}'
).encode()


def _find(handler: BaseHTTPRequestHandler) -> None:
    """Answer what leads to the series by its id: an instance below it, then the series by the UID that it tells."""
    asked = json.loads(handler.rfile.read(int(handler.headers["Content-Length"])))
    if asked.get("ParentSeries") == SERIES:
        send(handler, b"[%s]" % INSTANCE_ANSWER)
    elif "1.2" in asked["Query"].get("0020,000e", "").split("\\"):
        send(handler, b"[%s]" % SERIES_ANSWER)
    else:
        send(handler, b"[]")


# the capabilities, finds, and a patient by the id that Orthanc derives from a PatientID
HARMLESS_CALL = re.compile(
    r"GET /(system|statistics)|POST /tools/(count-resources|find|bulk-content)"
    r"|GET /patients/[0-9a-f]{8}(-[0-9a-f]{8}){4}\?short"
)


@contextmanager
def run_false_orthanc() -> Iterator[FalseOrthanc]:
    """A false Orthanc with one instance."""
    state = FalseOrthanc(
        {
            "/system": lambda handler: send(handler, SYSTEM),
            "/statistics": lambda handler: send(handler, STATISTICS),
            "/tools/count-resources": lambda handler: send(handler, b'{"Count": 0}'),
            "/tools/find": _find,
            f"/instances/{INSTANCE}": lambda handler: send(handler, INSTANCE_ANSWER),
            f"/series/{SERIES}": lambda handler: send(handler, SERIES_ANSWER),
        }
    )

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True

        def do_GET(self) -> None:
            state.asked.append(f"{self.command} {self.path}")
            path = self.path.partition("?")[0]
            answer = state.answers.get(path, _not_found)
            if answer is not _find:
                self.rfile.read(int(self.headers.get("Content-Length", 0)))
            answer(self)

        def __getattr__(self, name: str) -> Any:
            if name.startswith("do_"):
                return self.do_GET
            raise AttributeError(name)

        def log_message(self, *_: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    state.base_url = f"http://127.0.0.1:{server.server_port}"
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    try:
        yield state
    finally:
        server.shutdown()
        server.server_close()


@pytest.fixture
def false_orthanc() -> Iterator[FalseOrthanc]:
    with run_false_orthanc() as running:
        yield running


@pytest.fixture
def serve(tmp_path: Path) -> Callable[[str], AbstractContextManager[LocalGateway]]:
    """Run the gateway over an Orthanc, in a `with` block."""
    return lambda base_url: serving(base_url, tmp_path, settings=NOT_FOLLOWING)


@pytest.fixture(scope="module")
def raw_orthanc() -> Iterator[FalseOrthanc]:
    with run_false_orthanc() as running:
        yield running


@pytest.fixture(scope="module")
def raw_gateway(raw_orthanc: FalseOrthanc, tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalGateway]:
    """A gateway over `raw_orthanc` for many tests."""
    with serving(raw_orthanc.base_url, tmp_path_factory.mktemp("gateway")) as running:
        yield running
