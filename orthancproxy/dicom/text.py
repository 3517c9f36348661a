"""Converts text from any DICOM character set (PS3.3 section C.12.1.1.2) to UTF-8, without loss."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from encodings.aliases import aliases

from pydicom.charset import CODES_TO_ENCODINGS, STAND_ALONE_ENCODINGS, python_encoding
from pydicom.datadict import private_dictionary_VR
from pydicom.valuerep import CUSTOMIZABLE_CHARSET_VR

from orthancproxy.dicom.elements import SPECIFIC_CHARACTER_SET, Element, Elements, known_vr

UTF_8 = "ISO_IR 192"
TEXT_VRS = frozenset(map(str, CUSTOMIZABLE_CHARSET_VR))
# they allow ASCII only, but devices write them in the character set of the text
ASCII_VRS = frozenset({"AE", "AS", "CS", "DA", "DS", "DT", "IS", "TM", "UR"})
ASCII = "ascii"
LATIN_1 = "latin_1"
MAX_CHARACTER_BYTES = 4
# Latin alphabet no. 9, which pydicom 3.0 does not know
CODECS = {
    **python_encoding,
    "ISO_IR 203": "iso8859_15",
    "ISO 2022 IR 203": "iso8859_15",
    "UTF-8": "UTF8",
    "UTF8": "UTF8",
}
# of Orthanc's option DefaultEncoding (1.12.7), with what Windows adds to them
FALLBACK_CODECS = {
    "Ascii": ASCII,
    "Utf8": "utf-8",
    "Latin1": LATIN_1,
    "Latin2": "iso8859_2",
    "Latin3": "iso8859_3",
    "Latin4": "iso8859_4",
    "Latin5": "iso8859_9",
    "Cyrillic": "iso8859_5",
    "Windows1251": "cp1251",
    "Arabic": "iso8859_6",
    "Greek": "iso8859_7",
    "Hebrew": "iso8859_8",
    "Thai": "cp874",
    "Japanese": "cp932",
    "Chinese": "gb18030",
    "JapaneseKanji": "iso2022_jp",
    "Korean": "cp949",
    "SimplifiedChinese": "gb18030",
}
# they have no escape sequences, so that rewritten files remain unchanged when rewritten again
STAND_ALONE = frozenset(python_encoding[name] for name in STAND_ALONE_ENCODINGS)
# what Windows writes for them
SUPERSETS = {
    "euc_kr": "cp949",
    "iso_ir_58": "gb18030",
    "shift_jis": "cp932",
    "iso_ir_166": "cp874",
    LATIN_1: "cp1252",
    "iso_ir_148": "cp1254",
}
# Python's aliases of other character sets, which some devices name as the Web does (`EUC-KR`, `windows-1252`)
_OF_THE_WEB = re.compile(
    r"utf_8|euc_kr|cp949|gbk|gb2312|big5|euc_jp|shift_jis|cp932|koi8_r|tis_620|(iso8859_|cp125)[0-9]+"
)

# the escape sequences of 94 × 94 characters in G0 and of half-width katakana there, with the names of their codecs
# in SpecificCharacterSet and those that decode them with their escape sequences. Only $B and $(D are of DICOM;
# $(O, $(P and $(Q are of JIS X 0213.
_KATAKANA = b"(I"
_KANJI = (b"$B", b"$@")
_G0 = {
    b"$B": ("iso2022_jp", "iso2022_jp_2"),
    b"$@": ("iso2022_jp", "iso2022_jp_2"),
    b"$(D": ("iso2022_jp_2", "iso2022_jp_2"),
    b"$(C": ("euc_kr", "iso2022_jp_2"),
    b"$A": ("iso_ir_58", "iso2022_jp_2"),
    b"$(O": ("iso2022_jp_3", "iso2022_jp_3"),
    b"$(P": ("iso2022_jp_3", "iso2022_jp_3"),
    b"$(Q": ("iso2022_jp_2004", "iso2022_jp_2004"),
    _KATAKANA: ("shift_jis", "iso2022_jp_ext"),
}
# and the announcement that $B is of 1990
_ASCII_OR_ROMAJI = (b"(B", b"(J", b"&@")
_G1 = {
    code[1:]: codec for code, codec in CODES_TO_ENCODINGS.items() if code[1:2] == b"-" or code[1:3] in (b")I", b"$)")
}
_G1[b"-b"] = "iso8859_15"
_ESCAPE = re.compile(b"\x1b(" + b"|".join(map(re.escape, (*_G0, *_G1, *_ASCII_OR_ROMAJI))) + b")")
# after these, the initial character sets are active again (PS3.5 section 6.1.2.5.3)
_DELIMITER = re.compile(rb"(?=[\r\n\f\t\\^=])")
# the other delimiters are halves of characters too
_CONTROL_DELIMITER = re.compile(rb"(?=[\r\n\f\t])")
# pairs of 7 bits, characters of G1, and what remains, such as a blank behind the pairs
_RUNS = re.compile(rb"((?:[\x21-\x7e]{2})+)|([\x80-\xff]+)|([\0-\x20\x7f]+)|(.)", re.DOTALL)
# UTF-8 has three bytes for them; text in another character set that is valid in UTF-8 has two-byte sequences by chance
_BEYOND_TWO_BYTES = re.compile("[\u0800-\U0010ffff]")
# of an escape sequence, and of padding, at the end of a value
_CUT_ESCAPE = re.compile(rb"\x1b[$(]?[()]?(?=[\0 ]*\Z)")
# control characters and symbols, which do not follow accented letters
_SYMBOL = re.compile("[\x80-\xbf\uff61-\uff65]")
_CONTROL = re.compile("[\x80-\x9f]")


@dataclass(frozen=True, slots=True)
class Encodings:
    """The character sets of a data set or item, as Python's codecs.

    The first is the initial one: `ascii` if SpecificCharacterSet is missing or its first value is empty or unknown.
    `fallback` decodes what is neither in these character sets nor UTF-8.
    """

    codecs: tuple[str, ...] = (ASCII,)
    fallback: str = LATIN_1

    def decode(self, value: bytes) -> tuple[str, bool]:
        """Return the text, and whether it is in the declared character sets; otherwise it is a guess.

        Escape sequences may be missing if only one character set can be meant. Text in UTF-8 is recognized in files
        that declare nothing or another character set.
        """
        text, declared = self._decode(value)
        return text.removeprefix("\ufeff"), declared

    def _decode(self, value: bytes) -> tuple[str, bool]:
        if value.isascii() and b"\x1b" not in value:
            return value.decode("ascii"), True
        # what is Latin-1 for want of a better guess changes no more when a file is rewritten again
        if b"\x1b" not in value or (self.codecs[0] in STAND_ALONE and not value.isascii()):
            return self._without_escapes(value)
        for initial in (*self.codecs, self.fallback):
            decoded = self._with_escapes(value, initial)
            if decoded:
                text, declared = decoded
                return text, declared and self._is_meant(initial)
        return value.decode(LATIN_1), False

    def _without_escapes(self, value: bytes) -> tuple[str, bool]:
        utf_8 = _strictly(value, "utf-8")
        for codec in self.codecs:
            text = _strictly(value, codec)
            if text is None:
                continue
            if codec in STAND_ALONE:
                return text, b"\x1b" not in value
            if utf_8 is not None and (_BEYOND_TWO_BYTES.search(utf_8) or _SYMBOL.search(text)):
                break
            if _CONTROL.search(text):
                return _strictly(value, SUPERSETS.get(codec)) or text, False
            return text, self._is_meant(codec)
        guesses = (
            utf_8,
            *(_strictly(value, SUPERSETS.get(codec)) for codec in self.codecs),
            *(_cut(value, codec) for codec in (*self.codecs, "utf-8")),
            _strictly(value, self.fallback if self.fallback != LATIN_1 else SUPERSETS[LATIN_1]),
        )
        return next((guess for guess in guesses if guess is not None), value.decode(LATIN_1)), False

    def _is_meant(self, codec: str) -> bool:
        """Whether text without an escape sequence can only be in this codec."""
        return codec == self.codecs[0] or self.codecs[1:] == (codec,)

    def _with_escapes(self, value: bytes, initial: str) -> tuple[str, bool] | None:
        """Decode code extensions (PS3.5 section 6.1.2.5); None if they are invalid."""
        first, *rest = _ESCAPE.split(_CUT_ESCAPE.sub(b"", value))
        decoded = [_leniently(first, initial)]
        g1 = initial
        for escape, part in zip(rest[::2], rest[1::2], strict=True):
            if escape in _G0:
                decoded.append(("", _G0[escape][0] in self.codecs))
                part, *others = _CONTROL_DELIMITER.split(part, maxsplit=1)
                decoded += _in_g0(escape, part, g1)
            else:
                if escape in _G1:
                    g1 = _G1[escape]
                    decoded.append(("", g1 in self.codecs))
                part, *others = _DELIMITER.split(part, maxsplit=1) if g1 != initial != ASCII else (part,)
                decoded.append(_leniently(part, g1))
            if others:
                g1 = g1 if initial == ASCII else initial
                decoded.append(_leniently(others[0], g1))
        texts = [text for text, _ in decoded if text is not None and "\x1b" not in text]
        return ("".join(texts), all(exact for _, exact in decoded)) if len(texts) == len(decoded) else None


def _in_g0(escape: bytes, part: bytes, g1: str) -> Iterator[tuple[str | None, bool]]:
    """Decode what follows an escape sequence of G0, which leaves characters of 8 bits to G1."""
    codec = _G0[escape][1]
    if escape == _KATAKANA:
        yield _strictly(b"\x1b" + escape + part, codec), True
        return
    for pairs, of_g1, blanks, other in _RUNS.findall(part):
        if pairs:
            text = _strictly(b"\x1b" + escape + pairs, codec)
            extended = _strictly(_shift_jis(pairs), "cp932") if text is None and escape in _KANJI else None
            yield text or extended, extended is None
        elif of_g1:
            yield _leniently(of_g1, g1)
        else:
            yield (blanks + other).decode(ASCII), not other


def _shift_jis(pairs: bytes) -> bytes:
    """Return pairs of JIS X 0208 in Shift JIS: Windows has NEC's characters (①, ㈱, 髙), which the standard has not."""
    shifted = bytearray()
    for row, cell in zip(pairs[::2], pairs[1::2], strict=True):
        shifted.append((row - 0x21) // 2 + (0x81 if row < 0x5F else 0xC1))
        shifted.append(cell + 0x1F + (cell >= 0x60) if row % 2 else cell + 0x7E)
    return bytes(shifted)


def encodings_of(elements: Elements, above: Encodings) -> Encodings:
    """Return the character sets of a data set or item; `above` if it declares none."""
    element = elements.get(SPECIFIC_CHARACTER_SET)
    if element is None or not isinstance(element.value, bytes):
        return above
    names = element.value.decode("latin-1").rstrip("\0 ").split("\\")
    first, *others = (_codec(name) for name in names)
    extensions = dict.fromkeys(codec for codec in others if codec not in (ASCII, first))
    return Encodings((first, *extensions), above.fallback)


def _codec(name: str) -> str:
    """Return the codec of a defined term, which may be misspelt (`iso-ir-100`, `ISO_IR 149`)."""
    name = name.strip("\0 ").upper()
    if name in CODECS:
        codec = CODECS[name]
    else:
        number = re.sub(r"^ISO.*IR\D*", "", name)
        codec = CODECS.get(f"ISO_IR {number}", CODECS.get(f"ISO 2022 IR {number}", _codec_of_the_web(name)))
    # pydicom takes ISO_IR 6 for Latin-1
    return ASCII if codec == CODECS[""] else codec


def _codec_of_the_web(name: str) -> str:
    """Return Python's codec of a name that DICOM does not define; `ascii` if it has none that is safe."""
    alias = re.sub(r"[^a-z0-9]+", "_", name.lower())
    codec = aliases.get(alias, alias)
    return codec if codec == LATIN_1 or _OF_THE_WEB.fullmatch(codec) else ASCII


def vr_of(element: Element, elements: Elements) -> str:
    """Return the VR of an element, from the dictionary if the file has none or UN."""
    if element.vr not in (None, "UN"):
        return str(element.vr)
    return _private_vr(element.tag, elements) if element.tag & 0x10000 else known_vr(element.tag)


def encode(text: str, padding: bytes = b" ") -> bytes:
    """Return the text in UTF-8, padded to an even length."""
    value = text.encode()
    return value + padding if len(value) % 2 else value


def _leniently(value: bytes, codec: str) -> tuple[str | None, bool]:
    """Return text in a codec or what Windows writes for it, or cut within a character; and whether it is the first."""
    text = _strictly(value, codec)
    return (text, True) if text is not None else (_strictly(value, SUPERSETS.get(codec)) or _cut(value, codec), False)


def _cut(value: bytes, codec: str) -> str | None:
    """Return text whose last character beyond ASCII is incomplete, since a device cut it at 64 bytes.

    What remains of this character becomes Latin-1.
    """
    try:
        return value.decode(codec)
    except UnicodeDecodeError as error:
        whole, rest = value[: error.start], value[error.start :]
    if whole.isascii() or len(rest.rstrip(b"\0 ")) >= MAX_CHARACTER_BYTES:
        return None
    return whole.decode(codec) + rest.decode(LATIN_1)


def _strictly(value: bytes, codec: str | None) -> str | None:
    try:
        return value.decode(codec) if codec else None
    except UnicodeError:
        return None


def _private_vr(tag: int, elements: Elements) -> str:
    """Return the VR of a private element (PS3.5 section 7.8); UN if pydicom does not know its creator."""
    number = tag & 0xFFFF
    if 0x10 <= number <= 0xFF:
        return "LO"
    creator = elements.get(tag & 0xFFFF0000 | number >> 8)
    if creator is None or not isinstance(creator.value, bytes):
        return "UN"
    try:
        return str(private_dictionary_VR(tag, creator.value.decode("latin-1").rstrip("\0 ")))
    except KeyError:
        return "UN"
