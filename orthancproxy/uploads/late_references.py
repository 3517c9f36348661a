"""Files of an upload that refer to others which came after them: stored again, with the references followed."""

import logging
import tempfile
from enum import Enum, auto

from orthancproxy.archive.levels import Level
from orthancproxy.archive.storage import delete, open_file, store
from orthancproxy.dicom.file_format import read
from orthancproxy.dicom.rewrite import RewriteTarget, rewrite
from orthancproxy.dicom.sources import FileRange, disk_full_as_limit
from orthancproxy.errors import GatewayError, NotFound
from orthancproxy.orthanc.client import OrthancClient
from orthancproxy.uploads.batches import joined
from orthancproxy.uploads.models import UploadedFile

logger = logging.getLogger(__name__)


class Resolution(Enum):
    """Whether the references of a file are followed now."""

    YES = auto()
    NO = auto()  # the next request with its key tries again
    LOST = auto()  # it is to be sent once more


def resolve_references(client: OrthancClient, file: UploadedFile, target: RewriteTarget, unresolved: str) -> Resolution:
    """Store a file again that `batches.take_resolvable` gave, with what stays unresolved of it.

    Orthanc keeps what it has under a UID, so that the file is deleted first. Until it is stored again, its record says
    that it is to be sent once more: also when the gateway is killed meanwhile.
    """
    row = UploadedFile.objects.filter(pk=file.pk)
    deleted = False
    try:
        with disk_full_as_limit(), tempfile.TemporaryFile() as copy:
            content = open_file(client, file.orthanc_id)
            try:
                copy.writelines(content)
            finally:
                content.close()
            copy.flush()
            rewritten = rewrite(read(FileRange(copy, 0, copy.tell())), target)
            delete(client, Level.INSTANCE, file.orthanc_id)
            deleted = True
            if store(client, rewritten.payload).already_stored:
                # somebody sent it again just now, with what they knew: to be looked at once more
                unresolved = joined(rewritten.references)
    except NotFound:
        if file.outcome == UploadedFile.Outcome.MENDING:
            # so it was left by a gateway that was killed
            row.update(outcome=UploadedFile.Outcome.UNAVAILABLE)
            return Resolution.LOST
        # somebody deleted it, and does not want it back
    except GatewayError as error:
        logger.warning("references not followed", extra={"error": type(error).__name__, "lost": deleted})
        if deleted:
            row.update(outcome=UploadedFile.Outcome.UNAVAILABLE)
            return Resolution.LOST
        row.update(outcome=UploadedFile.Outcome.STORED)
        return Resolution.NO
    row.update(outcome=UploadedFile.Outcome.STORED, unresolved=unresolved)
    return Resolution.YES
