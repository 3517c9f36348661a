"""The retrieve transaction (WADO-RS, PS3.18 section 10.4): DICOM files, and frames of an instance."""

import re
from contextlib import closing
from dataclasses import replace
from typing import Any

from django.http.response import HttpResponseBase
from django.utils.cache import patch_vary_headers
from rest_framework.request import Request

from orthancproxy.archive.contents import coalesced
from orthancproxy.archive.frames import IMAGE_TYPES
from orthancproxy.archive.storage import Content
from orthancproxy.dicomweb import openapi
from orthancproxy.dicomweb.deletion import DeletableView
from orthancproxy.dicomweb.representations import (
    DICOM,
    MULTIPART,
    OCTETS,
    bulk_data_representations,
    check_accepted,
    file_representations,
    frame_representations,
)
from orthancproxy.dicomweb.search import JSON_TYPES
from orthancproxy.dicomweb.views import DicomwebView
from orthancproxy.errors import InvalidRequest
from orthancproxy.http import streaming
from orthancproxy.http.multipart_related import multipart_related
from orthancproxy.resolvers import metadata, retrievals
from orthancproxy.resolvers.downloads import Download
from orthancproxy.resolvers.images import MAX_FRAME
from orthancproxy.resolvers.retrievals import BulkDataPath, Retrieval

MAX_FRAMES = 1000
"""The maximum number of frames in one request."""

FILE_TYPES = (MULTIPART, DICOM)
BULK_DATA_TYPES = (MULTIPART, OCTETS)
FRAME_TYPES = (*BULK_DATA_TYPES, *dict.fromkeys(name for names in IMAGE_TYPES.values() for name in names))

_FRAME = re.compile(r"[1-9][0-9]{0,9}", re.ASCII)


_ATTRIBUTE = re.compile(r"([0-9A-Fa-f]{8}/[1-9][0-9]{0,5}/){0,20}[0-9A-Fa-f]{8}", re.ASCII)


class RetrieveView(DicomwebView):
    """A response that is streamed from Orthanc."""

    @classmethod
    def as_view(cls, **initkwargs: Any) -> Any:
        """Return the view, which closes the response of Orthanc if the client disconnects before its own begins."""
        return streaming.closing_on_disconnect(super().as_view(**initkwargs))

    def respond(self, retrieval: Retrieval) -> HttpResponseBase:
        """Return the response, whose body is read from Orthanc while it is sent."""
        return self.stream(Download("", retrieval.etag, self._content(retrieval)))

    def stream(self, download: Download) -> HttpResponseBase:
        """Return a response that is not saved as a file."""
        response = streaming.stream(self.request._request, download)
        del response["Content-Disposition"]
        patch_vary_headers(response, ["Accept"])
        return response

    def _content(self, retrieval: Retrieval) -> Content | None:
        parts, form = retrieval.parts, retrieval.representation
        if parts is None:
            return None
        if form.is_multipart:
            media_type = form.media_type.partition(";")[0]
            content = multipart_related(parts, media_type, retrieval.etag.split('"')[1], self.service, parts.close)
            if retrieval.headers_only:
                return Content.headers(content.media_type, None)
            return self._sent(retrieval, content)
        if retrieval.headers_only:
            return Content.headers(form.media_type, None)
        content = next(parts).content
        return self._sent(retrieval, Content(content.chunks, form.media_type, content.length, parts.close))

    def _sent(self, retrieval: Retrieval, content: Content) -> Content:
        watched = retrieval.watched(content)
        if not (retrieval.parts and retrieval.parts.is_small):
            return replace(watched, chunks=coalesced(watched))
        # to be streamed, each chunk takes a thread
        with closing(watched):
            return Content.of(b"".join(watched), content.media_type)


class FilesView(RetrieveView, DeletableView):
    """The DICOM files of a study, series or instance, which can be deleted."""

    @openapi.retrieves("retrieve", FILE_TYPES, "The DICOM files (PS3.18 section 10.4.1.1.1).")
    def get(self, request: Request, **_: str) -> HttpResponseBase:
        check_accepted(self.accepted, [DICOM])
        retrieval = retrievals.get_files(
            self.entered_context,
            self.path,
            file_representations(self.accepted, is_single=self.path.instance is not None),
            streaming.download_request(request._request),
        )
        return self.respond(retrieval)


class FramesView(RetrieveView):
    """Frames of an instance: `1`, or several in any order, such as `1,2,5`."""

    @openapi.retrieves("retrieveFrames", FRAME_TYPES, "Frames (PS3.18 section 10.4.1.1.6).", openapi.FRAMES)
    def get(self, request: Request, frames: str, **_: str) -> HttpResponseBase:
        check_accepted(self.accepted, FRAME_TYPES[1:])
        retrieval = retrievals.get_frames(
            self.entered_context,
            self.path,
            frame_numbers(frames),
            frame_representations(self.accepted),
            streaming.download_request(request._request),
        )
        return self.respond(retrieval)


class BulkDataView(RetrieveView):
    """A binary value, by the URI that the metadata have: `7FE00010`, or `00880200/1/7FE00010` of the first item."""

    @openapi.retrieves("retrieveBulkData", BULK_DATA_TYPES, "A binary value.", openapi.ATTRIBUTE)
    def get(self, request: Request, attribute: str, **_: str) -> HttpResponseBase:
        check_accepted(self.accepted, FRAME_TYPES[1:])
        retrieval = retrievals.get_bulk_data(
            self.entered_context,
            self.path,
            BulkDataPath(f"bulkdata/{attribute}", orthanc_path(attribute)),
            bulk_data_representations(self.accepted),
            frame_representations(self.accepted),
            streaming.download_request(request._request),
        )
        return self.respond(retrieval)


class MetadataView(RetrieveView):
    """The attributes of the instances of a study or series, or of an instance, without bulk data."""

    @openapi.retrieves_metadata
    def get(self, request: Request, **_: str) -> HttpResponseBase:
        media_type = self.media_type(JSON_TYPES)
        download = metadata.get_metadata(
            self.entered_context, self.path, self.service, streaming.download_request(request._request)
        )
        if download.content:
            download = replace(download, content=replace(download.content, media_type=media_type))
        return self.stream(download)


def frame_numbers(text: str) -> list[int]:
    """Return the numbers of a list of frames. Raises InvalidRequest."""
    parts = text.split(",", MAX_FRAMES)
    if len(parts) > MAX_FRAMES:
        raise InvalidRequest(f"At most {MAX_FRAMES} frames can be retrieved at once.")
    numbers = [int(part) for part in parts if _FRAME.fullmatch(part)]
    if len(numbers) < len(parts) or max(numbers) > MAX_FRAME:
        raise InvalidRequest("Frames are whole numbers from 1, separated by commas.")
    if len(set(numbers)) < len(numbers):
        raise InvalidRequest("Name each frame once.")
    return numbers


def orthanc_path(text: str) -> str:
    """Return the path of an attribute for Orthanc, which counts items from 0. Raises InvalidRequest."""
    if not _ATTRIBUTE.fullmatch(text):
        raise InvalidRequest("This is not the path of an attribute: 7FE00010, or 00880200/1/7FE00010 of an item.")
    return "/".join(
        f"{part[:4]}-{part[4:]}".lower() if place % 2 == 0 else str(int(part) - 1)
        for place, part in enumerate(text.split("/"))
    )
