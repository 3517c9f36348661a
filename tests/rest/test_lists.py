"""The four lists: every field as the contract has it, in the contract's order, for exactly what was asked."""

import hashlib
from collections.abc import Callable
from typing import Any

import pytest
from django.test import Client

from orthancproxy.orthanc.calls import recording
from orthancproxy.rest.serializers import InstanceSerializer, PatientSerializer, SeriesSerializer, StudySerializer
from orthancproxy.sandbox.orthanc import LocalOrthanc
from tests.conftest import UseOrthanc
from tests.corpus import ROOT, instance, load

pytestmark = pytest.mark.live


def orthanc_id(*parts: str) -> str:
    """How Orthanc names what has these identifiers, from PatientID down."""
    digest = hashlib.sha1("|".join(parts).encode(), usedforsecurity=False).hexdigest()
    return "-".join(digest[start : start + 8] for start in range(0, 40, 8))


def get(address: str, **parameters: str) -> Any:
    response = Client().get(f"/api/orthanc/{address}", parameters)
    assert response.status_code == 200, response.content
    assert response["Content-Type"] == "application/json"
    assert response["Cache-Control"] == "private, no-store"
    return response.json()


def error(address: str, **parameters: str) -> tuple[int, str]:
    response = Client().get(f"/api/orthanc/{address}", parameters)
    body = response.json()
    assert set(body) == {"detail", "code"}
    assert body["detail"].endswith(".")
    return response.status_code, body["code"]


class TestFields:
    @pytest.fixture(autouse=True)
    def _archive(self, any_archive: LocalOrthanc, use_orthanc: UseOrthanc) -> None:
        use_orthanc(any_archive)

    def test_patients_are_listed_by_id(self) -> None:
        assert get("patients/") == [
            {
                "orthancId": orthanc_id(f"P00{number}"),
                "patientId": f"P00{number}",
                "patientName": f"Kim00{number}^Minsu=金{number}^民洙=김{number}^민수",
                "studiesCount": 2,
            }
            for number in (1, 2, 3)
        ]

    def test_studies_are_listed_newest_first(self) -> None:
        assert get("studies/", patient_id="P001") == [
            {
                "orthancId": orthanc_id("P001", f"{ROOT}.1.{number}"),
                "studyInstanceUID": f"{ROOT}.1.{number}",
                "description": f"Brain study {number}",
                "studyDate": f"202{number}0211",
                "seriesCount": 2,
            }
            for number in (2, 1)
        ]

    def test_series_are_listed_by_number(self) -> None:
        study = f"{ROOT}.1.2"
        assert get("series/", study_id=study) == [
            {
                "orthancId": orthanc_id("P001", study, f"{study}.{number}"),
                "seriesInstanceUID": f"{study}.{number}",
                "description": f"Series {number}",
                "modality": "CT" if number % 2 else "MR",
                "seriesNumber": str(number),
                "instancesCount": 3,
            }
            for number in (1, 2)
        ]

    def test_instances_are_listed_by_number(self) -> None:
        study = f"{ROOT}.1.2"
        assert get("instances/", series_id=f"{study}.2") == [
            {
                "orthancId": orthanc_id("P001", study, f"{study}.2", f"{study}.2.{number}"),
                "instanceNumber": str(number),
                "instanceNumberInt": number,
                "sopInstanceUID": f"{study}.2.{number}",
                "rows": "8",
                "columns": "8",
                "pixelSpacing": "0.5\\0.25",
                "sliceThickness": "1.5",
                "sliceLocation": f"{-10.0 + number}",
                "imagePositionPatient": f"-100\\-90.5\\{number}",
                "patientId": "P001",
                "patientName": "Kim001^Minsu=金1^民洙=김1^민수",
                "studyInstanceUID": study,
                "seriesInstanceUID": f"{study}.2",
                "seriesNumber": "2",
            }
            for number in (1, 2, 3)
        ]

    def test_orthanc_ids_find_the_same_resources(self) -> None:
        study = f"{ROOT}.2.1"
        for address, parameter, parts in (
            ("studies/", "patient_id", ("P002",)),
            ("series/", "study_id", ("P002", study)),
            ("instances/", "series_id", ("P002", study, f"{study}.1")),
        ):
            assert get(address, **{parameter: orthanc_id(*parts)}) == get(address, **{parameter: parts[-1]})

    def test_trailing_slash_is_optional(self) -> None:
        assert get("patients") == get("patients/")
        assert get("studies", patient_id="P001") == get("studies/", patient_id="P001")

    def test_head_returns_headers_only(self) -> None:
        response = Client().head("/api/orthanc/patients/")
        assert (response.status_code, response.content) == (200, b"")

    def test_any_accept_is_answered_with_json(self) -> None:
        assert Client().get("/api/orthanc/patients/", headers={"Accept": "text/html"}).status_code == 200

    def test_number_of_calls_does_not_depend_on_the_archive(self) -> None:
        get("patients/")  # learns what Orthanc can do
        with recording() as log:
            get("patients/")
        assert log.count == 1

    @pytest.mark.parametrize("wildcard", ["P00?", "P*", "p001", "P001\\P002", "P001 "])
    def test_identifiers_are_matched_exactly(self, wildcard: str) -> None:
        assert error("studies/", patient_id=wildcard)[0] in (400, 404)

    def test_part_of_a_uid_does_not_match(self) -> None:
        assert error("series/", study_id=f"{ROOT}.1") == (404, "NOT_FOUND")


