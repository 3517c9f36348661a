"""The parts of a body of multipart/related are ranges of it, whatever they contain."""

import random
from typing import Any

import pytest

from orthancproxy.dicom.sources import chunks
from orthancproxy.errors import InvalidRequest
from orthancproxy.http.multipart_related import receive_parts
from tests.http.test_multipart import Request, content


class RelatedRequest(Request):
    content_type = "multipart/related"


def body(parts: list[bytes], header: str = "Content-Type: Application/DICOM; transfer-syntax=*") -> bytes:
    head = f"--a-boundary\r\n{header}\r\n\r\n".encode()
    return b"".join(head + part + b"\r\n" for part in parts) + b"--a-boundary--"


@pytest.mark.parametrize("size", [1, 3, 16, 200, 2**20])
def test_a_body_parsed_in_chunks_of_any_size_has_the_same_parts(size: int) -> None:
    dice = random.Random(size)
    for _ in range(40):
        sent = [content(dice) for _ in range(dice.randrange(1, 6))]
        request: Any = RelatedRequest(body(sent), is_file=True)
        parts = receive_parts(request, size)
        assert [b"".join(chunks(part.content)) for part in parts] == sent
        assert {part.media_type for part in parts} == {"application/dicom"}
        for part in parts:
            part.content.close()


def test_a_body_of_another_type_is_one_part() -> None:
    request: Any = Request(b"DICM", is_file=False)
    request.content_type = "application/dicom"
    [part] = receive_parts(request)
    assert (part.media_type, part.content.read_at(0, 9)) == ("application/dicom", b"DICM")


@pytest.mark.parametrize("encoding", ["base64", "quoted-printable", "x-gzip"])
def test_an_encoded_part_is_rejected(encoding: str) -> None:
    request: Any = RelatedRequest(body([b"x"], f"Content-Transfer-Encoding: {encoding}"), is_file=True)
    with pytest.raises(InvalidRequest, match="Content-Transfer-Encoding"):
        receive_parts(request)
