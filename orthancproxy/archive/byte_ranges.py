"""Ranges of the bytes of a file (RFC 9110, section 14.1.2)."""

from dataclasses import dataclass

from orthancproxy.errors import RangeNotSatisfiable


@dataclass(frozen=True, slots=True)
class ByteSpan:
    """The bytes `first` to `last`, both included and counted from 0, of a file of `total` bytes."""

    first: int
    last: int
    total: int

    @property
    def length(self) -> int:
        """The number of bytes."""
        return self.last - self.first + 1


@dataclass(frozen=True, slots=True)
class RequestedRange:
    """A range of a file of any length: from `first` to `last`, or to the end; without `first`, the `last` bytes."""

    first: int | None
    last: int | None

    def within(self, total: int) -> ByteSpan:
        """Return what a file of `total` bytes has of the range. Raises RangeNotSatisfiable if that is nothing."""
        if self.first is None:
            first, last = max(0, total - (self.last or 0)), total - 1
        else:
            first, last = self.first, total - 1 if self.last is None else min(self.last, total - 1)
        if first > last:
            raise RangeNotSatisfiable(f"The file has {total:,} bytes, none of them in this range.", total)
        return ByteSpan(first, last, total)
