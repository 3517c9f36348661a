"""Media ranges of the Accept header (RFC 9110, section 12.5.1), as DICOMweb uses them (PS3.18 section 8.7.5)."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from orthancproxy.errors import InvalidRequest, NotAcceptable

MAX_ACCEPT_LENGTH = 4096
MAX_MEDIA_RANGES = 64

_NAME = r"[!#$%&'*+.^_`|~0-9A-Za-z-]+"
# Java sends `*; q=.2` unless it is told otherwise, as some viewers do
_TYPE = re.compile(rf"[ \t]*(?:({_NAME})/({_NAME})|\*)[ \t]*")
# many clients send `type=application/dicom` without quotes
_PARAMETER = re.compile(rf';[ \t]*(?:({_NAME})=(?:"((?:[^"\\]|\\.)*)"|([^\s;,"]*)))?[ \t]*')
_COMMAS = re.compile(r"[ \t,]*")
_QUALITY = re.compile(r"0?(?:\.[0-9]{1,3})|0\.?|1(?:\.0{0,3})?", re.ASCII)
_ANY = frozenset({"*", "*/*"})


@dataclass(frozen=True, slots=True)
class MediaRange:
    """A media type or range with its parameters: names in lower case, values as sent; and its quality, 0 to 1."""

    type: str
    subtype: str
    parameters: Mapping[str, str] = field(default_factory=dict)
    quality: float = 1.0

    @property
    def specificity(self) -> tuple[bool, bool, int]:
        """The greater, the more specific the range."""
        return self.type != "*", self.subtype != "*", len(self.parameters)

    def includes(self, offer: "MediaRange") -> bool:
        """Whether a media type is in this range. Parameters that only one of them has are ignored."""
        return (
            self.type in ("*", offer.type)
            and self.subtype in ("*", offer.subtype)
            and all(
                wanted in _ANY or wanted.lower() == offer.parameters[name].lower()
                for name, wanted in self.parameters.items()
                if name in offer.parameters
            )
        )


def parse_accept(text: str | None) -> list[MediaRange]:
    """Parse an Accept header; an absent or empty one accepts everything. Raises InvalidRequest."""
    if not text or not text.strip(" \t,"):
        return [MediaRange("*", "*")]
    if len(text) > MAX_ACCEPT_LENGTH:
        raise InvalidRequest(f"Accept is longer than {MAX_ACCEPT_LENGTH} characters.")
    ranges: list[MediaRange] = []
    position = _end(_COMMAS, text, 0)
    while position < len(text):
        if len(ranges) == MAX_MEDIA_RANGES:
            raise InvalidRequest(f"Accept has more than {MAX_MEDIA_RANGES} media types.")
        media_range, position = _media_range(text, position)
        ranges.append(media_range)
        if position < len(text) and text[position] != ",":
            raise _malformed()
        position = _end(_COMMAS, text, position)
    return ranges


def best(ranges: Sequence[MediaRange], offers: Sequence[str]) -> str:
    """Return the offered media type that is accepted best. Raises NotAcceptable.

    The most specific range that includes an offer decides its quality. Among equals, the first range wins, then the
    first offer.
    """
    ranked = []
    for offer in offers:
        [media_type] = parse_accept(offer)
        including = [(one.specificity, -place, one) for place, one in enumerate(ranges) if one.includes(media_type)]
        if including:
            _, place, decisive = max(including, key=lambda found: found[:2])
            ranked.append((decisive.quality, place, offer))
    acceptable = [one for one in ranked if one[0] > 0]
    if not acceptable:
        raise NotAcceptable(f"The response is available as: {', '.join(offers)}.")
    return max(acceptable, key=lambda found: found[:2])[2]


def _media_range(text: str, position: int) -> tuple[MediaRange, int]:
    match = _TYPE.match(text, position)
    if match is None or (match[1] == "*" and match[2] != "*"):
        raise _malformed()
    parameters: dict[str, str] = {}
    position = match.end()
    while parameter := _PARAMETER.match(text, position):
        name, quoted, plain = parameter.groups()
        if name:
            parameters[name.lower()] = plain if quoted is None else re.sub(r"\\(.)", r"\1", quoted)
        position = parameter.end()
    quality = parameters.pop("q", "1")
    if not _QUALITY.fullmatch(quality):
        raise _malformed()
    return MediaRange((match[1] or "*").lower(), (match[2] or "*").lower(), parameters, float(quality)), position


def _end(pattern: re.Pattern[str], text: str, position: int) -> int:
    match = pattern.match(text, position)
    return match.end() if match else position


def _malformed() -> InvalidRequest:
    return InvalidRequest("Accept is malformed.")
