"""Downloads: the file and rendered images of an instance, and ZIPs of the files below a resource."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace
from datetime import timedelta
from hashlib import sha256
from typing import cast

from django.core.cache import cache
from django.utils import timezone
from pydicom.uid import UID

from orthancproxy.archive.hierarchy import Hierarchy
from orthancproxy.archive.levels import Level
from orthancproxy.archive.own_zip import open_own_zip, zip_plan
from orthancproxy.archive.plan import Fact, LevelPlan, Needs
from orthancproxy.archive.records import Instance, Resource, Series
from orthancproxy.archive.rendering import NEEDS, MediaType, Rendering, render
from orthancproxy.archive.storage import Content, open_file, open_zip
from orthancproxy.audit.kinds import AuditOutcome, EventKind
from orthancproxy.audit.reads import code_of, subject_of
from orthancproxy.conf import conf
from orthancproxy.database import renewed_connections
from orthancproxy.errors import ArchiveProtocolError, InvalidRequest, NotFound, NotRenderable
from orthancproxy.resolvers.context import RequestContext
from orthancproxy.resolvers.file_names import NAME_NEEDS, file_name
from orthancproxy.resolvers.guard import PendingEvent, audited_write
from orthancproxy.resolvers.hierarchy import look_up, with_audit_tags
from orthancproxy.resolvers.operations import DOWNLOAD, VIEW, Operation

MAX_FRAME = 2**31 - 1
CACHED_SECONDS = 24 * 60 * 60
# Django's in-memory cache is limited by entries (300), not bytes: this bounds it to 150 MB
MAX_CACHED_BYTES = 512 * 1024
IMAGE_NEEDS = Instance.version.needs | Instance.number_of_frames.needs
# more than clocks differ by
SETTLING_TIME = timedelta(minutes=1)
FIRST_FRAME = Rendering(0, "image/png")
FILE_EXTENSIONS: dict[MediaType, str] = {"image/png": "png", "image/jpeg": "jpg"}


@dataclass(frozen=True, slots=True)
class Download:
    """A file to send. `content` is None if the caller already has the version of `etag`; the receiver closes it."""

    filename: str
    etag: str | None
    content: Content | None
    version: str | None = None  # of the file, which does not change under one version


def get_file(
    context: RequestContext,
    orthanc_id: str,
    *,
    if_none_match: Collection[str] = (),
    headers_only: bool = False,
) -> Download:
    """Return the DICOM file of an instance as stored. Raises NotFound."""
    plan = _plan(Instance.version.needs)
    with _authorized(context, VIEW, plan, orthanc_id, headers_only=headers_only) as pending:
        instance = cast("Instance", pending.resource)
        etag = _etag(instance)
        filename = file_name(instance, extension="dcm")
        if _matches(etag, if_none_match):
            return pending.unchanged(filename, etag, instance.version)
        if headers_only:
            headers = Content.headers("application/dicom", instance.file_size)
            return Download(filename, etag, headers, instance.version)
        return Download(filename, etag, pending.of(open_file(context.client, orthanc_id)), instance.version)


def get_preview(
    context: RequestContext,
    orthanc_id: str,
    *,
    rendering: Rendering = FIRST_FRAME,
    if_none_match: Collection[str] = (),
    headers_only: bool = False,
) -> Download:
    """Return a frame. Raises NotFound, NotRenderable, or InvalidRequest for a frame below 0."""
    plan = _plan(_image_needs(orthanc_id, "preview", rendering, if_none_match))
    with _authorized(context, VIEW, plan, orthanc_id, headers_only=headers_only) as pending:
        instance = cast("Instance", pending.resource)
        return _get_image(context, pending, instance, "preview", rendering, if_none_match)


def get_thumbnail(
    context: RequestContext,
    orthanc_id: str,
    *,
    media_type: MediaType = "image/png",
    if_none_match: Collection[str] = (),
    headers_only: bool = False,
) -> Download:
    """Return the first frame, its longer side at most ORTHANC_THUMBNAIL_SIZE pixels. Raises like `get_preview`."""
    rendering = _thumbnail(media_type)
    plan = _plan(_image_needs(orthanc_id, "thumbnail", rendering, if_none_match))
    with _authorized(context, VIEW, plan, orthanc_id, headers_only=headers_only) as pending:
        instance = cast("Instance", pending.resource)
        return _get_image(context, pending, instance, "thumbnail", rendering, if_none_match)


def get_series_thumbnail(
    context: RequestContext,
    orthanc_id: str,
    *,
    media_type: MediaType = "image/png",
    if_none_match: Collection[str] = (),
    headers_only: bool = False,
) -> Download:
    """Return the thumbnail of the middle instance of a series, by number. Raises NotFound or NotRenderable."""
    plan = LevelPlan(level=Level.SERIES, needs=Series.version.needs, related={"instances": _plan(IMAGE_NEEDS)})
    with _authorized(context, VIEW, plan, orthanc_id, headers_only=headers_only) as pending:
        series = cast("Series", pending.resource)
        instances = series.related["instances"]
        if not instances:
            raise NotFound("There is no instance in this series.")
        middle = instances[len(instances) // 2]
        image = _get_image(context, pending, middle, "thumbnail", _thumbnail(media_type), if_none_match)
        return replace(image, version=_settled_version(context, series))


def _settled_version(context: RequestContext, series: Series) -> str | None:
    """Return the version of a series; None while its instances may change under it.

    Its LastUpdate counts whole seconds of Orthanc's clock; deletions renew it since 1.12.1.
    """
    is_renewed = context.client.capabilities().has_extended_find
    is_settled = series.last_update and series.last_update < timezone.now() - SETTLING_TIME
    return series.version if is_renewed and is_settled else None


def get_zip(context: RequestContext, level: Level, orthanc_id: str, *, headers_only: bool = False) -> Download:
    """Return a ZIP of all DICOM files below a resource. Raises NotFound."""
    plan = LevelPlan(level=level, needs=Needs(frozenset({"PatientID"})))
    with _authorized(context, DOWNLOAD, plan, orthanc_id, headers_only=headers_only) as pending:
        filename = file_name(pending.resource, extension="zip")
        if headers_only:
            return Download(filename, None, Content.headers("application/zip", None))
        return Download(filename, None, pending.of(_open_zip(context, pending.resource)))


def _open_zip(context: RequestContext, resource: Resource) -> Content:
    has_route = resource.level is not Level.PATIENT or context.client.capabilities().has_patient_routes
    if has_route and context.caller.scope.admits_patient(resource.tags.get("PatientID", "")):
        return open_zip(context.client, resource.level, resource.orthanc_id)
    # Orthanc would add hidden studies, or name the folder after the file of one; a ZIP is no response of many objects
    visible = Hierarchy(context.client, context.caller.scope)
    found = visible.by_ids(zip_plan(resource.level), [resource.orthanc_id])
    if not found:
        raise _not_found(resource.level)
    return open_own_zip(context.client, found[0])


class _PendingDownload:
    """A download that is being authorized and opened."""

    def __init__(self, resource: Resource, needs: Needs, event: PendingEvent) -> None:
        self.resource = resource
        self.needs = needs
        self._event = event
        self._opened: Content | None = None

    def unchanged(self, filename: str, etag: str, version: str | None) -> Download:
        """Return a download without content, for a caller that has it: nothing is transferred, or audited."""
        self._event.outcome = self._event.series = None
        return Download(filename, etag, None, version)

    def of(self, content: Content) -> Content:
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
def _authorized(
    context: RequestContext,
    operations: Mapping[Level, Operation],
    plan: LevelPlan,
    orthanc_id: str,
    *,
    headers_only: bool,
) -> Iterator[_PendingDownload]:
    """Authorize the caller, look the resource up, and audit the download. Raises NotFound."""
    pending = None
    operation = operations[plan.level]
    if headers_only:
        # no file, but they name the patient
        operation = replace(operation, kind=EventKind.ACCESSED, viewed=False)
    try:
        with audited_write(context, operation, orthanc_id) as event:
            named = replace(plan, needs=plan.needs | NAME_NEEDS[plan.level])
            resource = _get(context, with_audit_tags(named), orthanc_id)
            event.subjects = [subject_of(resource)]
            event.counts = {plan.level.path: 1}
            if operation.viewed:
                event.series = resource.parent_id if plan.level is Level.INSTANCE else resource.orthanc_id
            pending = _PendingDownload(resource, plan.needs, event)
            yield pending
    except BaseException:
        if pending:
            pending.close()
        raise


def _thumbnail(media_type: MediaType) -> Rendering:
    side = conf.ORTHANC_THUMBNAIL_SIZE
    return Rendering(0, media_type, width=side, height=side)


def _get_image(
    context: RequestContext,
    pending: "_PendingDownload",
    instance: Instance,
    kind: str,
    rendering: Rendering,
    if_none_match: Collection[str],
) -> Download:
    if not 0 <= rendering.frame <= MAX_FRAME:
        raise InvalidRequest("Frames are numbered from 0.")
    frames = max(instance.number_of_frames or 1, 1)
    if rendering.frame >= frames:
        raise NotFound(f"There is no frame {rendering.frame}: the last one of this instance is {frames - 1}.")
    etag = _etag(instance, *_variant(kind, rendering))
    filename = file_name(
        pending.resource,
        *([kind] if kind == "thumbnail" else [f"frame {rendering.frame + 1}"] if frames > 1 else []),
        extension=FILE_EXTENSIONS[rendering.media_type],
    )
    if _matches(etag, if_none_match):
        return pending.unchanged(filename, etag, instance.version)
    key = _cache_key(instance.orthanc_id, kind, rendering)
    cached: _Cached | None = cache.get(key)
    if cached and cached[0] == etag:
        return Download(filename, etag, Content.of(*cached[1:]), instance.version)
    if not (pending.resource is instance and NEEDS.tags <= pending.needs.tags):
        instance = _get_instance(context, instance.orthanc_id, NEEDS | IMAGE_NEEDS)
    content = _render(context, instance, rendering)
    if not content.is_in_memory:
        content = pending.of(content)
    else:
        cache.set(key, (etag, b"".join(content), content.media_type), CACHED_SECONDS)
    return Download(filename, etag, content, instance.version)


_Cached = tuple[str, bytes, str]  # the entity tag, the picture and its media type


def _image_needs(orthanc_id: str, kind: str, rendering: Rendering, if_none_match: Collection[str]) -> Needs:
    """Return what to look up of an instance: all that rendering needs, unless it is unlikely to be rendered."""
    is_known = bool(if_none_match) or _cache_key(orthanc_id, kind, rendering) in cache
    return IMAGE_NEEDS if is_known else IMAGE_NEEDS | NEEDS


def _cache_key(orthanc_id: str, kind: str, rendering: Rendering) -> str:
    # a digest, since the id of a request is not checked yet
    return "orthancproxy:" + sha256(repr((orthanc_id, *_variant(kind, rendering))).encode()).hexdigest()


def _variant(kind: str, rendering: Rendering) -> Sequence[str | float]:
    """Return what tells a picture from the others of one file."""
    window = (rendering.window.center, rendering.window.width) if rendering.window else ("auto",)
    size = (rendering.width or "full", rendering.height or "full", rendering.quality or "default")
    return (kind, rendering.frame, *window, *size, FILE_EXTENSIONS[rendering.media_type])


def _render(context: RequestContext, instance: Instance, rendering: Rendering) -> Content:
    try:
        content = render(context.client, instance, rendering)
    except NotRenderable as error:
        raise NotRenderable(_reason(context, instance)) from error
    # a client that reads slowly, or not at all, must not keep a large image in memory
    if content.length is None or content.length > MAX_CACHED_BYTES:
        return content
    with closing(content):
        data = b"".join(content)
    return Content.of(data, content.media_type)


def _reason(context: RequestContext, instance: Instance) -> str:
    """Return why Orthanc cannot render an instance, which its response does not say."""
    needs = Needs(facts=frozenset({Fact.METADATA}))
    described = _get_instance(context, instance.orthanc_id, needs)
    kind = UID(described.sop_class_uid or "").name or "unknown SOP class"
    if instance.rows is None:
        return f"This instance has no image ({kind})."
    syntax = UID(described.transfer_syntax_uid or "").name or "an unknown pending syntax"
    return f"Orthanc cannot render this instance ({kind}, {syntax})."


def _plan(needs: Needs) -> LevelPlan:
    return LevelPlan(level=Level.INSTANCE, needs=needs)


def _get_instance(context: RequestContext, orthanc_id: str, needs: Needs) -> Instance:
    return cast("Instance", _get(context, _plan(needs), orthanc_id))


def _get(context: RequestContext, plan: LevelPlan, orthanc_id: str) -> Resource:
    found = look_up(context, plan, [orthanc_id])
    if not found:
        raise _not_found(plan.level)
    return found[0]


def _not_found(level: Level) -> NotFound:
    return NotFound(f"There is no such {level.value.lower()}.")


def _etag(instance: Instance, *variant: str | float) -> str:
    """Return an entity tag (RFC 9110 section 8.8.3), which changes when the file is replaced."""
    if instance.version is None:
        raise ArchiveProtocolError
    name = "-".join(map(str, (instance.version, *variant)))
    return f'"{name}"'


def _matches(etag: str, if_none_match: Collection[str]) -> bool:
    """Compare weakly (RFC 9110 section 13.1.2)."""
    return "*" in if_none_match or any(known.removeprefix("W/") == etag for known in if_none_match)
