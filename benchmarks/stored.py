"""Archives that are kept between runs: each is loaded once per version of Orthanc, then only read."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from benchmarks import contents
from benchmarks.contents import Contents
from benchmarks.measuring import tell
from benchmarks.servers import Archive
from orthancproxy.sandbox.datasets import encode
from orthancproxy.sandbox.orthanc import INDEXED_INSTANCE_TAGS, LocalOrthanc

LOADING_THREADS = 3
_MARKER = "complete"  # written last: an archive without it is loaded again


def default_cache() -> Path:
    """Return the folder below which archives are kept, for each version of Orthanc, unless another one is given."""
    caches = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return caches / "orthanc-graphql-gateway" / "benchmarks"


@contextmanager
def holding(archive: Contents, archives: Path, plugins: Sequence[str] = ()) -> Iterator[LocalOrthanc]:
    """Yield an Orthanc with the archive, which is kept in a folder of `archives`, started after loading."""
    wanted = archives / f"{archive.instances}-{archive.digest}"
    if not _is_complete(wanted):
        _load(archive, wanted)
    with _orthanc(wanted, plugins) as orthanc:
        Archive(orthanc).expect(archive.instances)
        yield orthanc


def _orthanc(wanted: Path, plugins: Sequence[str] = ()) -> LocalOrthanc:
    wanted.parent.mkdir(parents=True, exist_ok=True)
    return LocalOrthanc(wanted, configuration=INDEXED_INSTANCE_TAGS, plugins=plugins)


def _is_complete(wanted: Path) -> bool:
    return (_orthanc(wanted).folder / _MARKER).exists()


def _load(archive: Contents, wanted: Path) -> None:
    # left by an interrupted run
    shutil.rmtree(_orthanc(wanted).folder)
    with _orthanc(wanted) as orthanc:
        target = Archive(orthanc)
        for patient in range(archive.patients):
            target.post([encode(dataset) for dataset in contents.files(patient)], LOADING_THREADS)
            tell(f"loading {archive.instances:,} instances, once: patient {patient + 1} of {archive.patients}")
        target.expect(archive.instances)
        folder = orthanc.folder
    (folder / _MARKER).touch()
