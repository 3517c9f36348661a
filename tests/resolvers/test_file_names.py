"""Downloads have names for people, which are safe for every file system and header."""

import re

import pytest
from django.utils.http import content_disposition_header

from orthancproxy.archive.records import Instance, Patient, Series, Study
from orthancproxy.resolvers.file_names import file_name

STUDY = {
    "PatientName": "Hong^Gildong=洪^吉洞",
    "PatientID": "P1",
    "StudyDate": "20260111",
    "StudyDescription": "Brain MRI",
}
SERIES = {**STUDY, "SeriesNumber": "3", "SeriesDescription": "T1 axial"}


def test_names_the_patient_the_date_and_what_it_is() -> None:
    assert file_name(Patient("id", None, STUDY, {}), extension="zip") == "Hong_Gildong.zip"
    assert file_name(Study("id", None, STUDY, {}), extension="zip") == "Hong_Gildong_2026-01-11_Brain_MRI.zip"
    series = file_name(Series("id", None, SERIES, {}), "thumbnail", extension="png")
    assert series == "Hong_Gildong_2026-01-11_Brain_MRI_3_T1_axial_thumbnail.png"
    instance = file_name(Instance("id", None, SERIES | {"InstanceNumber": "12"}, {}), extension="dcm")
    assert instance == "Hong_Gildong_2026-01-11_Brain_MRI_3_T1_axial_12.dcm"


def test_fits_into_a_file_system() -> None:
    tags = {"PatientName": "한" * 64, "StudyDescription": "뇌" * 64, "SeriesDescription": "축" * 64}
    for prefix in ("", "a", "ab"):
        tags["PatientID"] = tags["PatientName"] = prefix + "한" * 64
        name = file_name(Series("id", None, tags, {}), extension="zip")
        assert len(name.encode()) <= 255
        # not cut within a character
        assert set(name) <= set("ab한뇌축_.zip")


@pytest.mark.parametrize(
    ("tags", "expected"),
    [
        ({}, "id.zip"),
        ({"PatientName": "^^", "PatientID": "///"}, "id.zip"),
        ({"PatientID": "P1"}, "P1.zip"),
        ({"PatientName": "=洪^吉洞"}, "洪_吉洞.zip"),
        ({"PatientName": "김^철수"}, "김_철수.zip"),
        ({"PatientName": "Mu\u0308ller^Jürgen"}, "Müller_Jürgen.zip"),
        ({"PatientName": "../../etc/passwd"}, "etc_passwd.zip"),
        ({"PatientName": "\u202ecod.exe\u202c"}, "cod.exe.zip"),
        ({"PatientName": "a\r\nX-Evil: 1\x00\x1b"}, "a_X-Evil_1.zip"),
        ({"PatientName": "'\"; filename=evil.html"}, "filename.zip"),
        ({"PatientName": "con"}, "id.zip"),
        ({"PatientName": "x" * 500}, f"{'x' * 40}.zip"),
        ({"PatientName": "한" * 500}, f"{'한' * 40}.zip"),
    ],
)
def test_is_safe_whatever_the_archive_has(tags: dict[str, str], expected: str) -> None:
    name = file_name(Patient("id", None, tags, {}), extension="zip")
    assert name == expected
    header = content_disposition_header(True, name) or ""
    assert re.fullmatch(r"""attachment; filename(="[A-Za-z0-9._-]+"|\*=utf-8''[A-Za-z0-9._%-]+)""", header)
