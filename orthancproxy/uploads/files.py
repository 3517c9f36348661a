"""The files of an upload, those within ZIP archives among them, and how each can fail."""

import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import Enum

from orthancproxy import errors
from orthancproxy.conf import conf
from orthancproxy.dicom.sources import Source
from orthancproxy.uploads import zips


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
}


@dataclass(frozen=True, slots=True)
class SentFile:
    """A file as it was sent: its name, and the folder that it belongs to, which is only a label."""

    name: str
    series_path: str
    source: Source


@dataclass(frozen=True, slots=True)
class Entry:
    """A file to store, or what could not be taken out of a ZIP archive: `error` says why.

    `index` is the position of what was sent: of the ZIP archive that it was in.
    """

    index: int
    name: str
    series_path: str
    source: Source
    error: errors.GatewayError | None = None

    @property
    def folder(self) -> str:
        """The folder as it is compared: composed (macOS sends it decomposed), with slashes, none at its ends."""
        parts = unicodedata.normalize("NFC", self.series_path).replace("\\", "/").split("/")
        return "/".join(part for part in parts if part not in ("", "."))


@dataclass(frozen=True, slots=True)
class FailedFile:
    """A file that was not stored, and why."""

    index: int
    name: str
    series_path: str
    code: UploadErrorCode
    message: str


def failed(entry: Entry, error: errors.GatewayError) -> FailedFile:
    """Say why a file was not stored."""
    code = errors.nearest(CODES, error) or UploadErrorCode.REJECTED
    return FailedFile(entry.index, entry.name, entry.series_path, code, error.message)


def unpack(files: Sequence[SentFile]) -> list[Entry]:
    """The files to store, those within ZIP archives among them.

    Raises LimitExceeded for more files or bytes than one request may upload.
    """
    entries: list[Entry] = []
    room = conf.ORTHANC_MAX_UPLOAD_BYTES - sum(file.source.size for file in files)
    for index, file in enumerate(files):
        entry = Entry(index, file.name, file.series_path, file.source)
        if not zips.is_zip(file.source):
            entries.append(entry)
            continue
        try:
            members = list(_members(entry, conf.ORTHANC_MAX_UPLOAD_FILES - len(entries), room))
        except (errors.InvalidDicom, errors.LimitExceeded) as error:
            members = [replace(entry, error=error)]
        room -= sum(member.source.size for member in members if not member.error)
        entries += members
    if len(entries) > conf.ORTHANC_MAX_UPLOAD_FILES:
        raise errors.LimitExceeded(f"At most {conf.ORTHANC_MAX_UPLOAD_FILES} files can be uploaded at once.")
    if room < 0:
        raise errors.LimitExceeded(f"At most {conf.ORTHANC_MAX_UPLOAD_BYTES} bytes can be uploaded at once.")
    return entries


def _members(entry: Entry, max_files: int, max_bytes: int) -> Iterator[Entry]:
    members = list(zips.extract(entry.source, max_files, max_bytes))
    if not members:
        raise errors.EmptyFile("There are no files in the ZIP.")
    for member in members:
        folder, _, name = member.path.rpartition("/")
        path = "/".join(part for part in (entry.series_path, folder) if part)
        if isinstance(member.content, errors.UnreadableDicom):
            yield Entry(entry.index, name, path, entry.source, member.content)
        else:
            yield Entry(entry.index, name, path, member.content)
