"""Files that are written on a disk with little space, or none."""

import errno
from io import BytesIO
from pathlib import Path
from typing import IO, Any

import pytest

from orthancproxy.dicom.sources import disk_full_as_error, open_spool, write_all
from orthancproxy.errors import InsufficientStorage


class Reluctant(BytesIO):
    """An unbuffered file that takes three bytes at a time, as one does on a disk that is almost full."""

    def write(self, data: Any) -> int:
        return super().write(bytes(data)[:3])


@pytest.mark.parametrize("data", [b"", b"ab", b"abc", b"abcdefgh"])
def test_all_bytes_are_written(data: bytes) -> None:
    file = Reluctant()
    write_all(file, data)
    assert file.getvalue() == data


def test_a_full_disk_is_an_error_of_its_own() -> None:
    with pytest.raises(InsufficientStorage), disk_full_as_error(), Path("/dev/full").open("wb", buffering=0) as file:
        write_all(file, b"x")


def test_other_failures_of_the_disk_are_raised() -> None:
    with pytest.raises(OSError, match="broken"), disk_full_as_error():
        raise OSError(errno.EIO, "broken")


def test_spool_is_open_after_its_block_unless_that_fails() -> None:
    opened: list[IO[bytes]] = []
    with open_spool() as spool:
        opened.append(spool)
        spool.write(b"x")
    assert not opened.pop().closed

    def fail() -> None:
        with open_spool() as spool:
            opened.append(spool)
            raise ValueError("It failed.")

    with pytest.raises(ValueError, match="failed"):
        fail()
    assert opened.pop().closed
