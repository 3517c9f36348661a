"""Downloads: the file of an instance, ZIPs of the files below a resource, and what all downloads have in common."""

from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any, TypeVar, cast

from orthancproxy.archive.byte_ranges import ByteSpan, RequestedRange
from orthancproxy.archive.hierarchy import Hierarchy
from orthancproxy.archive.levels import Level
from orthancproxy.archive.own_zip import open_own_zip, zip_plan
from orthancproxy.archive.plan import LevelPlan, Needs
from orthancproxy.archive.records import Instance, Resource
from orthancproxy.archive.storage import DICOM, ZIP, Content, locate_file, locate_zip, open_file, open_zip
from orthancproxy.archive.transcoding import check_transfer_syntax, converts_files, open_transcoded
from orthancproxy.archive.uid_path import UIDPath
from orthancproxy.audit.kinds import AuditOutcome, EventKind
from orthancproxy.audit.reads import code_of, subject_of
from orthancproxy.database import renewed_connections
from orthancproxy.errors import ArchiveProtocolError, NotFound, NotTranscodable
from orthancproxy.resolvers import uid_paths
from orthancproxy.resolvers.context import RequestContext
from orthancproxy.resolvers.file_names import NAME_NEEDS, file_name
from orthancproxy.resolvers.guard import PendingEvent, audited_write
from orthancproxy.resolvers.hierarchy import look_up, with_audit_tags
from orthancproxy.resolvers.operations import DOWNLOAD, VIEW, Operation
from orthancproxy.resolvers.trash import trash_of


@dataclass(frozen=True, slots=True, kw_only=True)
class DownloadRequest:
    """What a client asks for of a download: its content unless it has one of the entity tags `if_none_match`.

    Of a file, it may ask for a range, which counts if `if_range` is its entity tag or None. Pictures and ZIPs are sent
    whole. `is_delegated`: the client's proxy gets what Orthanc has itself, so that it need not be opened.
    """

    if_none_match: Collection[str] = ()
    headers_only: bool = False
    byte_range: RequestedRange | None = None
    if_range: str | None = None
    is_delegated: bool = False

    def has(self, etag: str) -> bool:
        """Whether the client has the content already. Entity tags are compared weakly (RFC 9110 section 13.1.2)."""
        known = {one.removeprefix("W/") for one in self.if_none_match}
        return "*" in known or etag.removeprefix("W/") in known

    def span(self, etag: str, total: int) -> ByteSpan | None:
        """Return what is asked for of a file of `total` bytes; None for all of it. Raises RangeNotSatisfiable.

        Entity tags are compared strongly (RFC 9110 section 13.1.5).
        """
        # a range of a HEAD request is ignored (RFC 9110 section 14.2)
        if self.byte_range is None or self.headers_only or self.if_range not in (None, etag):
            return None
        return self.byte_range.within(total)


EVERYTHING = DownloadRequest()

T = TypeVar("T")

ResourceName = str | UIDPath
"""How a caller names a resource: by its Orthanc id or its UIDs, which name the first of several with the same."""


@dataclass(frozen=True, slots=True)
class Download:
    """A file to send. `content` is None if the client already has the version of `etag`; the receiver closes it."""

    filename: str
    etag: str | None
    content: Content | None
    version: str | None = None  # of the file, which does not change under one version
    has_ranges: bool = False  # whether a part of it can be requested


