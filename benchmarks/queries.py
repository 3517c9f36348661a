"""The measured GraphQL queries, and checks of their responses."""

from __future__ import annotations

from collections import Counter
from typing import Any

import orjson

from benchmarks import contents
from benchmarks.contents import INSTANCES, SERIES, Contents
from benchmarks.measuring import BenchmarkError
from benchmarks.reading import Reader

# 15 fields
_INSTANCES = """
instances {
  id orthancId sopInstanceUID sopClassUID instanceNumber rows columns numberOfFrames pixelSpacing sliceThickness
  sliceLocation imagePositionPatient imageOrientationPatient transferSyntaxUID fileSize
}"""
# the fields of a study with its hierarchy
STUDY = f"""
studyInstanceUID description studyDate
series {{ seriesInstanceUID modality seriesNumber description {_INSTANCES} }}"""
_WHOLE_ARCHIVE = f"""{{
  patients(first: 1000) {{ nodes {{ patientId patientName birthDate sex studies {{ {STUDY} }} }} }}
}}"""
_ONE_STUDY = f"query($id: ID!) {{ study(orthancId: $id) {{ {STUDY} }} }}"
PATH = "/graphql/"
_MESSAGE_LENGTH = 1_000  # characters of an unexpected response in an error message


def whole_archive(gateway: str) -> Any:
    """Fetch every patient, study, series and instance."""
    return orjson.loads(whole_archive_as_bytes(gateway))


def whole_archive_over(gateway: Reader) -> Any:
    """Fetch the same over an open connection."""
    return gateway.post(PATH, {"query": _WHOLE_ARCHIVE})


def whole_archive_as_bytes(gateway: str) -> bytes:
    """Fetch the same without parsing."""
    with Reader(gateway) as reader:
        return reader.post_for_bytes(PATH, {"query": _WHOLE_ARCHIVE})


def study(gateway: str, study: str) -> Any:
    """Fetch a study with its series and their instances, by its Orthanc id."""
    with Reader(gateway) as reader:
        return study_over(reader, study)


def study_over(gateway: Reader, study: str) -> Any:
    """Fetch the same over an open connection."""
    return gateway.post(PATH, {"query": _ONE_STUDY, "variables": {"id": study}})


def check_archive(answer: Any, archive: Contents) -> None:
    """Raise BenchmarkError unless a response is the whole archive."""
    patients = data(answer)["patients"]["nodes"]
    names = {patient["patientId"]: patient["patientName"] for patient in patients}
    if names != {contents.patient_id(n): contents.patient_name(n) for n in range(archive.patients)}:
        raise BenchmarkError("The gateway's patients are not those of the archive.")
    studies = [study for patient in patients for study in patient["studies"]]
    if len(studies) != archive.studies:
        raise BenchmarkError(f"The gateway answered {len(studies)} studies, not {archive.studies}.")
    check_studies(studies)


def check_study(answer: Any, series: int = SERIES, instances: int = INSTANCES) -> None:
    """Raise BenchmarkError unless a response is a study with as many series, of as many instances each."""
    check_studies([data(answer)["study"]], series, instances)


def data(answer: Any) -> Any:
    """Return the data of a response. Raises BenchmarkError if it has none, or errors."""
    if "errors" in answer or not answer.get("data"):
        raise BenchmarkError(f"The gateway answered {orjson.dumps(answer)[:_MESSAGE_LENGTH].decode(errors='replace')}")
    return answer["data"]


def check_studies(studies: list[Any], series: int = SERIES, instances: int = INSTANCES) -> None:
    """Raise BenchmarkError unless all of these have as many series, of as many instances each, with all values."""
    wanted = Counter(
        (number, instance, *contents.slice_position(number, instance))
        for number in range(1, series + 1)
        for instance in range(1, instances + 1)
    )
    for one in studies:
        found = Counter(
            (found_series["seriesNumber"], instance["instanceNumber"], *instance["imagePositionPatient"])
            for found_series in one["series"]
            for instance in found_series["instances"]
            if _is_right(instance)
        )
        if found != wanted:
            raise BenchmarkError(f"The instances of study {one['studyInstanceUID']} are not those of the archive.")


def _is_right(instance: Any) -> bool:
    """Whether an instance has the values that all instances share, and no empty field."""
    return (
        (instance["rows"], instance["columns"], instance["numberOfFrames"]) == (contents.SIDE, contents.SIDE, 1)
        and instance["pixelSpacing"] == [contents.SPACING, contents.SPACING]
        and instance["sliceThickness"] == contents.THICKNESS
        and all(value not in (None, "", []) for value in instance.values())
    )
