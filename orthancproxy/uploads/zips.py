"""ZIP archives of files: opened with limits, since a few bytes can stand for gigabytes."""

import tempfile
import zipfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import IO, Any, BinaryIO

from orthancproxy.dicom.sources import CHUNK_BYTES, FileRange, Source, disk_full_as_limit, open_source
from orthancproxy.errors import LimitExceeded, UnreadableDicom

RATIO_FROM = 64 * 1024**2  # bytes; below, it does no harm
MAX_RATIO = 200
# zipfile inflates others without a limit
METHODS = frozenset({zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED})
# zipfile reads the directory at once, and makes an object of each entry, which takes 46 bytes and its path
DIRECTORY_OF_A_FILE = 512  # bytes, with its path and the folders around it
DIRECTORY_AT_LEAST = 1024**2
# what macOS adds to each file
RESOURCE_FORKS = "__MACOSX/"
BROKEN = (
    zipfile.BadZipFile,
    zlib.error,
    EOFError,
    NotImplementedError,
    OSError,
    OverflowError,
    RuntimeError,
    ValueError,
)


@dataclass(frozen=True, slots=True)
class Member:
    """A file of a ZIP archive: its path as it stands there, only a label, and its bytes, or why there are none."""

    path: str
    content: Source | UnreadableDicom


def is_zip(source: Source) -> bool:
    """Whether a file is a ZIP archive and not DICOM, which may have anything in front."""
    return source.read_at(0, 4) in (b"PK\x03\x04", b"PK\x05\x06") and source.read_at(128, 4) != b"DICM"


def extract(source: Source, max_files: int, max_bytes: int) -> Iterator[Member]:
    """The files of a ZIP archive, on disk. Raises UnreadableDicom, or LimitExceeded for too many files or bytes.

    No member gives more bytes than it declares, so that the limits are for what is declared.
    """
    try:
        longest = max(DIRECTORY_AT_LEAST, DIRECTORY_OF_A_FILE * max_files)
        archive = zipfile.ZipFile(_ReadInParts(open_source(source), longest))
        infos = [info for info in archive.infolist() if _is_file(info.filename)]
    except BROKEN as error:
        raise UnreadableDicom("The ZIP is damaged.") from error
    if len(infos) > max_files:
        raise LimitExceeded(f"There are {len(infos)} files in the ZIP, more than can be uploaded at once.")
    total = sum(info.file_size for info in infos)
    if total > max_bytes:
        raise LimitExceeded(f"There are {total} bytes of files in the ZIP, more than can be uploaded at once.")
    if total > RATIO_FROM and total > MAX_RATIO * source.size:
        raise LimitExceeded(f"The ZIP is compressed more than {MAX_RATIO} times: send its files without it.")
    spool = tempfile.TemporaryFile(buffering=0)  # noqa: SIM115  open as long as what is read from it
    for info in infos:
        yield Member(info.filename, _extracted(archive, info, spool))


class _ReadInParts:
    """A file of which nobody can read so much at once. Raises LimitExceeded."""

    def __init__(self, file: BinaryIO, most: int) -> None:
        self._file = file
        self._most = most

    def __getattr__(self, name: str) -> Any:
        return getattr(self._file, name)

    def read(self, size: int = -1) -> bytes:
        if size > self._most:
            raise LimitExceeded("The directory of the ZIP is too large for the files that can be uploaded at once.")
        return self._file.read(size)


def _is_file(path: str) -> bool:
    return not path.endswith("/") and not path.startswith(RESOURCE_FORKS)


def _extracted(archive: zipfile.ZipFile, info: zipfile.ZipInfo, spool: IO[bytes]) -> Source | UnreadableDicom:
    start = spool.tell()
    if info.compress_type not in METHODS:
        return UnreadableDicom("This file is compressed in a way that is not allowed in a ZIP: use deflate.")
    try:
        with disk_full_as_limit(), archive.open(info) as member:
            while piece := member.read(CHUNK_BYTES):
                spool.write(piece)
    except BROKEN:
        spool.seek(start)
        return UnreadableDicom("This file can't be taken out of its ZIP: it is damaged or encrypted.")
    return FileRange(spool, start, spool.tell() - start)
