"""Requests for lists, and what each must find in an archive of `oracle_archive`.

It uses no code of the gateway.
"""

import datetime
import random
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from typing import Any

from tests.archive.oracle_archive import IDENTIFIERS, LABELS, LEVELS, SCOPES, Archive, Node, Scope, levels_of
from tests.archive.oracle_values import (
    VALUES,
    day_of,
    decimal_of,
    in_range,
    integer_of,
    is_found,
    is_match,
    shown,
)

PATTERNS = [
    "*", "**", "MRI *", "MRI*", "*뇌*", "MRI 뇌*", "Kim 철*", "김^철?", "홍^길?", "?*", "*_*", "AB_*", "AB_",
    "AB?", "50%", "50%*", "*%*", "M?ller*", "müller", "Mu\u0308LLER", "*ü*", "αΒγ", "иван", "Ив*", "STRA?E",
    "leading", "lead*", "*a*", "kim^A\\홍*", "MRI\\AB", "AB\\*x", "nothing", "a[b]", "*[*", "?[?]", "é", "P?",
    "p*", "?R-2", "KR-2", "..", "x*", "홍?", "P0\\KR-2", "CT", "c?", "MR\\PT", "P?\\MR", "CT*", "PRIMARY",
    "prim*", "ORIGINAL", "OTHER",
]  # fmt: skip
TEXT_TAGS = {
    "patients": ["PatientName", "PatientID"],
    "studies": ["StudyDescription", "AccessionNumber", "ReferringPhysicianName", "PatientName", "PatientID"],
    "series": ["SeriesDescription", "Modality", "PatientID", "PatientName", "StudyDescription"],
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
    ("series", "SeriesDescription"): "description",
    ("series", "Modality"): "modality",
}
UID_FIELDS = {"studies": "studyInstanceUIDs", "series": "seriesInstanceUIDs", "instances": "sopInstanceUIDs"}
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
    "series": {"SERIES_NUMBER": "SeriesNumber", "MODALITY": "Modality", "DESCRIPTION": "SeriesDescription"},
    "instances": {
        "INSTANCE_NUMBER": "InstanceNumber",
        "SLICE_LOCATION": "SliceLocation",
        "SOP_INSTANCE_UID": "SOPInstanceUID",
    },
}
DEFAULT_ORDERS = {
    "patients": [("PatientID", False)],
    "studies": [("StudyDate", True)],
    "series": [("SeriesNumber", False)],
    "instances": [("InstanceNumber", False)],
}
THEN = {"StudyDate": "StudyTime", "InstanceNumber": "ImagePositionPatient"}
ROOT_FIELDS = {"patients": "patients", "studies": "studies", "series": "seriesList", "instances": "instances"}
PARENT_FIELDS = {"studies": "patient", "series": "study", "instances": "series"}
DAYS = [datetime.date(2020, 1, 1), datetime.date(2020, 1, 2), datetime.date(999, 1, 1), None]
DAY_TAGS = {"patients": ("birthDate", "PatientBirthDate"), "studies": ("studyDate", "StudyDate")}

# what is selected of each resource, and its value
SHOWN: dict[str, dict[str, Callable[[Node], Any]]] = {
    "patients": {
        "patientId": lambda node: shown(node.tags["PatientID"]),
        "patientName": lambda node: shown(node.tags["PatientName"]),
        "birthDate": lambda node: day_of(node.tags["PatientBirthDate"]),
        "studiesCount": lambda node: len(node.children),
        "instancesCount": lambda node: len(list(node.below("instances"))),
    },
    "studies": {
        "description": lambda node: shown(node.tags["StudyDescription"]),
        "studyDate": lambda node: day_of(node.tags["StudyDate"]),
        "modalities": lambda node: modalities(node),
        "seriesCount": lambda node: len(node.children),
        'tag(keyword: "PatientName")': lambda node: node.tags["PatientName"],
    },
    "series": {
        "description": lambda node: shown(node.tags["SeriesDescription"]),
        "modality": lambda node: shown(node.tags["Modality"]),
        "seriesNumber": lambda node: integer_of(node.tags["SeriesNumber"]),
        "instancesCount": lambda node: len(node.children),
        'tag(keyword: "PatientName")': lambda node: node.tags["PatientName"],
    },
    "instances": {
        "sopInstanceUID": lambda node: shown(node.tags["SOPInstanceUID"]),
        "instanceNumber": lambda node: integer_of(node.tags["InstanceNumber"]),
        'tag(keyword: "PatientName")': lambda node: node.tags["PatientName"],
        'tag(keyword: "StudyDescription")': lambda node: node.tags["StudyDescription"],
    },
}

