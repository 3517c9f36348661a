"""Opening ZIPs of files, with limits: a few bytes can stand for gigabytes."""

import hashlib
import tempfile
import zipfile
import zlib
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import replace
from typing import IO, Any, BinaryIO

from orthancproxy.conf import conf
from orthancproxy.dicom.sources import CHUNK_BYTES, FileRange, Source, disk_full_as_error, open_source, write_all
from orthancproxy.errors import EmptyFile, InvalidDicom, LimitExceeded, NotDicom, UnreadableDicom
from orthancproxy.uploads.file_names import is_deleted, is_left_behind, member_paths
from orthancproxy.uploads.files import FailedFile, SentFile, failed, folder_of

MIN_BYTES_FOR_RATIO = 64 * 1024**2  # fewer inflated bytes do no harm
MAX_RATIO = 200
# zipfile inflates others without a limit
METHODS = frozenset({zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED})
# zipfile reads the directory at once and makes an object of each entry, which takes 46 bytes, its path and its folders
MAX_DIRECTORY_BYTES_PER_FILE = 512
MIN_DIRECTORY_LIMIT_BYTES = 1024**2
# of one that begins like the last part of several, too
ZIPS = (b"PK\x03\x04", b"PK\x05\x06", b"PK\x07\x08", b"PK00")
ENCRYPTED_FLAG = 0x1
# offset, bytes there, name
ARCHIVES = (
    *((0, magic, "ZIP") for magic in ZIPS),
    (0, b"Rar!\x1a\x07", "RAR"),
    (0, b"7z\xbc\xaf\x27\x1c", "7z"),
    (0, b"\x1f\x8b\b", "gzip"),
    (0, b"BZh", "bzip2"),
    (0, b"\xfd7zXZ\0", "xz"),
    (0, b"\x28\xb5\x2f\xfd", "Zstandard"),
    (0, b"\x04\x22\x4d\x18", "LZ4"),
    (0, b"\x1f\x9d", "compress"),
    (0, b"ALZ\x01", "ALZ"),
    (0, b"EGGA", "EGG"),
    (0, b"MSCF", "CAB"),
    (2, b"-lh", "LZH"),
    (257, b"ustar", "tar"),
    (32769, b"CD001", "ISO 9660"),
)
FOLDER_BYTES = (0, 4096)
MALFORMED = (zipfile.BadZipFile, zlib.error, EOFError, OSError, OverflowError, RuntimeError, ValueError)


def unpack(files: Sequence[SentFile], spools: ExitStack) -> tuple[list[SentFile | FailedFile], int]:
    """Return the files and, in place of each ZIP, its members. ZIPs and members that cannot be read have failed.

    `spools` closes the files that members are read from. The number is that of files left out, which operating systems
    add to folders (`.DS_Store`, `Thumbs.db`) or keep of deleted ones.
    Raises LimitExceeded for more files or bytes than one request may upload, and InsufficientStorage.
    """
    unpacked: list[SentFile | FailedFile] = []
    room = conf.ORTHANC_MAX_UPLOAD_BYTES - sum(file.source.size for file in files)
    left_out = 0
    for file in files:
        if is_deleted(file.folder):
            left_out += 1
            continue
        if not is_zip(file.source):
            unpacked.append(_checked(file))
            continue
        try:
            members, deleted = _members(file, conf.ORTHANC_MAX_UPLOAD_FILES - len(unpacked), room, spools)
            left_out += deleted
        except (InvalidDicom, LimitExceeded) as error:
            members = [_failed(file, error)]
        room -= sum(member.source.size for member in members if isinstance(member, SentFile))
        unpacked += members
    if len(unpacked) > conf.ORTHANC_MAX_UPLOAD_FILES:
        raise LimitExceeded(f"At most {conf.ORTHANC_MAX_UPLOAD_FILES} files can be uploaded at once.")
    if room < 0:
        raise LimitExceeded(f"At most {conf.ORTHANC_MAX_UPLOAD_BYTES} bytes can be uploaded at once.")
    kept = [file for file in unpacked if not _is_left_behind(file)]
    return kept, left_out + len(unpacked) - len(kept)


def _is_left_behind(file: SentFile | FailedFile) -> bool:
    is_dicom = isinstance(file, SentFile) and _is_dicom(file.source)
    return is_left_behind(folder_of(file.series_path), file.name) and not is_dicom


def _is_dicom(source: Source) -> bool:
    return source.read_at(128, 4) == b"DICM"


