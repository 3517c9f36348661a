"""De-identifying data sets: rules for each kind of attribute, at every depth and in every encoding."""

import unicodedata
from datetime import timedelta
from io import BytesIO
from typing import Any

import pytest
from pydicom import Dataset, dcmread
from pydicom.datadict import dictionary_VR, tag_for_keyword
from pydicom.dataset import FileMetaDataset
from pydicom.sequence import Sequence
from pydicom.uid import (
    UID,
    CTImageStorage,
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
)

from orthancproxy.dicom.confidentiality import ConfidentialityOptions, Rule, rule_of
from orthancproxy.dicom.deidentification import NewIdentity, deidentify
from orthancproxy.dicom.elements import Element
from orthancproxy.dicom.file_format import read
from orthancproxy.dicom.sources import InMemory
from orthancproxy.errors import GatewayError
from tests.dicom.broken_files import changed, truncated

SYNTAXES = [
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    ExplicitVRBigEndian,
    DeflatedExplicitVRLittleEndian,
]
IDENTITY = NewIdentity(patient_id="S1", patient_name="Subject^One", secret=b"s" * 32, shift=timedelta(days=-10))


def item(**values: Any) -> Dataset:
    made = Dataset()
    for keyword, value in values.items():
        setattr(made, keyword, value)
    return made


def encoded(syntax: str = ExplicitVRLittleEndian, **values: Any) -> bytes:
    dataset = item(SOPClassUID=CTImageStorage, SOPInstanceUID="1.2.3.4", PatientName="Kim^Minsu", PatientID="P-0001")
    dataset.SpecificCharacterSet = "ISO_IR 192"
    for keyword, value in values.items():
        setattr(dataset, keyword, value)
    return with_meta(dataset, syntax)


def with_meta(dataset: Dataset, syntax: str = ExplicitVRLittleEndian) -> bytes:
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = UID(syntax)
    dataset.file_meta.SourceApplicationEntityTitle = "STATION-OF-KIM"
    file = BytesIO()
    dataset.save_as(file, enforce_file_format=True)
    return file.getvalue()


def cleaned(data: bytes, identity: NewIdentity = IDENTITY, **options: bool) -> Dataset:
    return dcmread(
        BytesIO(bytes(deidentify(read(InMemory(data)), identity, ConfidentialityOptions(**options)).payload))
    )


@pytest.mark.parametrize("syntax", SYNTAXES, ids=lambda uid: uid.name)
class TestEncodings:
    def test_a_file_keeps_its_transfer_syntax_and_what_identifies_nobody(self, syntax: str) -> None:
        nested = item(OperatorsName="Park^Nurse", ReferencedSOPInstanceUID="1.2.3.4", CodeMeaning="Hand")
        data = encoded(syntax, RelatedSeriesSequence=[nested], Manufacturer="ACME", StudyDate="20240229")
        made = cleaned(data)
        assert made.file_meta.TransferSyntaxUID == syntax
        assert (made.PatientID, made.PatientName, made.StudyDate, made.Manufacturer) == (
            "S1",
            "Subject^One",
            "",
            "ACME",
        )
        [nested] = made.RelatedSeriesSequence
        assert (nested.OperatorsName, nested.CodeMeaning) == ("ANONYMIZED", "Hand")
        assert nested.ReferencedSOPInstanceUID == made.SOPInstanceUID == made.file_meta.MediaStorageSOPInstanceUID
        assert made.SOPInstanceUID.startswith("2.25.")
        assert made.SOPClassUID == CTImageStorage

    def test_dates_are_moved_and_times_stay(self, syntax: str) -> None:
        data = encoded(syntax, StudyDate="20240305", StudyTime="101530.5", AcquisitionDateTime="20240101000000.5+0900")
        made = cleaned(data, shifts_dates=True)
        assert (made.StudyDate, made.StudyTime) == ("20240224", "101530.5")
        assert made.AcquisitionDateTime == "20231222000000.5+0900"