# more of an archive that was read from an Orthanc
OF_ORTHANC: dict[str, dict[str, Callable[[Node], Any]]] = {
    "patients": {
        "sex": lambda node: shown(node.tags["PatientSex"]),
        "labels": lambda node: sorted(node.labels),
        "lastUpdate": lambda node: node.tags["LastUpdate"],
    },
    "studies": {
        "accessionNumber": lambda node: shown(node.tags["AccessionNumber"]),
        "instancesCount": lambda node: len(list(node.below("instances"))),
        "labels": lambda node: sorted(node.labels),
        "lastUpdate": lambda node: node.tags["LastUpdate"],
    },
    "series": {
        "labels": lambda node: sorted(node.labels),
        "lastUpdate": lambda node: node.tags["LastUpdate"],
    },
    "instances": {
        "rows": lambda node: integer_of(node.tags["Rows"]),
        "sliceLocation": lambda node: decimal_of(node.tags["SliceLocation"]),
        "sopClassUID": lambda node: node.tags["SOPClassUID"],
        "transferSyntaxUID": lambda node: node.tags["TransferSyntaxUID"],
        "fileSize": lambda node: node.tags["FileSize"],
        "fileUrl": lambda node: f"/api/orthanc/instances/{node.orthanc_id}/file/?v={node.tags['FileUuid']}",
        "labels": lambda node: sorted(node.labels),
        'tag(keyword: "KVP")': lambda node: node.tags["KVP"],
        'tag(keyword: "ImageComments")': lambda node: node.tags["ImageComments"],
    },
}
SEARCHES = [
    "mri", "뇌", "kim", "철수", "홍길동", "길동", "muller", "MULLER x", "иван", "strasse", "山田", "山田 太郎", "ab_",
    "50%", "2", "αβγ", "a*b", "kr-2", "p0", "p0 mri", "nothing", "kim a",
]  # fmt: skip


