"""Uploads as a frontend sends them, by the GraphQL multipart request specification."""

from __future__ import annotations

import http.client
import json
import time
import uuid
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from benchmarks.measuring import BenchmarkError
from benchmarks.slices import DicomFile
from orthancproxy.sandbox.gateway import LocalGateway

MUTATION = """
mutation($input: UploadInput!) {
  uploadPatient(input: $input) { uploadKey uploaded alreadyStored failed { name code message } }
}
"""
TIMEOUT = 3_600.0  # seconds without a byte; the gateway responds after Orthanc has stored everything
_BOUNDARY = "a1c7e0f4b2d84c5f9e6d"
_PIECE_BYTES = 64 * 1024  # of a body that is sent slowly
_MESSAGE_LENGTH = 1_000  # characters of an unexpected response in an error message


@dataclass(frozen=True, slots=True)
class UploadRequest:
    """A request that is ready to be sent: its number of files, its body, and the size of the body in bytes."""

    files: int
    size: int
    body: Iterable[bytes]


def new_upload_key() -> str:
    """Return an unused upload key."""
    return f"benchmark-{uuid.uuid4()}"


def upload_request(files: Sequence[DicomFile], upload_key: str) -> UploadRequest:
    """Return the request that uploads these files; their bytes are generated while it is sent."""
    parts = _Parts(files, upload_key)
    return UploadRequest(len(files), parts.size, parts)


def in_memory(request: UploadRequest) -> UploadRequest:
    """Return the same request with its body generated now, outside the measured time."""
    return UploadRequest(request.files, request.size, [b"".join(request.body)])


class Paced:
    """A body that is sent at a constant rate. `sent_at` is the time of its last byte (`time.perf_counter`)."""

    def __init__(self, body: Iterable[bytes], bytes_per_second: float) -> None:
        self.sent_at = 0.0
        self._body = body
        self._bytes_per_second = bytes_per_second

    def __iter__(self) -> Iterator[bytes]:
        start, sent = time.perf_counter(), 0
        for piece in self._body:
            for offset in range(0, len(piece), _PIECE_BYTES):
                part = piece[offset : offset + _PIECE_BYTES]
                yield part
                sent += len(part)
                time.sleep(max(0.0, start + sent / self._bytes_per_second - time.perf_counter()))
        self.sent_at = time.perf_counter()


def send(gateway: LocalGateway, request: UploadRequest, address: str = "127.0.0.1") -> None:
    """Upload; raise BenchmarkError unless every file was stored. `address` is that of the caller, forwarded."""
    connection = http.client.HTTPConnection("127.0.0.1", gateway.port, timeout=TIMEOUT)
    try:
        # a server that rejects may respond and disconnect before it has read everything
        with suppress(BrokenPipeError, ConnectionResetError):
            connection.request(
                "POST",
                "/graphql/",
                body=request.body,
                headers={
                    "Accept": "application/json",
                    "Content-Type": f"multipart/form-data; boundary={_BOUNDARY}",
                    "Content-Length": str(request.size),
                    "X-Forwarded-For": address,
                },
            )
        answer = connection.getresponse()
        _check(answer.status, answer.read(), request.files)
    except (OSError, http.client.HTTPException) as error:
        raise BenchmarkError(f"The upload was interrupted: {error!r}\n{gateway.end_of_log()}") from error
    finally:
        connection.close()


class _Parts:
    """The body of a request, generated as it is read; `size` is in bytes."""

    def __init__(self, files: Sequence[DicomFile], upload_key: str) -> None:
        self._fields = b"".join(_fields(files, upload_key))
        self._files = files
        self._end = f"--{_BOUNDARY}--\r\n".encode()
        self.size = (
            len(self._fields)
            + sum(len(_file_head(index, file)) + file.size + 2 for index, file in enumerate(files))
            + len(self._end)
        )

    def __iter__(self) -> Iterator[bytes]:
        yield self._fields
        for index, file in enumerate(self._files):
            yield _file_head(index, file)
            yield from file.chunks()
            yield b"\r\n"
        yield self._end


def _fields(files: Sequence[DicomFile], upload_key: str) -> Iterator[bytes]:
    """Return the parts before the files: the operation, and the map of files to variables."""
    variables = {
        "input": {
            "files": [None] * len(files),
            "seriesPaths": [file.folder for file in files],
            "patientId": "BENCH-1",
            "studyDescription": "Benchmark",
            "uploadKey": upload_key,
        }
    }
    fields = {
        "operations": {"query": MUTATION, "variables": variables},
        "map": {str(index): [f"variables.input.files.{index}"] for index in range(len(files))},
    }
    for name, value in fields.items():
        yield f'--{_BOUNDARY}\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{json.dumps(value)}\r\n'.encode()


def _file_head(index: int, file: DicomFile) -> bytes:
    return (
        f'--{_BOUNDARY}\r\nContent-Disposition: form-data; name="{index}"; filename="{file.name}"\r\n'
        "Content-Type: application/dicom\r\n\r\n"
    ).encode()


def _check(status: int, body: bytes, files: int) -> None:
    try:
        answer: Any = json.loads(body)
        payload = answer["data"]["uploadPatient"]
        stored = (payload["uploaded"], payload["alreadyStored"], payload["failed"])
    except (ValueError, KeyError, TypeError):
        text = body[:_MESSAGE_LENGTH].decode(errors="replace")
        raise BenchmarkError(f"The upload was answered with HTTP status {status}: {text}") from None
    if stored != (files, 0, []):
        failed = str(payload["failed"][:3])
        raise BenchmarkError(
            f"Of {files} files, {stored[0]} were stored, {stored[1]} of them earlier. Failed: {failed}"
        )
