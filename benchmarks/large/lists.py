"""Lists of a large archive: pages of studies, searches, all patients."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any

from benchmarks import queries
from benchmarks.large.rows import compare_in, side
from benchmarks.large.servers import LARGE, Column
from benchmarks.measuring import BenchmarkError, Quantity, Row, at_most, duration, in_turn, ratio, tell, timed
from benchmarks.options import Options
from benchmarks.reading import Reader
from benchmarks.servers import dicomweb_plugin

PAGE_SIZE = 50
DEEP_PAGE = 200
_GRAPHQL = "/graphql/"
_LIST = """
query($filter: StudyFilter, $after: String, $first: Int = 50) {
  studies(filter: $filter, after: $after, first: $first) {
    totalCount
    pageInfo { hasNextPage endCursor }
    nodes {
      orthancId studyInstanceUID description studyDate modalities seriesCount instancesCount
      patient { patientId patientName birthDate }
    }
  }
}"""
_CURSORS = "query($after: String, $first: Int) { studies(after: $after, first: $first) { pageInfo { endCursor } } }"
# of archive.py: one in 64 patients has this name, two in five studies are MR, one in five of the brain
SEARCHES: Mapping[str, Mapping[str, Any]] = {
    "a Hangul name": {"search": "홍길동"},
    "a part of a description": {"description": "*brain*"},
    "a modality": {"modalities": ["MR"]},
}
SEARCH_GOAL = at_most(40)  # ms
_COUNTS = ("0008,0061", "0020,1206", "0020,1208")  # ModalitiesInStudy, NumberOfStudyRelatedSeries and …Instances


def page_rows(options: Options) -> Iterator[Row]:
    """Return the rows on the first page of studies."""
    name = f"first page of {PAGE_SIZE} studies with patient, counts, modalities, total / Orthanc's page and count"
    for column in options.large.columns:
        goal = at_most(0.04 if column.is_tuned else 0.03)
        sides = (side(column.gateway.address, first_page), side(column.orthanc.address, orthancs_page))
        yield compare_in(name, column, sides, options.rounds, goal)


def qido_rows(options: Options) -> Iterator[Row]:
    """Return the rows on the first page of studies over DICOMweb, if the plugin is installed."""
    if dicomweb_plugin() is None:
        tell("large-qido: skipped, the DICOMweb plugin is not installed with this Orthanc")
        return
    name = f"QIDO-RS /studies?limit={PAGE_SIZE}, warm / the DICOMweb plugin"
    for column in options.large.columns:
        sides = (side(column.gateway.address, _qido_page), side(column.orthanc.address, _qido_page))
        for warm_up in sides:
            warm_up()
        yield compare_in(name, column, sides, options.rounds, at_most(0.1), ("gateway", "plugin"))


def start_rows(options: Options) -> Iterator[Row]:
    """Return the rows on the first page that a gateway shows after a start, with an index that was built before."""
    name = "that first page, first time after a start / Orthanc's page and count"
    for column in options.large.columns:
        with tempfile.TemporaryDirectory(prefix="gateway-") as folder:
            with column.new_gateway(Path(folder)):
                pass

            def after_start(column: Column = column, folder: str = folder) -> float:
                with column.new_gateway(Path(folder)) as gateway, Reader(gateway.address) as reader:
                    return timed(lambda: first_page(reader))

            sides = (after_start, side(column.orthanc.address, orthancs_page))
            yield compare_in(name, column, sides, options.rounds, at_most(0.12 if column.is_tuned else 0.3))


def search_rows(options: Options) -> Iterator[Row]:
    """Return two rows for each search: its duration, and the ratio to the gateway without index and cache."""
    for what, criteria in SEARCHES.items():
        for column in options.large.columns:
            search = partial(studies, filter=criteria)
            _check_search(column, search)
            name = f"search by {what}: page and total / without index and cache"
            ours, before = in_turn(
                f"{name}, {column.name}",
                (
                    ("gateway", side(column.gateway.address, search)),
                    ("without", side(column.forgetting_gateway.address, search)),
                ),
                options.rounds,
            )
            parts = (duration("gateway", ours), duration("without", before))
            yield Row(name, ratio(ours, before), parts, at_most(0.05), column.name)
            milliseconds = Quantity("gateway", "ms", tuple(1000 * seconds for seconds in ours))
            yield Row(f"search by {what}: page and total", milliseconds, (), SEARCH_GOAL, column.name)


def deep_page_rows(options: Options) -> Iterator[Row]:
    """Return the rows on a page far down the list."""
    name = f"page {DEEP_PAGE} of the list / page 1"
    for column in options.large.columns:
        with Reader(column.gateway.address) as reader:
            cursor = _cursor(reader, PAGE_SIZE * (DEEP_PAGE - 1))
        sides = (side(column.gateway.address, partial(studies, after=cursor)), side(column.gateway.address, first_page))
        labels = (f"page {DEEP_PAGE}", "page 1")
        yield compare_in(name, column, sides, options.rounds, at_most(1.2), labels)


def patients_rows(options: Options) -> Iterator[Row]:
    """Return the rows on the REST list of all patients."""
    name = f"GET patients/ of {LARGE.patients:,} patients / Orthanc's find"
    for column in options.large.columns:
        sides = (side(column.gateway.address, _patients), side(column.orthanc.address, _orthancs_patients))
        yield compare_in(name, column, sides, options.rounds, at_most(0.6))


def studies(reader: Reader, **variables: Any) -> Any:
    """Return a page of studies through the gateway."""
    answer = reader.post(_GRAPHQL, {"query": _LIST, "variables": variables})
    return queries.data(answer)["studies"]


def first_page(reader: Reader) -> Any:
    """Return the first page of studies through the gateway. Raises BenchmarkError if it is not full."""
    page = studies(reader)
    if (page["totalCount"], len(page["nodes"])) != (LARGE.studies, PAGE_SIZE):
        raise BenchmarkError("The gateway's page is not that of the archive.")
    return page


def orthancs_page(reader: Reader) -> list[Any]:
    """Return the same studies and their number, by Orthanc's own means. Raises BenchmarkError if it is not full."""
    order = [{"Type": "DicomTag", "Key": "StudyDate", "Direction": "DESC"}]
    body = {"Level": "Study", "Query": {}, "Limit": PAGE_SIZE, "OrderBy": order, "RequestedTags": _COUNTS}
    found = reader.post("/tools/find", {**body, "Short": True, "ResponseContent": ["MainDicomTags", "RequestedTags"]})
    count = reader.post("/tools/count-resources", {"Level": "Study", "Query": {}})
    if len(found) != PAGE_SIZE:
        raise BenchmarkError("Orthanc's page is not full.")
    return [found, count]


