"""A small upload whose files refer to each other in all the ways that PS3.3 has for it, and to files elsewhere.

Two studies of one patient: three CT slices, a structure set, a segmentation and a structured report in the first; an
enhanced MR and a presentation state in the second, which refer into the first.
"""

from collections.abc import Iterator
from io import BytesIO
from typing import Any

from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.sequence import Sequence
from pydicom.uid import (
    ComprehensiveSRStorage,
    CTImageStorage,
    EnhancedMRImageStorage,
    ExplicitVRLittleEndian,
    GrayscaleSoftcopyPresentationStateStorage,
    ImplicitVRLittleEndian,
    RTStructureSetStorage,
    SegmentationStorage,
)

ROOT = "1.2.826.0.1.3680043.8.498.77"
OUTSIDE_ROOT = "1.2.826.0.1.3680043.8.498.88"

PATIENT_ID = "P2020-7"
PATIENT_NAME = "Kim^Cheolsu=金^哲洙=김^철수"

STUDY = f"{ROOT}.1"
FOLLOW_UP_STUDY = f"{ROOT}.2"
FRAME_OF_REFERENCE = f"{ROOT}.9"
"""Names no study, series or instance, so it stays, at every depth."""

CT_SERIES = f"{STUDY}.1"
RTSTRUCT_SERIES = f"{STUDY}.2"
SEG_SERIES = f"{STUDY}.3"
SR_SERIES = f"{STUDY}.4"
MR_SERIES = f"{FOLLOW_UP_STUDY}.1"
GSPS_SERIES = f"{FOLLOW_UP_STUDY}.2"

CT_INSTANCES = tuple(f"{CT_SERIES}.{number}" for number in (1, 2, 3))
RTSTRUCT_INSTANCE = f"{RTSTRUCT_SERIES}.1"
SEG_INSTANCE = f"{SEG_SERIES}.1"
SR_INSTANCE = f"{SR_SERIES}.1"
MR_INSTANCE = f"{MR_SERIES}.1"
GSPS_INSTANCE = f"{GSPS_SERIES}.1"

UPLOADED = frozenset(
    {
        *(STUDY, FOLLOW_UP_STUDY),
        *(CT_SERIES, RTSTRUCT_SERIES, SEG_SERIES, SR_SERIES, MR_SERIES, GSPS_SERIES),
        *CT_INSTANCES,
        *(RTSTRUCT_INSTANCE, SEG_INSTANCE, SR_INSTANCE, MR_INSTANCE, GSPS_INSTANCE),
    }
)
"""Every study, series and instance UID of the upload."""

OUTSIDE_STUDY = f"{OUTSIDE_ROOT}.1"
OUTSIDE_SERIES = f"{OUTSIDE_STUDY}.1"
OUTSIDE_INSTANCE = f"{OUTSIDE_SERIES}.1"
OUTSIDE = frozenset({OUTSIDE_STUDY, OUTSIDE_SERIES, OUTSIDE_INSTANCE})
"""What the upload refers to and does not have: these stay."""

PRIVATE_CREATOR = "GATEWAY TESTS"

_DETACHED_STUDY_MANAGEMENT = "1.2.840.10008.3.1.2.3.1"


def linked_upload() -> dict[str, bytes]:
    """The files: folder and name → DICOM file. A folder is a series."""
    return {name: _file(dataset, implicit=name.startswith("rtstruct/")) for name, dataset in _datasets()}


def _datasets() -> Iterator[tuple[str, Dataset]]:
    for number, uid in enumerate(CT_INSTANCES, start=1):
        yield f"ct/{number}.dcm", _ct(number, uid)
    yield "rtstruct/1.dcm", _rtstruct()
    yield "seg/1.dcm", _seg()
    yield "sr/1.dcm", _sr()
    yield "mr/1.dcm", _enhanced_mr()
    yield "gsps/1.dcm", _gsps()


def _file(dataset: Dataset, *, implicit: bool) -> bytes:
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = ImplicitVRLittleEndian if implicit else ExplicitVRLittleEndian
    file = BytesIO()
    dataset.save_as(file, enforce_file_format=True)
    return file.getvalue()


