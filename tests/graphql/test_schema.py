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
)
from graphql.utilities import find_breaking_changes, print_type

from tests.graphql.breaking_changes import announcements, unannounced

REPOSITORY = Path(__file__).parents[2]
COMMITTED = REPOSITORY / "schema/schema.graphql"
RELEASED = REPOSITORY / "schema/released.graphql"
CONTRACT = Path(__file__).with_name("contract.graphql")


def generated_sdl() -> str:
    output = StringIO()
    call_command("export_schema", "schema", stdout=output)
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
