"""What to fetch: a tree of level plans, which a transport builds and `hierarchy` executes."""

from collections.abc import Mapping, Set
from dataclasses import dataclass, field, replace
from enum import Enum, auto

from orthancproxy.archive.levels import Level


class Fact(Enum):
    """Data of a resource besides its tags."""

    CHANGES = auto()  # when it last changed, and whether it is stable
    LABELS = auto()
    FILE_SIZE = auto()  # of an instance's file
    FILE_UUID = auto()  # of an instance's file, which changes when it is replaced or compressed
    TRASH = auto()  # when and by whom a study was put into the trash
    METADATA = auto()  # SOP class and transfer syntax of an instance


IN_METADATA: Mapping[Fact, str] = {Fact.METADATA: "TransferSyntax", Fact.TRASH: "TrashNote"}
"""The facts that Orthanc has in its metadata, with one of their names in a resource."""


@dataclass(frozen=True, slots=True)
class Needs:
    """The data that resources must hold: tags by keyword, facts, and the means to look up their parents.

    The main tags of a level come along, unless `only_facts` is set.
    """

    tags: frozenset[str] = frozenset()
    facts: frozenset[Fact] = frozenset()
    parent: bool = False
    only_facts: bool = False

    def __or__(self, other: "Needs") -> "Needs":
        return Needs(
            self.tags | other.tags,
            self.facts | other.facts,
            self.parent or other.parent,
            self.only_facts and other.only_facts,
        )

    def without(self, tags: Set[str]) -> "Needs":
        """Return the same needs without these tags."""
        return replace(self, tags=self.tags - tags)


@dataclass(frozen=True, slots=True)
class LabelMatch:
    """Labels to match: all of these, any of these, none of these (Orthanc 1.12.0)."""

    all: frozenset[str] = frozenset()
    any: frozenset[str] = frozenset()
    none: frozenset[str] = frozenset()

    def __bool__(self) -> bool:
        return bool(self.all or self.any or self.none)


@dataclass(frozen=True, slots=True)
class Filter:
    """Criteria: DICOM attribute matching (PS3.4 section C.2.2.2) by keyword, labels, words to search for, identifiers.

    `identifiers` are keywords of which the value is one of these, padding at its end aside. What is `sent` decides
    nothing: Orthanc preselects by it in addition.
    """

    tags: tuple[tuple[str, str], ...] = ()
    labels: LabelMatch = LabelMatch()
    nothing: bool = False  # matches no resource: an empty list of alternatives
    search: tuple[str, ...] = ()  # words, as `archive.search` compares them
    identifiers: tuple[tuple[str, frozenset[str]], ...] = ()
    sent: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class Order:
    """One key of a sort order: a keyword, or `LastUpdate`."""

    by: str
    descending: bool = False


@dataclass(frozen=True, slots=True)
class Position:
    """A position in a sorted list: behind a resource with this Orthanc id and these values of the order's keys.

    Values are text or numbers that sort like those that are shown; None is missing or shown as null.
    """

    values: tuple[str | float | None, ...]
    orthanc_id: str


# The orders of the REST contract, which nested GraphQL lists share.
DEFAULT_ORDER = {
    Level.PATIENT: (Order("PatientID"),),
    Level.STUDY: (Order("StudyDate", descending=True),),
    Level.SERIES: (Order("SeriesNumber"),),
    Level.INSTANCE: (Order("InstanceNumber"),),
}
# What resources with the same value of a key are ordered by.
_THEN = {"StudyDate": "StudyTime", "InstanceNumber": "ImagePositionPatient"}


@dataclass(frozen=True, slots=True, kw_only=True)
class LevelPlan:
    """One level of a query.

    `related` are plans for the adjacent levels, by name: for a child level, the list below each resource; for the
    parent level, the one resource above. `first` and `offset` apply to each parent. The page of a root list begins
    `after` a position, if there is one; `offset` is then the number of resources before it when it was shown.
    """

    level: Level
    needs: Needs = Needs()
    filter: Filter = Filter()
    order: tuple[Order, ...] = ()
    first: int | None = None
    offset: int = 0
    after: Position | None = None
    total: bool = False
    related: Mapping[str, "LevelPlan"] = field(default_factory=dict)

    @property
    def objects(self) -> int:
        """The minimum number of related objects of each resource of this level.

        Orthanc keeps no resource without children, so that each list below has at least one, unless `first` is 0. A
        filter may leave fewer.
        """
        return sum(1 + related_plan.objects for related_plan in self.related.values() if related_plan.first != 0)

    @property
    def full_order(self) -> tuple[Order, ...]:
        """The order, with ties broken by the time or position, and then by the level's identifier."""
        order = self.order or DEFAULT_ORDER[self.level]
        then = [Order(_THEN[key.by], key.descending) for key in order if key.by in _THEN]
        keys: dict[str, Order] = {}
        for key in (*order, *then, Order(self.level.identifier)):
            keys.setdefault(key.by, key)
        return tuple(keys.values())
