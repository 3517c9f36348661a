"""Text that Orthanc decodes wrongly is shown as it is stored."""

from typing import Any

import pytest
from pydicom.uid import generate_uid

from orthancproxy.archive.charsets import repaired
from orthancproxy.sandbox.orthanc import LocalOrthanc
from tests.conftest import GraphQL, UseOrthanc
from tests.corpus import instance
from tests.orthancs import StartOrthanc
from tests.rest.conftest import id_of


@pytest.mark.parametrize(
    ("keyword", "value", "expected"),
    [
        ("PixelSpacing", "0.5¥0.25", "0.5\\0.25"),
        ("ImageType", "ORIGINAL¥PRIMARY", "ORIGINAL\\PRIMARY"),
        ("StudyDescription", "¥ 500", "¥ 500"),
        ("PatientComments", "a¥b", "a¥b"),
        ("0009,0010", "a¥b", "a¥b"),
        ("StudyDescription", "\x1b$)C뇌 MRI", "뇌 MRI"),
        ("StudyDescription", "$)C뇌 MRI", "뇌 MRI"),
        ("PatientName", "Kim^X=$)C金^$)C吉洞=\x1b$)C김^\x1b$)C길동", "Kim^X=金^吉洞=김^길동"),
        ("PatientName", "Zhang^X=$)A张^$)A小东", "Zhang^X=张^小东"),
        ("PatientName", "\x1b-LЛюк^A", "Люк^A"),
        ("PatientName", "ﾔﾏﾀﾞ^ﾀﾛｳ=$B;3ED(J^$BB@O:(J=\x1b$B$d$^$@\x1b(J^$B$?$m$&(B", "ﾔﾏﾀﾞ^ﾀﾛｳ=山田^太郎=やまだ^たろう"),
        ("PatientName", "ﾔﾏﾀﾞ^ﾀﾛｳ=;3ED^B@O:=$d$^$@^$?$m$&", "ﾔﾏﾀﾞ^ﾀﾛｳ=山田^太郎=やまだ^たろう"),
        ("PatientName", "ﾔﾏﾀﾞ^ﾀﾛｳ=山田^太郎=;3E", "ﾔﾏﾀﾞ^ﾀﾛｳ=山田^太郎=;3E"),
        ("PatientName", "ﾔﾏﾀﾞ^ﾀﾛｳ=;3ED^~~", "ﾔﾏﾀﾞ^ﾀﾛｳ=;3ED^~~"),
        ("StudyDescription", "\x1b$BF,It\x1b(B MRI", "頭部 MRI"),
        ("StudyDescription", "F,It MRI", "F,It MRI"),
        ("StudyDescription", "$500 (Brain)", "$500 (Brain)"),
        ("StudyDescription", "$)C MRI", "$)C MRI"),
        ("StudyDescription", "$B\x7f\x7f(B", "$B\x7f\x7f(B"),
        ("PatientName", "Kim^Minsu=金^民洙=김^민수", "Kim^Minsu=金^民洙=김^민수"),
    ],
)
def test_repairs_what_orthanc_spoils_and_nothing_else(keyword: str, value: str, expected: str) -> None:
    assert repaired(keyword, value) == expected


NAMES = {
    "ISO 2022 IR 149": ("Kim^X=金^吉洞=김^길동", b"\x1b$)C", "euc_kr", b""),
    "ISO 2022 IR 58": ("Zhang^X=张^小东", b"\x1b$)A", "gb2312", b""),
    "ISO 2022 IR 13": ("ﾔﾏﾀﾞ^ﾀﾛｳ=山田^太郎=やまだ^たろう", b"\x1b$B", "jis", b"\x1b(J"),
    "ISO 2022 IR 13\\ISO 2022 IR 87": ("ﾔﾏﾀﾞ^ﾀﾛｳ=山田^太郎=やまだ^たろう", b"\x1b$B", "jis", b"\x1b(J"),
    "ISO_IR 13": ("ﾔﾏﾀﾞ^ﾀﾛｳ", b"", "", b""),
}


def encoded(name: str, escape: bytes, encoding: str, end: bytes) -> bytes:
    def component(text: str) -> bytes:
        if encoding == "jis":
            return escape + text.encode("iso2022_jp")[3:-3] + end
        return escape + text.encode(encoding) + end

    alphabetic, *groups = name.split("=")
    return b"=".join(
        [alphabetic.encode("shift_jis"), *(b"^".join(map(component, group.split("^"))) for group in groups)]
    )


@pytest.fixture(scope="module")
def orthanc(start_session_orthanc: StartOrthanc) -> LocalOrthanc:
    return start_session_orthanc()


@pytest.mark.live
@pytest.mark.parametrize("charset", NAMES)
def test_a_file_is_shown_with_its_values(
    charset: str, orthanc: LocalOrthanc, use_orthanc: UseOrthanc, graphql: GraphQL
) -> None:
    use_orthanc(orthanc)
    name = NAMES[charset][0]
    content = encoded(*NAMES[charset])
    content += b" " * (len(content) % 2)
    patient_id, uid = f"charset {charset}".replace("\\", " "), generate_uid()
    file = instance(
        SpecificCharacterSet=charset, PatientID=patient_id, PatientName="n" * len(content),
        StudyInstanceUID=uid, SeriesInstanceUID=f"{uid}.1", SOPInstanceUID=f"{uid}.1.1", InstitutionName="I",
    )  # fmt: skip
    orthanc_id = id_of(orthanc, file.replace(b"n" * len(content), content), "Success")
    query = """query($id: ID!) { instance(orthancId: $id) {
      pixelSpacing imagePositionPatient tag(keyword: "ImageOrientationPatient")
      series { study { patient { patientName } } } stored: tag(keyword: "PatientName") } }"""
    found: dict[str, Any] = graphql(query, id=orthanc_id)["instance"]
    assert found == {
        "pixelSpacing": [0.5, 0.25],
        "imagePositionPatient": [-100, -90.5, 1],
        "tag": "1\\0\\0\\0\\1\\0",
        "series": {"study": {"patient": {"patientName": name}}},
        "stored": name,
    }
