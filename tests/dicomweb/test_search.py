"""Searches (PS3.18 section 10.6) for studies, series and instances of the archive of `tests.corpus.hierarchy`."""

from typing import Any
from urllib.parse import quote

import pytest
from django.urls import include
from django.urls import path as route
from pydicom.uid import CTImageStorage
from pytest_django import Settings

from orthancproxy.archive.levels import Level
from orthancproxy.dicomweb.search import SearchView
from orthancproxy.sandbox.orthanc import LocalOrthanc
from tests.conftest import UseOrthanc
from tests.corpus import ROOT
from tests.dicomweb.client import SERVICE, error, search, send, values

pytestmark = pytest.mark.live

STUDY, SERIES, INSTANCE = "0020000D", "0020000E", "00080018"
STUDIES = [f"{ROOT}.{patient}.{study}" for patient in (1, 2, 3) for study in (1, 2)]
ONE_STUDY = f"{ROOT}.1.2"
ONE_SERIES = f"{ONE_STUDY}.1"


# a gateway that returns at most two results
_VIEW = SearchView.as_view(level=Level.STUDY, max_results=2)
urlpatterns = [route("dicom-web/", include(([route("studies", _VIEW, name="studies")], "dicomweb")))]


@pytest.fixture(autouse=True)
def _archive(archive: LocalOrthanc, use_orthanc: UseOrthanc) -> None:
    use_orthanc(archive)


def uids(path: str, tag: str) -> set[Any]:
    found = values(search(path), tag)
    assert len(found) == len(set(found))
    return set(found)


