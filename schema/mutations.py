"""The root fields that write."""

from typing import Annotated, cast

import strawberry

from orthancproxy.archive.destinations import DestinationKind
from orthancproxy.archive.levels import Level
from orthancproxy.resolvers import upload
from orthancproxy.resolvers.deletion import delete
from orthancproxy.resolvers.labels import add_labels, remove_labels
from orthancproxy.resolvers.restoring import restore
from orthancproxy.resolvers.sending import echo
from orthancproxy.schema.anonymizing import AnonymizePayload, AnonymizeStudyInput, anonymize
from orthancproxy.schema.context import Info, gateway
from orthancproxy.schema.corrections import (
    ModifyPayload,
    PatientToModify,
    SeriesToModify,
    SeriesToMove,
    StudiesToMerge,
    StudyToModify,
    merge,
    modify,
    move,
)
from orthancproxy.schema.deletions import DeletePayload, StudyPayload
from orthancproxy.schema.jobs import JobId, JobPayload, cancel, shown
from orthancproxy.schema.labels import (
    AddedLabels,
    LabelledId,
    LabelledLevel,
    LabelsDryRun,
    LabelsPayload,
    RemovedLabels,
)
from orthancproxy.schema.modalities import EchoPayload, Kind, ModalityName, SendInput, send
from orthancproxy.schema.shares import ShareId, SharePayload, ShareStudyInput, revoke, share
from orthancproxy.schema.sources import RetrieveInput, retrieve
from orthancproxy.schema.uploads import UploadInput, UploadPayload
from orthancproxy.uploads.files import with_series_paths

OrthancId = Annotated[strawberry.ID, strawberry.argument(description="The id in Orthanc.")]
Purge = Annotated[bool | None, strawberry.argument(description="Delete for good, also what is in the trash already.")]
DryRun = Annotated[bool | None, strawberry.argument(description="Predict what would be deleted, without deleting it.")]


