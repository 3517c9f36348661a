"""Files that are stored under their own UIDs."""

from dataclasses import dataclass
from typing import Self

from orthancproxy.archive.levels import study_orthanc_id
from orthancproxy.archive.matching import is_patient_id
from orthancproxy.archive.storage import store
from orthancproxy.dicom.file_format import (
    SERIES_INSTANCE_UID,
    SOP_INSTANCE_UID,
    STUDY_INSTANCE_UID,
    TRANSFER_SYNTAX_UID,
    UID,
    DicomFile,
    text_of,
)
from orthancproxy.dicom.payload import EMPTY_PREAMBLE, encoded, unchanged
from orthancproxy.dicom.rewrite import PATIENT_ID
from orthancproxy.dicom.sources import Source
from orthancproxy.errors import NotDicom, UnreadableDicom
from orthancproxy.orthanc.client import OrthancClient
from orthancproxy.orthanc.responses import StoreResult
from orthancproxy.uploads.inspection import parse

_UIDS = {
    "StudyInstanceUID": STUDY_INSTANCE_UID,
    "SeriesInstanceUID": SERIES_INSTANCE_UID,
    "SOPInstanceUID": SOP_INSTANCE_UID,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class IdentifiedFile:
    """A DICOM file and what identifies it.

    Orthanc reads the same PatientID as the gateway if it `is_unambiguous` and the file is `reencoded`. Otherwise it may
    be another one, of a file that was made for that.
    """

    source: Source
    patient_id: str
    is_unambiguous: bool
    study_instance_uid: str
    series_instance_uid: str
    sop_instance_uid: str
    sop_class_uid: str

    @classmethod
    def of(cls, source: Source) -> Self:
        """Parse a file. Raises InvalidDicom, also for one that is not in the file format (PS3.10), or LimitExceeded."""
        dicom = parse(source)
        if source.read_at(len(EMPTY_PREAMBLE) - 4, 4) != EMPTY_PREAMBLE[-4:]:
            raise NotDicom("The file has no preamble (PS3.10 section 7.1).")
        if text_of(dicom.meta, TRANSFER_SYNTAX_UID, dicom.encodings) != dicom.transfer_syntax_uid:
            raise UnreadableDicom("The data set does not match the declared transfer syntax.")
        for keyword, tag in _UIDS.items():
            # Orthanc keeps blanks before it
            if not UID.fullmatch(dicom.text(tag)) or _bytes(dicom, tag).startswith((b" ", b"\0")):
                raise UnreadableDicom(f"The file has no valid {keyword}.")
        patient_id, is_declared = dicom.encodings.decode(_bytes(dicom, PATIENT_ID))
        patient_id = patient_id.rstrip("\0 ")
        return cls(
            source=source,
            patient_id=patient_id,
            is_unambiguous=is_declared and b"\x1b" not in _bytes(dicom, PATIENT_ID) and is_patient_id(patient_id),
            study_instance_uid=dicom.study_instance_uid,
            series_instance_uid=dicom.series_instance_uid,
            sop_instance_uid=dicom.sop_instance_uid,
            sop_class_uid=dicom.sop_class_uid,
        )

    @property
    def study_orthanc_id(self) -> str:
        """The Orthanc id of the file's study."""
        return study_orthanc_id(self.patient_id, self.study_instance_uid)

    def store(self, client: OrthancClient, *, reencoded: bool) -> StoreResult:
        """Store the file: as it is, with an empty preamble; or with all data elements encoded again, values unchanged.

        Raises ArchiveError.
        """
        if not reencoded:
            return store(client, unchanged(self.source))
        dicom = parse(self.source)
        return store(client, encoded(dicom, dicom.elements, self.sop_instance_uid))


def _bytes(dicom: DicomFile, tag: int) -> bytes:
    """Return the value of an element as it is; empty if it is missing, or too long for an identifier."""
    element = dicom.elements.get(tag)
    return element.value if element and isinstance(element.value, bytes) else b""
