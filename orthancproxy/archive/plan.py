"""What to fetch, as data: a tree of level plans that a transport makes and `hierarchy` carries out."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum, auto
from typing import Literal

from orthancproxy.archive.levels import Level


class Fact(Enum):
    """What Orthanc knows of a resource besides its tags."""

    CHANGES = auto()  # when it last changed, and whether it is stable
    LABELS = auto()
    FILE = auto()  # size and FileUuid of an instance's file
    METADATA = auto()  # SOP class and transfer syntax of an instance


@dataclass(frozen=True, slots=True)
class Needs:
    """What records must hold: tags by keyword, facts, and whether their parents will be looked up from them."""

    tags: frozenset[str] = frozenset()
    facts: frozenset[Fact] = frozenset()
    parent: bool = False

    def __or__(self, other: "Needs") -> "Needs":
        return Needs(self.tags | other.tags, self.facts | other.facts, self.parent or other.parent)


@dataclass(frozen=True, slots=True)
class LabelMatch:
    """Labels that a resource must have: all of these, any of these, none of these. Orthanc 1.12.0."""

    all: frozenset[str] = frozenset()
    any: frozenset[str] = frozenset()
    none: frozenset[str] = frozenset()

    def __bool__(self) -> bool:
        return bool(self.all or self.any or self.none)


@dataclass(frozen=True, slots=True)
class Filter:
    """What a resource must match: DICOM matching (PS3.4 section C.2.2.2) by keyword, and labels."""

    tags: tuple[tuple[str, str], ...] = ()
    labels: LabelMatch = LabelMatch()
    nothing: bool = False  # for a list of alternatives that is empty: no resource can match


@dataclass(frozen=True, slots=True)
class Order:
    """One key of a sort order: a keyword, or `LastUpdate`."""

    by: str
    descending: bool = False
    kind: Literal["text", "integer", "decimal"] = "text"


# The REST contract's orders, which nested GraphQL lists share.
DEFAULT_ORDER = {
    Level.PATIENT: (Order("PatientID"),),
    Level.STUDY: (Order("StudyDate", descending=True), Order("StudyTime", descending=True)),
    Level.SERIES: (Order("SeriesNumber", kind="integer"),),
    Level.INSTANCE: (Order("InstanceNumber", kind="integer"),),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class LevelPlan:
    """One level of a query.

    `related` are plans for the neighbouring levels by the name under which the answer wants them: a child level gives
    the list below each resource, the parent level the one resource above it. `first` and `offset` count per parent.
    """

    level: Level
    needs: Needs = Needs()
    filter: Filter = Filter()
    order: tuple[Order, ...] = ()
    first: int | None = None
    offset: int = 0
    total: bool = False
    related: Mapping[str, "LevelPlan"] = field(default_factory=dict)

    @property
    def objects(self) -> int:
        """How many objects each resource of this level brings along at least, without itself.

        Orthanc keeps no resource without children, so that each list below has one or more, unless none is asked for.
        A filter may leave fewer.
        """
        return sum(1 + related_plan.objects for related_plan in self.related.values() if related_plan.first != 0)

    @property
    def full_order(self) -> tuple[Order, ...]:
        """The order with its ties broken by the level's identifier."""
        order = self.order or DEFAULT_ORDER[self.level]
        identifier = self.level.identifier
        return order if any(key.by == identifier for key in order) else (*order, Order(identifier))
