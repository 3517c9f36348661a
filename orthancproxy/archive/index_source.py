"""What the index is made of: the patients and studies of one Orthanc, as they are now."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from orthancproxy.archive import parsing
from orthancproxy.archive.decoding import batched, bulk_content, find_pages, to_resources
from orthancproxy.archive.keywords import tag_of
from orthancproxy.archive.levels import Level
from orthancproxy.archive.matching import any_of, can_be_listed
from orthancproxy.archive.records import Patient, Resource
from orthancproxy.orthanc import endpoints
from orthancproxy.orthanc.client import OrthancClient
from orthancproxy.orthanc.responses import CHANGES_DECODER, ID_LIST_DECODER, STATISTICS_DECODER, Statistics

PAGE = 1000
# of what was updated: more is rarely needed
FIRST_PAGE = 50
# Orthanc scans its archive for the modalities of each call, of one study or of 25,000 (1.13.0)
STUDIES_PER_SCAN = 25_000
_TIMESTAMP = "%Y%m%dT%H%M%S"
_CONTENT = ["MainDicomTags", "Metadata", "Parent"]


class IndexSource:
    """Reads patients, and studies with the modalities of their series, from Orthanc 1.12.5 or newer.

    Its methods raise ArchiveError.
    """

    def __init__(self, client: OrthancClient) -> None:
        self._client = client

    def everything(self, level: Level) -> Iterator[list[Resource]]:
        """Yield all resources of a level, in pages."""
        requested = {"RequestedTags": [tag_of("ModalitiesInStudy")]} if level is Level.STUDY else {}
        return self._pages(level, requested, limit=STUDIES_PER_SCAN)

    def updated_since(self, level: Level, update: str, tolerance: timedelta) -> Iterator[list[Resource]]:
        """Yield what was updated since, in pages, newest first, without modalities."""
        since = before(update, tolerance)
        order = [{"Type": "Metadata", "Key": "LastUpdate", "Direction": "DESC"}]
        for found in self._pages(level, {"OrderBy": order}, limit=FIRST_PAGE):
            recent = [one for one in found if (one.facts["LastUpdate"] or "") >= since]
            if recent:
                yield recent
            if len(recent) < len(found):
                return

    def with_modalities(self, found: Sequence[Resource]) -> list[Resource]:
        """Return the same patients, or studies with the modalities of their series."""
        studies = [one for one in found if one.level is Level.STUDY]
        modalities: dict[str, set[str]] = {study.orthanc_id: set() for study in studies}
        for series in self._found(Level.SERIES, Level.STUDY, studies):
            modalities[series.parent_id or ""].update((series.tags.get("Modality") or "").split("\\"))
        joined = {one: {"ModalitiesInStudy": "\\".join(sorted(values))} for one, values in modalities.items()}
        return [replace(one, tags={**one.tags, **joined.get(one.orthanc_id, {})}) for one in found]

    def by_ids(self, level: Level, ids: Iterable[str]) -> Iterator[list[Resource]]:
        """Yield the resources with these Orthanc ids, as far as they exist, in parts."""
        for part in batched(ids):
            yield self.with_modalities(to_resources(level, bulk_content(self._client, part)))

    def again(self, level: Level, entries: Sequence[Resource]) -> list[Resource]:
        """Return these resources of a level, as far as they exist."""
        return self.with_modalities(self._found(level, level, entries))

    def studies_of(self, patients: Sequence[Resource]) -> list[Resource]:
        """Return the studies of these patients."""
        return self.with_modalities(self._found(Level.STUDY, Level.PATIENT, patients))

    def patients_of(self, studies: Sequence[Resource]) -> list[Resource]:
        """Return the patients of these studies."""
        # which have their PatientID from their studies
        stand_ins = [Patient(study.parent_id or "", None, study.tags, {}) for study in studies]
        return self._found(Level.PATIENT, Level.PATIENT, stand_ins)

    def ids(self, level: Level) -> set[str]:
        """Return the Orthanc ids of all resources of a level."""
        if level is Level.PATIENT and not self._client.capabilities().has_patient_routes:
            return {patient.orthanc_id for found in self._pages(level, {}) for patient in found}
        return set(self._client.call(endpoints.RESOURCE_IDS, decoder=ID_LIST_DECODER, level=level.path))

    def statistics(self) -> Statistics:
        """Return the numbers of Orthanc's resources."""
        statistics: Statistics = self._client.call(endpoints.STATISTICS, decoder=STATISTICS_DECODER)
        return statistics

    def last_change(self) -> int:
        """Return the number of Orthanc's last change."""
        return int(self._client.call(endpoints.CHANGES, query="last", decoder=CHANGES_DECODER).last)

    def has_additions(self, since: int) -> bool:
        """Whether patients, studies or series were added. Without extended changes, instances count too."""
        query = f"since={since}&limit=1&type=NewPatient;NewStudy;NewSeries"
        return bool(self._client.call(endpoints.CHANGES, query=query, decoder=CHANGES_DECODER).changes)

    def now(self) -> str:
        """Return Orthanc's time, like a LastUpdate; if Orthanc does not tell, one after all others."""
        shown = self._client.clock.shown()
        return "~" if shown is None else datetime.fromtimestamp(shown, UTC).strftime(_TIMESTAMP)

    def _pages(self, level: Level, body: dict[str, Any], limit: int = PAGE) -> Iterator[list[Resource]]:
        """Yield what a find finds, like `find_pages`."""
        body = {"Level": level.value, "Query": {}, "Short": True, "ResponseContent": _CONTENT, **body}
        for found in find_pages(self._client, body, limit, max(limit, PAGE)):
            yield to_resources(level, found)

    def _found(self, level: Level, above: Level, entries: Sequence[Resource]) -> list[Resource]:
        """Return the resources of a level that these entries are of, or that are below them."""
        identifiers = {one.orthanc_id: one.tags.get(above.identifier, "") for one in entries}
        bodies: list[dict[str, Any]] = [
            {"Query": {tag_of(above.identifier): any_of(part)}}
            for part in batched(dict.fromkeys(filter(can_be_listed, identifiers.values())))
        ]
        bodies += [{f"Parent{above.value}": one} for one, value in identifiers.items() if not can_be_listed(value)]
        found = [one for body in bodies for part in self._pages(level, body) for one in part]
        return [one for one in found if (one.orthanc_id if level is above else one.parent_id) in identifiers]


def before(update: str, duration: timedelta) -> str:
    """Return the LastUpdate of so much earlier; empty if this one is."""
    moment = parsing.timestamp(update)
    return (moment - duration).strftime(_TIMESTAMP) if moment else ""
