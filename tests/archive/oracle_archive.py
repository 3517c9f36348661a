"""Archives of values that are hard to match and to sort, and what a caller sees of them.

It knows the values as they were written and the rules of the API, and uses no code of the gateway.
"""

import hashlib
import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from tests.archive.oracle_values import likens
from tests.corpus import ROOT, instance

TEXTS = [
    None, "", "MRI 뇌", "MRI 뇌 2", "MRI", "mri Brain", "Kim 철수", "kim^a", "AB_", "AB_x", "AB", "50%", "홍^길동",
    "홍^길순", "김^철수", " leading", "M\u00fcller", "Mu\u0308ller", "MÜLLER^X", "ΑΒΓ", "αβγ", "Иван", "ИВАН", "Straße",
    "a*b", "a[b]", "山田^太郎",
]  # fmt: skip
SHORT_TEXTS = [text for text in TEXTS if text is None or len(text.encode()) <= 16]
CODES = [None, "", "CT", "MR", "PT\\CT", "CT\\PT\\CT", "ct", "RTSTRUCT", "PT"]
DATES = [None, "", "20200101", "20200102", "2020.01.02", "20191231", "2020", "nonsense", "09990101", "20200231"]
TIMES = [None, "", "10", "1011", "101112", "10:11:12", "101112.5", "235960", "x"]
NUMBERS = [None, "", "10", "9", "007", "-3", "1.5", "x1", "2147483648"]
POSITIONS = [None, ["0", "0", "1"], ["0", "0", "2"], ["0", "0", "-1.5"]]
PATIENT_IDS = [
    None, "P0", "p0", "P 1", "홍1", "홍2", "가", "AB_", "AB", "x" * 70, "..", "a*b", "P\\Q", " KR-2", "KR-2", "Mü", "É",
]  # fmt: skip
UID_ENDS = ["", "", "", ".007", ".a", ".A", "*", "?", "\\1", "/..", ".%2f", "." + "9" * 60]
IMAGE_TYPES = [None, ["ORIGINAL", "PRIMARY"], ["DERIVED", "PRIMARY", "OTHER"]]
LABELS = ["red", "green", "blue"]
LEVELS = ("patients", "studies", "series", "instances")
IDENTIFIERS = {
    "patients": "PatientID",
    "studies": "StudyInstanceUID",
    "series": "SeriesInstanceUID",
    "instances": "SOPInstanceUID",
}
# a value of these belongs to a level, where the first file decides
OF_LEVEL = {
    "patients": ("PatientID", "PatientName", "PatientBirthDate"),
    "studies": (
        "StudyInstanceUID", "StudyDate", "StudyTime", "StudyDescription", "AccessionNumber", "ReferringPhysicianName",
    ),
    "series": ("SeriesInstanceUID", "SeriesNumber", "SeriesDescription", "Modality"),
    "instances": (
        "SOPInstanceUID", "InstanceNumber", "SliceLocation", "ImagePositionPatient", "ImageType", "PatientComments",
    ),
}  # fmt: skip


@dataclass
class Node:
    """A resource: the tags of its level, and those of the levels above as they are shown there."""

    level: str
    orthanc_id: str
    tags: dict[str, Any]
    parent: "Node | None"
    children: list["Node"] = field(default_factory=list)
    labels: frozenset[str] = frozenset()

    def above(self, level: str) -> "Node":
        """The resource of a level that contains this one."""
        return self if self.level == level or self.parent is None else self.parent.above(level)

    def below(self, level: str) -> Iterator["Node"]:
        """The resources of a level in this one."""
        if self.level == level:
            yield self
        for child in self.children:
            yield from child.below(level)


@dataclass(frozen=True)
class Archive:
    """Instances as dictionaries of their tags, in the order in which they are stored, and labels by Orthanc id."""

    instances: list[dict[str, Any]]
    labels: dict[str, frozenset[str]] = field(default_factory=dict)

    def files(self) -> Iterator[bytes]:
        """The instances as DICOM files."""
        for tags in self.instances:
            yield instance(**tags)

    def without_labels(self) -> "Archive":
        """The same archive in an Orthanc that has no labels."""
        return replace(self, labels={})

    def visible(self, scope: "Scope | None") -> list[Node]:
        """The patients as a caller sees them; with None, all of them."""
        instances = [tags for tags in self.instances if scope is None or scope.admits(tags, self)]
        if scope is not None:
            # the patient of a confined caller is as in the first visible study by Orthanc id
            instances.sort(key=lambda tags: orthanc_id("studies", tags))
        found: dict[str, Node] = {}
        for tags in instances:
            parent = None
            for level in LEVELS:
                name = orthanc_id(level, tags)
                if name not in found:
                    own = {tag: tags[tag] for tag in OF_LEVEL[level]}
                    shown = {**(parent.tags if parent else {}), **own}
                    found[name] = Node(level, name, shown, parent, labels=self.labels.get(name, frozenset()))
                    if parent:
                        parent.children.append(found[name])
                parent = found[name]
        return [node for node in found.values() if node.level == "patients"]


