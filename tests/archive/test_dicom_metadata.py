"""DICOM JSON of Orthanc is read without its binary values, which Orthanc 1.13.0 sends as numbers in part."""

from collections.abc import Iterator
from typing import Any, cast

import orjson
import pytest

from orthancproxy.archive.dicom_metadata import instances_metadata
from orthancproxy.errors import LimitExceeded
from orthancproxy.orthanc.client import OrthancClient

MANY = 400_000


class Body:
    """What Orthanc sends, in chunks."""

    def __init__(self, text: bytes, chunk_bytes: int) -> None:
        self._chunks = (text[start : start + chunk_bytes] for start in range(0, len(text), chunk_bytes))

    def __iter__(self) -> Iterator[bytes]:
        return self._chunks

    def close(self) -> None:
        """Nothing is open."""


class Client:
    """An Orthanc that has one instance."""

    def __init__(self, text: bytes, chunk_bytes: int = 1024 * 1024) -> None:
        self._body = Body(text, chunk_bytes)

    def open(self, *_: object, **__: object) -> Body:
        return self._body


def read(text: bytes, chunk_bytes: int = 1024 * 1024) -> dict[str, Any]:
    client = cast("OrthancClient", Client(text, chunk_bytes))
    found: dict[str, Any] = orjson.loads(b"".join(instances_metadata(client, [("id", "u")])))
    return found


def file_of(vr: str, numbers: str, comments: str = "") -> bytes:
    values = f'{{"Value" : [\n{numbers}\n], "vr" : "{vr}"}}'
    comment = f'{{"Value" : ["{comments}"], "vr" : "LT"}}'
    return f'{{"00091001" : {values}, "00100010" : {{"vr" : "PN"}}, "00204000" : {comment}}}'.encode()


@pytest.mark.parametrize("numbers", ["65535,\n\t7", "-1.5e-7,  2"])
@pytest.mark.parametrize("offset", [0, 300_001, 777_777])
def test_binary_values_that_are_numbers_are_left_out_wherever_chunks_end(numbers: str, offset: int) -> None:
    blanks = " " * offset
    found = read(blanks.encode() + file_of("OW", ",".join([numbers] * MANY), "[1,2,3"))
    assert found == {
        "00091001": {"vr": "OW", "BulkDataURI": "u/bulkdata/00091001"},
        "00100010": {"vr": "PN"},
        "00204000": {"vr": "LT", "Value": ["[1,2,3"]},
    }


@pytest.mark.parametrize("chunk_bytes", [100, 10_000, 1024 * 1024])
def test_other_numbers_are_kept(chunk_bytes: int) -> None:
    # the maximum of values of 16-bit lengths
    found = read(file_of("US", ",".join(["1"] * 32_767), "1, 2, [3, 4]" * 10), chunk_bytes)
    assert found["00091001"] == {"vr": "US", "Value": [1] * 32_767}
    assert found["00204000"]["Value"] == ["1, 2, [3, 4]" * 10]


def test_numbers_that_are_left_out_are_never_part_of_a_value() -> None:
    with pytest.raises(LimitExceeded):
        read(file_of("UV", ",".join(["1"] * MANY)))