def _dataset(**elements: Any) -> Dataset:
    dataset = Dataset()
    for keyword, value in elements.items():
        setattr(dataset, keyword, Sequence(value) if keyword.endswith("Sequence") else value)
    return dataset


def _composite(sop_class: str, modality: str, study: str, series: str, instance: str, **elements: Any) -> Dataset:
    """What every composite object has (PS3.3 section A.1.3), and these elements."""
    common: dict[str, Any] = {
        "SpecificCharacterSet": "ISO_IR 192",
        "SOPClassUID": sop_class,
        "SOPInstanceUID": instance,
        "StudyDate": "20200711",
        "SeriesDate": "20200711",
        "ContentDate": "20200711",
        "StudyTime": "101500",
        "SeriesTime": "101500",
        "ContentTime": "101500",
        "AccessionNumber": "A7",
        "Modality": modality,
        "Manufacturer": "ACME",
        "ManufacturerModelName": "Model",
        "DeviceSerialNumber": "1",
        "SoftwareVersions": "1",
        "ReferringPhysicianName": "",
        "StudyDescription": "Follow-up" if study == FOLLOW_UP_STUDY else "Planning",
        "SeriesDescription": modality,
        "PatientName": PATIENT_NAME,
        "PatientID": PATIENT_ID,
        "PatientBirthDate": "19700315",
        "PatientSex": "M",
        "StudyInstanceUID": study,
        "SeriesInstanceUID": series,
        "StudyID": "S7",
        "SeriesNumber": "1",
        "InstanceNumber": "1",
    }
    return _dataset(**(common | elements))