@dataclass(frozen=True)
class Scope:
    """What a caller sees: studies of patients like a pattern, or with a label."""

    patterns: tuple[str, ...] = ()
    labels: tuple[str, ...] = ()

    def admits(self, tags: dict[str, Any], archive: Archive) -> bool:
        """Whether the study of an instance is visible."""
        labels = archive.labels.get(orthanc_id("studies", tags), frozenset())
        patient_id = (tags["PatientID"] or "").rstrip()
        return not labels.isdisjoint(self.labels) or any(likens(pattern, patient_id) for pattern in self.patterns)


SCOPES = [
    None, None, None, Scope(("P*", "AB_")), Scope(("홍?", "KR-2", "..")), Scope(("a*b", "P0", "x*")),
    Scope(labels=("red",)), Scope(labels=("green", "blue")), Scope(("*R-2", "p0"), ("blue",)), Scope(("none",)),
]  # fmt: skip


def orthanc_id(level: str, tags: dict[str, Any]) -> str:
    """The id that Orthanc makes of the identifiers of a resource and of those above."""
    names = [tags[IDENTIFIERS[one]] or "" for one in LEVELS[: LEVELS.index(level) + 1]]
    digest = hashlib.sha1("|".join(names).encode()).hexdigest()  # noqa: S324 - Orthanc's
    return "-".join(digest[start : start + 8] for start in range(0, 40, 8))


def archive(random: random.Random, patients: int = 14) -> Archive:
    """Make an archive of so many patients with one to three studies, series and instances each.

    Some studies have another name of their patient than its other studies, and series another description of their
    study; some UIDs are malformed, and some occur twice.
    """
    pick = random.choice
    found: list[dict[str, Any]] = []
    for number, patient_id in enumerate(random.sample(PATIENT_IDS, patients)):
        patient = {"PatientID": patient_id, "PatientName": pick(TEXTS), "PatientBirthDate": pick(DATES)}
        for study_number in range(random.randint(1, 3)):
            study_uid = f"{ROOT}.{pick([number, number, number, 99])}.{study_number}{pick(UID_ENDS)}"
            if random.random() < 0.4:
                patient = {**patient, "PatientName": pick(TEXTS), "PatientBirthDate": pick(DATES)}
            study = patient | {
                "StudyInstanceUID": study_uid,
                "StudyDate": pick(DATES),
                "StudyTime": pick(TIMES),
                "StudyDescription": pick(TEXTS),
                "AccessionNumber": pick(SHORT_TEXTS),
                "ReferringPhysicianName": pick(TEXTS),
            }
            for series_number in range(random.randint(1, 2)):
                series_uid = f"{ROOT}.{number}.{study_number}.{series_number}{pick(UID_ENDS)}"
                if random.random() < 0.2:
                    study = {**study, "StudyDescription": pick(TEXTS)}
                series = study | {
                    "SeriesInstanceUID": series_uid,
                    "SeriesNumber": pick(NUMBERS),
                    "SeriesDescription": pick(TEXTS),
                    "Modality": pick(CODES),
                }
                found += [
                    series
                    | {
                        "SOPInstanceUID": f"{ROOT}.{number}.{study_number}.{series_number}.{instance}{pick(UID_ENDS)}",
                        "InstanceNumber": pick(NUMBERS),
                        "SliceLocation": pick(NUMBERS),
                        "ImagePositionPatient": pick(POSITIONS),
                        "ImageType": pick(IMAGE_TYPES),
                        "PatientComments": pick(TEXTS),
                    }
                    for instance in range(random.randint(1, 3))
                ]
    names = sorted({orthanc_id(level, tags) for tags in found for level in LEVELS})
    return Archive(found, {name: frozenset(random.sample(LABELS, pick([0, 0, 1, 1, 2]))) for name in names})


def levels_of(found: Sequence[Node], level: str) -> list[Node]:
    """All resources of a level below patients."""
    return [node for patient in found for node in patient.below(level)]
