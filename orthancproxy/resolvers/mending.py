"""Files of an upload that refer to others which came after them: stored again, with the references followed."""

import logging
import tempfile

from orthancproxy.archive.storage import delete_instance, open_file, store
from orthancproxy.dicom.intake import read
from orthancproxy.dicom.rewrite import Target, rewrite
from orthancproxy.dicom.sources import FileRange, spooling
from orthancproxy.errors import GatewayError, NotFound
from orthancproxy.models import UploadedFile
from orthancproxy.orthanc.client import OrthancClient

logger = logging.getLogger(__name__)


def mend(client: OrthancClient, file: UploadedFile, target: Target, unresolved: str) -> bool:
    """Store a file again that `batches.take_resolvable` gave; return False where it is not in the archive any more.

    Orthanc keeps what it has under a UID, so that the file is deleted first. Until it is stored again, its record says
    that it is to be sent once more: also when the gateway is killed meanwhile.
    """
    row = UploadedFile.objects.filter(pk=file.pk)
    deleted = False
    try:
        with spooling(), tempfile.TemporaryFile() as copy:
            content = open_file(client, file.orthanc_id)
            try:
                copy.writelines(content)
            finally:
                content.close()
            copy.flush()
            payload = rewrite(read(FileRange(copy, 0, copy.tell())), target).payload
            delete_instance(client, file.orthanc_id)
            deleted = True
            store(client, payload)
    except NotFound:
        # somebody deleted it, and does not want it back
        pass
    except GatewayError as error:
        logger.warning("references not followed", extra={"error": type(error).__name__, "lost": deleted})
        if deleted:
            return False
        # for the next request with this key
        unresolved = file.unresolved
    row.update(outcome=UploadedFile.Outcome.STORED, unresolved=unresolved)
    return True
