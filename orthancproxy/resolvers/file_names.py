"""Names of downloads: `Hong_Gildong_2026-01-11_Brain_MRI.zip`."""

import unicodedata
from collections.abc import Iterator, Mapping

from orthancproxy.archive import parsing
from orthancproxy.archive.levels import Level
from orthancproxy.archive.plan import Needs
from orthancproxy.archive.records import Resource

MAX_PART_LENGTH = 40
MAX_NAME_BYTES = 200  # most file systems have 255
# Windows has devices of these names, with any extension
_DEVICES = frozenset(
    {"CON", "PRN", "AUX", "NUL", *(f"{port}{number}" for port in ("COM", "LPT") for number in range(10))}
)

_TAGS = {
    Level.PATIENT: ("PatientName", "PatientID"),
    Level.STUDY: ("StudyDate", "StudyDescription"),
    Level.SERIES: ("SeriesNumber", "SeriesDescription"),
    Level.INSTANCE: ("InstanceNumber",),
}
NAME_NEEDS: Mapping[Level, Needs] = {
    level: Needs(frozenset(tag for above in (*level.above, level) for tag in _TAGS[above])) for level in Level
}
"""The data that a resource must hold for its name."""


def file_name(resource: Resource, *suffix: str, extension: str) -> str:
    """Return a name of letters, digits, `_`, `-` and `.` for files of a resource: its Orthanc id if it has no other."""
    parts = [part for part in map(_safe, (*_parts(resource), *suffix)) if part]
    name = "_".join(parts).encode()[:MAX_NAME_BYTES].decode(errors="ignore") or resource.orthanc_id
    return f"{resource.orthanc_id if name.upper() in _DEVICES else name}.{extension}"


def _parts(resource: Resource) -> Iterator[str]:
    tags = resource.tags
    if name := parsing.person_name(tags.get("PatientName")):
        yield " ".join(part for part in (name.family, name.given) if part) or name.formatted
    else:
        yield tags.get("PatientID", "")
    if resource.level is not Level.PATIENT:
        date = parsing.calendar_date(tags.get("StudyDate"))
        yield date.isoformat() if date else ""
        for above in (*resource.level.above, resource.level):
            yield from (tags.get(tag, "") for tag in _TAGS[above] if above is not Level.PATIENT and tag != "StudyDate")


def _safe(text: str) -> str:
    kept = (
        character if character in "-." or unicodedata.category(character)[0] in "LMN" else " "
        for character in unicodedata.normalize("NFC", text)
    )
    return "_".join("".join(kept).split())[:MAX_PART_LENGTH].strip("._-")
