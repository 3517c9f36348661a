"""The compiled fast path gives exactly what graphql-core gives, whatever the query, and whatever is wrong with the data.

The schema here is none of the gateway's: it has every kind of type and field in every position.
"""

# strawberry.field is untyped where it has arguments
# mypy: allow-untyped-decorators

import asyncio
import datetime
import decimal
import enum
import uuid
from collections.abc import AsyncIterator, Callable, Generator
from dataclasses import dataclass
from functools import partial
from itertools import product
from random import Random
from types import SimpleNamespace
from typing import Annotated, Any, NewType, cast

import pytest
import strawberry
from graphql import (
    GraphQLEnumType,
    GraphQLList,
    GraphQLNonNull,
    GraphQLObjectType,
    GraphQLScalarType,
    GraphQLUnionType,
    Undefined,
    get_named_type,
)
from hypothesis import given, settings
from hypothesis import strategies as st
from strawberry.extensions import ParserCache, ValidationCache
from strawberry.scalars import JSON
from strawberry.schema.config import StrawberryConfig
from strawberry.utils.str_converters import to_camel_case

from tests.schema.execution_answers import REPEATABLY, Paths
from tests.schema.execution_queries import Query as GeneratedQuery
from tests.schema.execution_queries import Values, varied_queries

Money = NewType("Money", object)
PLAIN = {"plain": True}


@dataclass(frozen=True)
class Context:
    prefix: str


Info = strawberry.Info[Context, Any]


def _money(value: Any) -> Any:
    """A scalar that refuses some values, and for others gives none."""
    if value == "refused":
        raise ValueError("not this money")
    return None if value == "nothing" else f"{value} ₩"


@strawberry.enum
class Color(enum.Enum):
    RED = "red"
    GREEN = "green"


class Number(enum.IntEnum):
    ONE = 1


@strawberry.type
class Leaf:
    """Scalars, read from the parent: one of each kind, nullable and not, and lists of some."""

    text: str | None
    text_required: str
    count: int | None
    count_required: int
    ratio: float | None
    ratio_required: float
    flag: bool | None
    flag_required: bool
    ident: strawberry.ID | None
    ident_required: strawberry.ID
    day: datetime.date | None
    day_required: datetime.date
    moment: datetime.datetime | None
    clock: datetime.time | None
    anything: JSON | None
    anything_required: JSON
    money: Money | None
    money_required: Money
    amount: decimal.Decimal | None
    key: uuid.UUID | None
    color: Color | None
    color_required: Color
    texts: list[str | None] | None
    texts_required: list[str]
    counts: list[int] | None
    ratios_required: list[float | None]
    colors: list[Color] | None
    days: list[datetime.date] | None
    matrix: list[list[int]] | None
    ragged: list[list[int | None] | None]


@strawberry.interface
class Named:
    title: str | None
    ident: strawberry.ID
    leaf: Leaf | None

    @strawberry.field(metadata=PLAIN)
    def greeting(self, info: Info, times: int = 1) -> str:
        return f"{info.context.prefix}{self.title}" * times


