"""The first pass over the files of an upload: all are inspected before the first is rewritten."""

import hashlib
import re
from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import partial

from orthancproxy.conf import conf
from orthancproxy.dicom import file_format
from orthancproxy.dicom.file_format import UID, DicomFile
from orthancproxy.dicom.rewrite import PATIENT_ID, PATIENT_NAME, STUDY_DATE, STUDY_DESCRIPTION, STUDY_TIME
from orthancproxy.dicom.sources import Source, chunks, load_if_small
from orthancproxy.dicom.text import FALLBACK_CODECS
from orthancproxy.errors import GatewayError
from orthancproxy.uploads.files import FailedFile, InspectedFile, SentFile, failed
from orthancproxy.uploads.uids import UploadUIDs
from orthancproxy.uploads.workers import in_parallel

MAX_KEPT_BYTES = 16 * 1024**2
# yyyymmdd; hhmmss with omitted or fractional parts (PS3.5 section 6.2)
DATE = re.compile(r"[0-9]{8}", re.ASCII)
TIME = re.compile(r"([0-9]{2}){1,3}|[0-9]{6}\.[0-9]{1,6}", re.ASCII)
MODALITY = 0x00080060
PATIENT_BIRTH_DATE = 0x00100030
PATIENT_SEX = 0x00100040


def inspect(files: Sequence[SentFile | FailedFile], uids: UploadUIDs) -> Iterator[InspectedFile | FailedFile]:
    """Inspect files. Parsed files are kept up to MAX_KEPT_BYTES, without pixels: the others are read once more."""
    room = MAX_KEPT_BYTES
    for file in in_parallel(partial(_inspect, uids), files):
        if isinstance(file, FailedFile) or not file.dicom:
            yield file
            continue
        room -= file.dicom.memory_bytes
        yield file if room > 0 else replace(file, dicom=None)


def common_description(files: Sequence[InspectedFile | FailedFile]) -> str:
    """Return the StudyDescription that all files have; empty without one."""
    descriptions = {file.study_description for file in files if isinstance(file, InspectedFile)}
    common = descriptions.pop() if len(descriptions) == 1 else ""
    return "" if any(character < " " for character in common) else common


def common_date(files: Sequence[InspectedFile | FailedFile]) -> str:
    """Return the StudyDate of all files that have one; empty if they differ or none has one."""
    return _common({file.study_date for file in files if isinstance(file, InspectedFile)}, DATE)


def common_time(files: Sequence[InspectedFile | FailedFile]) -> str:
    """Return the StudyTime of all files that have one; empty if they differ or none has one."""
    return _common({file.study_time for file in files if isinstance(file, InspectedFile)}, TIME)


def _common(values: set[str], pattern: re.Pattern[str]) -> str:
    given = [value for value in values if value]
    return given[0] if len(given) == 1 and pattern.fullmatch(given[0]) else ""


def parse(source: Source) -> DicomFile:
    """Parse an uploaded file. Raises like `file_format.read`."""
    return file_format.read(source, FALLBACK_CODECS[conf.ORTHANC_DEFAULT_ENCODING])


def _inspect(uids: UploadUIDs, file: SentFile | FailedFile) -> InspectedFile | FailedFile:
    if isinstance(file, FailedFile):
        return file
    source = load_if_small(file.source)
    digest = hashlib.sha256(file.folder.encode(errors="surrogatepass") + b"\0")
    for chunk in chunks(source):
        digest.update(chunk)
    identity = digest.hexdigest()
    try:
        dicom = parse(source)
    except GatewayError as error:
        return failed(file, error, identity)
    modality = dicom.text(MODALITY)
    return InspectedFile(
        sent=file,
        identity=identity,
        old_study_uid=_valid(dicom.study_instance_uid),
        old_series_uid=_valid(dicom.series_instance_uid),
        old_sop_uid=_valid(dicom.sop_instance_uid),
        series_uid=uids.series(file.folder, modality),
        sop_uid=uids.instance(identity),
        study_description=dicom.text(STUDY_DESCRIPTION),
        study_date=dicom.text(STUDY_DATE).replace(".", ""),
        study_time=_time(dicom.text(STUDY_TIME)),
        patient_id=dicom.text(PATIENT_ID),
        patient_name=dicom.text(PATIENT_NAME),
        birth_date=dicom.text(PATIENT_BIRTH_DATE).replace(".", ""),
        sex=dicom.text(PATIENT_SEX),
        modality=modality,
        dicom=None if dicom.is_deflated else replace(dicom, source=file.source),
    )


def _time(value: str) -> str:
    """Return a TM without the colons of ACR-NEMA and without zeros at the end of its fraction, for comparison."""
    time, _, fraction = value.replace(":", "").partition(".")
    fraction = fraction.rstrip("0")
    return f"{time}.{fraction}" if fraction else time


def _valid(uid: str) -> str:
    return uid if UID.fullmatch(uid) else ""
