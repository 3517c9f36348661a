"""Files with archived events: gzipped JSON lines, one for each event with its subjects, in the order of their ids.

A file is complete as soon as it has its name, which the ids in it determine: who writes the same events again gets the
same file.
"""

import filecmp
import gzip
import os
import tempfile
import time
from collections.abc import Iterable, Sequence
from itertools import count
from pathlib import Path
from typing import Any

import orjson

from orthancproxy.audit.models import AuditEvent

SUFFIX = ".jsonl.gz"
ABANDONED_SECONDS = 86_400
"""After which a temporary file is one of a process that was killed."""
COMPRESSION_LEVEL = 6
_COLUMNS = (
    "event",
    "operation",
    "outcome",
    "error_code",
    "username",
    "authentication",
    "address",
    "request_id",
    "duration_ms",
    "target",
    "counts",
    "details",
)


class ArchiveFileError(OSError):
    """A file does not contain what was written to it."""


def write_archive_file(folder: Path, ids: Sequence[int], events: Iterable[AuditEvent]) -> Path:
    """Write events, which have these ids, to a file in a folder, and return it once it was read back from there.

    Raises OSError, after which the folder has no new file, and ArchiveFileError if the ids are not those in the file.
    """
    _remove_abandoned(folder)
    descriptor, name = tempfile.mkstemp(prefix=".audit-", suffix=".tmp", dir=folder)
    temporary = Path(name)
    try:
        with os.fdopen(descriptor, "wb") as file:
            # neither time nor name, so that the same events give the same bytes
            with gzip.GzipFile("", "wb", COMPRESSION_LEVEL, file, mtime=0) as zipped:
                for event in events:
                    zipped.write(orjson.dumps(_content(event)) + b"\n")
            file.flush()
            os.fsync(file.fileno())
        if ids_in(temporary) != list(ids):
            raise ArchiveFileError(f"the events {ids[0]} to {ids[-1]} were not archived completely")
        return _publish(temporary, folder / f"audit-{ids[0]:012d}-{ids[-1]:012d}{SUFFIX}")
    finally:
        temporary.unlink(missing_ok=True)


def ids_in(file: Path) -> list[int]:
    """Return the ids of the events in a file. Raises OSError if it is damaged."""
    try:
        with gzip.open(file) as lines:
            return [orjson.loads(line)["id"] for line in lines]
    except (EOFError, ValueError) as error:
        raise ArchiveFileError(f"{file.name} cannot be read back") from error


def _content(event: AuditEvent) -> dict[str, Any]:
    subjects = [
        {"patient_id": one.patient_id, "study_instance_uid": one.study_instance_uid} for one in event.subjects.all()
    ]
    return {
        "id": event.pk,
        "at": event.at.isoformat(),
        **{name: getattr(event, name) for name in _COLUMNS},
        "intention": event.intention_id,
        "subjects": subjects,
    }


def _publish(temporary: Path, file: Path) -> Path:
    """Rename a file, and return the one that has its content: another database may have used the name before."""
    stem = file.name.removesuffix(SUFFIX)
    for number in count(2):
        if not file.exists():
            temporary.rename(file)
            break
        if filecmp.cmp(temporary, file, shallow=False):
            break
        file = file.with_name(f"{stem}-{number}{SUFFIX}")
    folder = os.open(file.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
    return file


def _remove_abandoned(folder: Path) -> None:
    for temporary in folder.glob(".audit-*.tmp"):
        if time.time() - temporary.stat().st_mtime > ABANDONED_SECONDS:
            temporary.unlink(missing_ok=True)