class TestAttributes:
    @pytest.fixture(autouse=True)
    def _any_archive(self, _archive: None, any_archive: LocalOrthanc, use_orthanc: UseOrthanc) -> None:
        use_orthanc(any_archive)

    def test_studies_have_the_attributes_of_the_standard(self) -> None:
        [found] = search(f"studies?StudyInstanceUID={ONE_STUDY}")
        assert found == {
            "00080020": {"vr": "DA", "Value": ["20220211"]},
            "00080030": {"vr": "TM", "Value": ["100230.5"]},
            "00080050": {"vr": "SH", "Value": ["A001-2"]},
            "00080056": {"vr": "CS", "Value": ["ONLINE"]},
            "00080061": {"vr": "CS", "Value": ["CT", "MR"]},
            "00080090": {"vr": "PN", "Value": [{"Alphabetic": "Yamada^Tarou"}]},
            "00081030": {"vr": "LO", "Value": ["Brain study 2"]},
            "00081190": {"vr": "UR", "Value": [f"{SERVICE}/studies/{ONE_STUDY}"]},
            "00100010": {
                "vr": "PN",
                "Value": [
                    {"Alphabetic": "Kim001^Minsu", "Ideographic": "金1^民洙", "Phonetic": "김1^민수"},
                ],
            },
            "00100020": {"vr": "LO", "Value": ["P001"]},
            "00100030": {"vr": "DA", "Value": ["19510315"]},
            "00100040": {"vr": "CS", "Value": ["F"]},
            "0020000D": {"vr": "UI", "Value": [ONE_STUDY]},
            "00200010": {"vr": "SH", "Value": ["S2"]},
            "00201206": {"vr": "IS", "Value": [2]},
            "00201208": {"vr": "IS", "Value": [6]},
        }

    def test_series_of_a_study_have_their_own_attributes(self) -> None:
        [found] = search(f"studies/{ONE_STUDY}/series?SeriesInstanceUID={ONE_SERIES}")
        assert found == {
            "00080056": {"vr": "CS", "Value": ["ONLINE"]},
            "00080060": {"vr": "CS", "Value": ["CT"]},
            "0008103E": {"vr": "LO", "Value": ["Series 1"]},
            "00081190": {"vr": "UR", "Value": [f"{SERVICE}/studies/{ONE_STUDY}/series/{ONE_SERIES}"]},
            "0020000E": {"vr": "UI", "Value": [ONE_SERIES]},
            "00200011": {"vr": "IS", "Value": [1]},
            "00201209": {"vr": "IS", "Value": [3]},
        }

    def test_instances_of_a_series_have_their_own_attributes(self) -> None:
        found = search(f"studies/{ONE_STUDY}/series/{ONE_SERIES}/instances")
        url = f"{SERVICE}/studies/{ONE_STUDY}/series/{ONE_SERIES}/instances"
        for number, data_set in enumerate(found, 1):
            # these are shown if Orthanc has them in its index
            known = {tag: data_set.pop(tag) for tag in ("00280010", "00280011") if tag in data_set}
            assert all(element == {"vr": "US", "Value": [8]} for element in known.values())
            assert data_set == {
                "00080016": {"vr": "UI", "Value": [CTImageStorage]},
                "00080018": {"vr": "UI", "Value": [f"{ONE_SERIES}.{number}"]},
                "00080056": {"vr": "CS", "Value": ["ONLINE"]},
                "00081190": {"vr": "UR", "Value": [f"{url}/{ONE_SERIES}.{number}"]},
                "00200013": {"vr": "IS", "Value": [number]},
            }

    def test_results_of_the_whole_archive_have_the_attributes_of_the_levels_above(self) -> None:
        [study] = search(f"studies?StudyInstanceUID={ONE_STUDY}")
        [series] = search(f"studies/{ONE_STUDY}/series?SeriesInstanceUID={ONE_SERIES}")
        [instance] = search(f"studies/{ONE_STUDY}/series/{ONE_SERIES}/instances?InstanceNumber=2")
        for path in (f"series?SeriesInstanceUID={ONE_SERIES}", f"series?StudyInstanceUID={ONE_STUDY}&Modality=CT"):
            assert search(path) == [{**study, **series}]
        for path in (
            f"instances?SOPInstanceUID={ONE_SERIES}.2",
            f"instances?StudyInstanceUID={ONE_STUDY}&SOPInstanceUID={ONE_SERIES}.2",
        ):
            assert search(path) == [{**study, **series, **instance}]
        assert search(f"studies/{ONE_STUDY}/instances?SOPInstanceUID={ONE_SERIES}.2") == [{**series, **instance}]

    @pytest.mark.parametrize(
        ("include", "expected"),
        [
            ("InstitutionName", {"00080080": {"vr": "LO", "Value": ["서울병원"]}}),
            ("00080080", {"00080080": {"vr": "LO", "Value": ["서울병원"]}}),
            (
                "00080080,PatientAge",
                {"00080080": {"vr": "LO", "Value": ["서울병원"]}, "00101010": {"vr": "AS", "Value": ["011Y"]}},
            ),
            ("OtherPatientIDs", {"00101000": {"vr": "LO"}}),
            ("SpecificCharacterSet", {"00080005": {"vr": "CS", "Value": ["ISO_IR 192"]}}),
            # below a study, in a sequence, a sequence, private, or not of the data set
            ("Modality,SOPInstanceUID,00400275.00400009,00081140,00091001,00020010", {}),
        ],
    )
    def test_included_fields_are_added(self, include: str, expected: dict[str, Any]) -> None:
        path = f"studies?StudyInstanceUID={ONE_STUDY}"
        [default] = search(path)
        assert search(f"{path}&includefield={include}") == [{**default, **expected}]
        repeated = "&".join(f"includefield={one}" for one in include.split(","))
        assert search(f"{path}&{repeated}") == [{**default, **expected}]

    def test_all_fields_are_those_in_the_index(self) -> None:
        [found] = search(f"studies/{ONE_STUDY}/series?SeriesInstanceUID={ONE_SERIES}&includefield=all")
        assert found["00180015"] == {"vr": "CS", "Value": ["HEAD"]}
        assert found["00080070"] == {"vr": "LO", "Value": ["ACME"]}
        [found] = search(f"studies?StudyInstanceUID={ONE_STUDY}&includefield=all")
        assert found["00080080"] == {"vr": "LO", "Value": ["서울병원"]}

    def test_fields_in_the_files_alone_are_read(self) -> None:
        path = f"studies/{ONE_STUDY}/series/{ONE_SERIES}/instances"
        found = search(f"{path}?includefield=PixelSpacing,00280100,SliceThickness,AvailableTransferSyntaxUID")
        for data_set in found:
            assert data_set["00280030"] == {"vr": "DS", "Value": [0.5, 0.25]}
            assert data_set["00280100"] == {"vr": "US", "Value": [16]}
            assert data_set["00180050"] == {"vr": "DS", "Value": [1.5]}
            assert data_set["00083002"] == {"vr": "UI", "Value": ["1.2.840.10008.1.2.1"]}

    def test_fields_of_levels_above_are_included(self) -> None:
        found = search(f"studies/{ONE_STUDY}/series/{ONE_SERIES}/instances?includefield=PatientName,Modality,0020000D")
        assert values(found, "00080060") == ["CT"] * 3
        assert values(found, STUDY) == [ONE_STUDY] * 3
        assert [name["Alphabetic"] for name in values(found, "00100010")] == ["Kim001^Minsu"] * 3


