"""Looking at all files of an upload before the first of them is rewritten."""

import hashlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

from orthancproxy.archive.storage import Stored
from orthancproxy.dicom import file_format
from orthancproxy.dicom.file_format import UID, DicomFile
from orthancproxy.dicom.rewrite import STUDY_DESCRIPTION
from orthancproxy.dicom.sources import load_if_small, pieces
from orthancproxy.errors import GatewayError
from orthancproxy.uploads.files import Entry, FailedFile, failed
from orthancproxy.uploads.models import UploadedFile
from orthancproxy.uploads.workers import in_parallel

KEPT = 16 * 1024**2  # bytes
PATIENT_BIRTH_DATE = 0x00100030
PATIENT_SEX = 0x00100040


@dataclass(slots=True)
class Scanned:
    """A file whose identity is known, and what is to be known of all files before the first is rewritten.

    `row` is its record, and `failure` says why it can't be stored. `file` is kept as long as there is room: it saves
    reading the file once more.
    """

    entry: Entry
    row: UploadedFile
    description: str = ""
    birth_date: str = ""
    sex: str = ""
    file: DicomFile | None = None
    failure: FailedFile | None = None
    stored: Stored | None = None
    text_kept: bool = False
    was_signed: bool = False


def scan(entries: Iterable[Entry]) -> Iterator[Scanned]:
    """Tell what the files are; what was read of them is kept as long as that is little, and never their pixels."""
    room = KEPT
    for file in in_parallel(_scan, entries):
        if file.file:
            room -= file.file.memory_bytes
            file.file = replace(file.file, source=file.entry.source) if room > 0 and not file.file.is_deflated else None
        yield file


def _scan(entry: Entry) -> Scanned:
    """Tell what a file is."""
    if entry.error:
        return Scanned(entry, _failed_row(entry.folder, entry.name), failure=failed(entry, entry.error))
    source = load_if_small(entry.source)
    digest = hashlib.sha256(entry.folder.encode(errors="surrogatepass") + b"\0")
    for piece in pieces(source):
        digest.update(piece)
    row = UploadedFile(identity=digest.hexdigest())
    try:
        file = file_format.read(source)
    except GatewayError as error:
        row.outcome = UploadedFile.Outcome.FAILED
        return Scanned(entry, row, failure=failed(entry, error))
    row.old_study_uid = _uid(file.study_instance_uid)
    row.old_series_uid = _uid(file.series_instance_uid)
    row.old_sop_uid = _uid(file.sop_instance_uid)
    return Scanned(
        entry,
        row,
        file=file,
        description=file.text(STUDY_DESCRIPTION),
        birth_date=file.text(PATIENT_BIRTH_DATE),
        sex=file.text(PATIENT_SEX),
    )


def _failed_row(*identity: str) -> UploadedFile:
    """The record of what can't be read at all, and so has no content that tells it."""
    digest = hashlib.sha256("\0".join(identity).encode(errors="surrogatepass"))
    return UploadedFile(identity=digest.hexdigest(), outcome=UploadedFile.Outcome.FAILED)


def _uid(text: str) -> str:
    return text if UID.fullmatch(text) else ""
