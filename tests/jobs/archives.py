"""An Orthanc that retrieves, and others that it retrieves from: they know each other as DICOM modalities."""

from dataclasses import dataclass

from orthancproxy.sandbox.orthanc import LocalOrthanc, free_port
from tests.orthancs import StartOrthanc

LOCAL_AET = "LOCAL"
# Orthanc drops what its encoding lacks, of what it asks and answers
UTF_8 = {"DefaultEncoding": "Utf8"}


@dataclass(frozen=True, slots=True)
class Archives:
    """`local` is the gateway's. It finds `remote` as PACS, another one at `stranger_port` as STRANGER, and DEAD."""

    local: LocalOrthanc
    remote: LocalOrthanc
    stranger_port: int


def start_archives(start: StartOrthanc) -> Archives:
    """Start the local archive, and the remote one."""
    local_port, remote_port, stranger_port = free_port(), free_port(), free_port()
    remote = start_remote_archive(start, remote_port, DicomModalities={LOCAL_AET: [LOCAL_AET, "127.0.0.1", local_port]})
    local = start(
        configuration={
            "DicomServerEnabled": True,
            "DicomPort": local_port,
            "DicomAet": LOCAL_AET,
            "DicomModalities": {
                "PACS": ["REMOTE", "127.0.0.1", remote_port],
                "STRANGER": ["REMOTE", "127.0.0.1", stranger_port],
                "DEAD": ["DEAD", "127.0.0.1", 1],
            },
            "DicomAlwaysAllowStore": True,
            **UTF_8,
        }
    )
    return Archives(local, remote, stranger_port)


def start_remote_archive(start: StartOrthanc, port: int, **configuration: object) -> LocalOrthanc:
    """Start an archive in which everybody may search, and which sends to the modalities that it knows."""
    return start(
        configuration={
            "DicomServerEnabled": True,
            "DicomPort": port,
            "DicomAet": "REMOTE",
            **dict.fromkeys(("DicomAlwaysAllowFind", "DicomAlwaysAllowMove", "DicomAlwaysAllowGet"), True),
            **UTF_8,
            **configuration,
        }
    )
