"""Archives of values that are hard to match and to sort, and what every query over them must find.

It knows the values as they were written and the rules of the API, and uses no code of the gateway.
"""

import datetime
import random
import re
import unicodedata
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from tests.corpus import ROOT, instance

TEXTS = [
    None, "", "MRI 뇌", "MRI 뇌 2", "MRI", "mri Brain", "Kim 철수", "kim^a", "AB_", "AB_x", "AB", "50%", "홍^길동",
    "홍^길순", "김^철수", " leading", "M\u00fcller", "Mu\u0308ller", "MÜLLER^X", "ΑΒΓ", "αβγ", "Иван", "ИВАН", "Straße",
    "a*b", "a[b]", "山田^太郎",
]  # fmt: skip
SHORT_TEXTS = [text for text in TEXTS if text is None or len(text.encode()) <= 16]
CODES = [None, "", "CT", "MR", "PT\\CT", "ct"]
DATES = [None, "", "20200101", "20200102", "2020.01.02", "20191231", "2020", "nonsense", "09990101", "20200231"]
TIMES = [None, "", "10", "1011", "101112", "10:11:12", "101112.5", "235960", "x"]
NUMBERS = [None, "", "10", "9", "007", "-3", "1.5", "x1", "2147483648"]
POSITIONS = [None, ["0", "0", "1"], ["0", "0", "2"], ["0", "0", "-1.5"]]
PATIENT_IDS = [
    None, "P0", "p0", "P 1", "홍1", "홍2", "가", "AB_", "AB", "x" * 70, "..", "a*b", "P\\Q", " KR-2", "KR-2", "Mü", "É",
]  # fmt: skip
PATTERNS = [
    "*", "**", "MRI *", "MRI*", "*뇌*", "MRI 뇌*", "Kim 철*", "김^철?", "홍^길?", "?*", "*_*", "AB_*", "AB_",
    "AB?", "50%", "50%*", "*%*", "M?ller*", "müller", "Mu\u0308LLER", "*ü*", "αΒγ", "иван", "Ив*", "STRA?E",
    "leading", "lead*", "*a*", "kim^A\\홍*", "MRI\\AB", "AB\\*x", "nothing", "a[b]", "*[*", "?[?]", "é", "P?",
    "p*", "?R-2", "KR-2", "..", "x*", "홍?", "P0\\KR-2", "CT", "c?", "MR\\PT", "P?\\MR", "CT*", "PRIMARY",
    "prim*", "ORIGINAL", "OTHER",
]  # fmt: skip
LEVELS = ("patients", "studies", "seriesList", "instances")
TEXT_TAGS = {
    "patients": ["PatientName", "PatientID"],
    "studies": ["StudyDescription", "AccessionNumber", "ReferringPhysicianName", "PatientName", "PatientID"],
    "seriesList": ["SeriesDescription", "Modality", "PatientID", "StudyDescription"],
    "instances": ["ImageType", "PatientComments", "PatientName", "SeriesDescription"],
}
FIELDS = {
    ("patients", "PatientName"): "patientName",
    ("patients", "PatientID"): "patientId",
    ("studies", "StudyDescription"): "description",
    ("studies", "AccessionNumber"): "accessionNumber",
    ("studies", "ReferringPhysicianName"): "referringPhysicianName",
    ("studies", "PatientName"): "patientName",
    ("studies", "PatientID"): "patientId",
    ("seriesList", "SeriesDescription"): "description",
    ("seriesList", "Modality"): "modality",
}
SEVERAL_VALUES = {"ImageType", "Modality"}
ORDERS = {
    "patients": {"PATIENT_ID": "PatientID", "PATIENT_NAME": "PatientName", "BIRTH_DATE": "PatientBirthDate"},
    "studies": {
        "STUDY_DATE": "StudyDate",
        "STUDY_TIME": "StudyTime",
        "DESCRIPTION": "StudyDescription",
        "PATIENT_NAME": "PatientName",
        "PATIENT_ID": "PatientID",
        "ACCESSION_NUMBER": "AccessionNumber",
    },
    "seriesList": {"SERIES_NUMBER": "SeriesNumber", "MODALITY": "Modality", "DESCRIPTION": "SeriesDescription"},
    "instances": {
        "INSTANCE_NUMBER": "InstanceNumber",
        "SLICE_LOCATION": "SliceLocation",
        "SOP_INSTANCE_UID": "SOPInstanceUID",
    },
}
DEFAULT_ORDERS = {
    "patients": [("PatientID", False)],
    "studies": [("StudyDate", True)],
    "seriesList": [("SeriesNumber", False)],
    "instances": [("InstanceNumber", False)],
}
THEN = {"StudyDate": "StudyTime", "InstanceNumber": "ImagePositionPatient"}
IDENTIFIERS = {
    "patients": "PatientID",
    "studies": "StudyInstanceUID",
    "seriesList": "SeriesInstanceUID",
    "instances": "SOPInstanceUID",
}


