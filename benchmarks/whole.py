"""The whole archive in one query: 20 patients, 100 studies, 400 series, 10,000 instances with 15 fields each."""

from __future__ import annotations

import json
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlencode

from benchmarks import baselines, queries
from benchmarks.cpu import cpu_seconds
from benchmarks.large.servers import FORGETTING
from benchmarks.measuring import BenchmarkError, Row, Side, at_least, at_most, compare, tell, timed
from benchmarks.options import WHOLE, Options, reading
from benchmarks.reading import Reader
from benchmarks.servers import dicomweb_plugin
from orthancproxy.sandbox.gateway import LocalGateway, serving

CPU_QUERIES = 3  # in each round: the kernel counts hundredths of a second
# those of the 15 fields, and of their parents, that QIDO-RS omits by default (PS3.18 table 10.6.3-5)
_INCLUDED = """PatientName PatientID PatientBirthDate PatientSex StudyDescription StudyDate SeriesDescription Modality
SeriesNumber PixelSpacing SliceThickness SliceLocation ImagePositionPatient ImageOrientationPatient""".split()


def rows(options: Options) -> Iterator[Row]:
    """Return the row on the gateway and the fewest calls."""
    with reading(WHOLE, options) as (orthanc, gateway):
        ours = _warm_side(gateway)
        baselines.check_archive(orthanc.whole_archive(), WHOLE)
        yield compare(
            f"whole archive, {WHOLE.instances:,} instances / fewest calls",
            ("gateway", ours),
            ("Orthanc", lambda: timed(orthanc.whole_archive)),
            options.rounds,
            at_most(1.2),
        )


def walk_rows(options: Options) -> Iterator[Row]:
    """Return the row on a GET for every resource, measured on one patient and scaled."""
    with reading(WHOLE, options) as (orthanc, gateway):
        ours = _warm_side(gateway)
        patient = orthanc.first("patients")
        baselines.check_walk(orthanc.walk(patient))
        yield compare(
            "walk with a GET for every resource / whole archive",
            (f"walk (one patient × {WHOLE.patients})", lambda: WHOLE.patients * timed(lambda: orthanc.walk(patient))),
            ("gateway", ours),
            options.rounds,
            at_least(30 if orthanc.is_extended else 10),
        )


def qido_rows(options: Options) -> Iterator[Row]:
    """Return the rows on QIDO-RS, if the DICOMweb plugin is installed."""
    plugin = dicomweb_plugin()
    if plugin is None:
        tell("qido: skipped, the DICOMweb plugin is not installed with this Orthanc")
        return
    with reading(WHOLE, options, [plugin]) as (orthanc, gateway):
        ours = _warm_side(gateway)
        if _ask_qido(orthanc.address) != WHOLE.instances:
            raise BenchmarkError("QIDO-RS did not list all instances.")
        yield compare(
            "QIDO-RS /instances / whole archive",
            ("QIDO-RS", lambda: timed(lambda: _ask_qido(orthanc.address))),
            ("gateway", ours),
            options.rounds,
            at_least(15) if orthanc.is_extended else None,
        )
        if _ask_qido(gateway.address) != WHOLE.instances:
            raise BenchmarkError("The gateway's DICOMweb did not list all instances.")
        yield compare(
            "DICOMweb /instances of the gateway / of Orthanc's plugin",
            ("gateway", lambda: timed(lambda: _ask_qido(gateway.address))),
            ("QIDO-RS", lambda: timed(lambda: _ask_qido(orthanc.address))),
            options.rounds,
            at_most(0.05) if orthanc.is_extended else None,
        )
        with (
            tempfile.TemporaryDirectory(prefix="gateway-") as folder,
            serving(orthanc.address, Path(folder), settings=FORGETTING) as cold,
        ):
            # which detects what Orthanc can do
            _ask_qido(cold.address)
            yield compare(
                "DICOMweb /instances of the gateway without its cache / of Orthanc's plugin",
                ("gateway", lambda: timed(lambda: _ask_qido(cold.address))),
                ("QIDO-RS", lambda: timed(lambda: _ask_qido(orthanc.address))),
                options.rounds,
                at_most(0.15) if orthanc.is_extended else None,
            )


def cpu_rows(options: Options) -> Iterator[Row]:
    """Return the row on CPU time, in which the speed of the machine cancels out."""
    with reading(WHOLE, options) as (_, gateway):
        _warm_side(gateway)
        answer = queries.whole_archive_as_bytes(gateway.address)

        def ours() -> float:
            before = cpu_seconds(gateway.pid)
            for _ in range(CPU_QUERIES):
                queries.whole_archive_as_bytes(gateway.address)
            return (cpu_seconds(gateway.pid) - before) / CPU_QUERIES

        def parsing() -> float:
            before = time.process_time()
            for _ in range(CPU_QUERIES):
                json.loads(answer)
            return (time.process_time() - before) / CPU_QUERIES

        yield compare(
            "CPU time of the gateway, whole archive / json.loads of its answer",
            ("gateway", ours),
            ("json.loads", parsing),
            options.rounds,
        )


def _warm_side(gateway: LocalGateway) -> Side:
    """Return the action to measure, after one response was checked, which also warms the caches."""
    queries.check_archive(queries.whole_archive(gateway.address), WHOLE)
    return lambda: timed(lambda: queries.whole_archive(gateway.address))


def _ask_qido(address: str) -> int:
    """Return the number of instances that QIDO-RS lists (PS3.18 section 10.6)."""
    with Reader(address) as reader:
        included = urlencode([("includefield", keyword) for keyword in _INCLUDED])
        return len(reader.get(f"/dicom-web/instances?{included}"))