def _qido_page(reader: Reader) -> None:
    if len(reader.get(f"/dicom-web/studies?limit={PAGE_SIZE}")) != PAGE_SIZE:
        raise BenchmarkError("The page over DICOMweb is not full.")


def _cursor(reader: Reader, offset: int) -> str:
    """Return the cursor of the study at an offset from 1, in pages of at most 1,000."""
    cursor = None
    while offset > 0:
        variables = {"after": cursor, "first": min(offset, 1000)}
        page = queries.data(reader.post(_GRAPHQL, {"query": _CURSORS, "variables": variables}))["studies"]
        cursor = page["pageInfo"]["endCursor"]
        offset -= 1000
    return str(cursor)


def _check_search(column: Column, search: Callable[[Reader], object]) -> None:
    with Reader(column.gateway.address) as one, Reader(column.forgetting_gateway.address) as other:
        found = search(one)
        # the cursors may be positions in another list
        if [_without_cursor(found)] != [_without_cursor(search(other))]:
            raise BenchmarkError("The gateways with and without index find different studies.")


def _without_cursor(page: Any) -> object:
    return page["totalCount"], page["nodes"]


def _patients(reader: Reader) -> object:
    patients = reader.get("/api/orthanc/patients/")
    if len(patients) != LARGE.patients:
        raise BenchmarkError("The gateway does not list all patients.")
    return patients


def _orthancs_patients(reader: Reader) -> object:
    # the list has the number of studies
    content = ["MainDicomTags", "Children"]
    return reader.post("/tools/find", {"Level": "Patient", "Query": {}, "Short": True, "ResponseContent": content})
