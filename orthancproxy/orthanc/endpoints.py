"""The allowlist of Orthanc's routes, as methods and path templates. No other route can be called.

Orthanc's REST API can also shut the server down, reset it and run scripts.
"""

import re
import sys
from dataclasses import dataclass
from enum import Enum, auto
from urllib.parse import quote

from orthancproxy.errors import InvalidRequest

ORTHANC_ID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{8}){4}", re.ASCII)
TAG = re.compile(r"[0-9a-f]{4}-[0-9a-f]{4}", re.ASCII)
# a tag, or one in an item of a sequence, and so on: `5200-9230/0/0040-0555/1/0040-a30a`
TAG_PATH = re.compile(rf"({TAG.pattern}/[0-9]{{1,6}}/){{0,20}}{TAG.pattern}", re.ASCII)
LABEL = re.compile(r"[0-9A-Za-z_-]{1,64}", re.ASCII)
# of a modality, peer or DICOMweb server in Orthanc's configuration
DESTINATION_NAME = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9_.-]{0,63}", re.ASCII)
# the numbers of metadata and attachments that are not Orthanc's own
FIRST_OF_USERS, LAST_OF_USERS = 1024, 65535
JOB_ID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.ASCII)
# what fills in a template
_PATTERNS = {
    "id": ORTHANC_ID,
    "level": re.compile("patients|studies|series|instances"),
    "sequence": TAG,
    "tag": TAG,
    "tags": TAG_PATH,
    "name": DESTINATION_NAME,
    "job": JOB_ID,
    "search": JOB_ID,
    "label": LABEL,
    "metadata": LABEL,
}
_NUMBERS = {"frame": range(sys.maxsize), "attachment": range(FIRST_OF_USERS, LAST_OF_USERS + 1)}


def check_orthanc_id(text: str) -> None:
    """Raise InvalidRequest unless the text is a well-formed Orthanc id."""
    if not ORTHANC_ID.fullmatch(text):
        raise InvalidRequest("This is not a valid id of an Orthanc resource.")


class CallKind(Enum):
    """What a call occupies Orthanc with, which decides how many of its kind are made at once (`call_slots`)."""

    INDEX = auto()
    FILES = auto()  # it reads the files of many resources
    RENDERING = auto()
    DOWNLOAD = auto()  # it takes as long as the client reads
    STORING = auto()
    PROBE = auto()  # always made


@dataclass(frozen=True, slots=True)
class Endpoint:
    """A route of Orthanc's REST API.

    `template` contains `{level}`, `{id}`, `{frame}` and so on, which are validated before they are filled in.
    `repeatable`: the call is idempotent, so that it may be repeated if its response is lost.
    """

    method: str
    template: str
    repeatable: bool = True
    kind: CallKind = CallKind.INDEX

    def path(self, **parts: str | int) -> str:
        """Return the path. Raises InvalidRequest for an invalid id, level, frame number, tag or label."""
        for name, value in parts.items():
            match value:
                case str():
                    is_valid = name in _PATTERNS and _PATTERNS[name].fullmatch(value) is not None
                case int():
                    is_valid = name in _NUMBERS and value in _NUMBERS[name]
                case _:
                    is_valid = False
            if not is_valid:
                raise InvalidRequest(f"This is not a valid {name} of an Orthanc resource.")
        return self.template.format(
            **{name: quote(str(value), safe="/" if name == "tags" else "") for name, value in parts.items()}
        )