@dataclass(frozen=True)
class Request:
    """A list: its level, filters, orders and page, and what is selected of each of its resources."""

    level: str
    fields: tuple[str, ...] = ()
    texts: list[tuple[str, str, bool]] = field(default_factory=list)  # keyword, pattern, whether by a field
    days: tuple[datetime.date | None, datetime.date | None] | None = None
    modalities: list[str] | None = None
    uids: list[str] | None = None
    labels: dict[str, list[str]] | None = None
    search: str | None = None
    orders: list[tuple[str, bool]] = field(default_factory=list)
    first: int | None = None
    offset: int = 0
    parents: bool = False
    children: "Request | None" = None

    def query(self) -> str:
        """The query of the root list in GraphQL."""
        arguments = [f"first: {self.first}", "after: $after", *self._arguments()]
        return (
            f"query ($after: String) {{ {ROOT_FIELDS[self.level]}({', '.join(arguments)}) {{ totalCount "
            f"nodes {self.selection()} pageInfo {{ hasNextPage endCursor }} }} }}"
        )

    def _arguments(self) -> list[str]:
        criteria = [f"{FIELDS[self.level, tag]}: {quoted(value)}" for tag, value, by_field in self.texts if by_field]
        tags = [
            f"{{keyword: {quoted(tag)}, value: {quoted(value)}}}" for tag, value, by_field in self.texts if not by_field
        ]
        if self.days:
            bounds = zip(("from", "to"), self.days, strict=True)
            days = ", ".join(f"{end}: {quoted(str(day))}" for end, day in bounds if day)
            criteria.append(f"{DAY_TAGS[self.level][0]}: {{{days}}}")
        if self.modalities is not None:
            criteria.append(f"modalities: {listed(self.modalities)}")
        if self.uids is not None:
            criteria.append(f"{UID_FIELDS[self.level]}: {listed(self.uids)}")
        if self.labels is not None:
            labels = ", ".join(f"{kind}: {listed(names)}" for kind, names in self.labels.items())
            criteria.append(f"labels: {{{labels}}}")
        if self.search is not None:
            criteria.append(f"search: {quoted(self.search)}")
        if tags:
            criteria.append(f"tags: [{', '.join(tags)}]")
        orders = [f"{{field: {name}, direction: {'DESC' if down else 'ASC'}}}" for name, down in self.orders]
        arguments = [f"filter: {{{', '.join(criteria)}}}"] if criteria else []
        return arguments + ([f"orderBy: [{', '.join(orders)}]"] if orders else [])

    def selection(self) -> str:
        """What is selected of each resource, in GraphQL."""
        parts = ["orthancId", *aliased(self.fields)]
        if self.parents:
            parts.append(_parents_selection(self.level))
        if self.children:
            below = self.children
            arguments = below._arguments()
            arguments += [f"first: {below.first}"] if below.first is not None else []
            arguments += [f"offset: {below.offset}"] if below.offset else []
            parts.append(below.level + (f"({', '.join(arguments)})" if arguments else "") + " " + below.selection())
        return f"{{ {' '.join(parts)} }}"

    def expected(self, found: Iterable[Node]) -> list[dict[str, Any]]:
        """The nodes of the list among these resources of its level, without paging of the root list."""
        every = [node for node in found if self._is_match(node)]
        return [self.values(node) for node in self.sorted(every)]

    def values(self, node: Node) -> dict[str, Any]:
        """What is selected of a resource."""
        part = {"orthancId": node.orthanc_id} | values_of(node, self.fields)
        if self.parents:
            part |= _parents_shown(node)
        if self.children:
            below = self.children.expected(node.children)
            last = None if self.children.first is None else self.children.offset + self.children.first
            part[self.children.level] = below[self.children.offset : last]
        return part

    def _is_match(self, node: Node) -> bool:
        tests = [is_match(pattern, node.tags[tag], tag in SEVERAL_VALUES) for tag, pattern, _ in self.texts]
        if self.days and any(self.days):
            tests.append(in_range(day_of(node.tags[DAY_TAGS[self.level][1]]), *self.days))
        if self.modalities is not None:
            wanted = {one.strip() for one in self.modalities}
            tests.append(any(one.casefold() in {w.casefold() for w in wanted} for one in modalities(node)))
        if self.uids is not None:
            tests.append(node.tags[IDENTIFIERS[self.level]] in self.uids)
        if self.labels is not None:
            tests += [has_labels(node, kind, names) for kind, names in self.labels.items()]
        if self.search is not None:
            tests.append(any(is_found(self.search, study.tags) for study in _searched(node)))
        return all(tests)

    def sorted(self, found: Iterable[Node]) -> list[Node]:
        """The resources in the order of the list."""
        found = sorted(found, key=lambda node: node.orthanc_id)
        keys = {**ORDERS[self.level], "LAST_UPDATE": "LastUpdate"}
        orders = [(keys[name], down) for name, down in self.orders] or [*DEFAULT_ORDERS[self.level]]
        named = {tag for tag, _ in orders}
        orders += [(THEN[tag], down) for tag, down in orders if tag in THEN and THEN[tag] not in named]
        orders.append((IDENTIFIERS[self.level], False))
        for tag, down in reversed(orders):
            value: Callable[[Any], Any] = VALUES.get(tag, shown)
            missing = [node for node in found if value(node.tags[tag]) is None]
            by_value: dict[Any, list[Node]] = {}
            for node in found:
                by_value.setdefault(value(node.tags[tag]), []).append(node)
            by_value.pop(None, None)
            present = [node for known in sorted(by_value, reverse=down) for node in by_value[known]]
            found = present + missing if down else missing + present
        return found


def expected(archive: Archive, request: Request, scope: Scope | None) -> list[dict[str, Any]]:
    """All nodes of a root list, as a caller with this scope sees them."""
    return request.expected(levels_of(archive.visible(scope), request.level))


def request(
    random: random.Random,
    archive: Archive,
    has_labels: bool,
    level: str = "",
    depth: int = 2,
    *,
    of_orthanc: bool = False,
) -> Request:
    """Make a request for a root list, or for the lists of a level below it.

    If `of_orthanc`, it is about an archive that was read from an Orthanc, with more fields and orders.
    """
    is_nested = bool(level)
    level = level or random.choice(LEVELS)
    every = [*SHOWN[level], *(OF_ORTHANC[level] if of_orthanc else ())]
    fields = tuple(random.sample(sorted(every), random.choice([0, 1, 1, 2])))
    made = Request(level, fields, parents=random.random() < 0.25)
    keys = sorted(ORDERS[level]) + ["LAST_UPDATE"] * (of_orthanc and level != "instances")
    made = replace(made, orders=[(key, random.random() < 0.5) for key in _some(random, keys)])
    if random.random() < 0.7:
        made = _filtered(random, made, archive, has_labels)
    if is_nested:
        made = replace(made, first=random.choice([None, None, 0, 1, 2]), offset=random.choice([0, 0, 0, 1]))
    else:
        made = replace(made, first=random.choice([3, 7, 1000, 1000, 1000]))
    if level != "instances" and depth and random.random() < 0.5:
        below = LEVELS[LEVELS.index(level) + 1]
        made = replace(made, children=request(random, archive, has_labels, below, depth - 1, of_orthanc=of_orthanc))
    return made


