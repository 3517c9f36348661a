"""A file of 50 MB through the gateway."""

from __future__ import annotations

from collections.abc import Iterator

from benchmarks.measuring import BenchmarkError, Row, at_most, compare, repeatedly
from benchmarks.options import Options
from benchmarks.reading import Reader
from benchmarks.servers import Archive, gateway_before
from benchmarks.slices import multi_frames
from orthancproxy.sandbox.orthanc import LocalOrthanc

FRAMES = 95  # of 0.5 MB
REPETITIONS = 5  # in each round; the median counts


def rows(options: Options) -> Iterator[Row]:
    """Return the row on a download."""
    [file] = multi_frames(1, FRAMES)
    with LocalOrthanc() as orthanc, gateway_before(orthanc) as gateway:
        Archive(orthanc).post([b"".join(file.chunks())], threads=1)
        with Reader(orthanc.base_url) as reader:
            [instance] = reader.get("/instances")

        def fetch(address: str, path: str) -> None:
            # a new connection each time: Orthanc may have closed the old one
            with Reader(address) as reader:
                if (size := reader.size(path)) != file.size:
                    raise BenchmarkError(f"{path} gave {size} bytes, not {file.size}.")

        def through_gateway() -> None:
            fetch(gateway.address, f"/api/orthanc/instances/{instance}/file/")

        def direct() -> None:
            fetch(orthanc.base_url, f"/instances/{instance}/file")

        through_gateway()
        direct()
        yield compare(
            f"download of {file.size / 1e6:.0f} MB / straight from Orthanc",
            ("gateway", lambda: repeatedly(REPETITIONS, through_gateway)),
            ("Orthanc", lambda: repeatedly(REPETITIONS, direct)),
            options.rounds,
            at_most(1.3),
        )
