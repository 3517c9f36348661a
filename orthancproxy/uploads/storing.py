"""The second pass over the files of an upload: they are rewritten and stored in Orthanc."""

from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import replace
from functools import partial
from itertools import islice

from django.utils import timezone
from msgspec import structs

from orthancproxy.archive.levels import Level
from orthancproxy.archive.storage import exists, store
from orthancproxy.dicom.rewrite import RewriteTarget, rewrite
from orthancproxy.errors import GatewayError
from orthancproxy.orthanc.client import OrthancClient
from orthancproxy.orthanc.responses import StoreResult
from orthancproxy.uploads import batches
from orthancproxy.uploads.distinct_values import digests
from orthancproxy.uploads.files import FailedFile, InspectedFile, StoredFile, failed
from orthancproxy.uploads.inspection import parse
from orthancproxy.uploads.late_references import Resolution, resolve_references
from orthancproxy.uploads.models import UploadBatch
from orthancproxy.uploads.outage import Outage
from orthancproxy.uploads.workers import in_parallel

FILES_PER_WRITE = 200


class BatchUpload:
    """The part of one request in the upload of a batch.

    `outcomes` are those of its files so far. `lost` is the number of files of earlier requests that could not be
    stored again with their references.
    """

    def __init__(self, client: OrthancClient, batch: UploadBatch) -> None:
        self.outcomes: list[StoredFile | FailedFile] = []
        self.lost = 0
        self._client = client
        self.batch = batch
        self._stored_before: Mapping[str, str] = {}
        self._stored: set[str] = set()
        self._outage = Outage(client)

    def run(self, files: Sequence[InspectedFile | FailedFile]) -> None:
        """Store files, resolve references between all files of the batch, and write the outcomes."""
        batches.register(self.batch, files)
        self._stored_before = batches.stored_before(self.batch, files)
        # closed before the files are: no thread reads them afterwards
        with closing(in_parallel(partial(self._store, self._target()), files)) as outcomes:
            while part := list(islice(outcomes, FILES_PER_WRITE)):
                self.outcomes += map(self._counted_once, part)
                batches.record(self.batch, part)
        self._resolve_references()
        stored = [file for file in self.outcomes if isinstance(file, StoredFile)]
        study_id = stored[0].location.study_id if stored else ""
        values = digests(self.batch.study_instance_uid, [file.inspected for file in stored])
        batches.close_batch(self.batch, study_id, values)

    def _store(self, target: RewriteTarget, file: InspectedFile | FailedFile) -> StoredFile | FailedFile:
        """Rewrite a file and send it to Orthanc."""
        if isinstance(file, FailedFile):
            return file
        try:
            self._outage.check()
            target = replace(target, series_instance_uid=file.series_uid, sop_instance_uid=file.sop_uid)
            rewritten = rewrite(file.dicom or parse(file.sent.source), target)
            earlier_id = self._stored_before.get(file.identity)
            overwrites = earlier_id is not None and exists(self._client, Level.INSTANCE, earlier_id)
            location = store(self._client, rewritten.payload)
        except GatewayError as error:
            self._outage.learn(error)
            return failed(file.sent, error, file.identity)
        # which references of a file were resolved when it was stored before, only its row can tell
        unresolved = rewritten.references if location.already_stored else rewritten.unresolved
        # Orthanc calls an overwritten file a new one, where its option OverwriteInstances is on
        location = _as_already_stored(location) if overwrites else location
        return StoredFile(file, location, unresolved, rewritten.text_guessed, rewritten.was_signed)

    def _counted_once(self, file: StoredFile | FailedFile) -> StoredFile | FailedFile:
        """Count a file that the request contains twice as stored before, where Orthanc overwrites it."""
        if isinstance(file, FailedFile) or file.location.already_stored:
            return file
        if file.inspected.identity in self._stored:
            return replace(file, location=_as_already_stored(file.location))
        self._stored.add(file.inspected.identity)
        return file

    def _resolve_references(self) -> None:
        """Store the files again that refer to files which were sent later."""
        # until nothing is left: concurrent requests skip the files that this one has claimed
        while True:
            study = self._target()
            results = Counter[Resolution]()
            for claim in batches.claim_resolvable(self.batch, study.uids):
                target = replace(study, series_instance_uid=claim.row.series_uid, sop_instance_uid=claim.row.sop_uid)
                resolution, unresolved = resolve_references(self._client, claim, target)
                batches.release(claim, resolution, unresolved)
                results[resolution] += 1
            self.lost += results[Resolution.LOST]
            if not results[Resolution.RESOLVED] or results[Resolution.POSTPONED]:
                return

    def _target(self) -> RewriteTarget:
        """Return what all files of the batch become, except for the UIDs of series and instance."""
        uids, old_study_uids = batches.known_uids(self.batch)
        created_at = timezone.localtime(self.batch.created_at)
        return RewriteTarget(
            patient_id=self.batch.patient_id,
            patient_name=self.batch.patient_name,
            study_instance_uid=self.batch.study_instance_uid,
            series_instance_uid="",
            sop_instance_uid="",
            study_description=self.batch.study_description,
            study_date=self.batch.study_date or f"{created_at:%Y%m%d}",
            study_time=self.batch.study_time or f"{created_at:%H%M%S}",
            uids=uids,
            old_study_uids=old_study_uids,
        )


def _as_already_stored(location: StoreResult) -> StoreResult:
    return structs.replace(location, status="AlreadyStored")
