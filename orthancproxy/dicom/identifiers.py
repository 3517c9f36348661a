"""Names and numbers by which people are found, in the forms in which they are written in other text."""

import re
import unicodedata
from collections.abc import Iterator

MIN_IDENTIFIER_CHARACTERS = 4
MIN_NAME_CHARACTERS = 3
MIN_CHARACTERS_BEYOND_ASCII = 2
# they are joined in each order that keeps neighbours; names have hardly more
MAX_JOINED_WORDS = 6

_NAME_SEPARATORS = re.compile(r"[\s^,.]+")
# what devices write for want of a name is the name of nobody, and a defined term of many code strings
_NOBODY = frozenset({"anonymized", "anonymous", "none", "null", "other", "undefined", "unknown"})


class Identifiers:
    """What identifies a patient, to be looked for in text, in any case and Unicode form.

    Identifiers in ASCII are found between other characters than ASCII's letters and digits. Others are found anywhere,
    as Korean, Japanese and Chinese are written without blanks, unless they are one character.
    """

    def __init__(self) -> None:
        self._noted: set[str] = set()
        self._names: set[str] = set()
        self._identifiers: set[str] = set()
        self._pattern: re.Pattern[str] | None = None

    def note_name(self, text: str) -> None:
        """Note the words of a PersonName, and what they are when they are written as one."""
        if text not in self._names:
            self._names.add(text)
            for group in re.split(r"[=\\]", _normalized(text)):
                self._add(_forms(group))

    def note(self, text: str) -> None:
        """Note each value of another attribute."""
        if text not in self._noted:
            self._noted.add(text)
            values = (value.strip("\0 ") for value in _normalized(text).split("\\"))
            self._add(value for value in values if _is_long_enough(value, MIN_IDENTIFIER_CHARACTERS))

    def are_in(self, text: str) -> bool:
        """Whether a text has one of them in it."""
        if not self._identifiers:
            return False
        self._pattern = self._pattern or _pattern(self._identifiers)
        return self._pattern.search(_normalized(text)) is not None

    def _add(self, identifiers: Iterator[str]) -> None:
        self._identifiers.update(one for one in identifiers if one not in _NOBODY)
        self._pattern = None


def _normalized(text: str) -> str:
    # half-width katakana and full-width letters are what they stand for
    return unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", text).casefold())


def _forms(group: str) -> Iterator[str]:
    words = [word for word in _NAME_SEPARATORS.split(group.strip("\0 ")) if word]
    # a character beyond ASCII may be a family name
    yield from (word for word in words if _is_long_enough(word, MIN_NAME_CHARACTERS, beyond_ascii=1))
    joined = words[:MAX_JOINED_WORDS]
    for count in range(2, len(joined) + 1):
        for first in range(len(joined)):
            word = "".join((joined * 2)[first : first + count])
            if _is_long_enough(word, MIN_IDENTIFIER_CHARACTERS):
                yield word


def _is_long_enough(text: str, in_ascii: int, beyond_ascii: int = MIN_CHARACTERS_BEYOND_ASCII) -> bool:
    return len(text) >= (in_ascii if text.isascii() else beyond_ascii)


def _pattern(identifiers: set[str]) -> re.Pattern[str]:
    others = {one for one in identifiers if not one.isascii()}
    single = {one for one in others if len(one) == 1}
    kinds = (
        (identifiers - others, r"(?<![a-z0-9])(?:{})(?![a-z0-9])"),
        (single, r"(?<![^\W_])(?:{})(?![^\W_])"),
        (others - single, "(?:{})"),
    )
    return re.compile("|".join(form.format("|".join(map(re.escape, sorted(words)))) for words, form in kinds if words))
