"""Rendered images: a frame of an instance, and thumbnails."""

from collections.abc import Sequence
from contextlib import closing
from dataclasses import replace
from datetime import timedelta
from hashlib import sha256
from typing import cast

from django.core.cache import cache
from django.utils import timezone
from pydicom.uid import UID

from orthancproxy.archive.levels import Level
from orthancproxy.archive.plan import Fact, LevelPlan, Needs
from orthancproxy.archive.records import Instance, Series
from orthancproxy.archive.rendering import NEEDS, MediaType, Rendering, render
from orthancproxy.archive.storage import Content
from orthancproxy.conf import conf
from orthancproxy.errors import InvalidRequest, NotFound, NotRenderable
from orthancproxy.resolvers.context import RequestContext
from orthancproxy.resolvers.downloads import (
    EVERYTHING,
    Download,
    DownloadRequest,
    PendingDownload,
    ResourceName,
    authorized_download,
    entity_tag,
    instance_plan,
    look_up_one,
)
from orthancproxy.resolvers.file_names import file_name
from orthancproxy.resolvers.operations import VIEW

MAX_FRAME = 2**31 - 1
CACHED_SECONDS = 24 * 60 * 60
# Django's in-memory cache is limited by entries (300), not bytes: this bounds it to 150 MB
MAX_CACHED_BYTES = 512 * 1024
IMAGE_NEEDS = Instance.version.needs | Instance.number_of_frames.needs
# more than clocks differ by
SETTLING_TIME = timedelta(minutes=1)
WITHOUT_IMAGES = frozenset(
    {"AU", "DOC", "ECG", "EPS", "HD", "KO", "PLAN", "PR", "REG", "RESP", "RTPLAN", "RTRECORD", "RTSTRUCT", "SR"}
)
"""Modalities (PS3.3 section C.7.3.1.1.1)."""
FIRST_FRAME = Rendering(0, "image/png")
FILE_EXTENSIONS: dict[MediaType, str] = {"image/png": "png", "image/jpeg": "jpg"}


def get_preview(
    context: RequestContext,
    name: ResourceName,
    *,
    rendering: Rendering = FIRST_FRAME,
    wanted: DownloadRequest = EVERYTHING,
) -> Download:
    """Return a frame. Raises NotFound, NotRenderable, or InvalidRequest for a frame below 0."""
    plan = instance_plan(_image_needs(name, "preview", rendering, wanted))
    with authorized_download(context, VIEW, plan, name, wanted) as pending:
        instance = cast("Instance", pending.resource)
        return get_image(context, pending, instance, "preview", rendering, wanted)


def thumbnail(media_type: MediaType) -> Rendering:
    """Return the rendering of the first frame with the longer side at most ORTHANC_THUMBNAIL_SIZE pixels."""
    side = conf.ORTHANC_THUMBNAIL_SIZE
    return Rendering(0, media_type, width=side, height=side)


def get_thumbnail(
    context: RequestContext,
    name: ResourceName,
    *,
    rendering: Rendering,
    wanted: DownloadRequest = EVERYTHING,
) -> Download:
    """Return a frame, such as a `thumbnail` renders. Raises like `get_preview`."""
    plan = instance_plan(_image_needs(name, "thumbnail", rendering, wanted))
    with authorized_download(context, VIEW, plan, name, wanted) as pending:
        instance = cast("Instance", pending.resource)
        return get_image(context, pending, instance, "thumbnail", rendering, wanted)