@strawberry.type
class Branch(Named):
    """Objects in every position, and every kind of resolver."""

    count: int
    leaf_required: Leaf
    leaves: list[Leaf] | None
    leaves_required: list[Leaf]
    holed: list[Leaf | None]
    grid: list[list[Leaf]] | None
    grid_required: list[list[Leaf | None] | None]
    branch: "Branch | None"
    branches: list["Branch"]
    anybody: Named | None
    everybody: list[Named]
    something: "Annotated[Branch | Other | Third, strawberry.union('Something')] | None"
    things: "list[Annotated[Branch | Other | Third, strawberry.union('Something')]]"
    branch_link: strawberry.Private[Any]
    leaf_link: strawberry.Private[Any]

    @strawberry.field(metadata=PLAIN)
    def echo(self, text: str | None = "x", times: int | None = None, color: Color = Color.RED) -> str | None:
        return None if text is None else f"{text}{times}{color.name}"

    @strawberry.field(metadata=PLAIN)
    def key(self, info: Info) -> str:
        return f"{info.context.prefix}{info.path.key}"

    @strawberry.field(metadata=PLAIN)
    def broken(self, message: str = "broken") -> str | None:
        raise LookupError(message)

    @strawberry.field(metadata=PLAIN)
    def linked(root: strawberry.Parent[Any], info: Info, first: int | None = None) -> list["Branch"]:  # noqa: N805
        linked: list[Branch] = root.value("branch_link", str(info.path.key))
        return linked if first is None else linked[:first]

    @strawberry.field(metadata=PLAIN)
    def linked_leaf(root: Any, info: Info) -> Leaf | None:  # noqa: N805
        linked: Leaf | None = root.value("leaf_link", str(info.path.key))
        return linked

    @strawberry.field
    def place(self, info: Info) -> str:
        names = []
        path: Any = info.path
        while path:
            names.append(str(path.key))
            path = path.prev
        return "/".join(names)

    @strawberry.field
    async def slow(self) -> str | None:
        await asyncio.sleep(0)
        return self.title

    @strawberry.field
    async def slow_branch(root: strawberry.Parent[Any]) -> "Branch | None":  # noqa: N805
        await asyncio.sleep(0)
        branch: Branch | None = root.branch
        return branch

    @classmethod
    def is_type_of(cls, value: object, _info: object) -> bool:
        return isinstance(value, KINDS["Branch"])


@strawberry.type
class Other(Named):
    number: int | None
    others: list["Other"] | None

    @classmethod
    def is_type_of(cls, value: object, _info: object) -> bool:
        return isinstance(value, KINDS["Other"])


@strawberry.type
class Third:
    number: int

    @classmethod
    def is_type_of(cls, value: object, _info: object) -> bool:
        return isinstance(value, KINDS["Third"])


@strawberry.type
class Query:
    leaf: Leaf | None
    leaves: list[Leaf] | None
    branch: Branch
    branches: list[Branch]
    anybody: Named | None
    everybody: list[Named | None]
    things: "list[Annotated[Branch | Other | Third, strawberry.union('Something')]] | None"

    @strawberry.field
    async def later(root: strawberry.Parent[Any]) -> list[Branch]:  # noqa: N805
        await asyncio.sleep(0)
        branches: list[Branch] = root.branches
        return branches

    @strawberry.field
    def now(root: strawberry.Parent[Any], first: int = 2) -> list[Branch | None]:  # noqa: N805
        return list(root.branches)[:first]


SCHEMA = strawberry.Schema(
    query=Query,
    types=[Branch, Other, Third],
    config=StrawberryConfig(
        scalar_map={Money: strawberry.scalar(name="Money", serialize=_money)},
    ),
    extensions=[lambda: ParserCache(maxsize=8), lambda: ValidationCache(maxsize=8)],
)
FIELDS = {
    kind.name: {
        field.extensions["strawberry-definition"].python_name: field.type
        for field in kind.fields.values()
        if "strawberry-definition" in field.extensions
    }
    for kind in SCHEMA._schema.type_map.values()
    if isinstance(kind, GraphQLObjectType) and not kind.name.startswith("__")
}
FIELDS["Branch"] |= {
    "branch_link": FIELDS["Branch"]["branches"],
    "leaf_link": FIELDS["Branch"]["leaf"],
}


class Text(str):
    __slots__ = ()


class Integer(int):
    pass


class Unprintable:
    def __repr__(self) -> str:
        return "unprintable"

    def __str__(self) -> str:
        raise RuntimeError("no text")


class Soon:
    """Something to be waited for; unlike a coroutine it does not mind if nobody does."""

    def __init__(self, value: object) -> None:
        self._value = value

    def __repr__(self) -> str:
        return "Soon"

    def __await__(self) -> Generator[Any, Any, object]:
        yield from asyncio.sleep(0).__await__()
        if isinstance(self._value, Exception):
            raise self._value
        return self._value


async def _slowly(items: list[Any]) -> AsyncIterator[Any]:
    for item in items:
        yield item


