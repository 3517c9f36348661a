"""DICOM files that are attacks."""

import struct
from collections.abc import Callable, Iterator, Mapping

from pydicom.uid import AllTransferSyntaxes, DeflatedExplicitVRLittleEndian

from tests.dicom.broken_files import VALUES, Broken
from tests.dicom.encoding import (
    BIG_ENDIAN,
    EXPLICIT,
    IMPLICIT,
    UNDEFINED,
    ElementEncoder,
    deflate,
    deflated_bomb,
    part10,
)

PRIVATE = 0x00111000
POLYGLOTS: Mapping[str, bytes] = {
    "PE": b"MZ\x90\0" + bytes(56) + struct.pack("<L", 0x80),
    "ELF": b"\x7fELF\2\1\1" + bytes(9) + b"\2\0>\0",
    "HTML": b"<html><script>alert(1)</script><!--",
    "PDF": b"%PDF-1.7\n1 0 obj\n<< /OpenAction << /S /JavaScript >> >>",
    "ZIP": b"PK\x03\x04\x14\0\0\0\0\0",
    "GIF": b"GIF89a/*\1\0\x80\0\0=1;alert(1);",
    "TIFF": b"II*\0\x08\0\0\0",
    "shell": b"#!/bin/sh\nid\nexit\n",
}
CHARACTER_SETS = (
    *(b"", b"ISO_IR 100", b"ISO_IR 192", b"GB18030 ", b"\\ISO 2022 IR 87 ", b"ISO 2022 IR 13\\ISO 2022 IR 87"),
    *(b"\\ISO 2022 IR 149", b"\\ISO 2022 IR 58 ", b"ISO_IR 999", b"utf_7 ", b"rot13 ", b"\\\\\\\\", b"\xff\xfe"),
)
ESCAPED = (
    b"\x1b",
    b"\x1b$",
    b"\x1b$B",
    b"\x1b$B0",
    b"\x1b$B0!\x1b",
    b"\x1b$)C\xb0",
    b"\x1b$)A\xb0\xa1\x1b(",
    b"\x1b-\xff",
)
MANY = 290_000
MEGABYTE = 1024**2


def built() -> Iterator[Broken]:
    """Small files, each with one thing that is wrong with it."""
    yield Broken("empty", b"")
    yield from _mislabelled()
    yield from _nested()
    yield from _polyglots()
    yield from _valued()
    yield from _character_sets()
    yield from _repeated()


def _mislabelled() -> Iterator[Broken]:
    """Every transfer syntax, with data of every encoding."""
    pixels = {0x7FE00010: EXPLICIT.encapsulated(b"\xff\xd8\xff\xd9")}
    data = {
        "explicit": EXPLICIT.dataset(),
        "implicit": IMPLICIT.dataset(),
        "big endian": BIG_ENDIAN.dataset(),
        "encapsulated": EXPLICIT.dataset(pixels),
        "deflated": deflate(EXPLICIT.dataset()),
        "nothing": b"",
    }
    for syntax in (*AllTransferSyntaxes, "1.2.3", "1.2.840.10008.1.2.999", "no UID", ""):
        for name, content in data.items():
            yield Broken(f"{name} as {syntax}", part10(content, syntax))


def _nested() -> Iterator[Broken]:
    for levels in (20, 21, 50, 100, 1_000):
        for defined in (True, False):
            for encoding, syntax in ((EXPLICIT, "1.2.840.10008.1.2.1"), (IMPLICIT, "1.2.840.10008.1.2")):
                for tag in (0x00081140, 0x00091001):
                    nested = encoding.nested(levels, encoding.us(0x00280010, 1), defined=defined, tag=tag)
                    name = f"nested {levels} {tag:08x} {defined} {encoding}"
                    yield Broken(name, part10(encoding.dataset({tag: nested}), syntax))
            inner = IMPLICIT.nested(levels, defined=defined)
            unknown = EXPLICIT.items(0x00091001, "UN", EXPLICIT.item(inner), defined=False)
            yield Broken(f"nested {levels} UN {defined}", part10(EXPLICIT.dataset({0x00091001: unknown})))
    for encoding in (EXPLICIT, IMPLICIT):
        for cut in (1, 7, 100, 4_000):
            nested = encoding.nested(1_000, defined=False)[:-cut]
            yield Broken(f"nested and cut {cut}", part10(encoding.dataset({0xFFFC0001: nested})))


