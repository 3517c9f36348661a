"""Synthetic archives that are kept between runs, as Orthanc creates its index and with statistics for its planner."""

from __future__ import annotations

import shutil
from itertools import islice
from pathlib import Path

from benchmarks import contents
from benchmarks.large.archive import SyntheticArchive
from benchmarks.servers import dicomweb_plugin
from orthancproxy.orthanc.sqlite_index import tune
from orthancproxy.sandbox.loading import load
from orthancproxy.sandbox.orthanc import INDEXED_INSTANCE_TAGS, LocalOrthanc

_MARKER = "complete"  # written last: an archive without it is made again


def orthanc_with(archive: SyntheticArchive, archives: Path, *, tuned: bool) -> LocalOrthanc:
    """Return an Orthanc with the archive, to be started. With statistics or without, it stays in `archives`."""
    found = _orthanc(archive, archives, "found")
    if not (found.folder / _MARKER).exists():
        _make(archive, found)
    if not tuned:
        return found
    orthanc = _orthanc(archive, archives, "tuned")
    if not (orthanc.folder / _MARKER).exists():
        orthanc.index_file.parent.mkdir(exist_ok=True)
        shutil.copy(found.index_file, orthanc.index_file)
        tune(orthanc.index_file)
        (orthanc.folder / _MARKER).touch()
    return orthanc


def _orthanc(archive: SyntheticArchive, archives: Path, name: str) -> LocalOrthanc:
    archives.mkdir(parents=True, exist_ok=True)
    folder = archives / f"synthetic-{archive.instances}-{archive.digest}-{name}"
    plugin = dicomweb_plugin()
    return LocalOrthanc(folder, configuration=INDEXED_INSTANCE_TAGS, plugins=[plugin] if plugin else ())


def _make(archive: SyntheticArchive, orthanc: LocalOrthanc) -> None:
    # left by an interrupted run
    shutil.rmtree(orthanc.folder)
    orthanc.folder.mkdir()
    with orthanc:
        # Orthanc creates its index, and tells the tags that it keeps of each level
        list(load(islice(contents.files(0), 1), orthanc.base_url, {}))
    archive.fill(orthanc.index_file)
    (orthanc.folder / _MARKER).touch()
