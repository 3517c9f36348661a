"""The servers of Orthanc's configuration: DICOM modalities, Orthanc peers and DICOMweb servers to which it can send."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Any

from orthancproxy.errors import ArchiveRejected, ArchiveTimeout, DestinationFailed, LimitExceeded, NotFound
from orthancproxy.orthanc import endpoints
from orthancproxy.orthanc.client import OrthancClient
from orthancproxy.orthanc.deadline import Deadline, deadline_scope
from orthancproxy.orthanc.endpoints import DESTINATION_NAME, Endpoint
from orthancproxy.orthanc.responses import BEGUN_DECODER, ID_LIST_DECODER, JSON_DECODER, MODALITIES_DECODER

EVERYTHING = "*"
ECHO_SECONDS = 10
# below the duration of a follower's lease
INSTANCE_SECONDS = 10


class DestinationKind(Enum):
    """How Orthanc sends to a server."""

    DICOM = "dicom"
    PEER = "peer"
    DICOMWEB = "dicomweb"


@dataclass(frozen=True, slots=True)
class Destination:
    """A server, by the name that it has in Orthanc's configuration; a DICOM modality has an AET."""

    kind: DestinationKind
    name: str
    aet: str | None = None

    @property
    def key(self) -> str:
        """What the settings, the audit log and the table of jobs call it: `PACS`, `peer:ARCHIVE`, `dicomweb:CLOUD`."""
        return self.name if self.kind is DestinationKind.DICOM else f"{self.kind.value}:{self.name}"

    def is_allowed(self, allowed: Sequence[str]) -> bool:
        """Whether a list of keys has it, or `*`."""
        return self.key in allowed or EVERYTHING in allowed


def destination_of(key: str) -> Destination:
    """Return the destination with a key, without its AET."""
    kind, is_prefixed, name = key.partition(":")
    return Destination(DestinationKind(kind), name) if is_prefixed else Destination(DestinationKind.DICOM, key)


def destinations(client: OrthancClient, allowed: Sequence[str]) -> list[Destination]:
    """Return the servers that Orthanc knows and that are allowed, by kind and name. Raises ArchiveError."""
    return _allowed(_known(client), allowed) if allowed else []


def sources(client: OrthancClient, allowed: Sequence[str]) -> list[Destination]:
    """Return the DICOM modalities that Orthanc knows and that are allowed, by name. Raises ArchiveError."""
    return _allowed(_modalities(client), allowed) if allowed else []


def _allowed(known: Iterable[Destination], allowed: Sequence[str]) -> list[Destination]:
    return [one for one in known if DESTINATION_NAME.fullmatch(one.name) and one.is_allowed(allowed)]


def _modalities(client: OrthancClient) -> Iterator[Destination]:
    modalities = client.call(endpoints.MODALITIES, query="expand", decoder=MODALITIES_DECODER)
    for name in sorted(modalities):
        yield Destination(DestinationKind.DICOM, name, modalities[name].aet)


def _known(client: OrthancClient) -> Iterator[Destination]:
    yield from _modalities(client)
    for name in sorted(client.call(endpoints.PEERS, decoder=ID_LIST_DECODER)):
        yield Destination(DestinationKind.PEER, name)
    if "dicom-web" in client.capabilities().plugins.names:
        try:
            servers = client.call(endpoints.WEB_SERVERS, decoder=ID_LIST_DECODER)
        except NotFound:
            # the plugin has another `Root`
            servers = []
        for name in sorted(servers):
            yield Destination(DestinationKind.DICOMWEB, name)


def answers(client: OrthancClient, destination: Destination) -> bool:
    """Whether a server answers Orthanc: by a C-ECHO, or a request that reads. Raises ArchiveError if Orthanc fails."""
    tests: Mapping[DestinationKind, tuple[Endpoint, Mapping[str, Any] | None]] = {
        DestinationKind.DICOM: (endpoints.MODALITY_ECHO, {"Timeout": ECHO_SECONDS}),
        DestinationKind.PEER: (endpoints.PEER_SYSTEM, None),
        DestinationKind.DICOMWEB: (endpoints.WEB_SERVER_GET, {"Uri": "/studies", "Arguments": {"limit": "1"}}),
    }
    endpoint, body = tests[destination.kind]
    try:
        with deadline_scope(Deadline(2 * ECHO_SECONDS)):
            client.call(endpoint, body=body, decoder=JSON_DECODER, name=destination.name)
    except (ArchiveRejected, ArchiveTimeout, LimitExceeded, NotFound):
        return False
    return True


def begin_sending(client: OrthancClient, destination: Destination, orthanc_ids: Sequence[str], token: str) -> str:
    """Begin to send resources of any level, and return the id of Orthanc's job, which can be found by the token, too.

    It ends at the first instance that the server does not take: with `Permissive`, Orthanc says Success even if nothing
    arrived (1.10.1 to 1.13.0). Raises NotFound for an unknown server or resource, and ArchiveError.
    """
    store: Mapping[DestinationKind, Endpoint] = {
        DestinationKind.DICOM: endpoints.MODALITY_STORE,
        DestinationKind.PEER: endpoints.PEER_STORE,
        DestinationKind.DICOMWEB: endpoints.WEB_SERVER_STOW,
    }
    body = {"Resources": list(orthanc_ids), "Asynchronous": True, "Permissive": False, "UserData": token}
    begun = client.call(store[destination.kind], body=body, decoder=BEGUN_DECODER, name=destination.name)
    return str(begun.id)


def send_instance(client: OrthancClient, modality: str, orthanc_id: str) -> None:
    """Send one instance to a DICOM modality, and wait until it has it.

    Raises DestinationFailed, also if that takes longer than INSTANCE_SECONDS, and ArchiveError for an unknown instance.
    """
    body = {"Resources": [orthanc_id], "Synchronous": True, "Permissive": False}
    try:
        with deadline_scope(Deadline(INSTANCE_SECONDS)):
            client.call(endpoints.MODALITY_STORE, body=body, decoder=JSON_DECODER, name=modality)
    except (ArchiveTimeout, LimitExceeded) as error:
        raise DestinationFailed("The server did not take an instance in time.") from error