# what stands in a scalar's place; some of them are what some scalars take
ODD_SCALARS: list[Callable[[], object]] = [
    lambda: "text",
    lambda: "12",
    lambda: "",
    lambda: "2026-01-31",
    lambda: "red",
    lambda: "RED",
    lambda: Text("a text of its own class"),
    lambda: b"bytes",
    lambda: 0,
    lambda: 1,
    lambda: 2**31 - 1,
    lambda: 2**31,
    lambda: -(2**31),
    lambda: -(2**31) - 1,
    lambda: 2**53 + 1,
    lambda: 10**400,
    lambda: Integer(7),
    lambda: Integer(2**40),
    lambda: Number.ONE,
    lambda: True,
    lambda: False,
    lambda: 1.0,
    lambda: -0.0,
    lambda: 1.5,
    lambda: 1e300,
    lambda: float("nan"),
    lambda: float("inf"),
    lambda: float("-inf"),
    lambda: decimal.Decimal("1.50"),
    lambda: decimal.Decimal("NaN"),
    lambda: datetime.date(2026, 1, 31),
    lambda: datetime.datetime(2026, 1, 31, 12, tzinfo=datetime.UTC),
    lambda: datetime.time(12, 30),
    lambda: uuid.UUID(int=1),
    lambda: Color.RED,
    lambda: "refused",
    lambda: "nothing",
    list,
    lambda: ["text"],
    dict,
    lambda: {"a": None},
    lambda: object,
    lambda: len,
    lambda: Unprintable(),
    lambda: Undefined,
]
# what a list may be instead of one
ODD_LISTS: list[Callable[[list[Any]], object]] = [
    tuple,
    iter,
    lambda items: (item for item in items),
    lambda items: dict(enumerate(items)),
    lambda items: dict(enumerate(items)).values(),
    lambda items: {1, 2},
    _slowly,
    lambda items: items[0] if items else None,
    lambda items: "text",
    lambda items: 5,
    lambda items: [*items, None],
    lambda items: [None, *items],
    lambda items: [*items, ValueError("an item is an error")],
    lambda items: [Soon(item) for item in items],
]
FAULTS = ("none", "missing", "raises", "error", "awaitable", "scalar", "scalar", "list", "list", "object")


@dataclass(frozen=True)
class Plan:
    """Data, as what they are made from: the same plan makes the same data."""

    seed: int
    faults: tuple[str, ...]
    rate: int
    length: int


class Thing:
    """An object of the data. Its attributes are made when they are first read, and kept."""

    kind: str

    def __init__(self, plan: Plan, place: str) -> None:
        self._plan = plan
        self._place = place

    def __repr__(self) -> str:
        return f"{self.kind} at {self._place}"

    def __getattr__(self, name: str) -> object:
        if name.startswith("_"):
            raise AttributeError(name)
        return self.value(name, "")

    def value(self, name: str, variant: str) -> object:
        made = self.__dict__.get(f"{name}{variant}", self)
        if made is self:
            if name not in FIELDS[self.kind]:
                raise AttributeError(f"nothing has {name}")
            place = f"{self._place}.{name}{variant}"
            random = Random(f"{self._plan.seed} {place}")
            if random.randrange(1000) < self._plan.rate and (fault := random.choice(self._plan.faults)) in (
                "missing",
                "raises",
            ):
                raise AttributeError(name) if fault == "missing" else random.choice([ValueError, KeyError])(name)
            made = self.__dict__[f"{name}{variant}"] = _made(self._plan, random, place, FIELDS[self.kind][name])
        return made


KINDS = {name: type(name, (Thing,), {"kind": name}) for name in FIELDS}
SUBCLASSES = {name: type(f"More{name}", (kind,), {}) for name, kind in KINDS.items()}