class TestRules:
    def test_private_attributes_are_removed_at_every_depth(self) -> None:
        nested = item(CodeMeaning="kept")
        nested.private_block(0x0029, "ACME of Kim", create=True).add_new(0x10, "LO", "Kim")
        dataset = dcmread(BytesIO(encoded(RelatedSeriesSequence=[nested])))
        dataset.private_block(0x0009, "ACME", create=True).add_new(0x01, "SQ", Sequence([item(PatientID="P-0001")]))
        made = cleaned(with_meta(dataset))
        assert not [element for element in made.iterall() if element.tag.is_private]
        assert made.RelatedSeriesSequence[0].CodeMeaning == "kept"

    def test_curves_overlays_signatures_and_unknown_attributes_are_removed(self) -> None:
        dataset = dcmread(BytesIO(encoded(DataSetTrailingPadding=b"Kim\0")))
        for tag, vr, value in (
            (0x50000010, "US", 1),
            (0x50023000, "OW", b"Kim\0"),
            (0x60003000, "OW", b"Kim\0"),
            (0x60000022, "LO", "Kim"),
            (0x00080003, "LO", "of no dictionary"),
            (0xFFFAFFFA, "SQ", Sequence([item(PatientID="x")])),
            (0x4FFE0001, "SQ", Sequence([item(PatientID="x")])),
        ):
            dataset.add_new(tag, vr, value)
        made = cleaned(with_meta(dataset))
        assert {element.keyword for element in made} == {
            "SpecificCharacterSet",
            "SOPClassUID",
            "SOPInstanceUID",
            "PatientName",
            "PatientID",
            "PatientIdentityRemoved",
            "DeidentificationMethod",
            "DeidentificationMethodCodeSequence",
            "LongitudinalTemporalInformationModified",
        }

    def test_file_meta_information_tells_nothing_of_the_sender(self) -> None:
        data = encoded()
        assert b"STATION-OF-KIM" in data
        assert b"STATION-OF-KIM" not in bytes(
            deidentify(read(InMemory(data)), IDENTITY, ConfidentialityOptions()).payload
        )

    def test_a_report_keeps_structure_numbers_and_public_codes(self) -> None:
        public = item(CodeValue="121206", CodingSchemeDesignator="DCM", CodeMeaning="Distance")
        local = item(CodeValue="KIM", CodingSchemeDesignator="99KIM", CodeMeaning="Of Kim")
        text = item(ValueType="TEXT", ConceptNameCodeSequence=[local], TextValue="Kim has a mass.")
        number = item(ValueType="NUM", ConceptNameCodeSequence=[public])
        number.MeasuredValueSequence = [item(NumericValue="7.5")]
        name = item(ValueType="PNAME", PersonName="Park^Doctor")
        made = cleaned(encoded(ContentSequence=[text, number, name])).ContentSequence
        assert [one.ValueType for one in made] == ["TEXT", "NUM", "PNAME"]
        assert made[0].TextValue == made[0].ConceptNameCodeSequence[0].CodeMeaning == "ANONYMIZED"
        assert made[1].MeasuredValueSequence[0].NumericValue == 7.5
        assert made[1].ConceptNameCodeSequence[0].CodeMeaning == "Distance"
        assert made[2].PersonName == "ANONYMIZED"

    @pytest.mark.parametrize(
        ("description", "kept"),
        [
            ("Hand of KIM", False),
            ("minsu^hand", False),
            ("P-0001", False),
            ("Kimono", True),
            ("Hand", True),
            ("[P-0001]", False),
        ],
    )
    def test_text_that_names_the_patient_is_replaced(self, description: str, kept: bool) -> None:
        made = cleaned(encoded(SeriesDescription=description), keeps_series_description=True)
        assert made.SeriesDescription == (description if kept else "ANONYMIZED")

    @pytest.mark.parametrize("name", ["김^민수", "Ng^A", "Kim^Minsu=金^民洙=김^민수"])
    def test_names_in_any_script_are_found(self, name: str) -> None:
        family = name.rpartition("=")[2].partition("^")[0] if "=" in name or not name.isascii() else "Ng^A"
        made = cleaned(encoded(PatientName=name, SeriesDescription=f"{family} x"), keeps_series_description=True)
        assert (made.SeriesDescription == "ANONYMIZED") == (name != "Ng^A")

    @pytest.mark.parametrize(
        "text",
        [
            "홍길동 뇌 MRI",
            "홍길동님 T1",
            unicodedata.normalize("NFD", "길동 T1"),
            "洪吉洞 T1",
            "HONG_GILDONG_T1",
            "T1_P0014711",
            "P0014711환자",
            "T1 GildongHong",
            "ＨＯＮＧ T1",
            "T1 ABC12345",
            "DEF98765",
            "김영희",
        ],
    )
    @pytest.mark.parametrize(
        "name", ["Hong^Gildong=洪^吉洞=홍^길동", unicodedata.normalize("NFD", "Hong^Gildong=洪^吉洞=홍^길동")]
    )
    def test_identifiers_are_found_as_they_are_written(self, name: str, text: str) -> None:
        data = encoded(
            PatientName=name,
            PatientID="P0014711",
            OtherPatientNames=["Lee^A", "김^영희"],
            OtherPatientIDs=["ABC12345", "DEF98765"],
            SeriesDescription=text,
            Manufacturer=text,
        )
        made = cleaned(data, keeps_series_description=True)
        assert (made.SeriesDescription, made.Manufacturer) == ("ANONYMIZED", "ANONYMIZED")

    @pytest.mark.parametrize("text", ["뇌 MRI", "HONGKONG", "P00147110", "길 T1", "Unknown"])
    def test_what_only_resembles_an_identifier_stays(self, text: str) -> None:
        data = encoded(
            PatientName="Hong^Gildong=洪^吉洞=홍^길동",
            PatientID="P0014711",
            ReferringPhysicianName="UNKNOWN",
            SeriesDescription=text,
        )
        assert cleaned(data, keeps_series_description=True).SeriesDescription == text

    def test_text_too_long_to_be_searched_is_replaced(self) -> None:
        made = cleaned(encoded(TextValue="x", Manufacturer="ACME", PatientComments="y", LongCodeValue="z " * 40_000))
        assert made.LongCodeValue == "ANONYMIZED"

    @pytest.mark.parametrize("value", ["2024", "202402", "20241399", "x", "00010101"])
    def test_what_is_no_whole_date_is_not_moved_but_removed(self, value: str) -> None:
        dataset = dcmread(BytesIO(encoded()))
        dataset.add_new("AcquisitionDateTime", "LO", value)
        dataset["AcquisitionDateTime"].VR = "DT"
        assert cleaned(with_meta(dataset), shifts_dates=True).AcquisitionDateTime == ""

    @pytest.mark.parametrize(
        ("keyword", "value", "kept"),
        [
            ("AcquisitionDate", "20200111 KIM MINSU", ""),
            ("AcquisitionDate", "2020.01.11", "20200101"),
            ("AcquisitionTime", "101530 KIM", ""),
            ("AcquisitionTime", "KIM", ""),
            ("AcquisitionTime", "10:15:30.5", "101530.5"),
            ("AcquisitionTime", "10", "10"),
            ("AcquisitionDateTime", "20200111101530 KIM", ""),
            ("AcquisitionDateTime", "202001114711", ""),
            ("AcquisitionDateTime", "2020011110+0900", "2020010110+0900"),
            ("BodyPartExamined", "KIM MINSU", "ANONYMIZED"),
            ("ImageType", "ORIGINAL\\KIM_1\\AXIAL", "ORIGINAL\\ANONYMIZED\\AXIAL"),
            ("ImageType", "ORIGINAL\\김민수", "ANONYMIZED"),
            ("RepetitionTime", "KIM MINSU", "0"),
            ("RepetitionTime", "4711.5", "4711.5"),
            ("RescaleIntercept", "-4711", "-4711"),
            ("SOPClassUID", "1.2.4711", "1.2.4711"),
            ("SpecificCharacterSet", "ISO 2022 IR 4711", "ISO 2022 IR 4711"),
            ("ValueType", "KIM", "KIM"),
        ],
    )
    def test_text_in_attributes_of_any_vr_is_searched(self, keyword: str, value: str, kept: str) -> None:
        tag = tag_for_keyword(keyword)
        assert tag is not None
        file = read(InMemory(encoded(PatientName="Kim^Minsu=金^民洙=김^민수", PatientID="4711")))
        file.elements[tag] = Element(tag, dictionary_VR(tag), value.encode())
        made = deidentify(file, IDENTITY, ConfidentialityOptions(shifts_dates=True)).elements[tag].value
        assert isinstance(made, bytes)
        assert made.decode().rstrip() == kept

    @pytest.mark.parametrize(("value", "is_kept"), [("1.5", True), ("Kim", False)])
    def test_long_lists_of_numbers_are_kept(self, value: str, is_kept: bool) -> None:
        data = encoded(ImplicitVRLittleEndian, ContourData=["1.25"] * 2_000 + ["0.5"])
        data = data.replace(b"1.25\\0.5", b"1.25\\" + value.encode())
        made = cleaned(data)["ContourData"].value
        assert (len(made) == 2_001) if is_kept else (made == 0)

    def test_the_birth_of_the_patient_is_not_moved(self) -> None:
        assert cleaned(encoded(PatientBirthDate="19800101"), shifts_dates=True).PatientBirthDate == ""

    def test_the_device_is_kept_on_request(self) -> None:
        device: dict[str, Any] = {"StationName": "CT1", "DeviceSerialNumber": "123456", "DeviceUID": "1.2.3"}
        kept = cleaned(encoded(**device), keeps_device=True)
        assert {name: kept[name].value for name in device} == device
        made = cleaned(encoded(**device))
        assert not {str(made[name].value) for name in device} & set(device.values())

    def test_uids_of_kinds_stay_and_others_depend_on_the_secret(self) -> None:
        values = {"FrameOfReferenceUID": "1.2.9", "SynchronizationFrameOfReferenceUID": "1.2.840.10008.15.1.1"}
        first = cleaned(encoded(**values))
        second = cleaned(encoded(**values), NewIdentity(patient_id="S1", patient_name="S1", secret=b"t" * 32))
        assert first.FrameOfReferenceUID != second.FrameOfReferenceUID
        assert first.SynchronizationFrameOfReferenceUID == "1.2.840.10008.15.1.1"
        assert rule_of(0x00080016, "UI", ConfidentialityOptions()) is Rule.KEEP
        assert rule_of(0x00081150, "UI", ConfidentialityOptions()) is Rule.KEEP

    def test_the_file_says_what_was_done(self) -> None:
        made = cleaned(encoded(), shifts_dates=True, keeps_device=True)
        assert (made.PatientIdentityRemoved, made.LongitudinalTemporalInformationModified) == ("YES", "MODIFIED")
        assert [one.CodeValue for one in made.DeidentificationMethodCodeSequence] == ["113100", "113107", "113109"]


def test_malformed_files_are_errors_of_their_own_or_become_files() -> None:
    made, rejected = 0, 0
    for broken in (*changed(seed=1, per_file=3), *truncated(per_file=2)):
        try:
            bytes(
                deidentify(read(InMemory(broken.content)), IDENTITY, ConfidentialityOptions(shifts_dates=True)).payload
            )
            made += 1
        except GatewayError:
            rejected += 1
    assert made > 100
    assert rejected > 100
