"""No value that identifies a patient is in the bytes of a result: all files of pydicom and the sample studies."""

import re
from collections import Counter
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import pydicom.data
import pytest

from orthancproxy.jobs.following import JobFollower
from orthancproxy.resolvers.background import background
from orthancproxy.resolvers.context import connect
from orthancproxy.sandbox.orthanc import LocalOrthanc
from tests.anonymization.archive import files, left, parsed, studies
from tests.anonymization.conftest import ANONYMIZE, follow
from tests.conftest import GraphQL, UseOrthanc
from tests.corpus import ask, load, sample_studies
from tests.dicom.conformance import error_lines
from tests.orthancs import StartOrthanc

pytestmark = [pytest.mark.live, pytest.mark.django_db(transaction=True)]

Make = Callable[[], JobFollower]
# of the sample studies, a few slices are as good as all
SLICES = 20
# dciodvfy names the values that it does not know, and where a reference is
_VALUE = re.compile(r"<[^>]*>|\[[^]]*\]|2\.25\.[0-9]+|(?<=Instance ).*$")


def shipped_with_pydicom() -> list[bytes]:
    found = {*pydicom.data.get_testdata_files(), *pydicom.data.get_charset_files()}
    return [path.read_bytes() for path in sorted(map(Path, found)) if path.is_file()]


@pytest.fixture(scope="module")
def shipped(start_orthanc: StartOrthanc) -> tuple[LocalOrthanc, Mapping[str, list[bytes]]]:
    """An Orthanc with all files that it accepts, and these by study."""
    orthanc = start_orthanc()
    for file in shipped_with_pydicom():
        with suppress(AssertionError):
            ask(orthanc, "/instances", "POST", file)
    load(orthanc, sample_studies()[:: len(sample_studies()) // SLICES])
    return orthanc, {study: files(orthanc, study) for study in studies(orthanc)}


@pytest.fixture
def archive_of_all(
    shipped: tuple[LocalOrthanc, Mapping[str, list[bytes]]], use_orthanc: UseOrthanc
) -> tuple[LocalOrthanc, Mapping[str, list[bytes]]]:
    use_orthanc(shipped[0])
    background(connect()).follower.stop()
    return shipped


def anonymize_all(graphql: GraphQL, make_follower: Make, names: list[str], **options: Any) -> dict[str, dict[str, Any]]:
    """Anonymize studies; return the jobs at their ends."""
    jobs, follower = {}, make_follower()
    for start in range(0, len(names), 50):
        part = names[start : start + 50]
        begun = {one: graphql(ANONYMIZE, input={"orthancId": one, **options})["anonymizeStudy"]["job"] for one in part}
        for one, job in begun.items():
            jobs[one] = follow(graphql, job["id"], follower)
    return jobs


@pytest.mark.parametrize(
    "options", [{"patientId": "SUBJECT"}, {"shiftDates": True, "patientId": "SUBJECT"}], ids=["removed", "shifted"]
)
def test_no_identifying_value_is_left_of_any_file(
    archive_of_all: tuple[LocalOrthanc, Mapping[str, list[bytes]]],
    graphql: GraphQL,
    make_follower: Make,
    tmp_path: Path,
    options: dict[str, Any],
) -> None:
    orthanc, originals = archive_of_all
    jobs = anonymize_all(graphql, make_follower, list(originals), **options)
    found, errors, instances, left_out = Counter[bytes](), Counter[str](), 0, Counter[str]()
    for study, job in jobs.items():
        if job["state"] == "FAILED":
            assert job["error"]["code"] == "BAD_USER_INPUT"
            left_out.update(parsed(one).Modality for one in originals[study])
            continue
        [made] = job["result"]["studies"]
        results = files(orthanc, made["orthancId"])
        assert len(results) == job["result"]["instancesCount"]
        assert len(results) + (job["result"]["leftOutCount"] or 0) == len(originals[study])
        instances += len(results)
        found.update(left(originals[study], results, are_dates_shifted="shiftDates" in options))
        errors.update(new_errors(originals[study], results, tmp_path))
    assert not found
    assert not errors
    assert instances > 150
    assert left_out == {}


def new_errors(originals: list[bytes], results: list[bytes], folder: Path) -> set[str]:
    """The errors of dciodvfy that no original has."""

    def of(every: list[bytes]) -> set[str]:
        lines: set[str] = set()
        for data in every:
            path = folder / "file.dcm"
            path.write_bytes(data)
            lines |= {_VALUE.sub("", line.replace("UID", "")) for line in error_lines(path)}
        return lines

    return of(results) - of(originals)


def test_what_the_rule_counts_is_left_without_anonymization(
    archive_of_all: tuple[LocalOrthanc, Mapping[str, list[bytes]]],
) -> None:
    _, originals = archive_of_all
    without = [study for study, every in originals.items() if not left(every, every)]
    assert not without