def _polyglots() -> Iterator[Broken]:
    whole = part10(EXPLICIT.dataset())
    for name, start in POLYGLOTS.items():
        yield Broken(f"preamble {name}", start.ljust(128, b"\xcc")[:128] + whole[128:])
        yield Broken(f"nothing but {name}", start)
        yield Broken(f"before {name}", whole + start)


def _valued() -> Iterator[Broken]:
    tags = {0x00100010: "PN", 0x00100020: "LO", 0x00081030: "LO", 0x00080060: "CS", 0x00080018: "UI", 0x0020000D: "UI"}
    tags |= {0x00080020: "DA", 0x00080080: "LO", 0x00204000: "LT", 0x00280010: "US", 0x00080016: "UI", 0x00091001: "LO"}
    for tag, vr in tags.items():
        for name, value in VALUES.items():
            yield Broken(f"{tag:08x} {name}", part10(EXPLICIT.dataset({tag: EXPLICIT.element(tag, vr, value)})))
    for name, value in VALUES.items():
        yield Broken(f"class {name}", part10(EXPLICIT.dataset(), sop_class=value.decode("latin-1")))
        yield Broken(f"instance {name}", part10(EXPLICIT.dataset(), sop_instance=value.decode("latin-1")))
    long_name = EXPLICIT.header(0x00100010, "UN", MEGABYTE) + b"A^" * (MEGABYTE // 2)
    yield Broken("a name of a megabyte", part10(EXPLICIT.dataset({0x00100010: long_name})))


def _character_sets() -> Iterator[Broken]:
    for character_set in CHARACTER_SETS:
        for value in (*ESCAPED, *VALUES.values()):
            elements = {
                0x00080005: EXPLICIT.element(0x00080005, "CS", character_set),
                0x00080080: EXPLICIT.element(0x00080080, "LO", value),
                0x00081140: EXPLICIT.sequence(0x00081140, EXPLICIT.element(0x00080080, "LO", value * 3)),
            }
            yield Broken(f"{character_set!r} {value!r}", part10(EXPLICIT.dataset(elements)))


def _repeated() -> Iterator[Broken]:
    name = EXPLICIT.element(0x00100010, "PN", b"First") + EXPLICIT.element(0x00100010, "PN", b"Last")
    yield Broken("two names", part10(EXPLICIT.dataset({0x00100010: name})))
    reverse = [EXPLICIT.element(0x00111000 + number, "LO", b"x") for number in reversed(range(200))]
    yield Broken("in reverse", part10(EXPLICIT.dataset({PRIVATE: b"".join(reverse)})))
    yield Broken("two data sets", part10(EXPLICIT.dataset() * 2))
    yield Broken("two files", part10(EXPLICIT.dataset()) * 2)
    signature = EXPLICIT.sequence(0xFFFAFFFA, EXPLICIT.element(0x04000005, "US", b"\1\0"))
    yield Broken("signed", part10(EXPLICIT.dataset({0xFFFAFFFA: signature})))


def _with(elements: Mapping[int, bytes], encoding: ElementEncoder = EXPLICIT) -> bytes:
    return part10(encoding.dataset(elements))


def _tiny(count: int) -> bytes:
    """Elements without a value, no two the same."""
    tags = (PRIVATE + number % 0xF000 + (number // 0xF000 << 17) for number in range(count))
    return b"".join(EXPLICIT.header(tag, "LO", 0) for tag in tags)


def _escapes(name: bytes, escape: bytes) -> bytes:
    text = EXPLICIT.element(0x00204000, "UT", escape * (15 * MEGABYTE // len(escape)))
    return _with({0x00080005: EXPLICIT.element(0x00080005, "CS", name), 0x00204000: text})


def _items(count: int, content: bytes, *, defined: bool = True) -> bytes:
    item = EXPLICIT.item(content, defined=defined) * count
    return _with({0x00081140: EXPLICIT.items(0x00081140, "SQ", item, defined=defined)})


def _uids(length: int) -> bytes:
    element = EXPLICIT.header(0x00081155, "UN", length) + b"1\\" * (length // 2)
    return _with({0x00081140: EXPLICIT.sequence(0x00081140, element)})


def _zeros(megabytes: int) -> bytes:
    pixels = EXPLICIT.header(0x7FE00010, "OW", megabytes * MEGABYTE) + bytes(megabytes * MEGABYTE)
    return part10(deflate(EXPLICIT.dataset({0x7FE00010: pixels})), DeflatedExplicitVRLittleEndian)


def _bomb() -> bytes:
    start = EXPLICIT.dataset({0x7FE00010: None}) + EXPLICIT.header(0x7FE00010, "OW", 0xFFFFFF00)
    return deflated_bomb(start, 1024)


def _meta(count: int) -> bytes:
    elements = b"".join(EXPLICIT.element(0x00020100 + number, "LO", bytes(4000)) for number in range(count))
    return bytes(128) + b"DICM" + elements + EXPLICIT.dataset()


def _many_character_sets() -> bytes:
    names = (b"\\ISO 2022 IR 999" * 20 + b"\\%d" % number for number in range(8_000))
    items = (EXPLICIT.item(EXPLICIT.element(0x00080005, "CS", name)) for name in names)
    return _with({0x00081140: EXPLICIT.items(0x00081140, "SQ", b"".join(items), defined=False)})


FRAME = EXPLICIT.sequence(0x00209113, EXPLICIT.element(0x00200032, "DS", b"1\\2\\3")) + EXPLICIT.us(0x00200013, 1)
# made one by one: together they would be a gigabyte
COSTLY: Mapping[str, Callable[[], bytes]] = {
    "tiny elements": lambda: _with({PRIVATE: _tiny(MANY)}),
    "tiny elements in items": lambda: _items(20, _tiny(MANY // 20)),
    "as many elements as are taken": lambda: _items(19, _tiny(9_900)),
    "one element again and again": lambda: _with({PRIVATE: EXPLICIT.header(PRIVATE, "LO", 0) * MANY}),
    "empty items": lambda: _items(MANY, b""),
    "items of references": lambda: _items(66_000, EXPLICIT.element(0x00081155, "UI", b"1.2.3")),
    "items without lengths": lambda: _items(90_000, EXPLICIT.us(0x00200013, 1), defined=False),
    "enhanced multi-frame": lambda: _items(38_000, FRAME),
    "escapes alone": lambda: _escapes(b"\\ISO 2022 IR 87", b"\x1b"),
    "escapes": lambda: _escapes(b"\\ISO 2022 IR 58", b"\x1b$)A\xb0"),
    "unknown escapes": lambda: _escapes(b"\\ISO 2022 IR 999", b"\x1b$B"),
    "Latin-1": lambda: _escapes(b"ISO_IR 100", b"\xe9"),
    "UIDs": lambda: _uids(15 * MEGABYTE),
    "bomb of a gigabyte": _bomb,
    "zeros that inflate to 60 MB": lambda: _zeros(60),
    "fragments": lambda: _with(
        {0x7FE00010: EXPLICIT.items(0x7FE00010, "OB", EXPLICIT.item(b"") * 7_000_000, defined=False)}
    ),
    "meta information": lambda: _meta(30_000),
    "character sets": _many_character_sets,
    "unending": lambda: _with({0x00081140: EXPLICIT.header(0x00081140, "SQ", UNDEFINED) + EXPLICIT.item(b"") * MANY}),
}
