"""Forms are parsed, and their files inspected, while they arrive; the view gets the same as without."""

import asyncio
import os
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from tempfile import TemporaryFile
from types import SimpleNamespace
from typing import Any

import pytest
from pytest_django import Settings

from orthancproxy.access.callers import Caller, anonymous
from orthancproxy.dicom.sources import chunks
from orthancproxy.errors import InsufficientStorage, InvalidRequest, LimitExceeded
from orthancproxy.http.early_forms import UPLOADER, receive_early
from orthancproxy.http.multipart import FORM, Form, receive
from orthancproxy.uploads.files import SentFile, with_series_paths
from tests.uploads.upload_client import (
    CONTENT_TYPE,
    GRAPHQL_PATH,
    REST,
    REST_PATH,
    File,
    GraphQL,
    Part,
    form,
    slices,
    zipped,
)


def scope_of(path: str) -> dict[str, Any]:
    return {"type": "http", "method": "POST", "path": path, "headers": [(b"content-type", CONTENT_TYPE.encode())]}


class Upload:
    """A form that is sent piece by piece, and what the application gets of it."""

    def __init__(self, path: str = GRAPHQL_PATH) -> None:
        self.scopes: list[Mapping[str, Any]] = []
        self.bodies: list[bytes] = []
        self._pieces: asyncio.Queue[Mapping[str, Any]] = asyncio.Queue()
        early: Any = receive_early(self._application)
        self.end = asyncio.ensure_future(early(scope_of(path), self._pieces.get, None))

    def send(self, *pieces: bytes, is_last: bool = False) -> None:
        for number, piece in enumerate(pieces, 1):
            more = number < len(pieces) or not is_last
            self._pieces.put_nowait({"type": "http.request", "body": piece, "more_body": more})

    def disconnect(self) -> None:
        self._pieces.put_nowait({"type": "http.disconnect"})

    def parsed(self) -> Form:
        """Return the form of the only request that the application got, without a body."""
        assert len(self.scopes) == 1
        assert self.bodies == [b""]
        request: Any = SimpleNamespace(scope={FORM: list(self.forms)})
        return receive(request)

    async def _application(self, scope: Mapping[str, Any], receive: Any, _: Any) -> None:
        """Read as Django does: the whole body, or nothing after a disconnect."""
        while (message := await receive())["type"] == "http.request":
            self.bodies.append(message["body"])
            if not message.get("more_body", False):
                self.scopes.append(scope)
                self.forms = list(scope.get(FORM, ()))
                return


def pieces(body: bytes, count: int = 10) -> list[bytes]:
    size = len(body) // count + 1
    return [body[start : start + size] for start in range(0, len(body), size)]


def received(body: bytes, path: str = GRAPHQL_PATH, count: int = 10) -> Upload:
    """Send a body in a number of pieces."""

    async def run() -> Upload:
        upload = Upload(path)
        upload.send(*pieces(body, count), is_last=True)
        await asyncio.wait_for(upload.end, 30)
        return upload

    return asyncio.run(run())


@pytest.mark.parametrize("count", [2, 7, 300])
def test_a_form_that_arrives_in_pieces_is_the_same(count: int) -> None:
    files = [*slices(20, "T1"), File(b""), File(b"\r\n--a-bound" * 30_000, "나")]
    body = REST().body(files, patientId="P")
    found = received(body, REST_PATH, count).parsed()
    assert [b"".join(chunks(file.source)) for file in found.files.getlist("files")] == [file.content for file in files]
    assert found.fields.getlist("series_path") == [file.folder for file in files]
    assert found.text("patient_id") == "P"


def test_a_form_that_arrives_at_once_is_left_to_the_view() -> None:
    async def run() -> None:
        upload = Upload()
        upload.send(b"body", is_last=True)
        await asyncio.wait_for(upload.end, 30)
        assert upload.bodies == [b"body"]
        assert FORM not in upload.scopes[0]

    asyncio.run(run())