class TestMatching:
    @pytest.mark.parametrize(
        ("matching", "expected"),
        [
            ("PatientID=P001", {f"{ROOT}.1.1", f"{ROOT}.1.2"}),
            ("00100020=P001", {f"{ROOT}.1.1", f"{ROOT}.1.2"}),
            ("PatientName=kim002*", {f"{ROOT}.2.1", f"{ROOT}.2.2"}),
            ("PatientName=*" + quote("民洙") + "*&StudyID=S1", {f"{ROOT}.{patient}.1" for patient in (1, 2, 3)}),
            ("00100010=Kim00?^Minsu*&AccessionNumber=A003-1", {f"{ROOT}.3.1"}),
            ("StudyDate=20210101-20211231", {f"{ROOT}.{patient}.1" for patient in (1, 2, 3)}),
            ("StudyDate=-20211231&PatientID=P003", {f"{ROOT}.3.1"}),
            ("StudyDate=20220211", {f"{ROOT}.1.2"}),
            (f"StudyInstanceUID={STUDIES[0]},{STUDIES[3]}", {STUDIES[0], STUDIES[3]}),
            (f"StudyInstanceUID={STUDIES[0]}%5C{STUDIES[3]}", {STUDIES[0], STUDIES[3]}),
            (f"StudyInstanceUID={STUDIES[0]}&StudyInstanceUID={STUDIES[3]}", {STUDIES[0], STUDIES[3]}),
            ("ModalitiesInStudy=CT", set(STUDIES)),
            ("ModalitiesInStudy=MR,US&PatientID=P002", {f"{ROOT}.2.1", f"{ROOT}.2.2"}),
            ("ModalitiesInStudy=US", set()),
            ("PatientName=&PatientID=*", set(STUDIES)),
            ("InstitutionName=" + quote("서울병원"), set(STUDIES)),
            ("unknown=1&_=2", set(STUDIES)),
            ("PatientID=p001%5CP003", {f"{ROOT}.{patient}.{study}" for patient in (1, 3) for study in (1, 2)}),
        ],
    )
    def test_studies_match(self, matching: str, expected: set[str]) -> None:
        assert uids(f"studies?{matching}", STUDY) == expected

    @pytest.mark.parametrize(
        ("matching", "expected"),
        [
            ("PatientID=P001", {f"{ROOT}.1.{study}.{series}" for study in (1, 2) for series in (1, 2)}),
            ("PatientID=P001&Modality=CT", {f"{ROOT}.1.1.1", f"{ROOT}.1.2.1"}),
            ("Modality=MR&StudyDate=20220211", {f"{ROOT}.1.2.2"}),
            (
                "ModalitiesInStudy=MR&PatientName=kim003*",
                {f"{ROOT}.3.{s}.{series}" for s in (1, 2) for series in (1, 2)},
            ),
            ("SeriesDescription=Series%202&00200011=2", {f"{study}.2" for study in STUDIES}),
            ("Modality=US", set()),
        ],
    )
    def test_series_match_also_by_attributes_of_their_study(self, matching: str, expected: set[str]) -> None:
        assert uids(f"series?{matching}", SERIES) == expected
        within = {uid for uid in expected if uid.startswith(f"{ROOT}.1.2.")}
        assert uids(f"studies/{ROOT}.1.2/series?{matching}", SERIES) == within

    @pytest.mark.parametrize(
        ("matching", "expected"),
        [
            ("Modality=MR", {f"{study}.2.{number}" for study in STUDIES for number in (1, 2, 3)}),
            ("PatientID=P002&Modality=MR&InstanceNumber=3", {f"{ROOT}.2.1.2.3", f"{ROOT}.2.2.2.3"}),
            (f"SOPInstanceUID={ROOT}.1.1.1.1,{ROOT}.3.2.2.3", {f"{ROOT}.1.1.1.1", f"{ROOT}.3.2.2.3"}),
            (
                f"SOPClassUID={CTImageStorage}&AccessionNumber=A001-1&SeriesNumber=1&InstanceNumber=1",
                {f"{ROOT}.1.1.1.1"},
            ),
            ("SOPClassUID=1.2.3&PatientID=P001", set()),
        ],
    )
    def test_instances_match_also_by_attributes_of_their_series_and_study(
        self, matching: str, expected: set[str]
    ) -> None:
        assert uids(f"instances?{matching}", INSTANCE) == expected
        for study, series in (("1.1", "1"), ("3.2", "2")):
            path = f"studies/{ROOT}.{study}"
            within = {uid for uid in expected if uid.startswith(f"{ROOT}.{study}.")}
            assert uids(f"{path}/instances?{matching}", INSTANCE) == within
            within = {uid for uid in within if uid.startswith(f"{ROOT}.{study}.{series}.")}
            assert uids(f"{path}/series/{ROOT}.{study}.{series}/instances?{matching}", INSTANCE) == within

    def test_a_series_is_found_in_its_own_study_only(self) -> None:
        path = f"studies/{ROOT}.1.1/series/{ROOT}.1.2.1/instances"
        assert search(path) == search(f"{path}?PatientID=P001") == []

    def test_unknown_study_has_no_series(self) -> None:
        assert search("studies/1.2.3/series") == search("studies/1.2.3/instances") == []

    @pytest.mark.parametrize(
        "path",
        [
            "studies?PatientNmae=x",
            "studies?0010,0020=x",
            "studies?(0010,0020)=x",
            "studies?00091001=x",
            "studies?FFFFFFFF=x",
            "studies?RequestAttributesSequence.ScheduledProcedureStepID=1",
            "studies?00400275.00400009=1",
            "studies?RequestAttributesSequence=1",
            "studies?PixelData=1",
            "studies?Modality=CT",
            "studies?SOPInstanceUID=1",
            "studies?NumberOfStudyRelatedSeries=2",
            "studies?InstanceAvailability=ONLINE",
            "studies?PatientID=1&PatientID=2",
            "studies?PatientID=1&00100020=1",
            "studies?StudyDate=2021*",
            "studies?StudyDate=2021-05-22",
            "studies?StudyDate=20210230",
            "studies?StudyDate=20210101-2021x",
            "studies?StudyDate=-",
            "studies?StudyTime=99-",
            "studies?StudyTime=1060",
            "studies?00080030=noon",
            "instances?Rows=x",
            "instances?InstanceNumber=1.5",
            "instances?AcquisitionDateTime=2021-05-22",
            "studies?PatientAge=45",
            "studies?PatientID=%09",
            "studies?patientid=P001",
            "studies?studyInstanceUID=1.2",
            "studies?PATIENTID=P001",
            "studies?PatientName=a%00b",
            "studies?includefield=Nonsense",
            "studies?includefield=" + "PatientName," * 257,
            "studies?limit=-1",
            "studies?limit=many",
            "studies?limit=99999999999",
            "studies?offset=1.5",
            "studies?limit=1&limit=2",
            "studies?fuzzymatching=maybe",
            "studies/%2e%2e/series",
            "studies/1%5C2/series",
            f"studies/{'1' * 65}/series",
            "studies/*/series",
            "series?TransferSyntaxUID=1.2",
        ],
    )
    def test_what_cannot_be_searched_is_rejected(self, path: str) -> None:
        status, code, _ = error(path)
        assert (status, code) == (400, "BAD_USER_INPUT")


