"""The stages of a file in an upload: sent, then inspected or failed, then stored or failed."""

import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import Future, wait
from dataclasses import dataclass, field, replace
from enum import Enum
from typing import Any

from orthancproxy import errors
from orthancproxy.dicom.file_format import DicomFile
from orthancproxy.dicom.sources import Source
from orthancproxy.orthanc.responses import StoreResult


class UploadErrorCode(Enum):
    """Why a file was not stored."""

    NOT_DICOM = "NOT_DICOM"
    UNREADABLE = "UNREADABLE"
    UNSAFE = "UNSAFE"
    TOO_LARGE = "TOO_LARGE"
    EMPTY = "EMPTY"
    REJECTED = "REJECTED"
    ARCHIVE_UNAVAILABLE = "ARCHIVE_UNAVAILABLE"


CODES: Mapping[type[errors.GatewayError], UploadErrorCode] = {
    errors.EmptyFile: UploadErrorCode.EMPTY,
    errors.NotDicom: UploadErrorCode.NOT_DICOM,
    errors.UnsafeDicom: UploadErrorCode.UNSAFE,
    errors.InvalidDicom: UploadErrorCode.UNREADABLE,
    errors.LimitExceeded: UploadErrorCode.TOO_LARGE,
    errors.ArchiveUnavailable: UploadErrorCode.ARCHIVE_UNAVAILABLE,
    # the code that says to send the file again
    errors.InsufficientStorage: UploadErrorCode.ARCHIVE_UNAVAILABLE,
}


def folder_of(series_path: str) -> str:
    """Return a path for comparison: composed (macOS decomposes it), with slashes, none of them at its ends."""
    parts = unicodedata.normalize("NFC", series_path).replace("\\", "/").split("/")
    return "/".join(part for part in parts if part not in ("", "."))


@dataclass(frozen=True, slots=True)
class SentFile:
    """A file of a form, or of a ZIP in a form.

    `index` is the position in the form of the file, or of its ZIP. `series_path` is only a label: no file is opened
    by it.
    """

    name: str
    source: Source
    series_path: str = ""
    index: int = 0
    head_start: "HeadStart" = field(default_factory=lambda: HeadStart(), compare=False, repr=False)

    @property
    def folder(self) -> str:
        """The folder of its series: `series_path` for comparison."""
        return folder_of(self.series_path)


@dataclass(frozen=True, slots=True, kw_only=True)
class InspectedFile:
    """A DICOM file with its old UIDs (empty where invalid) and its new ones.

    `identity` is the SHA-256 of folder and content: what is sent again has the same. `dicom` is None where there was
    no memory to keep it.
    """

    sent: SentFile
    identity: str
    old_study_uid: str
    old_series_uid: str
    old_sop_uid: str
    series_uid: str
    sop_uid: str
    study_description: str
    study_date: str
    study_time: str
    patient_id: str
    patient_name: str
    birth_date: str
    sex: str
    modality: str
    dicom: DicomFile | None


class HeadStart:
    """The inspection of a file that may begin before the rest of its form has arrived."""

    def __init__(self) -> None:
        self._file: SentFile | None = None
        self._result: Future[InspectedFile | FailedFile] | None = None

    def begin(self, file: SentFile, result: "Future[InspectedFile | FailedFile]") -> None:
        """Take the future result of a file, at the place in the form that it seems to have."""
        self._file, self._result = file, result

    def is_of(self, file: SentFile) -> bool:
        """Return whether an inspection was begun of the file at its place."""
        return self._file == file

    def result(self, file: SentFile) -> "InspectedFile | FailedFile | None":
        """Return the result of the inspection, or None if there is none of the file, or no thread is at it."""
        if self._result is None or not self.is_of(file) or self._result.cancel():
            return None
        return self._result.result()

    def stop(self) -> None:
        """Return when no thread inspects the file."""
        if self._result is not None and not self._result.cancel():
            wait([self._result])


@dataclass(frozen=True, slots=True)
class StoredFile:
    """A file that is in the archive, now or since an earlier request.

    `unresolved` are the UIDs that it refers to and that no file of the upload had when it was stored.
    """

    inspected: InspectedFile
    location: StoreResult
    unresolved: frozenset[str]
    text_guessed: bool
    was_signed: bool


@dataclass(frozen=True, slots=True)
class FailedFile:
    """A file that was not stored, and why."""

    index: int
    name: str
    series_path: str
    code: UploadErrorCode
    message: str
    identity: str


def failed(file: SentFile, error: errors.GatewayError, identity: str) -> FailedFile:
    """Return the failure of a file. Whatever else Orthanc answers is a rejection."""
    code = errors.nearest(CODES, error) or UploadErrorCode.REJECTED
    return FailedFile(file.index, file.name, file.series_path, code, error.message, identity)


def close(files: Iterable[SentFile]) -> None:
    """Free the disk space that the files of a form share."""
    for file in files:
        file.head_start.stop()
    for file in files:
        file.source.close()


def with_series_paths(files: Sequence[Any], series_paths: Sequence[str]) -> list[SentFile]:
    """Return the files of a form with their positions and folders. Raises InvalidRequest."""
    if not all(isinstance(file, SentFile) for file in files):
        raise errors.InvalidRequest("Send the files in a GraphQL multipart request.")
    paths = series_paths or [""] * len(files)
    if len(paths) != len(files):
        raise errors.InvalidRequest(f"{len(files)} files have {len(paths)} series paths: send one for each file.")
    return [replace(file, series_path=path, index=i) for i, (file, path) in enumerate(zip(files, paths, strict=True))]
