"""The schema is what is committed, keeps the contract, and breaks no released promise without saying so."""

from io import StringIO
from pathlib import Path

import pytest
from django.core.management import call_command
from graphql import (
    GraphQLArgument,
    GraphQLEnumType,
    GraphQLInputField,
    GraphQLInputObjectType,
    GraphQLInterfaceType,
    GraphQLObjectType,
    GraphQLSchema,
    build_schema,
    is_specified_scalar_type,
    print_ast,
)
from graphql.utilities import find_breaking_changes

from tests.schema.breaking_changes import announcements, unannounced

REPOSITORY = Path(__file__).parents[2]
COMMITTED = REPOSITORY / "schema/schema.graphql"
RELEASED = REPOSITORY / "schema/released.graphql"
CHANGELOG = REPOSITORY / "CHANGELOG.md"
CONTRACT = Path(__file__).with_name("contract.graphql")


def generated_sdl() -> str:
    output = StringIO()
    call_command("export_schema", "orthancproxy.schema", stdout=output)
    return output.getvalue()


@pytest.fixture(scope="module")
def current() -> GraphQLSchema:
    return build_schema(generated_sdl())


def coordinates(schema: GraphQLSchema) -> dict[str, str]:
    """What a client can write, by schema coordinate: `Patient.studies(first:)` → `Int`."""
    found = {}
    for name, kind in schema.type_map.items():
        if name.startswith("__"):
            continue
        found[name] = type(kind).__name__
        if isinstance(kind, GraphQLEnumType):
            found |= {f"{name}.{value}": "a value" for value in kind.values}
        elif isinstance(kind, GraphQLInputObjectType):
            found |= {f"{name}.{field}": _input(value) for field, value in kind.fields.items()}
        elif isinstance(kind, GraphQLObjectType | GraphQLInterfaceType):
            found |= {f"{name} implements {interface.name}": "" for interface in kind.interfaces}
            for field, value in kind.fields.items():
                found[f"{name}.{field}"] = str(value.type)
                found |= {f"{name}.{field}({key}:)": _input(argument) for key, argument in value.args.items()}
    return found


def _input(value: GraphQLArgument | GraphQLInputField) -> str:
    """Type and default; a default of null is none to a client."""
    node = value.ast_node
    default = print_ast(node.default_value) if node and node.default_value else "null"
    return str(value.type) if default == "null" else f"{value.type} = {default}"


def test_the_committed_schema_is_the_generated_one() -> None:
    assert COMMITTED.read_text() == generated_sdl(), (
        "regenerate it: .venv/bin/python manage.py export_schema orthancproxy.schema > schema/schema.graphql"
    )


def test_the_schema_has_all_of_the_contract_with_the_same_types(current: GraphQLSchema) -> None:
    contract = build_schema(CONTRACT.read_text())
    assert [change.description for change in find_breaking_changes(contract, current)] == []
    ours = coordinates(current)
    promised = coordinates(contract)
    assert {where: ours.get(where) for where in promised} == promised


def test_everything_has_a_description(current: GraphQLSchema) -> None:
    missing = []
    for name, kind in current.type_map.items():
        if name.startswith("__") or is_specified_scalar_type(kind):
            continue
        parts = {name: kind, **{f"{name}.{value}": one for value, one in getattr(kind, "values", {}).items()}}
        for field, value in getattr(kind, "fields", {}).items():
            parts |= {f"{name}.{field}": value}
            parts |= {f"{name}.{field}({key}:)": one for key, one in getattr(value, "args", {}).items()}
        missing += [where for where, part in parts.items() if not part.description]
    assert missing == []


def test_a_breaking_change_since_the_release_is_announced(current: GraphQLSchema) -> None:
    released = build_schema(RELEASED.read_text())
    assert unannounced(released, current, CHANGELOG.read_text()) == [], (
        "list each of these in CHANGELOG.md, word for word, under ## Unreleased, ### Breaking"
    )


RELEASED_SDL = """
    type Query { patients(first: Int): [Patient!]!  patient(row: Int): Patient }
    type Patient { patientName: String  sex: String }
    enum Direction { ASC DESC }
"""


@pytest.mark.parametrize(
    ("old", "new", "change"),
    [
        ("sex: String", "", "Field Patient.sex was removed."),
        ("sex: String", "sex: Int", "Field Patient.sex changed type from String to Int."),
        ("(first: Int)", "", "Argument Query.patients(first:) was removed."),
        (
            "(first: Int)",
            "(first: Int!)",
            "Argument Query.patients(first:) has changed type from Int to Int!.",
        ),
        ("(first: Int)", "(first: Int, a: ID!)", "A required argument Query.patients(a:) was added."),
        ("[Patient!]!", "[Patient!]", "Field Query.patients changed type from [Patient!]! to [Patient!]."),
        ("ASC DESC", "ASC", "Enum value Direction.DESC was removed."),
        ("enum Direction { ASC DESC }", "", "Direction was removed."),
    ],
)
def test_what_breaks_a_query_wants_an_announcement(old: str, new: str, change: str) -> None:
    assert old in RELEASED_SDL
    released, changed = build_schema(RELEASED_SDL), build_schema(RELEASED_SDL.replace(old, new))
    assert unannounced(released, changed, "# Changes\n\n## Unreleased\n") == [change]
    assert unannounced(released, changed, f"## Unreleased\n\n### Breaking\n\n- {change}\n") == []


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("sex: String", "sex: String  birthDate: String"),
        ("sex: String", "sex: String!"),
        ("(first: Int)", "(first: Int, after: String)"),
        ("ASC DESC", "ASC DESC RANDOM"),
        ("sex: String", 'sex: String @deprecated(reason: "Use gender.")'),
    ],
)
def test_what_breaks_no_query_wants_none(old: str, new: str) -> None:
    assert old in RELEASED_SDL
    changed = build_schema(RELEASED_SDL.replace(old, new))
    assert unannounced(build_schema(RELEASED_SDL), changed, "") == []


@pytest.mark.parametrize(
    ("changelog", "is_announced"),
    [
        ("## Unreleased\n### Breaking\n- Field Patient.sex was removed.", True),
        ("## [Unreleased]\n\n### Breaking\n\n* Field `Patient.sex` was\n  removed. Use `tag`.\n", True),
        ("## Unreleased\n### Breaking\n- Something else.\n- Field Patient.sex was removed.\n### Added", True),
        ("## Unreleased\n### Added\n- Field Patient.sex was removed.", False),
        ("## Unreleased\n- Field Patient.sex was removed.", False),
        ("## Unreleased\n### Breaking\nField Patient.sex was removed.", False),
        ("## Unreleased\n### Breaking\n- Field Patient.sexes was removed.", False),
        ("## Unreleased\n### Breaking\n- The field Patient.sex was removed.", False),
        ("## Unreleased\n## 0.1.0\n### Breaking\n- Field Patient.sex was removed.", False),
        ("", False),
    ],
)
def test_an_announcement_is_an_item_under_unreleased_breaking(changelog: str, is_announced: bool) -> None:
    released = build_schema(RELEASED_SDL)
    changed = build_schema(RELEASED_SDL.replace("sex: String", ""))
    assert (unannounced(released, changed, changelog) == []) is is_announced


def test_announcements_are_read_across_lines() -> None:
    changelog = "## Unreleased\n\n### Breaking\n\n- `A`\n  was\n\ttaken.\n- B went.\n\nMore.\n\n### Fixed\n- C\n"
    assert list(announcements(changelog)) == ["A was taken.", "B went."]
