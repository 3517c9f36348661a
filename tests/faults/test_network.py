"""Connections are slow, cut, reset, closed by half, or full of noise: on either side of the gateway."""

from dataclasses import replace

import pytest

from tests.faults.fault_client import FILES, REQUESTS, Scene, upload
from tests.faults.outcome_checks import check_archive, check_audit, check_typed
from tests.tcp_proxy import WELL, TCPFault, TCPProxy
from tests.uploads.upload_client import REST
from tests.waiting import wait_until

pytestmark = [pytest.mark.live, pytest.mark.once, pytest.mark.long]

ARCHIVE = {"ARCHIVE_UNAVAILABLE", "ARCHIVE_ERROR"}
HARMLESS = {
    "latency": TCPFault(latency=0.05),
    "a trickle": TCPFault(rate=20_000),
}
FAULTS = {
    "closed within the answer": TCPFault(after=1, then="fin"),
    "reset within the answer": TCPFault(after=1, then="rst"),
    "half closed within the answer": TCPFault(after=1, then="half-close"),
    "silent within the answer": TCPFault(after=1, then="hang"),
    "noise instead of an answer": TCPFault(after=0, then="garbage"),
    "closed within the request": TCPFault(after=1, direction="up", then="fin"),
    "reset within the request": TCPFault(after=1, direction="up", then="rst"),
    "half closed within the request": TCPFault(after=1, direction="up", then="half-close"),
    "noise within the request": TCPFault(after=1, direction="up", then="garbage"),
}


@pytest.mark.parametrize("kind", [*HARMLESS, *FAULTS])
def test_connection_faults_between_the_gateway_and_orthanc(scene: Scene, upstream: TCPProxy, kind: str) -> None:
    for what, request in REQUESTS.items():
        name = f"{what} {kind}"[:64]
        if request.deletes:
            scene.stored_patient(name)
        before = scene.count()
        fault = replace({**HARMLESS, **FAULTS}[kind], on=request.on)
        if fault.after:
            fault = replace(fault, after=request.up if fault.direction == "up" else request.down)
        if fault.rate and request.is_download:
            fault = replace(fault, rate=1_000_000)
        upstream.suffer(fault)
        ending = request.send(scene.gateway.port, scene, name)
        assert upstream.met.is_set(), name
        upstream.suffer(WELL)
        check_typed(ending, request, ARCHIVE)
        assert kind not in HARMLESS or ending.is_well, (name, ending)
        check_audit(scene.audit(ending.request_id), ending, request)
        check_archive(scene, ending, request, name, before)
        scene.check_serving()


CLIENTS = {
    **HARMLESS,
    "a trickle of the request": TCPFault(rate=20_000, direction="up"),
    "gone within the answer": TCPFault(after=100, then="fin"),
    "reset within the answer": TCPFault(after=100, then="rst"),
    "gone within the request": TCPFault(after=1, direction="up", then="fin"),
    "reset within the request": TCPFault(after=1, direction="up", then="rst"),
    "half closed within the request": TCPFault(after=1, direction="up", then="half-close"),
    "noise within the request": TCPFault(after=1, direction="up", then="garbage"),
    "noise instead of a request": TCPFault(after=0, direction="up", then="garbage"),
}


@pytest.mark.parametrize("kind", CLIENTS)
def test_connection_faults_between_the_client_and_the_gateway(scene: Scene, downstream: TCPProxy, kind: str) -> None:
    """The client may never learn the outcome; the archive, the audit and other clients must be unaffected."""
    for what, request in REQUESTS.items():
        name = f"client {what} {kind}"[:64]
        if request.deletes:
            scene.stored_patient(name)
        before = scene.count()
        fault = CLIENTS[kind]
        if fault.rate and (request.is_download or request.uploads):
            fault = replace(fault, rate=1_000_000)
        if fault.direction == "up" and fault.after:
            fault = replace(fault, after=2_000 if request.uploads else 30)
        downstream.suffer(fault)
        ending = request.send(downstream.port, scene, name)
        downstream.suffer(WELL)
        assert kind not in {*HARMLESS, "a trickle of the request"} or ending.is_well, (name, ending)
        assert ending.status < 500, (name, ending)
        rows = scene.audit(ending.request_id)
        # a download of which nothing came may have been broken off
        if ending.is_well and (ending.content or not request.is_download):
            check_audit(rows, ending, request)
        if request.uploads:
            wait_for_ends(scene, ending.request_id)
            assert ending.reported <= scene.instances_of(name) <= FILES
            assert upload(scene.gateway.port, REST(), name, scene.files).reported == FILES
            assert scene.instances_of(name) == FILES
            assert scene.count() == before + FILES
        elif request.deletes:
            wait_for_ends(scene, ending.request_id)
            gone = any(row.outcome == "SUCCESS" for row in scene.audit(ending.request_id))
            assert scene.instances_of(name) == (0 if gone else 2)
        scene.check_serving()


def wait_for_ends(scene: Scene, request_id: str) -> None:
    """Wait until what was begun has ended: the gateway does not stop half-way when a client has gone away."""

    def has_ended() -> bool:
        rows = scene.audit(request_id)
        intended = [row.pk for row in rows if row.outcome == "INTENDED"]
        return intended == [row.intention for row in rows if row.intention]

    wait_until(has_ended)
