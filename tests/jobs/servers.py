"""An Orthanc that sends, and another one that it sends to, as a DICOM modality and as a peer."""

import json
from collections.abc import Mapping
from typing import Any

from orthancproxy.sandbox.orthanc import LocalOrthanc, free_port
from tests.corpus import ask
from tests.orthancs import StartOrthanc
from tests.waiting import wait_until

DICOMWEB_PLUGIN = "/usr/share/orthanc/plugins/libOrthancDicomWeb.so"
REMOTE_AET = "REMOTE"
# DCMTK leaves Nagle's algorithm on: 11 small instances a second with it, 350 without (1.10.1 and 1.13.0, loopback)
ENVIRONMENT = ("TCP_NODELAY", "1")


def start_remote(start: StartOrthanc, *, plugins: tuple[str, ...] = (), **configuration: object) -> LocalOrthanc:
    """Start an Orthanc that takes what is sent to it."""
    return start(
        plugins=plugins,
        configuration={
            "DicomServerEnabled": True,
            "DicomPort": free_port(),
            "DicomAet": REMOTE_AET,
            "DicomAlwaysAllowStore": True,
            "DicomCheckCalledAet": False,
            **configuration,
        },
    )


def start_source(
    start: StartOrthanc,
    remote: LocalOrthanc,
    *,
    plugins: tuple[str, ...] = (),
    configuration: Mapping[str, object] | None = None,
) -> LocalOrthanc:
    """Start an Orthanc that knows a remote one in each way, and servers that do not answer."""
    port: Any = remote._configuration["DicomPort"]
    return start(
        plugins=plugins,
        configuration={
            "DicomModalities": {"PACS": [REMOTE_AET, "127.0.0.1", port], "DEAD": ["DEAD", "127.0.0.1", 1]},
            "OrthancPeers": {"ARCHIVE": [f"{remote.base_url}/", "user", "secret"], "GONE": ["http://127.0.0.1:1/"]},
            "DicomWeb": {"Servers": {"CLOUD": [f"{remote.base_url}/dicom-web/"]}},
            **(configuration or {}),
        },
    )


def count(orthanc: LocalOrthanc) -> int:
    """The number of instances of an Orthanc."""
    return int(json.loads(ask(orthanc, "/statistics"))["CountInstances"])


def clear(orthanc: LocalOrthanc) -> None:
    """Delete all patients."""
    for patient in json.loads(ask(orthanc, "/patients")):
        ask(orthanc, f"/patients/{patient}", "DELETE")


def remove(orthanc: LocalOrthanc, study: str) -> None:
    """Delete a study that may be there."""
    if study in json.loads(ask(orthanc, "/studies")):
        ask(orthanc, f"/studies/{study}", "DELETE")


def cancel_all(orthanc: LocalOrthanc) -> None:
    """Let an Orthanc send nothing more, and wait until it does not."""

    def unended() -> list[str]:
        jobs = json.loads(ask(orthanc, "/jobs?expand"))
        return [job["ID"] for job in jobs if job["State"] not in {"Success", "Failure"}]

    # not those that ended: Orthanc forgets the first of ten of them for each that is cancelled
    for job in unended():
        ask(orthanc, f"/jobs/{job}/cancel", "POST")
    wait_until(lambda: not unended())
