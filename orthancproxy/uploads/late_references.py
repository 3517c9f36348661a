"""Files that refer to files which were sent later: they are stored again, with the references updated."""

import logging
import tempfile
from contextlib import closing
from dataclasses import dataclass
from enum import Enum, auto

from orthancproxy.archive.levels import Level
from orthancproxy.archive.storage import delete, open_file, store
from orthancproxy.dicom.file_format import read
from orthancproxy.dicom.rewrite import RewriteTarget, rewrite
from orthancproxy.dicom.sources import FileRange, disk_full_as_error
from orthancproxy.errors import GatewayError, NotFound
from orthancproxy.orthanc.client import OrthancClient
from orthancproxy.uploads.models import UploadedFile

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Claim:
    """A stored file that one request may store again, and the references that remain unresolved then.

    `is_interrupted` says that an earlier claim was not released: the gateway was killed.
    """

    row: UploadedFile
    unresolved: frozenset[str]
    is_interrupted: bool


class Resolution(Enum):
    """How a claim ended."""

    RESOLVED = auto()
    POSTPONED = auto()  # the next request with the upload key tries again
    LOST = auto()  # the file has to be sent again


def resolve_references(client: OrthancClient, claim: Claim, target: RewriteTarget) -> tuple[Resolution, frozenset[str]]:
    """Store a file again; return how that ended, and which references remain unresolved.

    Orthanc does not replace a file, so that it is deleted first.
    """
    deleted = False
    try:
        with disk_full_as_error(), tempfile.TemporaryFile() as copy:
            with closing(open_file(client, claim.row.orthanc_id)) as content:
                copy.writelines(content)
            copy.flush()
            rewritten = rewrite(read(FileRange(copy, 0, copy.tell())), target)
            delete(client, Level.INSTANCE, claim.row.orthanc_id)
            deleted = True
            if store(client, rewritten.payload).already_stored:
                # another request just sent it again, with the UIDs known to it: the next pass checks all references
                return Resolution.RESOLVED, rewritten.references
    except NotFound:
        # without an interrupted claim, a user deleted the file and does not want it back
        return Resolution.LOST if claim.is_interrupted else Resolution.RESOLVED, claim.unresolved
    except GatewayError as error:
        logger.warning("references not followed", extra={"error": type(error).__name__, "lost": deleted})
        return Resolution.LOST if deleted else Resolution.POSTPONED, claim.unresolved
    return Resolution.RESOLVED, claim.unresolved