def _made(plan: Plan, random: Random, place: str, wanted: Any, depth: int = 0) -> object:
    """A value of a type, or something that has no business to be there."""
    right = _right(plan, random, place, wanted, depth)
    if random.randrange(1000) >= plan.rate:
        return right
    match random.choice(plan.faults):
        case "none":
            return None
        case "error":
            return random.choice([ValueError("a value is an error"), RuntimeError()])
        case "awaitable":
            return Soon(random.choice([right, None, ValueError("late")]))
        case "scalar":
            return random.choice(ODD_SCALARS)()
        case "list" if isinstance(right, list):
            return random.choice(ODD_LISTS)(right)
        case "object":
            name = random.choice(list(KINDS))
            return random.choice([KINDS, SUBCLASSES])[name](plan, f"{place}!")
    return right


def _right(plan: Plan, random: Random, place: str, wanted: Any, depth: int) -> object:
    if isinstance(wanted, GraphQLNonNull):
        return _right(plan, random, place, wanted.of_type, depth)
    if isinstance(wanted, GraphQLList):
        length = random.choice([plan.length, plan.length, 0, 1])
        return [_made(plan, random, f"{place}.{index}", wanted.of_type, depth + 1) for index in range(length)]
    if isinstance(wanted, GraphQLScalarType):
        return RIGHT[wanted.name](random)
    if isinstance(wanted, GraphQLEnumType):
        return random.choice(list(Color))
    if isinstance(wanted, GraphQLObjectType):
        return KINDS[wanted.name](plan, place)
    names = ["Branch", "Other", "Third"] if isinstance(wanted, GraphQLUnionType) else ["Branch", "Other"]
    return KINDS[random.choice(names)](plan, place)


RIGHT: dict[str, Callable[[Random], object]] = {
    "String": lambda random: random.choice(["", "text", "글자", 'quo"te', "\ud800"]),
    "Int": lambda random: random.choice([0, 1, -7, 2**31 - 1]),
    "Float": lambda random: random.choice([0.0, 1.5, 2, 1e-9]),
    "Boolean": lambda random: random.choice([True, False]),
    "ID": lambda random: random.choice(["id", "2"]),
    "Date": lambda random: datetime.date(2026, 1, random.randrange(1, 31)),
    "DateTime": lambda random: datetime.datetime(2026, 1, 31, 12, random.randrange(60), tzinfo=datetime.UTC),
    "Time": lambda random: datetime.time(random.randrange(24), 30),
    "JSON": lambda random: random.choice([{"a": [1, None]}, [], "text", 5, False]),
    "Money": lambda random: random.randrange(100),
    "Decimal": lambda random: decimal.Decimal(random.randrange(100)),
    "UUID": lambda random: uuid.UUID(int=random.randrange(100)),
}
PLANS = st.builds(
    Plan,
    seed=st.integers(0, 2**32 - 1),
    faults=st.lists(st.sampled_from(FAULTS), min_size=1, max_size=4).map(tuple),
    rate=st.sampled_from([100, 30, 300, 0]),
    length=st.sampled_from([2, 1, 4]),
)
ROOTS = ["leaf", "leaves", "branch", "branches", "anybody", "everybody", "things", "later", "now"]
ARGUMENTS: Values = {
    "times": [0, 1, 2],
    "text": ["", "text", None],
    "color": ["RED", "GREEN"],
    "message": ["why", ""],
    "first": [0, 1, 3],
}


def _with(name: str, right: object, make: Callable[[], object]) -> object:
    return SimpleNamespace(leaves=[SimpleNamespace(**{name: value}) for value in (right, make(), right)])