def places_of(form: Form, path: str, folders: Sequence[str]) -> list[SentFile]:
    """Return the files as the views place them."""
    names = map(str, range(len(form.files)))
    files = form.files.getlist("files") if path == REST_PATH else [form.files[name] for name in names]
    return with_series_paths(files, folders)


FOLDERS = ["T1", "나", "T1", "", "T2"]
FILES = [File(file.content, folder) for file, folder in zip(slices(5), FOLDERS, strict=True)]
ZIP = File(zipped({"1.dcm": FILES[0].content}), "zip")


FILE_PARTS = [Part("files", file.content, "1") for file in FILES]
FOLDER_PARTS = [Part("series_path", folder.encode()) for folder in FOLDERS]
# path, body, folders, and whether the inspection of each file has begun
PLACES = {
    "GraphQL": (GRAPHQL_PATH, GraphQL().body(FILES, patientId="P"), FOLDERS, "yyyyy"),
    "GraphQL without folders": (GRAPHQL_PATH, GraphQL().body(FILES, with_folders=False, patientId="P"), [], "yyyyy"),
    "a ZIP": (GRAPHQL_PATH, GraphQL().body([*FILES, ZIP], patientId="P"), [*FOLDERS, "zip"], "yyyyyn"),
    "REST": (REST_PATH, REST().body(FILES, patientId="P"), FOLDERS, "yyyyy"),
    # only the next part tells that a file has no series path
    "REST without folders": (REST_PATH, form(FILE_PARTS), [], "yyyyn"),
    "REST, folders first": (REST_PATH, form([*FOLDER_PARTS, *FILE_PARTS]), FOLDERS, "yyyyy"),
    # taken for files without a folder, and inspected again where they have one
    "REST, folders last": (REST_PATH, form([*FILE_PARTS, *FOLDER_PARTS]), FOLDERS, "nnnyy"),
}


@pytest.mark.parametrize(("path", "body", "folders", "expected"), PLACES.values(), ids=PLACES.keys())
def test_the_inspection_of_a_file_begins_when_its_place_is_known(
    path: str, body: bytes, folders: Sequence[str], expected: str
) -> None:
    files = places_of(received(body, path).parsed(), path, folders)
    assert "".join("ny"[file.head_start.is_of(file)] for file in files) == expected


@pytest.mark.parametrize(
    ("operations", "places"),
    [
        (b"{", b"{"),
        (b"[]", b"[]"),
        (b'"x"', b'{"0": ["variables.input.files.0"]}'),
        (b'{"variables": {"input": {"seriesPaths": [1]}}}', b'{"0": ["variables.input.files.0"]}'),
        (b'{"variables": {"input": {"seriesPaths": []}}}', b'{"0": ["variables.input.files.-1"]}'),
        (b'{"variables": {"input": []}}', b'{"0": ["variables.input.files.0"]}'),
        (b'{"variables": {"input": {"seriesPaths": "x"}}}', b'{"0": ["variables.input.files.0"]}'),
        (b'{"variables": {"input": {"seriesPaths": {"a": 1}}}}', b'{"0": ["variables.input.files.0"]}'),
        (b'{"variables": {}}', b'{"0": []}'),
        (b'{"variables": {}}', b'{"0": [0]}'),
        (b'{"variables": {}}', b'{"0": ["0"]}'),
        (b"\xff", b"\xff\xff"),
    ],
)
def test_operations_that_are_malformed_are_left_to_the_view(operations: bytes, places: bytes) -> None:
    body = form([Part("operations", operations), Part("map", places), Part("0", b"x" * 1000, "1")])
    upload = received(body)
    if operations == b"\xff":
        with pytest.raises(InvalidRequest, match="malformed"):
            upload.parsed()
    else:
        [file] = upload.parsed().files.getlist("0")
        assert file.source.size == 1000


