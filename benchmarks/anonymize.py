"""Anonymizing a study by a job of the gateway, compared with Orthanc's own anonymization."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import Any

from benchmarks.measuring import BenchmarkError, Row, at_most, compare, timed
from benchmarks.options import Options
from benchmarks.servers import Archive, gateway_before, session
from benchmarks.slices import ct_slices
from orthancproxy.sandbox.gateway import LocalGateway
from orthancproxy.sandbox.orthanc import INDEXED_INSTANCE_TAGS, LocalOrthanc

SLICES = 300
GOAL = at_most(1.1)  # times as long
TIMEOUT = 300
ANONYMIZE = """mutation($study: ID!) { anonymizeStudy(input: {orthancId: $study}) { job { id } } }"""
JOB = "query($id: ID!) { job(id: $id) { endedAt state result { instancesCount } } }"


def rows(options: Options) -> Iterator[Row]:
    """Return the row on the time until all slices of a study are anonymized and stored."""
    with (
        LocalOrthanc(configuration=INDEXED_INSTANCE_TAGS) as orthanc,
        gateway_before(orthanc, options.upload_threads) as gateway,
    ):
        Archive(orthanc).post([b"".join(one.chunks()) for one in ct_slices(SLICES)], options.upload_threads)
        study = _Study(orthanc, gateway)
        yield compare(
            f"anonymizing {SLICES} CT slices into a new study",
            ("gateway", lambda: study.measure(study.by_job)),
            ("Orthanc", lambda: study.measure(study.by_orthanc)),
            options.rounds,
            GOAL,
        )


class _Study:
    """The only study of an Orthanc, to be anonymized in either way."""

    def __init__(self, orthanc: LocalOrthanc, gateway: LocalGateway) -> None:
        self._archive = Archive(orthanc)
        self._studies = f"{orthanc.base_url}/studies"
        self._graphql = f"{gateway.address}/graphql/"
        self._archive.expect(SLICES)
        [self._id] = self._call("GET", self._studies)

    def measure(self, anonymize: Callable[[], None]) -> float:
        """Remove what is left of the last time, and return the seconds that it takes."""
        for made in self._call("GET", self._studies):
            if made != self._id:
                self._call("DELETE", f"{self._studies}/{made}")
        seconds = timed(anonymize)
        self._archive.expect(2 * SLICES)
        return seconds

    def by_job(self) -> None:
        """Begin a job, and ask for it until it has ended."""
        job = self._ask(ANONYMIZE, study=self._id)["anonymizeStudy"]["job"]["id"]
        while not (found := self._ask(JOB, id=job)["job"])["endedAt"]:
            time.sleep(0.05)
        if found["state"] != "SUCCESS":
            raise BenchmarkError(f"The job ended as {found}.")

    def by_orthanc(self) -> None:
        """Let Orthanc do it."""
        self._call("POST", f"{self._studies}/{self._id}/anonymize", {"Synchronous": True})

    def _ask(self, query: str, **variables: str) -> Any:
        return self._call("POST", self._graphql, {"query": query, "variables": variables})["data"]

    def _call(self, method: str, address: str, body: Any = None) -> Any:
        with session() as one:
            answer = one.request(method, address, json=body, timeout=TIMEOUT)
        answer.raise_for_status()
        return answer.json()
