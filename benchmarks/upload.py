"""Uploads through the gateway, compared with posting the same files directly to Orthanc."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import partial

from benchmarks.measuring import Row, at_most, compare, duration, ratio, tell, timed
from benchmarks.multipart import Paced, UploadRequest, in_memory, new_upload_key, send, upload_request
from benchmarks.options import Options
from benchmarks.servers import Archive, gateway_before
from benchmarks.slices import DicomFile, ct_slices
from orthancproxy.sandbox.gateway import LocalGateway
from orthancproxy.sandbox.orthanc import INDEXED_INSTANCE_TAGS, LocalOrthanc

FILES = 300
REQUESTS = 3
IN_FLIGHT = 2
GOAL = at_most(1.3)  # times as long
BYTES_PER_SECOND = 100e6 / 8  # of a client with 100 Mbit/s
SLOW_GOAL = at_most(1.1)  # times as long as sending takes


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
        name = f"upload of {FILES} CT slices at 100 Mbit/s / until its last byte is sent"
        answered, sent = [], []
        for number in range(options.rounds):
            [request] = _bodies(slices, 1)
            archive.empty()
            body = Paced(request.body, BYTES_PER_SECOND)
            start = time.perf_counter()
            send(gateway, replace(request, body=body))
            answered.append(time.perf_counter() - start)
            sent.append(body.sent_at - start)
            archive.expect(FILES)
            tell(f"{name}, round {number + 1} of {options.rounds}: {answered[-1]:.2f} s, {sent[-1]:.2f} s")
        yield Row(name, ratio(answered, sent), (duration("answered", answered), duration("sent", sent)), SLOW_GOAL)


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