class TestPages:
    def test_limit_and_offset_give_the_parts_of_one_list(self) -> None:
        for path in ("studies", "series", "instances", "instances?Modality=CT", f"studies/{ONE_STUDY}/instances"):
            separator = "&" if "?" in path else "?"
            whole = search(path)
            limit = len(whole) // 3 + 1
            pages = [
                search(f"{path}{separator}limit={limit}&offset={offset}") for offset in range(0, len(whole), limit)
            ]
            assert [data_set for page in pages for data_set in page] == whole
            assert search(f"{path}{separator}offset={len(whole)}") == []
            assert search(f"{path}{separator}limit=0") == []
            assert search(f"{path}{separator}offset={2**31 - 1}&limit={2**31 - 1}") == []

    def test_total_is_told_where_it_is_known(self) -> None:
        assert send("studies")["X-Total-Count"] == "6"
        assert send("series")["X-Total-Count"] == "12"
        assert send("instances?Modality=CT")["X-Total-Count"] == "18"
        assert send(f"studies/{ONE_STUDY}/instances?limit=1")["X-Total-Count"] == "6"

    def test_list_that_the_gateway_cuts_has_the_warning_of_the_standard(self, settings: Settings) -> None:
        settings.ROOT_URLCONF = __name__
        cut = send("studies")
        assert len(cut.json()) == 2
        text = (
            "The number of results exceeded the maximum supported by the server. Additional results can be requested."
        )
        assert cut["Warning"] == f"299 {SERVICE}: {text}"
        assert "Warning" not in send("studies?limit=1")
        assert "Warning" not in send("studies?offset=4")

    def test_parameters_that_are_ignored_have_the_warning_of_the_standard(self) -> None:
        assert "Warning" not in send("studies?fuzzymatching=false&limit=1")
        warning = (
            f"299 {SERVICE}: The fuzzymatching parameter is not supported. Only literal matching has been performed."
        )
        assert send("studies?fuzzymatching=true")["Warning"] == warning