def get_series_thumbnail(
    context: RequestContext,
    name: ResourceName,
    *,
    rendering: Rendering,
    wanted: DownloadRequest = EVERYTHING,
) -> Download:
    """Return the thumbnail of the middle instance of a series, by number. Raises NotFound or NotRenderable."""
    plan = LevelPlan(level=Level.SERIES, needs=Series.version.needs, related={"instances": instance_plan(IMAGE_NEEDS)})
    with authorized_download(context, VIEW, plan, name, wanted) as pending:
        series = cast("Series", pending.resource)
        instances = series.related["instances"]
        if not instances:
            raise NotFound("There is no instance in this series.")
        middle = instances[len(instances) // 2]
        image = get_image(context, pending, middle, "thumbnail", rendering, wanted)
        return replace(image, version=_settled_version(context, series))


def _settled_version(context: RequestContext, series: Series) -> str | None:
    """Return the version of a series; None while its instances may change under it.

    Its LastUpdate counts whole seconds of Orthanc's clock; deletions renew it since 1.12.1.
    """
    is_renewed = context.client.capabilities().has_extended_find
    is_settled = series.last_update and series.last_update < timezone.now() - SETTLING_TIME
    return series.version if is_renewed and is_settled else None


def get_study_thumbnail(
    context: RequestContext,
    name: ResourceName,
    *,
    rendering: Rendering,
    wanted: DownloadRequest = EVERYTHING,
) -> Download:
    """Return the thumbnail of the first series of a study that has images, by number. Raises like `get_preview`."""
    series = LevelPlan(level=Level.SERIES, needs=Series.modality.needs)
    plan = LevelPlan(level=Level.STUDY, related={"series": series})
    with authorized_download(context, VIEW, plan, name, wanted) as pending:
        with_images = [one for one in pending.resource.related["series"] if one.modality not in WITHOUT_IMAGES]
        if not with_images:
            raise NotRenderable("This study has no images.")
        first_id = with_images[0].orthanc_id
        pending.view(first_id)
        below = LevelPlan(level=Level.SERIES, related={"instances": instance_plan(IMAGE_NEEDS)})
        instances = look_up_one(context, below, first_id).related["instances"]
        return get_image(context, pending, instances[len(instances) // 2], "thumbnail", rendering, wanted)


def get_image(
    context: RequestContext,
    pending: PendingDownload,
    instance: Instance,
    kind: str,
    rendering: Rendering,
    wanted: DownloadRequest,
) -> Download:
    """Return a frame of an instance that is, or is below, the resource of a download. Raises like `get_preview`."""
    if not 0 <= rendering.frame <= MAX_FRAME:
        raise InvalidRequest("Frames are numbered from 0.")
    frames = max(instance.number_of_frames or 1, 1)
    if rendering.frame >= frames:
        raise NotFound(f"There is no such frame: the number of frames of this instance is {frames}.")
    etag = picture_tag(instance, kind, rendering)
    filename = file_name(
        pending.resource,
        *([kind] if kind == "thumbnail" else [f"frame {rendering.frame + 1}"] if frames > 1 else []),
        extension=FILE_EXTENSIONS[rendering.media_type],
    )
    if wanted.has(etag):
        return pending.unchanged(Download(filename, etag, None, instance.version))
    is_complete = pending.resource is instance and NEEDS.tags <= pending.needs.tags
    content = get_picture(context, instance, kind, rendering, is_complete=is_complete)
    return Download(filename, etag, content if content.is_in_memory else pending.watched(content), instance.version)


def picture_tag(instance: Instance, kind: str, rendering: Rendering) -> str:
    """Return the entity tag of a picture."""
    return entity_tag(instance, *_variant(kind, rendering))


def get_picture(
    context: RequestContext, instance: Instance, kind: str, rendering: Rendering, *, is_complete: bool = True
) -> Content:
    """Return a frame from the cache, or render it, for operations that authorize and audit. Raises NotRenderable.

    Unless `is_complete`, the instance holds only IMAGE_NEEDS.
    """
    etag = picture_tag(instance, kind, rendering)
    key = _cache_key(instance.orthanc_id, kind, rendering)
    cached: _Cached | None = cache.get(key)
    if cached and cached[0] == etag:
        return Content.of(*cached[1:])
    if not is_complete:
        instance = _look_up_instance(context, instance.orthanc_id, NEEDS | IMAGE_NEEDS)
    content = _render(context, instance, rendering)
    if content.is_in_memory:
        cache.set(key, (etag, b"".join(content), content.media_type), CACHED_SECONDS)
    return content


_Cached = tuple[str, bytes, str]  # the entity tag, the picture and its media type


def _image_needs(name: ResourceName, kind: str, rendering: Rendering, wanted: DownloadRequest) -> Needs:
    """Return what to look up of an instance: all that rendering needs, unless it is unlikely to be rendered."""
    is_cached = isinstance(name, str) and _cache_key(name, kind, rendering) in cache
    is_known = bool(wanted.if_none_match) or is_cached
    return IMAGE_NEEDS if is_known else IMAGE_NEEDS | NEEDS


def _cache_key(orthanc_id: str, kind: str, rendering: Rendering) -> str:
    # a digest, since the id of a request is not checked yet
    return "orthancproxy:" + sha256(repr((orthanc_id, *_variant(kind, rendering))).encode()).hexdigest()


def _variant(kind: str, rendering: Rendering) -> Sequence[str | float]:
    """Return what tells a picture from the others of one file."""
    window = (rendering.window.center, rendering.window.width) if rendering.window else ("auto",)
    size = (rendering.width or "full", rendering.height or "full", rendering.quality or "default")
    flags = (name for name in ("is_sigmoid", "is_enlarged") if getattr(rendering, name))
    region = rendering.region
    part = (region.left, region.top, region.width or "", region.height or "", region.is_relative) if region else ()
    return (kind, rendering.frame, *window, *size, *flags, *part, FILE_EXTENSIONS[rendering.media_type])


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
    described = _look_up_instance(context, instance.orthanc_id, needs)
    kind = UID(described.sop_class_uid or "").name or "unknown SOP class"
    if instance.rows is None:
        return f"This instance has no image ({kind})."
    syntax = UID(described.transfer_syntax_uid or "").name or "an unknown pending syntax"
    return f"Orthanc cannot render this instance ({kind}, {syntax})."


def _look_up_instance(context: RequestContext, orthanc_id: str, needs: Needs) -> Instance:
    return cast("Instance", look_up_one(context, instance_plan(needs), orthanc_id))