def get_file(
    context: RequestContext,
    name: ResourceName,
    wanted: DownloadRequest = EVERYTHING,
    transfer_syntax: str | None = None,
) -> Download:
    """Return the DICOM file of an instance as stored, or a range of it; or all of it in another transfer syntax.

    Raises NotFound, RangeNotSatisfiable, NotTranscodable, and InvalidRequest for a malformed transfer syntax.
    """
    needs = Instance.version.needs | Instance.file_size.needs
    if transfer_syntax is not None:
        needs |= Instance.transfer_syntax_uid.needs
    plan = instance_plan(needs)
    with authorized_download(context, VIEW, plan, name, wanted) as pending:
        instance = cast("Instance", pending.resource)
        if transfer_syntax is not None:
            check_transfer_syntax(transfer_syntax)
        if transfer_syntax is not None and transfer_syntax != instance.transfer_syntax_uid:
            return _get_transcoded(context, pending, instance, transfer_syntax, wanted)
        etag = entity_tag(instance)
        download = Download(file_name(instance, extension="dcm"), etag, None, version=instance.version, has_ranges=True)
        if wanted.has(etag):
            return pending.unchanged(download)
        if instance.file_size is None:
            raise ArchiveProtocolError
        size, span = instance.file_size, wanted.span(etag, instance.file_size)
        if wanted.headers_only:
            return replace(download, content=Content.headers(DICOM, size))
        orthanc_id = instance.orthanc_id
        located = locate_file(context.client, orthanc_id, size, span) if wanted.is_delegated else None
        return replace(download, content=located or pending.watched(open_file(context.client, orthanc_id, span)))


def _get_transcoded(
    context: RequestContext,
    pending: "PendingDownload",
    instance: Instance,
    transfer_syntax: str,
    wanted: DownloadRequest,
) -> Download:
    # weak: Orthanc may encode the same pixels differently the next time
    etag = f"W/{entity_tag(instance, transfer_syntax)}"
    download = Download(file_name(instance, extension="dcm"), etag, None, instance.version)
    if wanted.has(etag):
        return pending.unchanged(download)
    content = pending.watched(open_transcoded(context.client, instance.orthanc_id, transfer_syntax))
    if wanted.headers_only:
        # only Orthanc knows whether it can, and how long the file is
        content.close()
        content = Content.headers(DICOM, content.length)
    return replace(download, content=content)


def get_zip(
    context: RequestContext,
    level: Level,
    orthanc_id: str,
    wanted: DownloadRequest = EVERYTHING,
    transfer_syntax: str | None = None,
) -> Download:
    """Return a ZIP of all DICOM files below a resource.

    Files that Orthanc can convert are in the transfer syntax, if there is one; the others as they are stored. Raises
    NotFound, NotTranscodable if Orthanc can convert none, and InvalidRequest for a malformed transfer syntax.
    """
    plan = LevelPlan(level=level, needs=Needs(frozenset({"PatientID"})))
    with authorized_download(context, DOWNLOAD, plan, orthanc_id, wanted) as pending:
        if transfer_syntax is not None:
            check_transfer_syntax(transfer_syntax)
        filename = file_name(pending.resource, extension="zip")
        if wanted.headers_only:
            return Download(filename, None, Content.headers(ZIP, None))
        content = _open_zip(context, pending.resource, wanted, transfer_syntax)
        return Download(filename, None, content if content.location else pending.watched(content))


def _open_zip(
    context: RequestContext, resource: Resource, wanted: DownloadRequest, transfer_syntax: str | None
) -> Content:
    has_route = resource.level is not Level.PATIENT or context.client.capabilities().has_patient_routes
    hidden = trash_of(context.client).studies()
    is_visible = context.caller.scope.admits_patient(resource.tags.get("PatientID", "")) and not any(
        study.parent_id == resource.orthanc_id for study in hidden
    )
    # Orthanc would leave out files that it cannot convert (1.13.0)
    is_complete = not (transfer_syntax and converts_files(context.client))
    if has_route and is_visible and is_complete:
        if wanted.is_delegated and not transfer_syntax:
            return locate_zip(resource.level, resource.orthanc_id)
        return open_zip(context.client, resource.level, resource.orthanc_id, transfer_syntax)
    if transfer_syntax and is_complete:
        raise NotTranscodable("This Orthanc cannot convert single files: it is older than 1.12.2.")
    # Orthanc would add hidden studies, or name the folder after the file of one; a ZIP is no response of many objects
    visible = Hierarchy(context.client, context.caller.scope, hidden=hidden)
    found = visible.by_ids(zip_plan(resource.level), [resource.orthanc_id])
    if not found:
        raise _not_found(resource.level)
    return open_own_zip(context.client, found[0], transfer_syntax)


