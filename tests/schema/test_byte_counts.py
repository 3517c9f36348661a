"""Numbers of bytes beyond GraphQL's Int, which ends at 2 GiB."""

import pytest
from graphql import GraphQLObjectType, get_named_type

from orthancproxy.schema import schema
from tests.schema import injected_records
from tests.schema.injected_records import Archive

FOUR_GIB = 4 * 2**30


def test_every_byte_count_of_the_schema_has_the_scalar() -> None:
    found = {
        f"{name}.{field}": get_named_type(value.type).name
        for name, kind in schema._schema.type_map.items()
        if isinstance(kind, GraphQLObjectType)
        for field, value in kind.fields.items()
        if field.endswith(("Bytes", "Size")) and field != "maxPageSize"
    }
    assert found == dict.fromkeys(("Instance.fileSize", "Server.diskSize", "ServerLimits.maxUploadBytes"), "ByteCount")


@pytest.mark.parametrize("size", [0, 2**31, FOUR_GIB, 2**53])
def test_a_file_of_any_size_has_its_size(size: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(injected_records.RIGHT_FACTS, "FileSize", [size])
    Archive(2).put_in(monkeypatch)
    result = schema.execute_sync("{ instances { nodes { fileSize } } }", {}, injected_records.context())
    assert result.errors is None
    assert result.data == {"instances": {"nodes": [{"fileSize": size}] * 2}}


@pytest.mark.parametrize("size", ["12", -1, 1.0, True])
def test_what_is_no_byte_count_is_an_error(size: object, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(injected_records.RIGHT_FACTS, "FileSize", [size])
    Archive(1).put_in(monkeypatch)
    result = schema.execute_sync("{ instances { nodes { fileSize } } }", {}, injected_records.context())
    assert result.errors
    assert result.data is None
