"""Converts text from any DICOM character set (PS3.3 section C.12.1.1.2) to UTF-8, without loss."""

import re
from dataclasses import dataclass

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
SUPERSETS = {"euc_kr": "cp949", "iso_ir_58": "gb18030", "shift_jis": "cp932", "iso_ir_166": "cp874"}

# the escape sequences of 94 × 94 characters in G0 and of half-width katakana there, with the names of their codecs
# in SpecificCharacterSet and those that decode them with their escape sequences. Only $B and $(D are of DICOM.
_G0 = {
    b"$B": ("iso2022_jp", "iso2022_jp_2"),
    b"$@": ("iso2022_jp", "iso2022_jp_2"),
    b"$(D": ("iso2022_jp_2", "iso2022_jp_2"),
    b"$(C": ("euc_kr", "iso2022_jp_2"),
    b"$A": ("iso_ir_58", "iso2022_jp_2"),
    b"(I": ("shift_jis", "iso2022_jp_ext"),
}
_ASCII_OR_ROMAJI = (b"(B", b"(J")
_G1 = {
    code[1:]: codec for code, codec in CODES_TO_ENCODINGS.items() if code[1:2] == b"-" or code[1:3] in (b")I", b"$)")
}
_G1[b"-b"] = "iso8859_15"
_ESCAPE = re.compile(b"\x1b(" + b"|".join(map(re.escape, (*_G0, *_G1, *_ASCII_OR_ROMAJI))) + b")")
# after these, the initial character sets are active again (PS3.5 section 6.1.2.5.3)
_DELIMITER = re.compile(rb"(?=[\r\n\f\t\\^=])")
# UTF-8 has three bytes for them; text in another character set that is valid in UTF-8 has two-byte sequences by chance
_BEYOND_TWO_BYTES = re.compile("[\u0800-\U0010ffff]")
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
        if value.isascii() and b"\x1b" not in value:
            return value.decode("ascii"), True
        if b"\x1b" not in value or self.codecs[0] in STAND_ALONE:
            return self._without_escapes(value)
        for initial in self.codecs:
            decoded = self._with_escapes(value, initial)
            if decoded:
                return decoded
        return value.decode(LATIN_1), False

    def _without_escapes(self, value: bytes) -> tuple[str, bool]:
        utf_8 = _strictly(value, "utf-8")
        for codec in self.codecs:
            text = _strictly(value, codec)
            if text is None:
                continue
            if codec in STAND_ALONE:
                return text, True
            if utf_8 is not None and (_BEYOND_TWO_BYTES.search(utf_8) or _SYMBOL.search(text)):
                break
            is_only = codec == self.codecs[0] or len(self.codecs) == 2
            return text, is_only and not _CONTROL.search(text)
        guesses = (utf_8, *(_strictly(value, codec) for codec in (*map(SUPERSETS.get, self.codecs), self.fallback)))
        return next((guess for guess in guesses if guess is not None), value.decode(LATIN_1)), False

    def _with_escapes(self, value: bytes, initial: str) -> tuple[str, bool] | None:
        """Decode code extensions (PS3.5 section 6.1.2.5); None if they are invalid."""
        first, *rest = _ESCAPE.split(value)
        text = [_strictly(first, initial)]
        declared = True
        g1 = initial
        for escape, part in zip(rest[::2], rest[1::2], strict=True):
            if escape in _G0:
                name, codec = _G0[escape]
                declared &= name in self.codecs
                text.append(_strictly(b"\x1b" + escape + part, codec))
                continue
            if escape in _G1:
                g1 = _G1[escape]
                declared &= g1 in self.codecs
            if g1 != initial != ASCII:
                part, *others = _DELIMITER.split(part, maxsplit=1)
                text.append(_strictly(part, g1))
                if not others:
                    continue
                g1, part = initial, others[0]
            text.append(_strictly(part, g1))
        whole = [part for part in text if part is not None and "\x1b" not in part]
        return ("".join(whole), declared) if len(whole) == len(text) else None


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
        codec = CODECS.get(f"ISO_IR {number}", CODECS.get(f"ISO 2022 IR {number}", ASCII))
    # pydicom takes ISO_IR 6 for Latin-1
    return ASCII if codec == CODECS[""] else codec


def vr_of(element: Element, elements: Elements) -> str:
    """Return the VR of an element, from the dictionary if the file has none or UN."""
    if element.vr not in (None, "UN"):
        return str(element.vr)
    return _private_vr(element.tag, elements) if element.tag & 0x10000 else known_vr(element.tag)


def encode(text: str, padding: bytes = b" ") -> bytes:
    """Return the text in UTF-8, padded to an even length."""
    value = text.encode()
    return value + padding if len(value) % 2 else value


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