class PendingDownload:
    """A download that is being authorized and opened."""

    def __init__(self, resource: Resource, needs: Needs, event: PendingEvent, *, is_viewed: bool) -> None:
        self.resource = resource
        self.needs = needs
        self._is_viewed = is_viewed
        self._event = event
        self._opened: Content | None = None

    def view(self, series_id: str | None) -> None:
        """Count the transfer as one of a series that is viewed, if such are counted."""
        if self._is_viewed:
            self._event.series = series_id

    def describe(self, details: Mapping[str, Any]) -> None:
        """Add details to the audit event."""
        self._event.details = details

    def unchanged(self, download: T) -> T:
        """Return a download without content, for a client that has it: nothing is transferred, or audited."""
        self._event.outcome = self._event.series = None
        return download

    def watched(self, content: Content) -> Content:
        """Return the content; if it breaks off, that is audited."""
        self._opened = content
        return replace(content, chunks=self._watched(content))

    def close(self) -> None:
        """Close the content, if it was opened."""
        if self._opened:
            self._opened.close()

    def _watched(self, content: Content) -> Iterator[bytes]:
        try:
            yield from content
        except Exception as error:
            with renewed_connections():
                self._event.write(AuditOutcome.FAILED, code_of(error))
            raise


@contextmanager
def authorized_download(
    context: RequestContext,
    operations: Mapping[Level, Operation],
    plan: LevelPlan,
    name: ResourceName,
    wanted: DownloadRequest,
) -> Iterator[PendingDownload]:
    """Authorize the caller, look the resource up, and audit the download. Raises NotFound."""
    pending = None
    operation = operations[plan.level]
    if wanted.headers_only:
        # no file, but they name the patient
        operation = replace(operation, kind=EventKind.ACCESSED, viewed=False)
    try:
        with audited_write(context, operation, name if isinstance(name, str) else name.levels[plan.level]) as event:
            described = replace(plan, needs=plan.needs | NAME_NEEDS[plan.level])
            resource = look_up_one(context, with_audit_tags(described), name)
            event.target = resource.orthanc_id
            event.subjects = [subject_of(resource)]
            event.counts = {plan.level.path: 1}
            pending = PendingDownload(resource, plan.needs, event, is_viewed=operation.viewed)
            if plan.level is Level.INSTANCE:
                pending.view(resource.parent_id)
            elif plan.level is Level.SERIES:
                pending.view(resource.orthanc_id)
            yield pending
    except BaseException:
        if pending:
            pending.close()
        raise


def instance_plan(needs: Needs) -> LevelPlan:
    """Return the plan of an instance."""
    return LevelPlan(level=Level.INSTANCE, needs=needs)


def look_up_one(context: RequestContext, plan: LevelPlan, name: ResourceName) -> Resource:
    """Return a resource that the caller may see. Raises NotFound."""
    if isinstance(name, UIDPath):
        found = uid_paths.found(context.open_hierarchy(), plan, name)
    else:
        found = look_up(context, plan, [name])
    if not found:
        raise _not_found(plan.level)
    return found[0]


def entity_tag(instance: Instance, *variant: str | float) -> str:
    """Return a strong entity tag (RFC 9110 section 8.8.3), which changes when the file is replaced.

    `variant` tells the file and what is made of it apart.
    """
    if instance.version is None:
        raise ArchiveProtocolError
    name = "-".join(map(str, (instance.version, *variant)))
    return f'"{name}"'


def _not_found(level: Level) -> NotFound:
    return NotFound(f"There is no such {level.value.lower()}.")
