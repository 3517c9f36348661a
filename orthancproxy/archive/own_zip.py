"""ZIPs that the gateway makes itself of single files, as they are stored or changed.

Orthanc names the folder of a patient after the patient's first file, also in a ZIP of other studies (1.12.7, 1.13.0).
"""

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from functools import partial
from zipfile import ZIP_DEFLATED, ZipFile

from orthancproxy.archive.levels import Level
from orthancproxy.archive.plan import LevelPlan, Needs
from orthancproxy.archive.records import Resource
from orthancproxy.archive.storage import ZIP, Content, open_file
from orthancproxy.archive.transcoding import open_transcoded
from orthancproxy.errors import NotTranscodable
from orthancproxy.orthanc.client import OrthancClient

_FOLDERS = (("PatientID", "PatientName"), ("AccessionNumber", "StudyDescription"), ("Modality", "SeriesDescription"))
_NEEDS = Needs(frozenset(keyword for folder in _FOLDERS for keyword in folder))
# what a name of a file must not contain on Windows, and control characters
_NOT_IN_NAMES = re.compile(r'[\x00-\x1f\x7f-\x9f<>:"/\\|?*\ud800-\udfff]+')
_MAX_NAME_CHARACTERS = 64
# 6, the default, takes three times as long for a ZIP that is 4% smaller
_COMPRESSION_LEVEL = 1


def zip_plan(level: Level) -> LevelPlan:
    """Return the plan of the instances below a resource, with what their folders are named after."""
    plan = LevelPlan(level=Level.SERIES, needs=_NEEDS, related={"instances": LevelPlan(level=Level.INSTANCE)})
    while plan.level is not level:
        plan = LevelPlan(level=plan.level.parent, related={plan.level.path: plan})
    return plan


def open_own_zip(client: OrthancClient, resource: Resource, transfer_syntax: str | None = None) -> Content:
    """Open a ZIP of the files below a resource that was fetched with `zip_plan`, made while it is read.

    Files that Orthanc can convert are in the transfer syntax, if there is one; the others as they are stored.
    """
    files = [
        (f"{'/'.join(folders)}/{number:06}.dcm", instance.orthanc_id)
        for series, folders in _numbered(_series_below(resource))
        for number, instance in enumerate(series.related["instances"], 1)
    ]
    return open_zip_of(files, partial(_open, client, transfer_syntax))


def open_zip_of(files: Sequence[tuple[str, str]], open_one: Callable[[str], Content | None]) -> Content:
    """Open a ZIP of files by name and Orthanc id, each opened when it is its turn; those that are None are left out."""
    chunks = _OwnZip(files, open_one)
    return Content(chunks, ZIP, None, chunks.close)


def _open(client: OrthancClient, transfer_syntax: str | None, orthanc_id: str) -> Content:
    if transfer_syntax:
        with suppress(NotTranscodable):
            return open_transcoded(client, orthanc_id, transfer_syntax)
    return open_file(client, orthanc_id)


def _series_below(resource: Resource) -> Iterator[Resource]:
    if resource.level is Level.SERIES:
        yield resource
    else:
        for below in resource.related[resource.level.child.path]:
            yield from _series_below(below)


def _numbered(every: Iterable[Resource]) -> Iterator[tuple[Resource, list[str]]]:
    """Yield series with their folders, of which no two are the same: a number follows the name where necessary."""
    seen: set[tuple[str, ...]] = set()
    for series in every:
        folders = [_name(" ".join(series.tags.get(keyword, "").strip() for keyword in folder)) for folder in _FOLDERS]
        named, number = folders, 1
        while tuple(one.casefold() for one in named) in seen:
            number += 1
            named = [*folders[:-1], f"{folders[-1]} ({number})"]
        seen.add(tuple(one.casefold() for one in named))
        yield series, named


def _name(text: str) -> str:
    """Return text as the name of a folder, which cannot end with a dot (Windows) nor be empty."""
    return _NOT_IN_NAMES.sub("_", text)[:_MAX_NAME_CHARACTERS].strip(" .") or "Unknown"


class _Written:
    """A file without a position, which `ZipFile` writes to."""

    def __init__(self) -> None:
        self._chunks: list[bytes] = []

    def write(self, data: bytes) -> int:
        self._chunks.append(bytes(data))
        return len(data)

    def flush(self) -> None:
        pass

    def take(self) -> bytes:
        """Return what was written since the last time."""
        taken = b"".join(self._chunks)
        self._chunks.clear()
        return taken


class _OwnZip:
    """A ZIP of files, by name and Orthanc id, to be read once. `close` may be called by another thread."""

    def __init__(self, files: Sequence[tuple[str, str]], open_one: Callable[[str], Content | None]) -> None:
        self._files = files
        self._open_one = open_one
        self._file: Content | None = None
        self._is_closed = False

    def __iter__(self) -> Iterator[bytes]:
        written = _Written()
        with ZipFile(written, "w", ZIP_DEFLATED, compresslevel=_COMPRESSION_LEVEL) as zipped:  # type: ignore[call-overload]
            for name, orthanc_id in self._files:
                if self._is_closed:
                    return
                self._file = self._open_one(orthanc_id)
                if self._file is None:
                    continue
                try:
                    with zipped.open(name, "w", force_zip64=True) as entry:
                        for chunk in self._file:
                            entry.write(chunk)
                            yield written.take()
                finally:
                    self._file.close()
        yield written.take()

    def close(self) -> None:
        self._is_closed = True
        if self._file:
            self._file.close()
