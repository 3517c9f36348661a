"""Bodies and responses of the store transaction (STOW-RS)."""

import json
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from django.test import Client

BOUNDARY = "a-boundary-that-no-file-has-in-it"
RELATED = f'multipart/related; type="application/dicom"; boundary={BOUNDARY}'
STUDIES = "/dicom-web/studies"

RETRIEVE_URL = "00081190"
REFERENCED = "00081199"
FAILED = "00081198"
OTHER_FAILURES = "0008119A"
SOP_INSTANCE_UID = "00081155"
FAILURE_REASON = "00081197"
WARNING_REASON = "00081196"


@dataclass(frozen=True, slots=True)
class StoreResponse:
    """The response of the gateway: its status, its Content-Type, and its content."""

    status: int
    media_type: str
    content: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.content)

    def uids(self, sequence: str = REFERENCED) -> list[str]:
        """The SOPInstanceUIDs of the items of a sequence."""
        return [item[SOP_INSTANCE_UID]["Value"][0] for item in self._items(sequence)]

    def reasons(self, sequence: str = FAILED) -> list[str]:
        """The failure or warning reasons of the items of a sequence, as hexadecimal numbers."""
        tag = WARNING_REASON if sequence == REFERENCED else FAILURE_REASON
        return [f"{item[tag]['Value'][0]:04X}" for item in self._items(sequence) if tag in item]

    def _items(self, sequence: str) -> list[dict[str, Any]]:
        items: list[dict[str, Any]] = self.json.get(sequence, {"Value": []})["Value"]
        return items


def related(files: Iterable[bytes], header: str = "Content-Type: application/dicom") -> bytes:
    """Return a body of multipart/related."""
    head = f"--{BOUNDARY}\r\n{header}\r\n\r\n".encode()
    return b"".join(head + file + b"\r\n" for file in files) + f"--{BOUNDARY}--\r\n".encode()


def store(*files: bytes, study: str = "", accept: str = "application/dicom+json") -> StoreResponse:
    """Store files by one request."""
    return send(related(files), study=study, accept=accept)


def send(body: bytes, content_type: str = RELATED, study: str = "", **headers: str) -> StoreResponse:
    """Send a body to the route of a study, or to that of all."""
    response = Client(raise_request_exception=False).post(
        f"{STUDIES}/{study}" if study else STUDIES, body, content_type=content_type, headers=headers
    )
    return StoreResponse(response.status_code, response.headers["Content-Type"], response.content)
