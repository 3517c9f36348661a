"""What the tests rewrite files to, and the short way to do it."""

from typing import Any

from pydicom.dataset import FileDataset
from pydicom.filebase import DicomBytesIO
from pydicom.filereader import dcmread

from orthancproxy.dicom.file_format import read
from orthancproxy.dicom.rewrite import RewriteTarget, Rewritten, rewrite
from orthancproxy.dicom.sources import InMemory

NEW_ROOT = "1.2.826.0.1.3680043.8.498.9"
NEW_STUDY = f"{NEW_ROOT}.1"
NEW_SERIES = f"{NEW_ROOT}.2"
NEW_INSTANCE = f"{NEW_ROOT}.3"

PATIENT_ID = "환자-0001"
PATIENT_NAME = "Hong^Gildong=洪^吉洞=홍^길동"
STUDY_DESCRIPTION = "뇌 MRI 검사"


def target(**changes: Any) -> RewriteTarget:
    """A target with Korean texts and no other file in its upload, with these changes."""
    values: dict[str, Any] = {
        "patient_id": PATIENT_ID,
        "patient_name": PATIENT_NAME,
        "study_instance_uid": NEW_STUDY,
        "series_instance_uid": NEW_SERIES,
        "sop_instance_uid": NEW_INSTANCE,
        "study_description": STUDY_DESCRIPTION,
        "study_date": "20260304",
        "study_time": "050607",
        "uids": {},
    }
    return RewriteTarget(**(values | changes))


def result(data: bytes, **changes: Any) -> Rewritten:
    """What rewriting a file in memory gives."""
    return rewrite(read(InMemory(data)), target(**changes))


def rewritten(data: bytes, **changes: Any) -> bytes:
    """The whole new file."""
    return bytes(result(data, **changes).payload)


def dataset(data: bytes) -> FileDataset:
    """A file as pydicom reads it, also without a preamble."""
    return dcmread(DicomBytesIO(data), force=True)


def reread(data: bytes, **changes: Any) -> FileDataset:
    """The new file, as pydicom reads it."""
    return dataset(rewritten(data, **changes))
