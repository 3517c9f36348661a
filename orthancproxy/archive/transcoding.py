"""Files that Orthanc converts to another transfer syntax (PS3.5 section 10)."""

import re

from pydicom.uid import UID

from orthancproxy.archive.storage import DICOM, Content, open_file
from orthancproxy.errors import InvalidRequest, NotFound, NotTranscodable
from orthancproxy.orthanc import endpoints
from orthancproxy.orthanc.client import OrthancClient

_UID = re.compile(r"[0-9.]{1,64}", re.ASCII)


def check_transfer_syntax(uid: str) -> None:
    """Raise InvalidRequest unless this is a UID, and NotTranscodable unless it is that of a transfer syntax."""
    if not _UID.fullmatch(uid):
        raise InvalidRequest("A transfer syntax is a UID, such as 1.2.840.10008.1.2.1.")
    if not is_transfer_syntax(uid):
        raise NotTranscodable(f"There is no transfer syntax {uid}.")


def is_transfer_syntax(uid: str) -> bool:
    """Whether this is the UID of a transfer syntax of the standard."""
    # pydicom warns of what is no UID
    return _UID.fullmatch(uid) is not None and UID(uid).type == "Transfer Syntax"


def converts_files(client: OrthancClient) -> bool:
    """Whether Orthanc converts single files. Before 1.12.2 it ignores the wish, and sends the file as stored."""
    return client.capabilities().is_since(1, 12, 2)


def open_transcoded(client: OrthancClient, orthanc_id: str, transfer_syntax: str) -> Content:
    """Open the file of an instance in another transfer syntax. Raises NotTranscodable, NotFound or ArchiveError.

    Lossy syntaxes give the instance another SOPInstanceUID, which stays the same only while Orthanc caches the file.
    """
    if not converts_files(client):
        raise NotTranscodable("This Orthanc cannot convert files: it is older than 1.12.2.")
    try:
        body = client.open(endpoints.INSTANCE_FILE, query=f"transcode={transfer_syntax}", id=orthanc_id)
    except NotFound:
        # 1.12.7 answers 404 also for what it cannot convert
        open_file(client, orthanc_id).close()
        raise NotTranscodable("Orthanc cannot convert this file to the transfer syntax.") from None
    return Content(body, DICOM, body.length, body.close)