@strawberry.type(description="Everything that can be changed.")
class Mutation:
    @strawberry.mutation(description="Store a folder of DICOM files as one study of one patient.")
    def upload_patient(
        self,
        info: Info,
        input: Annotated[UploadInput, strawberry.argument(description="The files and values.")],
    ) -> UploadPayload:
        request = upload.UploadRequest(
            files=with_series_paths(input.files, input.series_paths or []),
            patient_id=input.patient_id,
            patient_name=input.patient_name,
            study_description=input.study_description,
            upload_key=input.upload_key,
        )
        return cast("UploadPayload", upload.upload(gateway(info), request))

    @strawberry.mutation(
        description="Delete a patient and its studies. Where the gateway has a trash, they are put there, unless "
        "`purge` is true."
    )
    def delete_patient(
        self, info: Info, orthanc_id: OrthancId, dry_run: DryRun = False, purge: Purge = False
    ) -> DeletePayload:
        return _delete(info, Level.PATIENT, orthanc_id, dry_run, purge)

    @strawberry.mutation(
        description="Delete a study, and its patient if it has no other study. Where the gateway has a trash, they are "
        "put there, unless `purge` is true."
    )
    def delete_study(
        self, info: Info, orthanc_id: OrthancId, dry_run: DryRun = False, purge: Purge = False
    ) -> DeletePayload:
        return _delete(info, Level.STUDY, orthanc_id, dry_run, purge)

    @strawberry.mutation(
        description="Take a study out of the trash, as it was. One that is not in the trash stays as it is."
    )
    def restore_study(self, info: Info, orthanc_id: OrthancId) -> StudyPayload:
        return StudyPayload(orthanc_id=strawberry.ID(restore(gateway(info), orthanc_id)))

    @strawberry.mutation(description="Delete a series for good, and the parents that become empty.")
    def delete_series(self, info: Info, orthanc_id: OrthancId, dry_run: DryRun = False) -> DeletePayload:
        return _delete(info, Level.SERIES, orthanc_id, dry_run)

    @strawberry.mutation(description="Delete an instance for good, and the parents that become empty.")
    def delete_instance(self, info: Info, orthanc_id: OrthancId, dry_run: DryRun = False) -> DeletePayload:
        return _delete(info, Level.INSTANCE, orthanc_id, dry_run)

    @strawberry.mutation(
        description="Add labels to a resource; those that it has already stay. Labels that access scopes name need the "
        "permission LABEL_SCOPES, and a caller without a scope. Needs Orthanc 1.12."
    )
    def add_labels(
        self,
        info: Info,
        level: LabelledLevel,
        orthanc_id: LabelledId,
        labels: AddedLabels,
        dry_run: LabelsDryRun = False,
    ) -> LabelsPayload:
        return cast("LabelsPayload", add_labels(gateway(info), level, orthanc_id, labels, dry_run=bool(dry_run)))

    @strawberry.mutation(
        description="Remove labels from a resource; those that it does not have are ignored. It needs what `addLabels` "
        "needs."
    )
    def remove_labels(
        self,
        info: Info,
        level: LabelledLevel,
        orthanc_id: LabelledId,
        labels: RemovedLabels,
        dry_run: LabelsDryRun = False,
    ) -> LabelsPayload:
        return cast("LabelsPayload", remove_labels(gateway(info), level, orthanc_id, labels, dry_run=bool(dry_run)))

    @strawberry.mutation(
        description="Make a link to one study for people without an account: they may view, and download if it allows "
        "that, what the caller may, until it ends. It ends early if the caller loses the permission to share."
    )
    def share_study(
        self, info: Info, input: Annotated[ShareStudyInput, strawberry.argument(description="What to share.")]
    ) -> SharePayload:
        return cast("SharePayload", share(info, input))

    @strawberry.mutation(description="End a share link at once.")
    def revoke_share(self, info: Info, id: ShareId) -> SharePayload:
        return cast("SharePayload", revoke(info, id))

    @strawberry.mutation(
        description="Send patients, studies, series or instances to another server. The job goes on after the "
        "response: follow it with `job` or the subscription `jobUpdates`. `result { rejected }` lists the "
        "instances that a modality rejects; a peer or a DICOMweb server that rejects one ends the job."
    )
    def send_to_modality(
        self, info: Info, input: Annotated[SendInput, strawberry.argument(description="What to send, and where.")]
    ) -> JobPayload:
        return cast("JobPayload", shown(send(info, input)))

    @strawberry.mutation(
        description="Correct a patient: all studies get the new values. Corrected copies are made, compared with "
        "the originals, and take their place, in a job that goes on after the response."
    )
    def modify_patient(self, info: Info, input: PatientToModify) -> ModifyPayload:
        return modify(info, Level.PATIENT, input)

    @strawberry.mutation(
        description="Correct a study, or give it to another patient by another PatientID, as `modifyPatient` does."
    )
    def modify_study(self, info: Info, input: StudyToModify) -> ModifyPayload:
        return modify(info, Level.STUDY, input)

    @strawberry.mutation(description="Correct a series, as `modifyPatient` does.")
    def modify_series(self, info: Info, input: SeriesToModify) -> ModifyPayload:
        return modify(info, Level.SERIES, input)

    @strawberry.mutation(
        description="Merge studies of a patient into one of them: their series get its attributes, new UIDs, and its "
        "StudyInstanceUID, in a job as that of `modifyPatient`."
    )
    def merge_studies(self, info: Info, input: StudiesToMerge) -> ModifyPayload:
        return merge(info, input)

    @strawberry.mutation(
        description="Move series to another study of their patient, or split them from their study, into a new one. "
        "They get the attributes of that study, in a job as that of `modifyPatient`."
    )
    def move_series(self, info: Info, input: SeriesToMove) -> ModifyPayload:
        return move(info, input)

    @strawberry.mutation(
        description="Anonymize a study by the Basic Application Level Confidentiality Profile (PS3.15 annex E): into a "
        "new study by a job that goes on after the response, or into a ZIP. Pixels are not changed: heed the warnings."
    )
    def anonymize_study(
        self, info: Info, input: Annotated[AnonymizeStudyInput, strawberry.argument(description="What to anonymize.")]
    ) -> AnonymizePayload:
        return cast("AnonymizePayload", anonymize(info, input))

    @strawberry.mutation(
        description="Retrieve studies from another server. The job goes on after the response, like that of "
        "`sendToModality`; its result has the studies that have arrived. Not for callers with an access scope. What is "
        "here already stays as it is, so that a request may be repeated."
    )
    def retrieve_from_modality(
        self, info: Info, input: Annotated[RetrieveInput, strawberry.argument(description="What, and from where.")]
    ) -> JobPayload:
        return cast("JobPayload", shown(retrieve(info, input)))

    @strawberry.mutation(description="Test whether a server answers Orthanc: by a C-ECHO, if it is a DICOM modality.")
    def echo_modality(self, info: Info, name: ModalityName, kind: Kind = DestinationKind.DICOM) -> EchoPayload:
        return cast("EchoPayload", echo(gateway(info), kind, name))

    @strawberry.mutation(
        description="Ask to cancel a job; it may end otherwise before that. What was sent already stays there."
    )
    def cancel_job(self, info: Info, id: JobId) -> JobPayload:
        return cast("JobPayload", shown(cancel(info, id)))


def _delete(
    info: Info, level: Level, orthanc_id: str, dry_run: bool | None, purge: bool | None = False
) -> DeletePayload:
    deletion = delete(gateway(info), level, orthanc_id, dry_run=bool(dry_run), purge=bool(purge))
    return cast("DeletePayload", deletion)
