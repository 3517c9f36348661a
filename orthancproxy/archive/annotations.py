"""Metadata and attachments of resources that users have put into Orthanc, beside the files."""

from contextlib import closing

from orthancproxy.archive.levels import Level
from orthancproxy.orthanc import endpoints
from orthancproxy.orthanc.client import OrthancClient
from orthancproxy.orthanc.endpoints import FIRST_OF_USERS, TRASH_NOTE_NUMBER
from orthancproxy.orthanc.response_body import ResponseBody
from orthancproxy.orthanc.responses import ATTACHMENTS_DECODER, METADATA_DECODER

# that Orthanc has by name, where it does not know `numeric` (before 1.12)
_OWN_METADATA = frozenset(
    """AnonymizedFrom CalledAET ExpectedNumberOfInstances HttpHost HttpUsername IndexInSeries LastUpdate
    MainDicomSequences MainDicomTagsSignature ModifiedFrom Origin PixelDataOffset PixelDataVR ReceptionDate RemoteAET
    RemoteIP SopClassUid TransferSyntax""".split()
)

# of plugins, which make them anew, with the UIDs: DICOMweb, and OHIF
_CACHES = frozenset({4031, 4202, 4301})


def copy_annotations(client: OrthancClient, level: Level, source: str, target: str) -> None:
    """Copy metadata and attachments of users, unless the other resource has them. Raises NotFound and ArchiveError."""
    path = level.path
    known = _metadata(client, level, target)
    for name, value in _metadata(client, level, source).items():
        if name not in known:
            _finish(client.open(endpoints.SET_METADATA, content=value.encode(), level=path, id=target, metadata=name))
    there = _attachments(client, level, target)
    for number in _attachments(client, level, source):
        if number not in there:
            data = _finish(client.open(endpoints.ATTACHMENT, level=path, id=source, attachment=number))
            _finish(client.open(endpoints.SET_ATTACHMENT, content=data, level=path, id=target, attachment=number))


def _finish(body: ResponseBody) -> bytes:
    with closing(body):
        return b"".join(body)


def _metadata(client: OrthancClient, level: Level, orthanc_id: str) -> dict[str, str]:
    query = "expand&numeric"
    found = client.call(endpoints.METADATA, query=query, decoder=METADATA_DECODER, level=level.path, id=orthanc_id)
    return {
        name: value
        for name, value in found.items()
        if (_is_of_users(int(name)) if name.isdigit() else name not in _OWN_METADATA)
    }


def _is_of_users(metadata: int) -> bool:
    # of the trash, no copy is in it
    return metadata >= FIRST_OF_USERS and metadata != TRASH_NOTE_NUMBER


def _attachments(client: OrthancClient, level: Level, orthanc_id: str) -> list[int]:
    found = client.call(
        endpoints.ATTACHMENTS, query="full", decoder=ATTACHMENTS_DECODER, level=level.path, id=orthanc_id
    )
    return sorted(number for number in found.values() if number >= FIRST_OF_USERS and number not in _CACHES)