class TestErrors:
    @pytest.fixture(autouse=True)
    def _archive(self, archive: LocalOrthanc, use_orthanc: UseOrthanc) -> None:
        use_orthanc(archive)

    @pytest.mark.parametrize(
        ("address", "parameter"),
        [("studies/", "patient_id"), ("series/", "study_id"), ("instances/", "series_id")],
    )
    class TestParameters:
        def test_missing_is_rejected(self, address: str, parameter: str) -> None:
            assert error(address) == (400, "BAD_USER_INPUT")

        def test_empty_is_rejected(self, address: str, parameter: str) -> None:
            assert error(address, **{parameter: ""}) == (400, "BAD_USER_INPUT")

        def test_unknown_orthanc_id_is_not_found(self, address: str, parameter: str) -> None:
            assert error(address, **{parameter: orthanc_id("nobody")}) == (404, "NOT_FOUND")

        def test_unknown_identifier_is_not_found(self, address: str, parameter: str) -> None:
            assert error(address, **{parameter: "1.2.3.4"}) == (404, "NOT_FOUND")

        def test_orthanc_id_of_another_level_is_not_found(self, address: str, parameter: str) -> None:
            uid = f"{ROOT}.1.1"
            instance_id = orthanc_id("P001", uid, f"{uid}.1", f"{uid}.1.1")
            assert error(address, **{parameter: instance_id}) == (404, "NOT_FOUND")

    @pytest.mark.parametrize("uid", ["1.2\\1.3", "../1", "1.2\n"])
    def test_a_value_that_is_no_single_uid_is_rejected(self, uid: str) -> None:
        assert error("series/", study_id=uid) == (400, "BAD_USER_INPUT")


@pytest.fixture(scope="module")
def hard(start_orthanc: Callable[..., LocalOrthanc]) -> LocalOrthanc:
    orthanc = start_orthanc()
    absent = dict.fromkeys(
        (
            "InstanceNumber",
            "Rows",
            "Columns",
            "PixelSpacing",
            "SliceThickness",
            "SliceLocation",
            "ImagePositionPatient",
            "PixelData",
        )
    )
    files = [
        *(instance(1, 1, 1, number, InstanceNumber=str(number)) for number in (10, 9, 2)),
        instance(1, 1, 1, 3, InstanceNumber="+03"),
        instance(1, 1, 1, 4, **absent),
        instance(2, 1, 1, 1, PatientName="", StudyDescription=None, StudyDate="", SeriesDescription=None),
        instance(3, 1, 1, 1, PatientID="p002"),
        # one study under two patients
        *(
            instance(number, 1, 1, number, StudyInstanceUID="1.2.3", SeriesInstanceUID=f"1.2.3.{number}")
            for number in (4, 5)
        ),
    ]
    load(orthanc, files)
    return orthanc


class TestHardValues:
    @pytest.fixture(autouse=True)
    def _archive(self, hard: LocalOrthanc, use_orthanc: UseOrthanc) -> None:
        use_orthanc(hard)

    def test_numbers_are_sorted_as_numbers_and_kept_as_text(self) -> None:
        instances = get("instances/", series_id=f"{ROOT}.1.1.1")
        numbers = [(found["instanceNumber"], found["instanceNumberInt"]) for found in instances]
        assert [number for number in numbers if number[0]] == [("2", 2), ("+03", 3), ("9", 9), ("10", 10)]

    def test_absent_values_are_null(self) -> None:
        [found] = [found for found in get("instances/", series_id=f"{ROOT}.1.1.1") if found["instanceNumber"] is None]
        assert found["sopInstanceUID"] == f"{ROOT}.1.1.1.4"
        for name in (
            "instanceNumberInt",
            "rows",
            "columns",
            "pixelSpacing",
            "sliceThickness",
            "sliceLocation",
            "imagePositionPatient",
        ):
            assert found[name] is None

    def test_empty_values_are_null(self) -> None:
        [patient] = [found for found in get("patients/") if found["patientId"] == "P002"]
        assert patient["patientName"] is None
        [study] = get("studies/", patient_id="P002")
        assert (study["description"], study["studyDate"]) == (None, None)
        [series] = get("series/", study_id=f"{ROOT}.2.1")
        assert series["description"] is None

    def test_identifiers_are_case_sensitive(self) -> None:
        assert get("studies/", patient_id="p002")[0]["studyInstanceUID"] == f"{ROOT}.3.1"
        assert get("studies/", patient_id="P002")[0]["studyInstanceUID"] == f"{ROOT}.2.1"

    def test_uid_of_two_studies_is_rejected(self) -> None:
        assert error("series/", study_id="1.2.3") == (400, "BAD_USER_INPUT")


def test_openapi_document_describes_every_field(archive: LocalOrthanc, use_orthanc: UseOrthanc) -> None:
    use_orthanc(archive)
    for answers, serializer in (
        (get("patients/"), PatientSerializer()),
        (get("studies/", patient_id="P001"), StudySerializer()),
        (get("series/", study_id=f"{ROOT}.1.1"), SeriesSerializer()),
        (get("instances/", series_id=f"{ROOT}.1.1.1"), InstanceSerializer()),
    ):
        assert list(answers[0]) == list(serializer.fields)
