"""The labels of resources in Orthanc (1.12.0 and newer), which leave no trace in `LastUpdate` nor in its changes."""

from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import closing
from typing import Any

from orthancproxy.archive.decoding import find_pages
from orthancproxy.archive.hierarchy import Hierarchy
from orthancproxy.archive.levels import Level
from orthancproxy.archive.plan import Fact, Filter, LabelMatch, LevelPlan, Needs
from orthancproxy.errors import InvalidRequest
from orthancproxy.orthanc import endpoints
from orthancproxy.orthanc.capabilities import TRASH_LABEL, Capabilities
from orthancproxy.orthanc.client import OrthancClient
from orthancproxy.orthanc.responses import COUNT_DECODER, ID_LIST_DECODER

NEEDS = Needs(facts=frozenset({Fact.LABELS}))
# with more labelled resources of a level, Orthanc counts those of each label
MAX_LISTED = 5_000


def check_support(capabilities: Capabilities, level: Level | None = None) -> None:
    """Raise InvalidRequest if Orthanc has no labels, or no routes for those of a level."""
    if not capabilities.has_labels:
        raise InvalidRequest("This Orthanc does not support labels (1.12.0 and newer do).")
    if level is Level.PATIENT and not capabilities.has_patient_routes:
        raise InvalidRequest("This Orthanc does not change patients: its setting PatientLevelEnabled is false.")


def labels_of(client: OrthancClient, level: Level, orthanc_id: str) -> list[str]:
    """Return the labels that a resource has now, in order. Raises NotFound and ArchiveError."""
    return sorted(one for one in all_of(client, level, orthanc_id) if one != TRASH_LABEL)


def all_of(client: OrthancClient, level: Level, orthanc_id: str) -> list[str]:
    """Return the labels that a resource has now, also that of the trash. Raises like `labels_of`."""
    found: list[str] = client.call(endpoints.RESOURCE_LABELS, decoder=ID_LIST_DECODER, level=level.path, id=orthanc_id)
    return found


def add(client: OrthancClient, level: Level, orthanc_id: str, label: str) -> None:
    """Add a label to a resource, which may have it already. Raises NotFound and ArchiveError."""
    with closing(client.open(endpoints.ADD_LABEL, level=level.path, id=orthanc_id, label=label)) as body:
        for _ in body:
            pass


def remove(client: OrthancClient, level: Level, orthanc_id: str, label: str) -> None:
    """Remove a label from a resource, which may not have it. Raises NotFound and ArchiveError."""
    with closing(client.open(endpoints.REMOVE_LABEL, level=level.path, id=orthanc_id, label=label)) as body:
        for _ in body:
            pass


def count(client: OrthancClient, hierarchy: Hierarchy) -> Mapping[str, int]:
    """Return the number of resources of all levels that have a label, by label, in order.

    It takes a call for all labels, and two for each level. Where a scope hides some, or Orthanc cannot count, it reads
    all resources that have a label. Raises InvalidRequest for an Orthanc without labels.
    """
    check_support(hierarchy.capabilities)
    every: Sequence[str] = client.call(endpoints.LABELS, decoder=ID_LIST_DECODER)
    names = [one for one in every if one != TRASH_LABEL]
    counts = Counter[str]()
    if not names:
        return counts
    labelled = Filter(labels=LabelMatch(any=frozenset(names)))
    for level in Level:
        if hierarchy.capabilities.has_extended_find and not hierarchy.is_restricted:
            counts.update(_counted(client, level, names))
            for one in hierarchy.hidden(level, labelled, NEEDS):
                counts.subtract(one.labels or ())
        else:
            for one in hierarchy.matching(LevelPlan(level=level, needs=NEEDS, filter=labelled)):
                counts.update(one.labels or ())
    return {name: counts[name] for name in sorted(names) if counts[name] > 0}


def _counted(client: OrthancClient, level: Level, names: Sequence[str]) -> Mapping[str, int]:
    """Return the number of resources of a level by label, in the whole archive (1.12.5)."""

    def count_with(labels: Sequence[str]) -> int:
        body = {**labelled, "Labels": labels}
        return int(client.call(endpoints.COUNT_RESOURCES, body=body, decoder=COUNT_DECODER).count)

    labelled: dict[str, Any] = {"Level": level.value, "Query": {}, "Labels": names, "LabelsConstraint": "Any"}
    total = count_with(names)
    if total > MAX_LISTED:
        return {name: number for name in names if (number := count_with([name]))}
    if not total:
        return {}
    pages = find_pages(client, {**labelled, "ResponseContent": ["Labels"]})
    # pages may overlap
    by_id = {one.id: one.labels or () for page in pages for one in page}
    return Counter(label for labels in by_id.values() for label in labels)