def test_a_form_that_breaks_off_never_reaches_the_application() -> None:
    async def run() -> None:
        upload = Upload()
        upload.send(*pieces(GraphQL().body(FILES, patientId="P"))[:5])
        upload.disconnect()
        await asyncio.wait_for(upload.end, 30)
        assert not upload.scopes
        assert not upload.bodies

    asyncio.run(run())


def test_a_form_that_is_malformed_after_a_hundred_files_is_read_to_its_end() -> None:
    files = [Part("files", file.content, "1") for file in slices(100)]
    body = form([*files, Part('x"; filename="a', b"")]).replace(b'name="x"', b"name*=bogus''x") + b"x" * 100_000
    upload = received(body, REST_PATH)
    for _ in range(2):
        with pytest.raises(InvalidRequest, match="malformed"):
            upload.parsed()


def test_a_form_without_its_end_is_incomplete() -> None:
    with pytest.raises(InvalidRequest, match="incomplete"):
        received(GraphQL().body(FILES, patientId="P")[:-10]).parsed()


def test_a_form_over_a_limit_is_rejected_as_a_whole(settings: Settings) -> None:
    settings.ORTHANC_MAX_UPLOAD_FILES = 4
    with pytest.raises(LimitExceeded, match="At most 4 files"):
        received(GraphQL().body(FILES, patientId="P")).parsed()


def test_a_form_that_does_not_fit_on_the_disk_is_rejected_when_all_of_it_has_arrived() -> None:
    outcomes: list[object] = []

    async def application(scope: Mapping[str, Any], *_: Any) -> None:
        outcomes.extend(scope[FORM])

    async def run() -> None:
        pieces = [{"type": "http.request", "body": b"x" * 100_000, "more_body": more} for more in (False, True, True)]

        async def receive() -> Mapping[str, Any]:
            return pieces.pop()

        full: Any = partial(Path("/dev/full").open, "r+b", buffering=0)
        await receive_early(application, full)(scope_of(GRAPHQL_PATH), receive, None)  # type: ignore[arg-type]
        assert pieces == []

    asyncio.run(run())
    assert [type(outcome) for outcome in outcomes] == [InsufficientStorage]


def test_the_spool_of_a_rejected_form_is_empty_before_the_rest_has_arrived(settings: Settings) -> None:
    settings.ORTHANC_MAX_UPLOAD_FILES = 1

    async def application(*_: Any) -> None:
        """Answer."""

    async def run() -> None:
        with TemporaryFile() as spool:
            sizes: list[int] = []
            rest = [*pieces(GraphQL().body([File(bytes(400_000))] * 3, patientId="P"), 10), b"x" * 100_000, b"x"]
            count = len(rest)

            async def receive() -> Mapping[str, Any]:
                sizes.append(os.fstat(spool.fileno()).st_size)
                body = rest.pop(0)
                return {"type": "http.request", "body": body, "more_body": bool(rest)}

            await receive_early(application, lambda: spool)(scope_of(GRAPHQL_PATH), receive, None)  # type: ignore[arg-type]
            assert len(sizes) == count
            assert max(sizes) > 100_000
            assert sizes[-1] == 0

    asyncio.run(run())


@pytest.mark.parametrize("uploader", [None, anonymous()], ids=["rejected before", "without the permission"])
def test_the_form_of_a_caller_who_may_not_upload_is_not_touched(settings: Settings, uploader: Caller | None) -> None:
    settings.ORTHANC_ANONYMOUS_ACTIONS = ()
    seen = []

    async def application(scope: Mapping[str, Any], receive: Any, _: Any) -> None:
        seen.append((FORM in scope, await receive()))

    async def run() -> None:
        first = {"type": "http.request", "body": b"x", "more_body": True}

        async def receive() -> Mapping[str, Any]:
            return first

        given = {} if uploader else {UPLOADER: None}
        await receive_early(application)({**scope_of(GRAPHQL_PATH), **given}, receive, None)  # type: ignore[arg-type]
        assert seen == [(False, first)]

    asyncio.run(run())