def _checked(file: SentFile) -> SentFile | FailedFile:
    """Return a file, which has failed if it is another kind of archive, or a folder."""
    if _may_be_folder(file):
        kind_of_error = NotDicom if file.source.size else EmptyFile
        return _failed(file, kind_of_error("This is empty, or a folder: send the files that are in it."))
    kind = next((kind for offset, magic, kind in ARCHIVES if file.source.read_at(offset, len(magic)) == magic), "")
    if kind and not _is_dicom(file.source):
        return _failed(file, NotDicom(f"This is a file of type {kind}: unpack it, or send a ZIP file of its files."))
    return file


def _may_be_folder(file: SentFile) -> bool:
    """Whether a file is what browsers send of a folder that is dropped into a field for files."""
    is_empty = file.source.size in FOLDER_BYTES and not any(file.source.read_at(0, file.source.size))
    return is_empty and "." not in file.name


def is_zip(source: Source) -> bool:
    """Return whether a file is a ZIP and not DICOM, whose preamble can be anything."""
    return source.read_at(0, 4) in ZIPS and not _is_dicom(source)


def _members(
    file: SentFile, max_files: int, max_bytes: int, spools: ExitStack
) -> tuple[list[SentFile | FailedFile], int]:
    """Spool the files of a ZIP, without deleted ones and their number.

    Raises EmptyFile, UnreadableDicom, InsufficientStorage, or LimitExceeded for too many files or bytes.
    No member inflates to more bytes than it declares, so that the limits are checked on the declared sizes.
    """
    try:
        max_read = max(MIN_DIRECTORY_LIMIT_BYTES, MAX_DIRECTORY_BYTES_PER_FILE * max_files)
        zip_file = zipfile.ZipFile(_BoundedReads(open_source(file.source), max_read))
        entries = zip_file.infolist()
        paths = member_paths(entries)
    except MALFORMED as error:
        raise UnreadableDicom("The ZIP is damaged.") from error
    named = [(info, path) for info, path in zip(entries, paths, strict=True) if not path.endswith("/")]
    members = [(info, path) for info, path in named if not is_deleted(path.rpartition("/")[0])]
    infos = [info for info, _ in members]
    if not named:
        raise EmptyFile("The ZIP contains no files.")
    if len(infos) > max_files:
        raise LimitExceeded(f"The ZIP contains {len(infos)} files, more than can be uploaded at once.")
    total = sum(info.file_size for info in infos)
    if total > max_bytes:
        raise LimitExceeded(f"The files in the ZIP have {total} bytes, more than can be uploaded at once.")
    if total > MIN_BYTES_FOR_RATIO and total > MAX_RATIO * file.source.size:
        raise LimitExceeded(f"The ZIP is compressed more than {MAX_RATIO} times: send its files without it.")
    spool = spools.enter_context(tempfile.TemporaryFile(buffering=0))  # noqa: SIM115  `spools` closes it
    unpacked: list[SentFile | FailedFile] = []
    for info, member_path in members:
        folder, _, name = member_path.rpartition("/")
        path = "/".join(part for part in (file.series_path, folder) if part)
        member = replace(file, name=name, series_path=path)
        try:
            extracted = _checked(replace(member, source=_extract(zip_file, info, spool)))
        except UnreadableDicom as error:
            extracted = _failed(member, error)
        unpacked.append(extracted)
    return unpacked, len(named) - len(members)


class _BoundedReads:
    """A file whose single reads are limited. Raises LimitExceeded."""

    def __init__(self, file: BinaryIO, max_bytes: int) -> None:
        self._file = file
        self._max_bytes = max_bytes

    def __getattr__(self, name: str) -> Any:
        return getattr(self._file, name)

    def read(self, size: int = -1) -> bytes:
        if size > self._max_bytes:
            raise LimitExceeded("The directory of the ZIP is too large for the files that can be uploaded at once.")
        return self._file.read(size)


def _extract(zip_file: zipfile.ZipFile, info: zipfile.ZipInfo, spool: IO[bytes]) -> Source:
    start = spool.tell()
    if info.compress_type not in METHODS:
        raise UnreadableDicom("The compression method of this file in the ZIP is not supported: use deflate.")
    if info.flag_bits & ENCRYPTED_FLAG:
        raise UnreadableDicom("This file in the ZIP is encrypted: send a ZIP without a password.")
    try:
        with disk_full_as_error(), zip_file.open(info) as member:
            while piece := member.read(CHUNK_BYTES):
                write_all(spool, piece)
    except MALFORMED as error:
        spool.seek(start)
        raise UnreadableDicom("This file in the ZIP is damaged.") from error
    return FileRange(spool, start, spool.tell() - start)


def _failed(file: SentFile, error: InvalidDicom | LimitExceeded) -> FailedFile:
    """Return the failure of a file without readable content: its name stands for it."""
    identity = hashlib.sha256(f"{file.folder}\0{file.name}".encode(errors="surrogatepass"))
    return failed(file, error, identity.hexdigest())
