"""Lists beside a filled trash, and beside an empty one."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Any

from benchmarks import baselines, contents
from benchmarks.contents import Contents
from benchmarks.large.servers import wait_for_index
from benchmarks.measuring import BenchmarkError, Row, compare, repeatedly, tell
from benchmarks.options import Options
from benchmarks.queries import PATH
from benchmarks.reading import Reader
from benchmarks.servers import Archive
from orthancproxy.sandbox.datasets import encode
from orthancproxy.sandbox.gateway import serving
from orthancproxy.sandbox.orthanc import INDEXED_INSTANCE_TAGS, LocalOrthanc

ARCHIVE = Contents(patients=1_000)
IN_TRASH = 300  # studies, of as many patients
QUERIES_A_ROUND = 20
_SETTINGS = {"ORTHANC_TRASH_DAYS": "30"}
_DELETE = "mutation($id: ID!) { deleteStudy(orthancId: $id) { __typename } }"
_LISTS: Mapping[str, str] = {
    "the first 50 studies, total": """{ studies(first: 50) {
      totalCount
      nodes { orthancId description studyDate modalities instancesCount patient { patientId patientName } }
    } }""",
    "the first 50 patients, total": """{ patients(first: 50) {
      totalCount
      nodes { patientId patientName studiesCount }
    } }""",
    "50 studies of a name, total": """{ studies(first: 50, filter: {search: "Müller"}) {
      totalCount
      nodes { orthancId studyDate patient { patientName } }
    } }""",
}


def rows(options: Options) -> Iterator[Row]:
    """Return for each list the ratio of its times beside a filled trash and beside an empty one."""
    with ExitStack() as stack:
        if not baselines.orthanc_at(stack.enter_context(LocalOrthanc()).base_url).is_extended:
            tell("trash: skipped, the gateway has no index before Orthanc 1.12.5")
            return
        filled, empty = (_lists(stack, options, number) for number in (IN_TRASH, 0))
        for name, query in _LISTS.items():
            sides = [partial(_time, reader, query) for reader in (filled, empty)]
            for warm_up in sides:
                warm_up()
            title = f"{name}, of {ARCHIVE.studies:,}: with {IN_TRASH} studies in the trash / with none"
            yield compare(title, ("filled", sides[0]), ("empty", sides[1]), options.rounds)


def _lists(stack: ExitStack, options: Options, in_trash: int) -> Reader:
    """Start an Orthanc and a gateway, put some of the studies into the trash, and wait for the gateway's index."""
    orthanc = stack.enter_context(LocalOrthanc(configuration=INDEXED_INSTANCE_TAGS))
    files = [encode(file) for patient in range(ARCHIVE.patients) for file in contents.first_files(patient)]
    Archive(orthanc).post(files, options.upload_threads)
    folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="gateway-")))
    gateway = stack.enter_context(serving(orthanc.base_url, folder, settings=_SETTINGS))
    with Reader(orthanc.base_url) as direct:
        studies = direct.get("/studies")[:in_trash]
    reader = stack.enter_context(Reader(gateway.address))
    for study in studies:
        _ask(reader, _DELETE, id=study)
    wait_for_index(gateway)
    count = _ask(reader, "{ studies(first: 1) { totalCount } }")["studies"]["totalCount"]
    if count != ARCHIVE.studies - in_trash:
        raise BenchmarkError(f"The gateway shows {count} studies beside {in_trash} in the trash.")
    return reader


def _time(reader: Reader, query: str) -> float:
    return repeatedly(QUERIES_A_ROUND, lambda: _ask(reader, query))


def _ask(reader: Reader, query: str, **variables: str) -> Any:
    answer = reader.post(PATH, {"query": query, "variables": variables})
    if "errors" in answer:
        raise BenchmarkError(f"The gateway answered {answer['errors']}.")
    return answer["data"]