def _pixels(rows: int, columns: int, *, bits: int = 16, frames: int = 1) -> dict[str, Any]:
    return {
        "SamplesPerPixel": 1,
        "PhotometricInterpretation": "MONOCHROME2",
        "Rows": rows,
        "Columns": columns,
        "BitsAllocated": bits,
        "BitsStored": bits,
        "HighBit": bits - 1,
        "PixelRepresentation": 0,
        "PixelData": (bytes(range(256)) * 8)[: max(rows * columns * frames * bits // 8, 2)],
    }


def _image(instance: str, sop_class: str = CTImageStorage, **elements: Any) -> Dataset:
    return _dataset(ReferencedSOPClassUID=sop_class, ReferencedSOPInstanceUID=instance, **elements)


def _code(value: str, meaning: str) -> Dataset:
    return _dataset(CodeValue=value, CodingSchemeDesignator="DCM", CodeMeaning=meaning)


def _series_of(series: str, *instances: str) -> Dataset:
    return _dataset(
        SeriesInstanceUID=series,
        ReferencedSOPSequence=[_image(instance) for instance in instances],
    )


def _ct(number: int, uid: str) -> Dataset:
    dataset = _composite(
        CTImageStorage,
        "CT",
        STUDY,
        CT_SERIES,
        uid,
        InstanceNumber=str(number),
        ImageType=["ORIGINAL", "PRIMARY", "AXIAL"],
        AcquisitionNumber="1",
        FrameOfReferenceUID=FRAME_OF_REFERENCE,
        PositionReferenceIndicator="",
        KVP="120",
        PatientPosition="HFS",
        SliceThickness="1.5",
        SliceLocation=str(number),
        PixelSpacing=["0.5", "0.5"],
        ImagePositionPatient=["0", "0", str(number)],
        ImageOrientationPatient=["1", "0", "0", "0", "1", "0"],
        RescaleIntercept="-1024",
        RescaleSlope="1",
        ReferencedImageSequence=[_image(OUTSIDE_INSTANCE), *(_image(one) for one in CT_INSTANCES if one != uid)],
        OtherPatientIDsSequence=[
            _dataset(PatientID=PATIENT_ID, TypeOfPatientID="TEXT"),
            _dataset(PatientID="ELSEWHERE-1", TypeOfPatientID="TEXT"),
        ],
        **_pixels(8, 8),
    )
    block = dataset.private_block(0x0021, PRIVATE_CREATOR, create=True)
    block.add_new(0x01, "SQ", Sequence([_dataset(SeriesInstanceUID=CT_SERIES, ReferencedSOPInstanceUID=uid)]))
    block.add_new(0x02, "UN", f"{uid}\0".encode()[: len(uid) + len(uid) % 2])
    return dataset


def _rtstruct() -> Dataset:
    contour_images = [_image(uid) for uid in CT_INSTANCES]
    contours = [
        _dataset(
            ContourImageSequence=[_image(uid)],
            ContourGeometricType="CLOSED_PLANAR",
            NumberOfContourPoints="3",
            ContourData=["0", "0", "1", "1", "0", "1", "0", "1", "1"],
        )
        for uid in (*CT_INSTANCES, OUTSIDE_INSTANCE)
    ]
    referenced_study = _dataset(
        ReferencedSOPClassUID=_DETACHED_STUDY_MANAGEMENT,
        ReferencedSOPInstanceUID=STUDY,
        RTReferencedSeriesSequence=[_dataset(SeriesInstanceUID=CT_SERIES, ContourImageSequence=contour_images)],
    )
    return _composite(
        RTStructureSetStorage,
        "RTSTRUCT",
        STUDY,
        RTSTRUCT_SERIES,
        RTSTRUCT_INSTANCE,
        StructureSetLabel="LABEL",
        StructureSetDate="20200711",
        StructureSetTime="101500",
        OperatorsName="",
        ReferencedFrameOfReferenceSequence=[
            _dataset(FrameOfReferenceUID=FRAME_OF_REFERENCE, RTReferencedStudySequence=[referenced_study])
        ],
        StructureSetROISequence=[
            _dataset(
                ROINumber="1",
                ReferencedFrameOfReferenceUID=FRAME_OF_REFERENCE,
                ROIName="종양",
                ROIGenerationAlgorithm="MANUAL",
            )
        ],
        ROIContourSequence=[_dataset(ReferencedROINumber="1", ContourSequence=contours)],
        RTROIObservationsSequence=[
            _dataset(ObservationNumber="1", ReferencedROINumber="1", RTROIInterpretedType="GTV", ROIInterpreter="")
        ],
    )


def _seg() -> Dataset:
    frames = [
        _dataset(
            DerivationImageSequence=[
                _dataset(
                    SourceImageSequence=[
                        _image(uid, PurposeOfReferenceCodeSequence=[_code("121322", "Source image for processing")])
                    ],
                    DerivationCodeSequence=[_code("113076", "Segmentation")],
                )
            ],
            FrameContentSequence=[_dataset(DimensionIndexValues=[1, number])],
            PlanePositionSequence=[_dataset(ImagePositionPatient=["0", "0", str(number)])],
        )
        for number, uid in enumerate(CT_INSTANCES, start=1)
    ]
    dataset = _composite(
        SegmentationStorage,
        "SEG",
        STUDY,
        SEG_SERIES,
        SEG_INSTANCE,
        ImageType=["DERIVED", "PRIMARY"],
        FrameOfReferenceUID=FRAME_OF_REFERENCE,
        PositionReferenceIndicator="",
        ContentLabel="LABEL",
        ContentDescription="",
        ContentCreatorName="",
        SegmentationType="BINARY",
        LossyImageCompression="00",
        NumberOfFrames=str(len(frames)),
        ReferencedSeriesSequence=[
            _dataset(SeriesInstanceUID=CT_SERIES, ReferencedInstanceSequence=[_image(uid) for uid in CT_INSTANCES])
        ],
        StudiesContainingOtherReferencedInstancesSequence=[
            _dataset(
                StudyInstanceUID=OUTSIDE_STUDY,
                ReferencedSeriesSequence=[
                    _dataset(SeriesInstanceUID=OUTSIDE_SERIES, ReferencedInstanceSequence=[_image(OUTSIDE_INSTANCE)])
                ],
            ),
            _dataset(
                StudyInstanceUID=FOLLOW_UP_STUDY,
                ReferencedSeriesSequence=[
                    _dataset(
                        SeriesInstanceUID=MR_SERIES,
                        ReferencedInstanceSequence=[_image(MR_INSTANCE, EnhancedMRImageStorage)],
                    )
                ],
            ),
        ],
        DimensionOrganizationSequence=[_dataset(DimensionOrganizationUID=f"{SEG_INSTANCE}.5")],
        DimensionIndexSequence=[
            _dataset(
                DimensionOrganizationUID=f"{SEG_INSTANCE}.5",
                DimensionIndexPointer=0x0020_0032,
                FunctionalGroupPointer=0x0020_9113,
            )
        ],
        SegmentSequence=[
            _dataset(
                SegmentNumber=1,
                SegmentLabel="Tumor",
                SegmentAlgorithmType="MANUAL",
                SegmentedPropertyCategoryCodeSequence=[_code("111176", "Unspecified")],
                SegmentedPropertyTypeCodeSequence=[_code("111176", "Unspecified")],
            )
        ],
        SharedFunctionalGroupsSequence=[
            _dataset(
                PlaneOrientationSequence=[_dataset(ImageOrientationPatient=["1", "0", "0", "0", "1", "0"])],
                PixelMeasuresSequence=[_dataset(SliceThickness="1.5", PixelSpacing=["0.5", "0.5"])],
                SegmentIdentificationSequence=[_dataset(ReferencedSegmentNumber=1)],
            )
        ],
        PerFrameFunctionalGroupsSequence=frames,
        **_pixels(8, 8, bits=1, frames=len(frames)),
    )
    dataset["PixelData"].VR = "OB"
    return dataset


def _sr() -> Dataset:
    content = [
        _dataset(
            RelationshipType="CONTAINS",
            ValueType="IMAGE",
            ConceptNameCodeSequence=[_code("121191", "Referenced Segment")],
            ReferencedSOPSequence=[_image(uid)],
        )
        for uid in (CT_INSTANCES[0], OUTSIDE_INSTANCE)
    ]
    content.append(
        _dataset(
            RelationshipType="CONTAINS",
            ValueType="UIDREF",
            ConceptNameCodeSequence=[_code("112002", "Series Instance UID")],
            UID=CT_SERIES,
        )
    )
    content.append(
        _dataset(
            RelationshipType="CONTAINS",
            ValueType="TEXT",
            ConceptNameCodeSequence=[_code("121106", "Comment")],
            TextValue=f"In {CT_SERIES}: 이상 없음",
        )
    )
    return _composite(
        ComprehensiveSRStorage,
        "SR",
        STUDY,
        SR_SERIES,
        SR_INSTANCE,
        ReferencedPerformedProcedureStepSequence=[],
        PerformedProcedureCodeSequence=[],
        CompletionFlag="COMPLETE",
        VerificationFlag="UNVERIFIED",
        CurrentRequestedProcedureEvidenceSequence=[
            _dataset(StudyInstanceUID=STUDY, ReferencedSeriesSequence=[_series_of(CT_SERIES, *CT_INSTANCES)])
        ],
        PertinentOtherEvidenceSequence=[
            _dataset(
                StudyInstanceUID=OUTSIDE_STUDY,
                ReferencedSeriesSequence=[_series_of(OUTSIDE_SERIES, OUTSIDE_INSTANCE)],
            )
        ],
        ValueType="CONTAINER",
        ContinuityOfContent="SEPARATE",
        ConceptNameCodeSequence=[_code("126000", "Imaging Measurement Report")],
        ContentSequence=content,
    )


def _enhanced_mr() -> Dataset:
    frames = [
        _dataset(
            ReferencedImageSequence=[_image(uid), _image(OUTSIDE_INSTANCE)],
            DerivationImageSequence=[
                _dataset(
                    SourceImageSequence=[_image(uid)],
                    DerivationCodeSequence=[_code("113072", "Multiplanar reformatting")],
                )
            ],
            FrameContentSequence=[_dataset(FrameAcquisitionNumber=number, StackID="1", InStackPositionNumber=number)],
        )
        for number, uid in enumerate(CT_INSTANCES[:2], start=1)
    ]
    return _composite(
        EnhancedMRImageStorage,
        "MR",
        FOLLOW_UP_STUDY,
        MR_SERIES,
        MR_INSTANCE,
        ImageType=["DERIVED", "PRIMARY", "AXIAL", "NONE"],
        FrameOfReferenceUID=FRAME_OF_REFERENCE,
        PositionReferenceIndicator="",
        NumberOfFrames=str(len(frames)),
        ReferencedStudySequence=[_image(STUDY, _DETACHED_STUDY_MANAGEMENT)],
        StudiesContainingOtherReferencedInstancesSequence=[
            _dataset(
                StudyInstanceUID=STUDY,
                ReferencedSeriesSequence=[
                    _dataset(
                        SeriesInstanceUID=CT_SERIES,
                        ReferencedInstanceSequence=[_image(uid) for uid in CT_INSTANCES[:2]],
                    )
                ],
            )
        ],
        SharedFunctionalGroupsSequence=[
            _dataset(PixelMeasuresSequence=[_dataset(SliceThickness="1.5", PixelSpacing=["0.5", "0.5"])])
        ],
        PerFrameFunctionalGroupsSequence=frames,
        **_pixels(8, 8, frames=len(frames)),
    )


def _gsps() -> Dataset:
    return _composite(
        GrayscaleSoftcopyPresentationStateStorage,
        "PR",
        FOLLOW_UP_STUDY,
        GSPS_SERIES,
        GSPS_INSTANCE,
        ContentLabel="LABEL",
        ContentDescription="",
        ContentCreatorName="",
        PresentationCreationDate="20200711",
        PresentationCreationTime="101500",
        PresentationLUTShape="IDENTITY",
        ReferencedSeriesSequence=[
            _dataset(SeriesInstanceUID=CT_SERIES, ReferencedImageSequence=[_image(uid) for uid in CT_INSTANCES]),
            _dataset(SeriesInstanceUID=OUTSIDE_SERIES, ReferencedImageSequence=[_image(OUTSIDE_INSTANCE)]),
        ],
        DisplayedAreaSelectionSequence=[
            _dataset(
                ReferencedImageSequence=[_image(CT_INSTANCES[0])],
                DisplayedAreaTopLeftHandCorner=[1, 1],
                DisplayedAreaBottomRightHandCorner=[8, 8],
                PresentationSizeMode="SCALE TO FIT",
                PresentationPixelSpacing=["0.5", "0.5"],
            )
        ],
        GraphicLayerSequence=[_dataset(GraphicLayer="LAYER", GraphicLayerOrder="1")],
        GraphicAnnotationSequence=[
            _dataset(
                ReferencedImageSequence=[_image(CT_INSTANCES[1])],
                GraphicLayer="LAYER",
                TextObjectSequence=[
                    _dataset(
                        BoundingBoxAnnotationUnits="PIXEL",
                        UnformattedTextValue="여기",
                        BoundingBoxTopLeftHandCorner=[1.0, 1.0],
                        BoundingBoxBottomRightHandCorner=[2.0, 2.0],
                        BoundingBoxTextHorizontalJustification="LEFT",
                    )
                ],
            )
        ],
    )


def series_of(name: str) -> str:
    """The folder of one of the files."""
    return name.split("/", maxsplit=1)[0]


def nested_uids(dataset: Dataset, *, nested: bool = False) -> Iterator[tuple[str, str]]:
    """Every UI value within sequences: the path of keywords to it, and the UID."""
    for element in dataset:
        if element.VR == "SQ":
            for index, item in enumerate(element.value):
                for path, uid in nested_uids(item, nested=True):
                    yield f"{element.keyword or element.tag}[{index}].{path}", uid
        elif element.VR == "UI" and nested:
            values = [element.value] if isinstance(element.value, str) else element.value or []
            for value in values:
                yield element.keyword or str(element.tag), str(value)