@pytest.mark.parametrize("name", FIELDS["Leaf"])
def test_any_value_in_any_place_has_the_answer_of_graphql_core(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Scalars, enums and lists of them, each with every value, right or wrong."""
    query = GeneratedQuery(f"{{ leaves {{ {to_camel_case(name)} }} }}", {})
    right = _right(Plan(0, (), 0, 1), Random(0), "", FIELDS["Leaf"][name], 0)
    made: list[Callable[[], object]] = [
        lambda: None,
        lambda: right,
        lambda: ValueError("an error"),
        lambda: Soon(right),
    ]
    made += ODD_SCALARS
    if isinstance(right, list):
        made += [partial(lambda make: [make()], make) for make in made]
        made += [partial(lambda make: [*right, make(), *right], make) for make in ODD_SCALARS]
        made += [partial(lambda odd: odd(list(right)), odd) for odd in ODD_LISTS]
        made += [partial(lambda make: [[make()]], make) for make in ODD_SCALARS if name in ("matrix", "ragged")]
    with asyncio.Runner() as loop:
        paths = Paths(SCHEMA, monkeypatch, loop)
        for make in made:
            paths.compare(
                query,
                partial(Context, "/"),
                partial(_with, name, right, make),
            )


RESOLVED = ("linked", "linked_leaf", "slow_branch")
SELECTIONS = {"Leaf": ["text", "count"], "Branch": ["count", "key"], "Named": ["title", "__typename"]}
OBJECTS = [
    name
    for name, wanted in FIELDS["Branch"].items()
    if get_named_type(wanted).name in SELECTIONS and name not in ("branch_link", "leaf_link", *RESOLVED)
]


def _branch() -> Any:
    return KINDS["Branch"](Plan(0, (), 0, 2), "")


def _root(name: str, make: Callable[[], object]) -> object:
    """Two branches, the second one with a value made for its field."""
    branches = [_branch(), _branch()]
    branches[1].__dict__[name] = make()
    return SimpleNamespace(branches=branches)


# graphql-core itself leaves some where others fail
@pytest.mark.filterwarnings("ignore:coroutine .* was never awaited:RuntimeWarning")
@pytest.mark.parametrize("beside", ["ident", "place"])
@pytest.mark.parametrize("name", OBJECTS)
def test_any_object_in_any_place_has_the_answer_of_graphql_core(
    name: str, beside: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Objects and lists of them, selected in two pieces, below a field that is plain and below one that is not."""
    wanted, field = FIELDS["Branch"][name], to_camel_case(name)
    one, other = SELECTIONS[get_named_type(wanted).name]
    query = GeneratedQuery(f"{{ branches {{ {beside} {field} {{ {one} }} {field} {{ {other} }} }} }}", {})

    def right() -> object:
        return _right(Plan(0, (), 0, 2), Random(0), "", wanted, 0)

    kinds: list[Callable[[], object]] = [partial(kind, Plan(0, (), 0, 2), "") for kind in KINDS.values()]
    kinds += [partial(kind, Plan(0, (), 0, 2), "") for kind in SUBCLASSES.values()]
    odd: list[Callable[[], object]] = [lambda: None, lambda: ValueError("an error"), lambda: Soon(_branch()), *kinds]
    made = [*odd, *ODD_SCALARS]
    if isinstance(right(), list):
        made += [partial(lambda make, other: [make(), other(), make()], make, other) for make in kinds for other in odd]
        made += [partial(lambda make, other: [[make(), other()], other()], *two) for two in product(kinds[:3], odd)]
        made += [partial(lambda change: change(cast("list[Any]", right())), change) for change in ODD_LISTS]
    with asyncio.Runner() as loop:
        paths = Paths(SCHEMA, monkeypatch, loop)
        made.append(right)
        for make in made:
            paths.compare(query, partial(Context, "/"), partial(_root, name, make))


# graphql-core itself leaves some where others fail
@pytest.mark.filterwarnings("ignore:coroutine .* was never awaited:RuntimeWarning")
def test_any_query_of_any_data_has_the_answer_of_graphql_core(monkeypatch: pytest.MonkeyPatch) -> None:
    with asyncio.Runner() as loop:
        paths = Paths(SCHEMA, monkeypatch, loop)

        @settings(REPEATABLY, max_examples=400)
        @given(varied_queries(SCHEMA.as_str(), ROOTS, ARGUMENTS, draws=200), st.lists(PLANS, min_size=1, max_size=6))
        def compare(query: GeneratedQuery, plans: list[Plan]) -> None:
            for plan in plans:
                paths.compare(query, partial(Context, "/"), partial(KINDS["Query"], plan, ""))

        compare()
    paths.check(at_least=1000)
