"""Broken and hostile DICOM files: mutations of every file that pydicom ships, reproducible by seed."""

import random
import struct
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from pydicom import data as pydicom_data
from pydicom.uid import UID

from tests.dicom.encoding import ITEM, UNDEFINED

ROOT = Path(pydicom_data.__file__).parent
META_END = 132
LONG_VRS = frozenset({b"OB", b"OD", b"OF", b"OL", b"OV", b"OW", b"SQ", b"SV", b"UC", b"UN", b"UR", b"UT", b"UV"})
VRS = (b"SQ", b"UN", b"OB", b"OW", b"UI", b"LO", b"PN", b"UT", b"AT", b"DS", b"\0\0", b"ZZ", b"zz", b"\xff\xff")
LENGTHS = (0, 1, 2, 0x7F, 0xFFFE, 0xFFFF, 0x10000, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFE, UNDEFINED)
VALUES: Mapping[str, bytes] = {
    "control": b"\0\1\2\7\x08\x0b\x0c\x1a\x7f",
    "lines": b"a\r\nSet-Cookie: a=b\r\n\r\n<html>",
    "ANSI": b"\x1b[2J\x1b]0;title\x07\x1b[31mred",
    "HTML": b"<img src=x onerror=alert(1)>",
    "script": b"</script><script>alert(1)</script>",
    "path": b"../../../../etc/passwd",
    "UNC": b"\\\\host\\share\\..\\x",
    "printf": b"%s%s%n%x%p",
    "format": b"{0.__class__.__mro__}${jndi:ldap://x}",
    "SQL": b"'; DROP TABLE x; --",
    "formula": b'=cmd|" /C calc"!A1',
    "RTL": "\u202egnp.exe\u202c\u2066x\u200f".encode(),
    "surrogate": b"\xed\xa0\x80\xed\xbf\xbf",
    "no UTF-8": b"\xff\xfe\xc3\x28\xf5\x80",
    "NUL": b"a\0b",
    "cut escape": b"\x1b$",
    "escape": b"\x1b$B0!\x1b(",
}


@dataclass(frozen=True, slots=True)
class Broken:
    """A mutated file, with a description."""

    name: str
    content: bytes


@dataclass(frozen=True, slots=True)
class Header:
    """The position of an element, item or delimiter: its header at `start`, its value at `value`."""

    start: int
    value: int
    length: int
    big: bool
    # without one where the file does not tell it
    vr: bytes | None

    @property
    def end(self) -> int:
        """Behind the value; behind the header where there is no length."""
        return self.value + (0 if self.length == UNDEFINED else self.length)

    def with_length(self, content: bytes, length: int) -> bytes:
        """The file with another length here."""
        order = ">" if self.big else "<"
        if self.vr is not None and self.vr not in LONG_VRS:
            return content[: self.value - 2] + struct.pack(f"{order}H", length & 0xFFFF) + content[self.value :]
        return content[: self.value - 4] + struct.pack(f"{order}L", length) + content[self.value :]

    def with_value(self, content: bytes, value: bytes) -> bytes:
        """The file with another value here, and its length."""
        value += b" " * (len(value) % 2)
        return self.with_length(content[: self.value] + value + content[self.end :], len(value))


@cache
def shipped() -> Mapping[str, bytes]:
    """All files that come with pydicom, DICOM or not."""
    paths = sorted(
        path for folder in ("test_files", "charset_files") for path in (ROOT / folder).glob("**/*") if path.is_file()
    )
    return {str(path.relative_to(ROOT)): path.read_bytes() for path in paths}


def headers(content: bytes) -> list[Header]:
    """The elements of a file, including those in sequences, as far as they can be parsed."""
    found: list[Header] = []
    position, syntax = META_END, ""
    big = implicit = False
    while position + 8 <= len(content):
        if syntax == "" and content[position : position + 2] != b"\2\0":
            syntax = _syntax(content, found)
            if syntax == "1.2.840.10008.1.2.1.99":
                break
            big, implicit = syntax == "1.2.840.10008.1.2.2", not content[position + 4 : position + 6].isalpha()
        header = _header(content, position, big=big, implicit=implicit)
        if header is None:
            break
        found.append(header)
        tag = _tag(content, header)
        # sequences and items are gone into, and fragments over
        into = header.vr == b"SQ" or header.length == UNDEFINED or (tag == ITEM and not _is_fragment(content, header))
        position = header.value if into else header.end
    return [header for header in found if header.end <= len(content)]


