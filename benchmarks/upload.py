"""Uploads through the gateway, compared with posting the same files directly to Orthanc."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial

from benchmarks.measuring import Row, at_most, compare, tell, timed
from benchmarks.multipart import UploadRequest, in_memory, new_upload_key, send, upload_request
from benchmarks.options import Options
from benchmarks.servers import Archive, gateway_before
from benchmarks.slices import DicomFile, ct_slices
from orthancproxy.sandbox.gateway import LocalGateway
from orthancproxy.sandbox.orthanc import INDEXED_INSTANCE_TAGS, LocalOrthanc

FILES = 300
REQUESTS = 3
IN_FLIGHT = 2
GOAL = at_most(1.25)  # times as long


def rows(options: Options) -> Iterator[Row]:
    """Return the rows on the speed of uploads."""
    slices = list(ct_slices(FILES))
    with (
        LocalOrthanc(configuration=INDEXED_INSTANCE_TAGS) as orthanc,
        gateway_before(orthanc, options.upload_threads) as gateway,
    ):
        archive = Archive(orthanc)
        tell(f"upload: {FILES} slices once, for the files as the gateway rewrites them")
        archive.empty()
        send(gateway, upload_request(slices, new_upload_key()))
        archive.expect(FILES)
        rewritten = archive.files()

        def direct() -> float:
            archive.empty()
            seconds = timed(lambda: archive.post(rewritten, options.upload_threads))
            archive.expect(FILES)
            return seconds

        def through_gateway(requests: int) -> float:
            bodies = _bodies(slices, requests)
            archive.empty()
            seconds = timed(lambda: _send_all(gateway, bodies))
            archive.expect(FILES)
            return seconds

        for requests in (1, REQUESTS):
            yield compare(
                f"upload of {FILES} CT slices, {requests} request{'s' if requests > 1 else ''}",
                ("gateway", partial(through_gateway, requests)),
                ("Orthanc", direct),
                options.rounds,
                GOAL,
            )


def _bodies(slices: Sequence[DicomFile], requests: int) -> list[UploadRequest]:
    """Return one upload as a number of requests, with a new key, so that every file has to be rewritten."""
    upload_key = new_upload_key()
    size = len(slices) // requests
    return [
        in_memory(upload_request(slices[start : start + size], upload_key)) for start in range(0, len(slices), size)
    ]


def _send_all(gateway: LocalGateway, bodies: Sequence[UploadRequest]) -> None:
    with ThreadPoolExecutor(IN_FLIGHT) as pool:
        for _ in pool.map(lambda body: send(gateway, body), bodies):
            pass
