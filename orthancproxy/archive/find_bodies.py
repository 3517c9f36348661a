"""Builds the bodies of `/tools/find` for Orthanc 1.12.5 and newer."""

from collections.abc import Iterable, Mapping
from typing import Any

from orthancproxy.archive.keywords import COMPUTED, KEYWORDS, is_long, tag_of, vr_of
from orthancproxy.archive.levels import Level
from orthancproxy.archive.plan import Fact, Filter, Needs, Order
from orthancproxy.errors import ArchiveRejected
from orthancproxy.orthanc.capabilities import Capabilities

_CONTENT = {
    Fact.CHANGES: ("Metadata", "IsStable"),
    Fact.LABELS: ("Labels",),
    Fact.TRASH: ("Metadata",),
    Fact.FILE_SIZE: ("Attachments",),
    Fact.FILE_UUID: ("Attachments",),
    Fact.METADATA: ("Metadata",),
}
_ORDER_TYPES = {"IS": "DicomTagAsInt", "DS": "DicomTagAsFloat"}


class FindBodies:
    """Builds the bodies of finds for one Orthanc, by the tags in its index."""

    def __init__(self, capabilities: Capabilities) -> None:
        self._capabilities = capabilities
        self._indexed = capabilities.indexed or {}

    def body(self, level: Level, wanted: Mapping[str, str], needs: Needs, criteria: Filter) -> dict[str, Any]:
        """Return the body of a find for resources that match `wanted`, by tag, with the data needed."""
        content = {part for fact in needs.facts for part in _CONTENT[fact]}
        if not needs.only_facts:
            content.add("MainDicomTags")
        if level is not Level.PATIENT:
            content.add("Parent")
        body: dict[str, Any] = {"Level": level.value, "Query": wanted, "Short": True}
        for constraint, labels in label_constraints(criteria)[:1]:
            body |= {"Labels": sorted(labels), "LabelsConstraint": constraint}
        if len(label_constraints(criteria)) > 1:
            content.add("Labels")
        if not self._capabilities.has_labels:
            content.discard("Labels")
        if requested := self.requested(level, needs):
            body["RequestedTags"] = requested
        return body | {"ResponseContent": sorted(content)}

    def requested(self, level: Level, needs: Needs) -> list[str]:
        """Return tags that are not among the main tags of the level: of parents, counted, or in files only."""
        keywords = set(needs.tags)
        if needs.parent:
            keywords.add(level.parent.identifier)
        come_along = self._indexed.get(level.value, frozenset())
        if level is Level.STUDY:
            come_along |= self._indexed.get(Level.PATIENT.value, frozenset())
        return sorted(tag_of(keyword) for keyword in keywords if tag_of(keyword) not in come_along or is_long(keyword))

    def in_index(self, level: Level) -> frozenset[str]:
        """The tags in Orthanc's index, of this level and those above."""
        return frozenset[str]().union(*(self._indexed.get(one.value, frozenset()) for one in (*level.above, level)))

    def is_in_files(self, level: Level, keyword: str) -> bool:
        """Whether Orthanc reads files for a tag."""
        is_computed = keyword in COMPUTED[level]
        return not is_computed and (tag_of(keyword) not in self.in_index(level) or is_long(keyword))

    def check_index(self, level: Level, wanted: Iterable[str]) -> None:
        """Reject a filter by a tag that is indexed for a part of the archive only: the rest would be missing."""
        partly = frozenset[str]().union(
            *(self._capabilities.partly_indexed.get(one.value, frozenset()) for one in (*level.above, level))
        )
        if unknown := sorted(KEYWORDS[tag] for tag in partly.intersection(wanted)):
            raise ArchiveRejected(
                f"Orthanc has indexed {', '.join(unknown)} for a part of its files only: reconstruct the others before "
                "filtering by it (see server.advice)."
            )


def order_by(order: Order) -> dict[str, str]:
    """Return one key of `OrderBy`."""
    last_update = order.by == "LastUpdate"
    return {
        "Type": "Metadata" if last_update else _ORDER_TYPES.get(vr_of(order.by), "DicomTag"),
        "Key": order.by if last_update else tag_of(order.by),
        "Direction": "DESC" if order.descending else "ASC",
    }


def label_constraints(criteria: Filter) -> list[tuple[str, frozenset[str]]]:
    """Return the label constraints, of which Orthanc accepts one in a find."""
    labels = criteria.labels
    named = (("All", labels.all), ("Any", labels.any), ("None", labels.none))
    return [(constraint, wanted) for constraint, wanted in named if wanted]