class TestMediaTypes:
    @pytest.mark.parametrize(
        ("accept", "media_type"),
        [
            (None, "application/dicom+json"),
            ("*/*", "application/dicom+json"),
            ("application/json", "application/json"),
            ("application/dicom+json", "application/dicom+json"),
            ("application/dicom+json; charset=utf-8, */*;q=0.1", "application/dicom+json"),
            ('multipart/related; type="application/dicom+xml", application/dicom+json;q=0.5', "application/dicom+json"),
        ],
    )
    def test_json_is_sent_as_accept_names_it(self, accept: str | None, media_type: str) -> None:
        response = send("studies?limit=1", accept)
        assert (response.status_code, response["Content-Type"]) == (200, media_type)
        assert "Accept" in response["Vary"]

    def test_accept_in_the_query_overrides_the_header(self) -> None:
        response = send("studies?limit=1&accept=application/json", "application/dicom+json")
        assert response["Content-Type"] == "application/json"
        assert send("studies?accept=application/dicom+json")["Content-Type"] == "application/dicom+json"

    def test_xml_is_not_acceptable(self) -> None:
        status, code, detail = error("studies", 'multipart/related; type="application/dicom+xml"')
        assert (status, code) == (406, "NOT_ACCEPTABLE")
        assert "application/dicom+json" in detail

    def test_malformed_accept_is_rejected(self) -> None:
        assert error("studies", "nonsense")[:2] == (400, "BAD_USER_INPUT")

    def test_trailing_slash_makes_no_difference(self) -> None:
        for path in ("studies", f"studies/{ONE_STUDY}/series"):
            assert search(f"{path}/") == search(path)

    def test_unknown_route_is_not_found(self) -> None:
        assert error("nothing")[:2] == (404, "NOT_FOUND")
