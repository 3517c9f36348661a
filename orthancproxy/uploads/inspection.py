"""The first pass over the files of an upload: all are inspected before the first is rewritten."""

import hashlib
import re
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import Future
from dataclasses import replace

from orthancproxy.conf import conf
from orthancproxy.dicom import file_format
from orthancproxy.dicom.file_format import UID, DicomFile
from orthancproxy.dicom.rewrite import PATIENT_ID, PATIENT_NAME, STUDY_DATE, STUDY_DESCRIPTION, STUDY_TIME
from orthancproxy.dicom.sources import Source, chunks, load_if_small
from orthancproxy.dicom.text import FALLBACK_CODECS
from orthancproxy.errors import GatewayError, InsufficientStorage
from orthancproxy.uploads.files import FailedFile, HeadStart, InspectedFile, SentFile, failed
from orthancproxy.uploads.uids import UploadUIDs
from orthancproxy.uploads.workers import begin, in_parallel
from orthancproxy.uploads.zips import is_zip

MAX_KEPT_BYTES = 16 * 1024**2
# yyyymmdd; hhmmss with omitted or fractional parts (PS3.5 section 6.2)
DATE = re.compile(r"[0-9]{8}", re.ASCII)
TIME = re.compile(r"([0-9]{2}){1,3}|[0-9]{6}\.[0-9]{1,6}", re.ASCII)
MODALITY = 0x00080060
PATIENT_BIRTH_DATE = 0x00100030
PATIENT_SEX = 0x00100040


def inspect(files: Sequence[SentFile | FailedFile], uids: UploadUIDs) -> Iterator[InspectedFile | FailedFile]:
    """Inspect files. Parsed files are kept up to MAX_KEPT_BYTES, without pixels: the others are read once more.

    Raises InsufficientStorage.
    """
    room = _Room()
    for file in in_parallel(_inspect, files):
        if isinstance(file, FailedFile):
            yield file
            continue
        yield replace(
            file,
            series_uid=uids.series(file.sent.folder, file.modality),
            sop_uid=uids.instance(file.identity),
            dicom=room.kept(file.dicom),
        )


class EarlyInspections:
    """Inspects files of a form while the rest of it arrives. What is not ready in time, `inspect` does."""

    def __init__(self) -> None:
        self._room = _Room()
        self._begun: list[Future[InspectedFile | FailedFile]] = []
        self._is_stopped = False

    def begin(self, file: SentFile, index: int, series_path: str) -> None:
        """Inspect a file that seems to have this place in the form. ZIPs are opened later."""
        if not self._is_stopped and not is_zip(file.source):
            # without the reference to its own inspection, which would keep the spool open
            placed = replace(file, index=index, series_path=series_path, head_start=HeadStart())
            result = begin(self._inspect, placed)
            file.head_start.begin(placed, result)
            self._begun.append(result)

    def stop(self) -> None:
        """Inspect no more files."""
        self._is_stopped = True
        for result in self._begun:
            result.cancel()

    def _inspect(self, file: SentFile) -> InspectedFile | FailedFile:
        inspected = _read(file)
        if isinstance(inspected, FailedFile):
            return inspected
        return replace(inspected, dicom=self._room.kept(inspected.dicom))


class _Room:
    """The memory for parsed files of one form. Thread-safe."""

    def __init__(self) -> None:
        self._bytes = MAX_KEPT_BYTES
        self._lock = threading.Lock()

    def kept(self, dicom: DicomFile | None) -> DicomFile | None:
        """Return a parsed file, or None if it has to be read again."""
        if dicom is None:
            return None
        with self._lock:
            self._bytes -= dicom.memory_bytes
            return dicom if self._bytes > 0 else None


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


def _inspect(file: SentFile | FailedFile) -> InspectedFile | FailedFile:
    """Return the file without its new UIDs."""
    if isinstance(file, FailedFile):
        return file
    return file.head_start.result(file) or _read(file)


def _read(file: SentFile) -> InspectedFile | FailedFile:
    source = load_if_small(file.source)
    digest = hashlib.sha256(file.folder.encode(errors="surrogatepass") + b"\0")
    for chunk in chunks(source):
        digest.update(chunk)
    identity = digest.hexdigest()
    try:
        dicom = parse(source)
    except InsufficientStorage:
        # of the whole request, none of which is stored yet
        raise
    except GatewayError as error:
        return failed(file, error, identity)
    return InspectedFile(
        sent=file,
        identity=identity,
        old_study_uid=_valid(dicom.study_instance_uid),
        old_series_uid=_valid(dicom.series_instance_uid),
        old_sop_uid=_valid(dicom.sop_instance_uid),
        series_uid="",
        sop_uid="",
        study_description=dicom.text(STUDY_DESCRIPTION),
        study_date=dicom.text(STUDY_DATE).replace(".", ""),
        study_time=_time(dicom.text(STUDY_TIME)),
        patient_id=dicom.text(PATIENT_ID),
        patient_name=dicom.text(PATIENT_NAME),
        birth_date=dicom.text(PATIENT_BIRTH_DATE).replace(".", ""),
        sex=dicom.text(PATIENT_SEX),
        modality=dicom.text(MODALITY),
        dicom=None if dicom.is_deflated else replace(dicom, source=file.source),
    )


def _time(value: str) -> str:
    """Return a TM without the colons of ACR-NEMA and without zeros at the end of its fraction, for comparison."""
    time, _, fraction = value.replace(":", "").partition(".")
    fraction = fraction.rstrip("0")
    return f"{time}.{fraction}" if fraction else time


def _valid(uid: str) -> str:
    return uid if UID.fullmatch(uid) else ""
