"""The store transaction (STOW-RS, PS3.18 section 10.5)."""

from collections.abc import Mapping, Sequence
from typing import Any

import orjson
from django.http import HttpResponse
from rest_framework import exceptions
from rest_framework.request import Request

from orthancproxy.dicomweb import openapi
from orthancproxy.dicomweb.retrieve import FilesView
from orthancproxy.dicomweb.search import JSON_TYPES, SearchView
from orthancproxy.dicomweb.views import DicomwebView
from orthancproxy.errors import (
    ArchiveUnavailable,
    GatewayError,
    InsufficientStorage,
    InvalidDicom,
    InvalidRequest,
    LimitExceeded,
    PermissionDenied,
    nearest,
)
from orthancproxy.http.multipart_related import MULTIPART_RELATED, receive_parts
from orthancproxy.resolvers.restoring import WAS_IN_TRASH
from orthancproxy.resolvers.storing import StoreOutcome, require_store_permission, store_files
from orthancproxy.uploads.identified_files import IdentifiedFile

DICOM = "application/dicom"
RETRIEVE_URL = "00081190"
FAILURE_REASONS: Mapping[type[GatewayError], int] = {
    InvalidRequest: 0xA900,  # data set does not match: it is of another study
    InvalidDicom: 0xC000,  # cannot understand
    LimitExceeded: 0xA700,  # out of resources
    ArchiveUnavailable: 0xA700,
    InsufficientStorage: 0xA700,
    PermissionDenied: 0x0124,  # not authorized
    GatewayError: 0x0110,  # processing failure
}
"""FailureReason of the errors of a file (PS3.18 section I.2.2, PS3.7 section C.5)."""
ELEMENTS_DISCARDED = 0xB006
"""WarningReason of a file whose instance is stored already: the archive keeps what it has."""


class StoreView(DicomwebView):
    """Stores the DICOM files of a request, all of one study if the route names it."""

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        """Reject callers without the upload permission before the body is parsed."""
        super().initial(request, *args, **kwargs)
        if request.method == "POST":
            require_store_permission(self.entered_context)

    @openapi.stores
    def post(self, request: Request, **_: str) -> HttpResponse:
        media_type = self.media_type(JSON_TYPES)
        received = request._request
        _check_media_type(received.content_type, (received.content_params or {}).get("type"))
        parts = receive_parts(received)
        for part in parts:
            # clients leave it out, too
            _check_media_type(part.media_type or DICOM)
        outcomes = store_files(self.entered_context, [part.content for part in parts], self.path.study)
        response = HttpResponse(
            orjson.dumps(_response_module(outcomes, f"{self.service}/studies")),
            content_type=media_type,
            status=_status(outcomes),
        )
        if any(one.was_in_trash for one in outcomes):
            # PS3.18 section 8.6.2.3: the standard has no code for it
            response["Warning"] = f'299 gateway: "{WAS_IN_TRASH}"'
        return response


class StudiesResourceView(StoreView, SearchView):
    """All studies: to search, and to store into."""


class StudyResourceView(StoreView, FilesView):
    """A study: to store into, to retrieve, and to delete."""


def _check_media_type(media_type: str | None, related: str | None = None) -> None:
    """Raise UnsupportedMediaType for anything but DICOM files."""
    found = (media_type or "").lower()
    if found == MULTIPART_RELATED and related is not None:
        found = related.lower()
    if found not in (DICOM, MULTIPART_RELATED):
        raise exceptions.UnsupportedMediaType(found[:64], f"Send {DICOM}, or {MULTIPART_RELATED} of that type.")


def _status(outcomes: Sequence[StoreOutcome]) -> int:
    """Return the HTTP status (PS3.18 section 10.5.3.1)."""
    if all(one.error for one in outcomes):
        return 409
    return 202 if any(one.error or one.already_stored for one in outcomes) else 200


def _response_module(outcomes: Sequence[StoreOutcome], studies_url: str) -> dict[str, Any]:
    """Return the Store Instances Response Module (PS3.18 section I.2) as DICOM JSON."""
    stored = [one for one in outcomes if one.file and not one.error]
    studies = {one.file.study_instance_uid for one in stored if one.file}
    return {
        RETRIEVE_URL: _element("UR", *(f"{studies_url}/{uid}" for uid in studies if len(studies) == 1)),
        **_sequence("00081199", [_referenced(one.file, one.already_stored, studies_url) for one in stored if one.file]),
        **_sequence("00081198", [_names(one.file) | _reason(one.error) for one in outcomes if one.file and one.error]),
        # of files whose UIDs are unknown
        **_sequence("0008119A", [_reason(one.error) for one in outcomes if not one.file and one.error]),
    }


def _referenced(file: IdentifiedFile, already_stored: bool, studies_url: str) -> dict[str, Any]:
    url = f"{studies_url}/{file.study_instance_uid}/series/{file.series_instance_uid}/instances/{file.sop_instance_uid}"
    warning = {"00081196": _element("US", ELEMENTS_DISCARDED)} if already_stored else {}
    return {**_names(file), RETRIEVE_URL: _element("UR", url), **warning}


def _names(file: IdentifiedFile) -> dict[str, Any]:
    """Return ReferencedSOPClassUID and ReferencedSOPInstanceUID."""
    return {"00081150": _element("UI", file.sop_class_uid), "00081155": _element("UI", file.sop_instance_uid)}


def _reason(error: GatewayError) -> dict[str, Any]:
    return {"00081197": _element("US", nearest(FAILURE_REASONS, error))}


def _sequence(tag: str, items: Sequence[Any]) -> dict[str, Any]:
    return {tag: _element("SQ", *items)} if items else {}


def _element(vr: str, *values: Any) -> dict[str, Any]:
    return {"vr": vr, "Value": list(values)} if values else {"vr": vr}
