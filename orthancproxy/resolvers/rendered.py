"""The rendered images of a study, series or instance, or of some of its frames (PS3.18 section 10.4.1.1.2)."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from hashlib import sha256
from typing import cast

from orthancproxy.archive import renderability
from orthancproxy.archive.contents import Contents
from orthancproxy.archive.levels import Level
from orthancproxy.archive.pictures import MediaType
from orthancproxy.archive.plan import LevelPlan, Needs
from orthancproxy.archive.records import Instance, Resource
from orthancproxy.archive.rendering import NEEDS, Rendering
from orthancproxy.archive.storage import Content
from orthancproxy.archive.uid_path import UIDPath
from orthancproxy.errors import LimitExceeded, NotFound, NotRenderable
from orthancproxy.resolvers.context import RequestContext
from orthancproxy.resolvers.downloads import EVERYTHING, Download, DownloadRequest, authorized_download
from orthancproxy.resolvers.hierarchy import look_up
from orthancproxy.resolvers.images import IMAGE_NEEDS, get_image, get_picture, picture_tag
from orthancproxy.resolvers.operations import DOWNLOAD, VIEW, Operation

MAX_IMAGES = 1000
"""Of one response. They are rendered one after the other while it is sent."""

_OPERATIONS: Mapping[Level, Operation] = {**VIEW, Level.STUDY: DOWNLOAD[Level.STUDY]}

_LEVELS = (Level.STUDY, Level.SERIES, Level.INSTANCE)
_UIDS = Needs(frozenset(level.identifier for level in _LEVELS))


@dataclass(frozen=True, slots=True)
class Images:
    """Several images to send, each rendered shortly before it is read; the receiver closes them.

    `watched` returns the body, so that it is audited if it breaks off.
    """

    media_type: MediaType
    etag: str
    parts: Contents
    watched: Callable[[Content], Content]


Choose = Callable[[int], tuple[MediaType, bool]]
"""Returns the media type of this many images, and whether they are the parts of a message, or else only the first.

Raises NotAcceptable.
"""


def get_rendered(
    context: RequestContext,
    path: UIDPath,
    frames: Sequence[int],
    rendering: Rendering,
    choose: Choose,
    wanted: DownloadRequest = EVERYTHING,
) -> Download | Images:
    """Return all images at or below a path, or these frames (from 1) of an instance, in this order.

    Raises NotFound, NotRenderable if there is no image, NotAcceptable, and LimitExceeded for more than MAX_IMAGES.
    """
    level = path.level or Level.STUDY
    with authorized_download(context, _OPERATIONS, _plan(level), path, wanted) as pending:
        images = list(_images(context, pending.resource, frames))
        media_type, is_multipart = choose(len(images))
        pictures = [(instance, replace(rendering, frame=frame, media_type=media_type)) for instance, frame in images]
        if not is_multipart:
            instance, picture = pictures[0]
            return get_image(context, pending, instance, "preview", picture, wanted)
        tags = "".join(picture_tag(instance, "preview", picture) for instance, picture in pictures)
        etag = f'"{sha256(tags.encode()).hexdigest()[:32]}"'
        if wanted.has(etag):
            return pending.unchanged(Download("", etag, None))
        openers = [
            (_url(instance, picture.frame), partial(get_picture, context, instance, "preview", picture))
            for instance, picture in pictures
        ]
        parts = Contents([] if wanted.headers_only else openers)
        parts.open_first()
        return Images(media_type, etag, parts, pending.watched)


def _plan(level: Level) -> LevelPlan:
    """Return what is listed: what only files tell is looked up when there are not too many of them."""
    if level is Level.INSTANCE:
        return LevelPlan(level=level, needs=IMAGE_NEEDS | NEEDS | _UIDS)
    plan = LevelPlan(level=Level.INSTANCE, needs=Instance.number_of_frames.needs)
    for above in reversed(Level.INSTANCE.above[level.depth :]):
        plan = LevelPlan(level=above, related={above.child.path: plan})
    return plan


def _images(context: RequestContext, resource: Resource, frames: Sequence[int]) -> Iterator[tuple[Instance, int]]:
    """Yield instances with a frame, from 0."""
    listed = [cast("Instance", instance) for instance in _instances(resource)]
    if sum(len(frames) or _frames(instance) for instance in listed) > MAX_IMAGES:
        raise LimitExceeded(f"More than {MAX_IMAGES} images: render the series, instances or frames one by one.")
    if resource.level is not Level.INSTANCE:
        listed = _renderable(context, listed)
    for instance in listed:
        last = _frames(instance)
        for frame in frames or range(1, last + 1):
            if not 1 <= frame <= last:
                raise NotFound(f"There is no frame {frame}: the last one of this instance is {last}.")
            yield instance, frame - 1


def _renderable(context: RequestContext, listed: Sequence[Instance]) -> list[Instance]:
    """Return the instances with what rendering needs, without those that are no images. Raises NotRenderable."""
    orthanc_ids = [instance.orthanc_id for instance in listed]
    plan = LevelPlan(level=Level.INSTANCE, needs=IMAGE_NEEDS | NEEDS | renderability.NEEDS | _UIDS)
    complete = {one.orthanc_id: cast("Instance", one) for one in look_up(context, plan, orthanc_ids)}
    capabilities = context.client.capabilities()
    images = [
        instance
        for orthanc_id in orthanc_ids
        if (instance := complete.get(orthanc_id))
        and renderability.is_renderable(instance.tags, instance.transfer_syntax_uid, capabilities)
    ]
    if not images:
        raise NotRenderable("There is no image that Orthanc can render.")
    return images


def _instances(resource: Resource) -> Iterator[Resource]:
    if resource.level is Level.INSTANCE:
        yield resource
    else:
        for below in resource.related[resource.level.child.path]:
            yield from _instances(below)


def _frames(instance: Instance) -> int:
    return max(instance.number_of_frames or 1, 1)


def _url(instance: Instance, frame: int) -> str:
    uids = (instance.tags.get(level.identifier, "").rstrip(" \0") for level in _LEVELS)
    return f"{UIDPath(*uids).url}/frames/{frame + 1}/rendered"
