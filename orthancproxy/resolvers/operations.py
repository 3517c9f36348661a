"""The operations of the gateway, each declared once: the code, the tests and docs/access.md read them here."""

from collections.abc import Mapping
from dataclasses import dataclass

from orthancproxy.access.actions import Action
from orthancproxy.archive.levels import Level
from orthancproxy.audit.kinds import EventKind


@dataclass(frozen=True, slots=True, kw_only=True)
class Operation:
    """What an operation needs, and what the audit log shows of it.

    Without an `action`, no permission is needed. An operation that `changes` the archive is audited before and after
    it is carried out, and so is one that goes on as a job (`is_job`) after the response. `target_level` is the level of
    the resource that the caller names and the audit event has as its target, if there is one. What is `viewed` of a
    series is audited before the first and after the last transfer.
    """

    description: str
    action: Action | None = Action.VIEW
    kind: EventKind = EventKind.ACCESSED
    changes: bool = False
    is_job: bool = False
    viewed: bool = False
    target_level: Level | None = None


READ = Operation(description="Read patients, studies, series, instances, uploads, or the server's description")
READ_CHANGES = Operation(description="Read or follow the changes of the archive")
READ_CALLER = Operation(description="Read one's own name, permissions and scopes", action=None)
READ_AUDIT = Operation(description="Read the audit log", action=Action.VIEW_AUDIT, kind=EventKind.AUDIT_LOG_USED)
READ_URL = Operation(description="Read the URL of a file, an image or a ZIP", action=Action.DOWNLOAD)
DOWNLOAD: Mapping[Level, Operation] = {
    level: Operation(
        description=f"Download {level.path}",
        action=Action.DOWNLOAD,
        kind=EventKind.TRANSFERRED,
        target_level=level,
    )
    for level in Level
    if level is not Level.INSTANCE
}
VIEW: Mapping[Level, Operation] = {
    level: Operation(
        description=f"Download {what}",
        action=Action.DOWNLOAD,
        kind=EventKind.TRANSFERRED,
        viewed=True,
        target_level=level,
    )
    for level, what in (
        (Level.STUDY, "thumbnails of studies"),
        (Level.SERIES, "series and their thumbnails"),
        (Level.INSTANCE, "files, frames and images of instances"),
    )
}
UPLOAD = Operation(description="Upload files", action=Action.UPLOAD, kind=EventKind.IMPORT, changes=True)
STORE = Operation(
    description="Store DICOM files under their own UIDs", action=Action.UPLOAD, kind=EventKind.IMPORT, changes=True
)
DELETE: Mapping[Level, Operation] = {
    level: Operation(
        description=f"Delete {level.path}",
        action=Action.DELETE,
        kind=EventKind.DELETION,
        changes=True,
        target_level=level,
    )
    for level in Level
}
TRASH: Mapping[Level, Operation] = {
    level: Operation(
        description=f"Put {level.path} into the trash",
        action=Action.DELETE,
        kind=EventKind.TRASHED,
        changes=True,
        target_level=level,
    )
    for level in (Level.PATIENT, Level.STUDY)
}
RESTORE = Operation(
    description="Restore a study from the trash",
    action=Action.DELETE,
    kind=EventKind.RESTORED,
    changes=True,
    target_level=Level.STUDY,
)
READ_TRASH = Operation(description="Read what is in the trash", action=Action.DELETE)
LABEL: Mapping[Level, Operation] = {
    level: Operation(
        description=f"Add and remove labels of {level.path}",
        action=Action.LABEL,
        kind=EventKind.LABELLED,
        changes=True,
        target_level=level,
    )
    for level in Level
}
SHARE = Operation(
    description="Share a study by a link",
    action=Action.SHARE,
    kind=EventKind.ACCESS_CHANGED,
    target_level=Level.STUDY,
)
REVOKE_SHARE = Operation(description="Revoke a share link", action=Action.SHARE, kind=EventKind.ACCESS_CHANGED)
READ_SHARES = Operation(description="Read the share links", action=Action.SHARE)
SEND: Mapping[Level, Operation] = {
    level: Operation(
        description=f"Send {level.path} to another server",
        action=Action.SEND,
        kind=EventKind.SENT,
        is_job=True,
        target_level=level,
    )
    for level in Level
}
MODIFY: Mapping[Level, Operation] = {
    level: Operation(
        description=f"Correct {level.path}",
        action=Action.MODIFY,
        kind=EventKind.MODIFIED,
        is_job=True,
        target_level=level,
    )
    for level in Level
    if level is not Level.INSTANCE
}
MERGE = Operation(
    description="Merge studies of a patient",
    action=Action.MODIFY,
    kind=EventKind.MODIFIED,
    is_job=True,
    target_level=Level.STUDY,
)
MOVE = Operation(
    description="Move series to another study of the patient",
    action=Action.MODIFY,
    kind=EventKind.MODIFIED,
    is_job=True,
    target_level=Level.SERIES,
)
PREVIEW_CORRECTION = Operation(description="Preview a correction, merge or move (`dryRun`)", action=Action.MODIFY)
ANONYMIZE = Operation(
    description="Anonymize a study into a new one",
    action=Action.ANONYMIZE,
    kind=EventKind.ANONYMIZED,
    is_job=True,
    target_level=Level.STUDY,
)
ANONYMIZE_TO_ZIP = Operation(
    description="Download an anonymized study, which takes `download`, too",
    action=Action.ANONYMIZE,
    kind=EventKind.ANONYMIZED,
    target_level=Level.STUDY,
)
PREVIEW_ANONYMIZATION = Operation(description="Preview an anonymization (`dryRun`)", action=Action.ANONYMIZE)
REIDENTIFY = Operation(
    description="Read who is who in a project", action=Action.REIDENTIFY, kind=EventKind.REIDENTIFIED
)
READ_DESTINATIONS = Operation(description="Read or test the servers to which can be sent", action=Action.SEND)
READ_SOURCES = Operation(description="Read the servers from which can be retrieved", action=Action.RETRIEVE)
SEARCH_SOURCE = Operation(
    description="Search another server for studies", action=Action.RETRIEVE, kind=EventKind.QUERIED
)
RETRIEVE = Operation(
    description="Retrieve studies from another server",
    action=Action.RETRIEVE,
    kind=EventKind.RETRIEVED,
    is_job=True,
)
READ_JOBS = Operation(description="Read or follow one's own jobs; with `manage_jobs`, those of others")
CANCEL_JOB = Operation(description="Cancel one's own job; with `manage_jobs`, one of others")
PREVIEW_LABELS = Operation(description="Preview a change of labels (`dryRun`)", action=Action.LABEL)
PREVIEW_DELETION = Operation(description="Preview a deletion (`dryRun`)", action=Action.DELETE)

OPERATIONS: tuple[Operation, ...] = tuple(
    operation
    for declared in list(vars().values())
    for operation in (declared.values() if isinstance(declared, dict) else [declared])
    if isinstance(operation, Operation)
)
