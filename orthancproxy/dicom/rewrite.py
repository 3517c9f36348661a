"""Rewrites an uploaded file, so that it becomes part of the new study of its patient."""

from collections.abc import Mapping
from dataclasses import dataclass

from orthancproxy.dicom.conversion import Conversion, References
from orthancproxy.dicom.elements import SPECIFIC_CHARACTER_SET, Elements
from orthancproxy.dicom.file_format import (
    SERIES_INSTANCE_UID,
    SOP_INSTANCE_UID,
    STUDY_INSTANCE_UID,
    DicomFile,
    malformed_as_error,
    text_of,
)
from orthancproxy.dicom.payload import Payload, encoded, text_element
from orthancproxy.dicom.text import UTF_8, Encodings

UNDECLARED = Encodings()
PATIENT_NAME = 0x00100010
PATIENT_ID = 0x00100020
STUDY_DATE = 0x00080020
STUDY_TIME = 0x00080030
STUDY_DESCRIPTION = 0x00081030


@dataclass(frozen=True, slots=True, kw_only=True)
class RewriteTarget:
    """The new identity of a file.

    `uids` maps old UIDs of the upload's instances, series and studies to new ones. `old_study_uids` are the old UIDs of
    studies, which resolve references to a study if a series had the same UID.
    """

    patient_id: str
    patient_name: str
    study_instance_uid: str
    series_instance_uid: str
    sop_instance_uid: str
    study_description: str
    study_date: str  # of a file without StudyDate
    study_time: str  # of a file without StudyTime
    uids: Mapping[str, str]
    old_study_uids: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Rewritten:
    """A file as it is sent to Orthanc.

    `references` are the UIDs in its sequences, without those of the standard; `unresolved` are the ones missing from
    `RewriteTarget.uids`. `text_guessed`: some text is not in its SpecificCharacterSet (`Encodings.decode`).
    `was_signed`: digital signatures were removed, since the changes invalidate them (PS3.15 section C.1).
    """

    payload: Payload
    references: frozenset[str]
    unresolved: frozenset[str]
    text_guessed: bool
    was_signed: bool


def rewrite(file: DicomFile, target: RewriteTarget) -> Rewritten:
    """Return the rewritten file; `file` is not changed. Raises UnreadableDicom, UnsafeDicom or LimitExceeded."""
    with malformed_as_error():
        references = References(
            uids=target.uids, study_instance_uid=target.study_instance_uid, old_study_uids=target.old_study_uids
        )
        patient = {PATIENT_ID: target.patient_id, PATIENT_NAME: target.patient_name}
        conversion = Conversion(file, references, patient)
        elements = conversion.convert(file.elements, file.encodings, nested=False)
        _retarget(elements, target)
        referenced = frozenset(conversion.references)
        return Rewritten(
            encoded(file, elements, target.sop_instance_uid),
            referenced,
            referenced - target.uids.keys(),
            conversion.text_guessed,
            conversion.was_signed,
        )


def _retarget(elements: Elements, target: RewriteTarget) -> None:
    """Set the attributes of the new study."""
    values = {
        SPECIFIC_CHARACTER_SET: UTF_8,
        PATIENT_ID: target.patient_id,
        PATIENT_NAME: target.patient_name,
        STUDY_DESCRIPTION: target.study_description,
        STUDY_INSTANCE_UID: target.study_instance_uid,
        SERIES_INSTANCE_UID: target.series_instance_uid,
        SOP_INSTANCE_UID: target.sop_instance_uid,
    }
    if not text_of(elements, STUDY_DATE, UNDECLARED):
        values[STUDY_DATE] = target.study_date
    if not text_of(elements, STUDY_TIME, UNDECLARED):
        values[STUDY_TIME] = target.study_time
    elements |= {tag: text_element(tag, value) for tag, value in values.items()}