SYSTEM = Endpoint("GET", "/system")
PLUGINS = Endpoint("GET", "/plugins")
POSTGRESQL_INDEX = Endpoint("GET", "/plugins/postgresql-index")
MYSQL_INDEX = Endpoint("GET", "/plugins/mysql-index")
ODBC_INDEX = Endpoint("GET", "/plugins/odbc-index")
STATISTICS = Endpoint("GET", "/statistics")
NOW = Endpoint("GET", "/tools/now")
FIND = Endpoint("POST", "/tools/find")
PROBE_INDEX = Endpoint("POST", "/tools/find", kind=CallKind.PROBE)
COUNT_RESOURCES = Endpoint("POST", "/tools/count-resources")
BULK_CONTENT = Endpoint("POST", "/tools/bulk-content")
RESOURCE = Endpoint("GET", "/{level}/{id}")
RESOURCE_IDS = Endpoint("GET", "/{level}")
CHANGES = Endpoint("GET", "/changes")
# the DICOMweb plugin's: WADO-RS metadata of all instances of a series
SERIES_METADATA = Endpoint("GET", "/series/{id}/attachments/4301/data")
# 1.12.0; PUT and DELETE answer 200 with no body, also for what is there or not there already
LABELS = Endpoint("GET", "/tools/labels")
RESOURCE_LABELS = Endpoint("GET", "/{level}/{id}/labels")
ADD_LABEL = Endpoint("PUT", "/{level}/{id}/labels/{label}")
REMOVE_LABEL = Endpoint("DELETE", "/{level}/{id}/labels/{label}")
# what users and plugins have put there; PUT answers 200, with nothing or `{}`
METADATA = Endpoint("GET", "/{level}/{id}/metadata")
SET_METADATA = Endpoint("PUT", "/{level}/{id}/metadata/{metadata}")
ATTACHMENTS = Endpoint("GET", "/{level}/{id}/attachments")
ATTACHMENT = Endpoint("GET", "/{level}/{id}/attachments/{attachment}/data", kind=CallKind.DOWNLOAD)
SET_ATTACHMENT = Endpoint("PUT", "/{level}/{id}/attachments/{attachment}", kind=CallKind.STORING)
# the main tags of an instance, and of its series, study and patient, are read from its file anew
RECONSTRUCT = Endpoint("POST", "/instances/{id}/reconstruct")
# metadata of the gateway's own, as numbers from 1024 on are for users: what it notes of a study in the trash
TRASH_NOTE_NUMBER = 4717
TRASH_NOTE = Endpoint("GET", f"/studies/{{id}}/metadata/{TRASH_NOTE_NUMBER}")
WRITE_TRASH_NOTE = Endpoint("PUT", f"/studies/{{id}}/metadata/{TRASH_NOTE_NUMBER}")
REMOVE_TRASH_NOTE = Endpoint("DELETE", f"/studies/{{id}}/metadata/{TRASH_NOTE_NUMBER}")
RESOURCE_STATISTICS = Endpoint("GET", "/{level}/{id}/statistics")
INSTANCES_TAGS = Endpoint("GET", "/{level}/{id}/instances-tags", kind=CallKind.FILES)
INSTANCE_TAGS = Endpoint("GET", "/instances/{id}/tags", kind=CallKind.FILES)
INSTANCE_FILE = Endpoint("GET", "/instances/{id}/file", kind=CallKind.DOWNLOAD)
# the same bytes; since 1.12.5 it sends ranges of them
INSTANCE_FILE_DATA = Endpoint("GET", "/instances/{id}/attachments/dicom/data", kind=CallKind.DOWNLOAD)
# in the DICOM JSON model; Orthanc locks and parses the file as it does to render it
INSTANCE_JSON = Endpoint("GET", "/instances/{id}/file", kind=CallKind.RENDERING)
# the value of an attribute as stored
INSTANCE_VALUE = Endpoint("GET", "/instances/{id}/content/{tags}", kind=CallKind.RENDERING)
# all frames, if they are not compressed; otherwise the table of their offsets
NATIVE_PIXEL_DATA = Endpoint("GET", "/instances/{id}/content/7fe0-0010/0", kind=CallKind.RENDERING)
FRAME_RAW = Endpoint("GET", "/instances/{id}/frames/{frame}/raw", kind=CallKind.RENDERING)
# an attribute in the functional groups of one frame, and of all (PS3.3 section C.7.6.16)
FRAME_GROUP = Endpoint("GET", "/instances/{id}/content/5200-9230/{frame}/{sequence}/0/{tag}", kind=CallKind.RENDERING)
SHARED_GROUP = Endpoint("GET", "/instances/{id}/content/5200-9229/0/{sequence}/0/{tag}", kind=CallKind.RENDERING)
FRAME_INT16 = Endpoint("GET", "/instances/{id}/frames/{frame}/image-int16", kind=CallKind.RENDERING)
FRAME_UINT16 = Endpoint("GET", "/instances/{id}/frames/{frame}/image-uint16", kind=CallKind.RENDERING)
FRAME_NUMPY = Endpoint("GET", "/instances/{id}/frames/{frame}/numpy", kind=CallKind.RENDERING)
FRAME_RENDERED = Endpoint("GET", "/instances/{id}/frames/{frame}/rendered", kind=CallKind.RENDERING)
LEVEL_ARCHIVE = Endpoint("GET", "/{level}/{id}/archive", kind=CallKind.DOWNLOAD)
STORE = Endpoint("POST", "/instances", kind=CallKind.STORING)
DELETE = Endpoint("DELETE", "/{level}/{id}", repeatable=False)
# what is not there is no error, and nothing is answered (1.10.1 to 1.13.0)
BULK_DELETE = Endpoint("POST", "/tools/bulk-delete", repeatable=False)
MODALITIES = Endpoint("GET", "/modalities")
PEERS = Endpoint("GET", "/peers")
# the DICOMweb plugin's
WEB_SERVERS = Endpoint("GET", "/dicom-web/servers")
MODALITY_ECHO = Endpoint("POST", "/modalities/{name}/echo", repeatable=False, kind=CallKind.FILES)
PEER_SYSTEM = Endpoint("GET", "/peers/{name}/system", kind=CallKind.FILES)
WEB_SERVER_GET = Endpoint("POST", "/dicom-web/servers/{name}/get", repeatable=False, kind=CallKind.FILES)
# they begin a job, and send the same again if they are repeated
MODALITY_STORE = Endpoint("POST", "/modalities/{name}/store", repeatable=False)
PEER_STORE = Endpoint("POST", "/peers/{name}/store", repeatable=False)
WEB_SERVER_STOW = Endpoint("POST", "/dicom-web/servers/{name}/stow", repeatable=False)
JOBS = Endpoint("GET", "/jobs")
JOB = Endpoint("GET", "/jobs/{job}")
CANCEL_JOB = Endpoint("POST", "/jobs/{job}/cancel", repeatable=False)
# a C-FIND; its answers stay in Orthanc's memory until it is deleted, or 100 others have been made
MODALITY_QUERY = Endpoint("POST", "/modalities/{name}/query", repeatable=False, kind=CallKind.FILES)
QUERY_ANSWERS = Endpoint("GET", "/queries/{search}/answers")
# begins a job that retrieves all answers
RETRIEVE_ANSWERS = Endpoint("POST", "/queries/{search}/retrieve", repeatable=False)
DELETE_QUERY = Endpoint("DELETE", "/queries/{search}", repeatable=False)