@dataclass(frozen=True)
class Archive:
    """Instances as dictionaries of their tags, in the order in which they are stored."""

    instances: list[dict[str, Any]]

    def files(self) -> Iterator[bytes]:
        """The instances as DICOM files."""
        for tags in self.instances:
            yield instance(**tags)

    def resources(self, level: str) -> list[dict[str, Any]]:
        """The resources of a level, each with its tags."""
        found: dict[Any, dict[str, Any]] = {}
        for tags in self.instances:
            found.setdefault(tuple(tags[IDENTIFIERS[one]] for one in LEVELS[: LEVELS.index(level) + 1]), tags)
        return list(found.values())


def archive(random: random.Random, patients: int = 14) -> Archive:
    """Make an archive of so many patients with one to three studies, series and instances each."""
    pick = random.choice
    found: list[dict[str, Any]] = []
    for number, patient_id in enumerate(random.sample(PATIENT_IDS, patients)):
        patient: dict[str, Any] = {"PatientID": patient_id, "PatientName": pick(TEXTS), "PatientBirthDate": pick(DATES)}
        for study_number in range(random.randint(1, 3)):
            study_uid = f"{ROOT}.{number}.{study_number}"
            study: dict[str, Any] = {
                "StudyInstanceUID": study_uid,
                "StudyDate": pick(DATES),
                "StudyTime": pick(TIMES),
                "StudyDescription": pick(TEXTS),
                "AccessionNumber": pick(SHORT_TEXTS),
                "ReferringPhysicianName": pick(TEXTS),
            }
            for series_number in range(random.randint(1, 2)):
                series_uid = f"{study_uid}.{series_number}"
                series: dict[str, Any] = {
                    "SeriesInstanceUID": series_uid,
                    "SeriesNumber": pick(NUMBERS),
                    "SeriesDescription": pick(TEXTS),
                    "Modality": pick(CODES),
                }
                found += [
                    patient
                    | study
                    | series
                    | {
                        "SOPInstanceUID": f"{series_uid}.{instance_number}",
                        "InstanceNumber": pick(NUMBERS),
                        "SliceLocation": pick(NUMBERS),
                        "ImagePositionPatient": pick(POSITIONS),
                        "ImageType": pick([None, ["ORIGINAL", "PRIMARY"], ["DERIVED", "PRIMARY", "OTHER"]]),
                        "PatientComments": pick(TEXTS),
                    }
                    for instance_number in range(random.randint(1, 3))
                ]
    return Archive(found)