def _filtered(random: random.Random, made: Request, archive: Archive, has_labels: bool) -> Request:
    level = made.level
    texts = [
        (tag, random.choice(PATTERNS), (level, tag) in FIELDS and random.random() < 0.6)
        for tag in random.sample(TEXT_TAGS[level], random.choice([0, 1, 1, 2]))
    ]
    made = replace(made, texts=texts)
    if level in DAY_TAGS and random.random() < 0.4:
        low, high = random.choice(DAYS), random.choice(DAYS)
        if not (low and high and low > high):
            made = replace(made, days=(low, high))
    if level == "studies" and random.random() < 0.3:
        made = replace(made, modalities=random.sample(["CT", "MR", "PT", "RTSTRUCT", "ct", "US"], random.randint(0, 2)))
    if level in UID_FIELDS and random.random() < 0.2:
        # one with a backslash is found by its Orthanc id only
        known = [tags[IDENTIFIERS[level]] for tags in archive.instances if "\\" not in tags[IDENTIFIERS[level]]]
        uids = random.sample(known, min(random.randint(0, 3), len(known))) + random.sample(
            ["1.2.3", "1"], random.randint(0, 1)
        )
        made = replace(made, uids=uids)
    if level in ("patients", "studies") and random.random() < 0.2:
        made = replace(made, search=random.choice(SEARCHES))
    if has_labels and random.random() < 0.3:
        labels = {kind: _some(random, LABELS) for kind in _some(random, ["all", "any", "none"])}
        made = replace(made, labels=labels)
    return made


def scope(random: random.Random, has_labels: bool) -> Scope | None:
    """Choose a caller's scope."""
    return random.choice([one for one in SCOPES if has_labels or one is None or not one.labels])


def _some(random: random.Random, values: list[str]) -> list[str]:
    return random.sample(values, random.choice([0, 1, 1, 2]))


def _parents_selection(level: str) -> str:
    if level not in PARENT_FIELDS:
        return ""
    above = LEVELS[LEVELS.index(level) - 1]
    fields = " ".join(["orthancId", *aliased(sorted(SHOWN[above]))])
    return f"{PARENT_FIELDS[level]} {{ {fields} {_parents_selection(above)} }}"


def _parents_shown(node: Node) -> dict[str, Any]:
    if node.parent is None:
        return {}
    above = node.parent
    shown_above = {"orthancId": above.orthanc_id} | values_of(above, sorted(SHOWN[above.level]))
    return {PARENT_FIELDS[node.level]: shown_above | _parents_shown(above)}


def _searched(node: Node) -> Iterable[Node]:
    """The studies that a search looks at for a patient or a study."""
    return node.children if node.level == "patients" else [node]


def aliased(fields: Iterable[str]) -> list[str]:
    """The fields with names under which each can be selected beside the others."""
    return [f"{name_of(one)}: {one}" for one in fields]


def name_of(one: str) -> str:
    """The name of a field in the response."""
    return one.replace('tag(keyword: "', "tag").replace('")', "")


def values_of(node: Node, fields: Iterable[str]) -> dict[str, Any]:
    """The values of the fields of a resource as in a response."""
    known = {**OF_ORTHANC[node.level], **SHOWN[node.level]}
    values = {name_of(one): known[one](node) for one in fields}
    return {name: value.isoformat() if isinstance(value, datetime.date) else value for name, value in values.items()}


def modalities(study: Node) -> list[str]:
    """The modalities of the series of a study."""
    values = {part.strip() for series in study.children for part in (series.tags["Modality"] or "").split("\\")}
    return sorted(values - {""})


def has_labels(node: Node, kind: str, names: list[str]) -> bool:
    """Whether a resource has all, any or none of these labels."""
    found = node.labels.intersection(names)
    return {"all": len(found) == len(set(names)), "any": bool(found), "none": not found}[kind]


def quoted(text: str) -> str:
    """Return a text as a string of GraphQL."""
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def listed(texts: list[str]) -> str:
    """Return texts as a list of GraphQL."""
    return f"[{', '.join(map(quoted, texts))}]"
