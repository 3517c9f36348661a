"""How the oracle reads, matches and orders values of DICOM: by the rules of the API, without code of the gateway."""

import datetime
import re
import unicodedata
from collections.abc import Callable, Mapping
from typing import Any


def is_match(pattern: str, stored: Any, several: bool) -> bool:
    """Whether a value matches: alternatives, wildcards, without case and padding; `*` also what is absent."""
    alternatives = [part.strip() for part in pattern.split("\\")]
    if any(part and not part.strip("*") for part in alternatives):
        return True
    values = stored if isinstance(stored, list) else [stored or ""]
    if several:
        values = [part for value in values for part in value.split("\\")]
    return any(
        value.strip() and likens(folded(part), folded(value)) for part in alternatives if part for value in values
    )


def likens(pattern: str, text: str) -> bool:
    """Whether a text is like a pattern, by a table of prefixes."""
    reached = {0}
    for character in pattern:
        if character == "*":
            reached = set(range(min(reached), len(text) + 1)) if reached else set()
        else:
            reached = {at + 1 for at in reached if at < len(text) and character in ("?", text[at])}
    return len(text) in reached


def folded(text: str) -> str:
    """A text without case and composition; `ß` and its like stay one character."""
    composed = unicodedata.normalize("NFC", text.strip())
    return "".join(one.casefold() if len(one.casefold()) == 1 else one for one in composed)


def is_found(search: str, tags: Mapping[str, Any]) -> bool:
    """Whether each word of a search is part of a value of a study; names are joined to one word."""
    values = [searched(tags[tag] or "") for tag in ("PatientID", "AccessionNumber", "StudyDescription")]
    names = [searched(tags[tag] or "") for tag in ("PatientName", "ReferringPhysicianName")]
    values += ["".join(one for one in name if one != "^" and not one.isspace()) for name in names]
    words = [word.strip(",") for word in re.split(r"[\s^=]+", searched(search))]
    return all(any(word in value for value in values) for word in words)


def searched(text: str) -> str:
    """A text without case, accents and width."""
    apart = unicodedata.normalize("NFKD", text)
    return unicodedata.normalize("NFC", "".join(one for one in apart if not 0x300 <= ord(one) < 0x370)).casefold()


def shown(value: Any) -> str | None:
    """A text as shown."""
    return (value or "").strip() or None


def day_of(value: str | None) -> datetime.date | None:
    """A date as shown."""
    if not re.fullmatch(r"\d{8}|\d{4}\.\d\d\.\d\d", value or ""):
        return None
    try:
        return datetime.date.fromisoformat((value or "").replace(".", ""))
    except ValueError:
        return None


def in_range(day: datetime.date | None, low: datetime.date | None, high: datetime.date | None) -> bool:
    """Whether a date is in a range."""
    return day is not None and (low is None or low <= day) and (high is None or day <= high)


def time_of(value: str | None) -> float | None:
    """A time as shown, in seconds."""
    match = re.fullmatch(r"(\d\d):?(\d\d)?:?(\d\d(?:\.\d+)?)?", value or "")
    if not match:
        return None
    hours, minutes, seconds = (float(part or 0) for part in match.groups())
    return hours * 3600 + minutes * 60 + min(seconds, 59.999999)


def integer_of(value: str | None) -> int | None:
    """An integer as shown: 32 bits."""
    return int(value or "") if re.fullmatch(r"-?\d+", value or "") and int(value or "") < 2**31 else None


def decimal_of(value: str | None) -> float | None:
    """A decimal as shown."""
    return float(value or "") if re.fullmatch(r"-?\d+(\.\d+)?", value or "") else None


def position_of(value: list[str] | None) -> float | None:
    """The position along the normal of the files, which is the third axis."""
    return float(value[2]) if value else None


VALUES: dict[str, Callable[[Any], Any]] = {
    "PatientBirthDate": day_of,
    "StudyDate": day_of,
    "StudyTime": time_of,
    "SeriesNumber": integer_of,
    "InstanceNumber": integer_of,
    "SliceLocation": decimal_of,
    "ImagePositionPatient": position_of,
}