@dataclass(frozen=True)
class Request:
    """One list: its level, filters by keyword, orders, and page."""

    level: str
    texts: list[tuple[str, str, bool]] = field(default_factory=list)  # keyword, pattern, whether by a field
    days: tuple[str, datetime.date | None, datetime.date | None] | None = None
    orders: list[tuple[str, bool]] = field(default_factory=list)
    first: int = 1000

    def query(self) -> str:
        """The query in GraphQL."""
        fields = [f"{FIELDS[self.level, tag]}: {quoted(value)}" for tag, value, by_field in self.texts if by_field]
        tags = [
            f"{{keyword: {quoted(tag)}, value: {quoted(value)}}}" for tag, value, by_field in self.texts if not by_field
        ]
        if self.days:
            name, first, last = self.days
            bounds = (("from", first), ("to", last))
            fields.append(f"{name}: {{{', '.join(f'{end}: {quoted(str(day))}' for end, day in bounds if day)}}}")
        if tags:
            fields.append(f"tags: [{', '.join(tags)}]")
        orders = [f"{{field: {name}, direction: {'DESC' if down else 'ASC'}}}" for name, down in self.orders]
        arguments = [f"first: {self.first}", "after: $after"]
        arguments += [f"filter: {{{', '.join(fields)}}}"] if fields else []
        arguments += [f"orderBy: [{', '.join(orders)}]"] if orders else []
        return (
            f"query ($after: String) {{ {self.level}({', '.join(arguments)}) {{ totalCount "
            f'nodes {{ orthancId uid: tag(keyword: "{IDENTIFIERS[self.level]}") }} '
            "pageInfo { hasNextPage endCursor } } }"
        )


def quoted(text: str) -> str:
    """Return a text as a string of GraphQL."""
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def request(random: random.Random) -> Request:
    """Make a request."""
    level = random.choice(LEVELS)
    texts = [
        (tag, random.choice(PATTERNS), (level, tag) in FIELDS and random.random() < 0.6)
        for tag in random.sample(TEXT_TAGS[level], random.choice([0, 1, 1, 2]))
    ]
    days = None
    if level in ("patients", "studies") and random.random() < 0.4:
        choices = [datetime.date(2020, 1, 1), datetime.date(2020, 1, 2), datetime.date(999, 1, 1), None]
        low, high = random.choice(choices), random.choice(choices)
        if not (low and high and low > high):
            days = ("birthDate" if level == "patients" else "studyDate", low, high)
    keys = random.sample(sorted(ORDERS[level]), random.choice([0, 1, 1, 2]))
    orders = [(key, random.random() < 0.5) for key in keys]
    return Request(level, texts, days, orders, random.choice([1, 3, 7, 1000, 1000]))


def expected(archive: Archive, request: Request) -> list[str | None]:
    """The identifiers of all resources that a request lists, in their order."""
    found = archive.resources(request.level)
    for tag, pattern, _ in request.texts:
        found = [one for one in found if is_match(pattern, one[tag], tag in SEVERAL_VALUES)]
    if request.days:
        name, low, high = request.days
        tag = "PatientBirthDate" if name == "birthDate" else "StudyDate"
        if low or high:
            found = [one for one in found if in_range(day_of(one[tag]), low, high)]
    orders = [(ORDERS[request.level][name], down) for name, down in request.orders] or DEFAULT_ORDERS[request.level]
    named = {tag for tag, _ in orders}
    orders += [(THEN[tag], down) for tag, down in orders if tag in THEN and THEN[tag] not in named]
    orders.append((IDENTIFIERS[request.level], False))
    for tag, down in reversed(orders):
        value: Callable[[Any], Any] = VALUES.get(tag, shown)
        missing = [one for one in found if value(one[tag]) is None]
        by_value: dict[Any, list[dict[str, Any]]] = {}
        for one in found:
            by_value.setdefault(value(one[tag]), []).append(one)
        by_value.pop(None, None)
        present = [one for known in sorted(by_value, reverse=down) for one in by_value[known]]
        found = present + missing if down else missing + present
    return [one[IDENTIFIERS[request.level]] for one in found]


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


def as_shown(found: Sequence[str | None]) -> list[str | None]:
    """Identifiers as lists show them."""
    return [shown(one) for one in found]
