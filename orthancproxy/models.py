"""Where Django looks for the app's tables: each package declares its own."""

from orthancproxy.access.models import AccessScope, Archive, Share
from orthancproxy.anonymization.models import Pseudonym
from orthancproxy.audit.models import AuditDelivery, AuditEvent, AuditRetention, AuditSubject, Viewing
from orthancproxy.feed.models import ChangeLogState, ChangeRow
from orthancproxy.follower.models import Lease
from orthancproxy.index.models import IndexedPatient, IndexedStudy, IndexState
from orthancproxy.jobs.models import Job
from orthancproxy.uploads.models import UploadBatch, UploadedFile

__all__ = [
    "AccessScope",
    "Archive",
    "AuditDelivery",
    "AuditEvent",
    "AuditRetention",
    "AuditSubject",
    "ChangeLogState",
    "ChangeRow",
    "IndexState",
    "IndexedPatient",
    "IndexedStudy",
    "Job",
    "Lease",
    "Pseudonym",
    "Share",
    "UploadBatch",
    "UploadedFile",
    "Viewing",
]
