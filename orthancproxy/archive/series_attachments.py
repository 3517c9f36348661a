"""Reads the attachments 4301 of series, which the DICOMweb plugin writes, if they are proven to be current."""

import re
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from typing import TypeVar

from orthancproxy.archive.decoding import batched, find
from orthancproxy.archive.keywords import tag_of
from orthancproxy.archive.levels import Level
from orthancproxy.archive.matching import any_of
from orthancproxy.archive.series_metadata import MAX_COMPRESSED_BYTES, MalformedMetadata, are_instances
from orthancproxy.errors import ArchiveRejected, NotFound
from orthancproxy.orthanc.client import OrthancClient
from orthancproxy.orthanc.endpoints import SERIES_METADATA
from orthancproxy.orthanc.metadata_attachments import SeriesState

_ATTACHMENT = 4301
_UID = re.compile(r"[0-9.]{1,64}", re.ASCII)

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class AttachedSeries:
    """A series with an attachment, and its instances."""

    state: SeriesState
    instances: Sequence[str]


class SeriesAttachments:
    """The attachments of an Orthanc with extended find."""

    def __init__(self, client: OrthancClient) -> None:
        self._client = client
        self._plugins = client.capabilities().plugins

    @property
    def can_exist(self) -> bool:
        """Whether Orthanc has a DICOMweb plugin that writes them."""
        return self._plugins.metadata_attachments is not None

    def read(
        self,
        uids: Mapping[str, str],
        parse: Callable[[bytes], T],
        is_wanted: Callable[[str, AttachedSeries], bool] = lambda *_: True,
    ) -> dict[str, T]:
        """Return what `parse` makes of the current attachments of series, which are given as UIDs by Orthanc id.

        One for which it raises MalformedMetadata is not used again.
        """
        attachments = self._plugins.metadata_attachments
        if attachments is None:
            return {}
        series = {series_id: one for series_id, one in self._find(uids).items() if is_wanted(series_id, one)}
        parsed = {}
        for series_id in attachments.current({series_id: one.state for series_id, one in series.items()}):
            one = series[series_id]
            try:
                content = self._content(series_id)
                if are_instances(content, one.instances):
                    parsed[series_id] = parse(content)
            except (MalformedMetadata, ArchiveRejected):
                attachments.reject(series_id, one.state)
        return parsed

    def _find(self, uids: Mapping[str, str]) -> dict[str, AttachedSeries]:
        """Find the series that have this attachment and no other: Orthanc's log does not tell them apart."""
        found = {}
        for part in batched(filter(_UID.fullmatch, dict.fromkeys(uids.values()))):
            body = {
                "Level": Level.SERIES.value,
                "Query": {tag_of(Level.SERIES.identifier): any_of(part)},
                "Short": True,
                "ResponseContent": ["Attachments", "Children", "MainDicomTags", "Metadata"],
            }
            for payload in find(self._client, body):
                instances, metadata = payload.instances or [], payload.metadata
                match payload.attachments:
                    case [one] if one.content_type == _ATTACHMENT and one.uncompressed_size <= MAX_COMPRESSED_BYTES:
                        state = SeriesState((metadata and metadata.last_update) or "", len(instances), one.uuid or "")
                        found[payload.id] = AttachedSeries(state, instances)
        return {series_id: one for series_id, one in found.items() if series_id in uids}

    def _content(self, series_id: str) -> bytes:
        content = bytearray()
        try:
            with closing(self._client.open(SERIES_METADATA, id=series_id)) as chunks:
                for chunk in chunks:
                    content += chunk
                    if len(content) > MAX_COMPRESSED_BYTES:
                        raise MalformedMetadata
        except NotFound:
            # deleted in the meantime
            return b"2;;"
        return bytes(content)
