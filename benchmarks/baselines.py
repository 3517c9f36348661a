"""The baselines: the fewest Orthanc calls that fetch the same data, and a GET for every resource.

Responses are parsed as JSON; no hierarchy is built from them, which a client would have to do as well.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from benchmarks.contents import INSTANCES, OF_PATIENT, SERIES, STUDIES, Contents
from benchmarks.measuring import BenchmarkError
from benchmarks.reading import Reader

# missing from the instance index of 1.10.1: Rows, Columns, PixelSpacing, SliceThickness, SliceLocation, SOPClassUID
_FROM_FILES = "short&ignore-length=0028-0010,0028-0011,0028-0030,0018-0050,0020-1041,0008-0016"
_LEVELS = ("Patient", "Study", "Series", "Instance")
_CONTENT = {
    "Patient": ["MainDicomTags"],
    "Study": ["MainDicomTags", "Parent"],
    "Series": ["MainDicomTags", "Parent"],
    "Instance": ["MainDicomTags", "Parent", "Metadata", "Attachments"],
}

Answers = Sequence[Any]
"""The JSON of every call, the one with the instances last."""


@dataclass(frozen=True, slots=True)
class Orthanc:
    """The calls for one generation of Orthanc: from 1.12.5 on, extended find returns only what is requested."""

    address: str
    is_extended: bool

    def whole_archive(self) -> Answers:
        """Fetch every patient, study, series and instance."""
        with Reader(self.address) as orthanc:
            if self.is_extended:
                return [_find(orthanc, level) for level in _LEVELS]
            # several times faster than find on these versions
            resources = [orthanc.get(f"/{level}?expand&short") for level in ("patients", "studies", "series")]
            patients = [patient["ID"] for patient in resources[0]]
            tags = [_tags_in_files(orthanc, "patients", patient) for patient in patients]
            return [*resources, *tags, _below(orthanc, patients)]

    def study(self, study: str) -> Answers:
        """Fetch a study with its series and their instances, by its Orthanc id."""
        with Reader(self.address) as orthanc:
            return self.study_over(orthanc, study)

    def study_over(self, orthanc: Reader, study: str) -> Answers:
        """Fetch the same over an open connection."""
        answers = [orthanc.get(f"/studies/{study}?short")]
        if self.is_extended:
            return [*answers, *(_find(orthanc, level, {"ParentStudy": study}) for level in _LEVELS[2:])]
        answers.append(orthanc.get(f"/studies/{study}/series?short"))
        return [*answers, _tags_in_files(orthanc, "studies", study), _below(orthanc, [study])]

    def walk(self, patient: str) -> int:
        """Count the instances of a patient by a GET for every resource, and for the tags that the index lacks."""
        instances = 0
        with Reader(self.address) as orthanc:
            for study in orthanc.get(f"/patients/{patient}")["Studies"]:
                for series in orthanc.get(f"/studies/{study}")["Series"]:
                    for instance in orthanc.get(f"/series/{series}")["Instances"]:
                        orthanc.get(f"/instances/{instance}")
                        if not self.is_extended:
                            orthanc.get(f"/instances/{instance}/tags?short")
                        instances += 1
        return instances

    def first(self, level: str) -> str:
        """Return the Orthanc id of one resource of a level, such as `patients`."""
        with Reader(self.address) as orthanc:
            return str(min(orthanc.get(f"/{level}")))


def orthanc_at(address: str) -> Orthanc:
    """Return the baseline for the Orthanc at a URL, by its capabilities."""
    with Reader(address) as orthanc:
        capabilities = orthanc.get("/system").get("Capabilities", {})
    return Orthanc(address, bool(capabilities.get("HasExtendedFind")))


def check_archive(answers: Answers, archive: Contents) -> None:
    """Raise BenchmarkError if anything is missing."""
    wanted = [archive.patients, archive.studies, archive.series, archive.instances]
    if [len(answer) for answer in (*answers[:3], answers[-1])] != wanted:
        raise BenchmarkError("Orthanc's responses do not contain the whole archive.")
    _check_tags(answers[3:], archive.instances)


def check_study(answers: Answers, series: int = SERIES, instances: int = INSTANCES) -> None:
    """Raise BenchmarkError unless the study has as many series, of as many instances each."""
    if (len(answers[1]), len(answers[-1])) != (series, series * instances):
        raise BenchmarkError("Orthanc's responses do not contain the whole study.")
    _check_tags(answers[2:], series * instances)


def check_walk(instances: int) -> None:
    """Raise BenchmarkError if anything is missing."""
    if instances != OF_PATIENT:
        raise BenchmarkError(f"The walk found {instances} instances in {STUDIES} studies, not {OF_PATIENT}.")


def _check_tags(answers: Answers, instances: int) -> None:
    """Check one tag outside the default index, Rows (0028,0010), and one of the metadata, `TransferSyntax`."""
    described = [instance for instance in answers[-1] if "TransferSyntax" in instance["Metadata"]]
    if len(answers) == 1:
        with_rows = [instance for instance in answers[0] if "0028,0010" in instance["MainDicomTags"]]
    else:
        with_rows = [tags for answer in answers[:-1] for tags in answer.values() if "0028,0010" in tags]
    if (len(described), len(with_rows)) != (instances, instances):
        raise BenchmarkError("Orthanc's responses lack tags or metadata of some instances.")


def _find(orthanc: Reader, level: str, restriction: dict[str, str] | None = None) -> Any:
    body = {"Level": level, "Query": {}, "Short": True, "ResponseContent": _CONTENT[level], **(restriction or {})}
    return orthanc.post("/tools/find", body)


def _below(orthanc: Reader, resources: Sequence[str]) -> Any:
    """Return all instances below some resources, with their metadata."""
    body = {"Resources": resources, "Level": "Instance", "Metadata": True, "Short": True}
    return orthanc.post("/tools/bulk-content", body)


def _tags_in_files(orthanc: Reader, level: str, resource: str) -> Any:
    return orthanc.get(f"/{level}/{resource}/instances-tags?{_FROM_FILES}")