def changed(seed: int, per_file: int) -> Iterator[Broken]:
    """`per_file` mutations of each shipped file: at its first and last elements, and some between."""
    for name, content in shipped().items():
        # a string seeds the same in every process
        chance = random.Random(f"{seed} {name}")
        known = headers(content) if content[128:132] == b"DICM" else []
        for number in range(per_file):
            if not known or number % 8 == 7:
                at = chance.randrange(len(content) + 1)
                yield Broken(f"cut {name} {at}", content[:at])
                continue
            nearest = chance.choice((known[:12], known[-6:], known, known))
            header = chance.choice(nearest)
            kind, new = _changed(content, header, number % 8, chance)
            yield Broken(f"{kind} {name} {header.start}", new)


def truncated(per_file: int | None = None) -> Iterator[Broken]:
    """Every shipped file cut off at the start of its elements, within and behind their headers, and before their ends.

    At all of them, or at about so many.
    """
    for name, content in shipped().items():
        known = headers(content) if content[128:132] == b"DICM" else []
        step = max(1, len(known) // per_file) if per_file else 1
        for header in known[::step]:
            for at in sorted({header.start, header.start + 1, header.value, header.end - 1}):
                yield Broken(f"truncated {name} {at}", content[:at])


def _changed(content: bytes, header: Header, kind: int, chance: random.Random) -> tuple[str, bytes]:
    """One mutation of an element."""
    start, end = header.start, header.end
    whole = content[start:end]
    match kind:
        case 0:
            return "off by one", header.with_length(
                content, (header.length + chance.choice((-2, -1, 1, 2))) & UNDEFINED
            )
        case 1:
            return "length", header.with_length(content, chance.choice(LENGTHS))
        case 2 if header.vr is not None:
            return "VR", content[: start + 4] + chance.choice(VRS) + content[start + 6 :]
        case 2 | 3:
            what, value = chance.choice(sorted(VALUES.items()))
            return f"value ({what})", header.with_value(content, value)
        case 4:
            return "duplicate", content[:end] + whole * chance.choice((1, 2, 50)) + content[end:]
        case 5:
            return "missing", content[:start] + content[end:]
        case _:
            to = chance.randrange(META_END, len(content) + 1) if kind == 6 and chance.random() < 0.2 else META_END
            rest = content[:start] + content[end:]
            return "moved", rest[:to] + whole + rest[to:]


def _header(content: bytes, start: int, *, big: bool, implicit: bool) -> Header | None:
    order = ">" if big else "<"
    if start + 8 > len(content):
        return None
    group, vr, short = struct.unpack_from(f"{order}H2x2sH", content, start)
    if implicit or group == ITEM >> 16 or not vr.isalpha():
        return Header(start, start + 8, struct.unpack_from(f"{order}L", content, start + 4)[0], big, None)
    if vr in LONG_VRS:
        if start + 12 > len(content):
            return None
        return Header(start, start + 12, struct.unpack_from(f"{order}L", content, start + 8)[0], big, vr)
    return Header(start, start + 8, short, big, vr)


def _tag(content: bytes, header: Header) -> int:
    group, number = struct.unpack_from(">HH" if header.big else "<HH", content, header.start)
    return int(group << 16 | number)


def _is_fragment(content: bytes, header: Header) -> bool:
    """Whether the content of an item does not start with an element."""
    group = content[header.value : header.value + 2]
    return not group or group[0 if header.big else 1] > 0x7F or content[header.value + 4 : header.value + 6] == b"\0\0"


def _syntax(content: bytes, meta: list[Header]) -> str:
    for header in meta:
        if _tag(content, header) == 0x00020010:
            return str(UID(content[header.value : header.end].decode("latin-1").rstrip("\0 ")))
    return "none"
