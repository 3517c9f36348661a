"""Retrieves DICOM files and frames by their UIDs (WADO-RS, PS3.18 section 10.4)."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from hashlib import sha256
from typing import cast

from orthancproxy.archive.contents import Contents, Opener
from orthancproxy.archive.frames import NATIVE, PIXEL_DATA, DecodedFrames, open_stored_frame, open_value
from orthancproxy.archive.levels import Level
from orthancproxy.archive.object_budget import ObjectBudget
from orthancproxy.archive.plan import Fact, LevelPlan, Needs
from orthancproxy.archive.records import Instance, Resource
from orthancproxy.archive.storage import Content, open_file
from orthancproxy.archive.transcoding import converts_files, open_transcoded
from orthancproxy.archive.uid_path import UIDPath
from orthancproxy.audit.kinds import EventKind
from orthancproxy.audit.reads import subject_of
from orthancproxy.errors import ArchiveRejected, NotAcceptable, NotFound, NotRenderable, NotTranscodable
from orthancproxy.orthanc.client import OrthancClient
from orthancproxy.resolvers.context import RequestContext
from orthancproxy.resolvers.downloads import EVERYTHING, DownloadRequest, PendingDownload
from orthancproxy.resolvers.guard import audited_write
from orthancproxy.resolvers.hierarchy import with_audit_tags
from orthancproxy.resolvers.operations import DOWNLOAD, VIEW
from orthancproxy.resolvers.uid_paths import found

_BELOW = "below"
_UIDS = frozenset({"PatientID", *(level.identifier for level in Level)})
_FILE_NEEDS = Needs(_UIDS, frozenset({Fact.FILE_UUID, Fact.METADATA}))
_FRAME_NEEDS = _FILE_NEEDS | Instance.number_of_frames.needs


@dataclass(frozen=True, slots=True)
class Representation:
    """A form in which files or frames are sent: their media type, and whether they are parts of a body.

    `transfer_syntax` is what they are transcoded to; None for as they are stored.
    """

    media_type: str
    is_multipart: bool
    transfer_syntax: str | None = None


@dataclass(frozen=True, slots=True)
class Retrieval:
    """What to send: `parts`, which the receiver closes; None for a caller that has the version of `etag`.

    `watched` returns the body, so that it is audited if it breaks off. With `headers_only`, the parts are not opened.
    """

    representation: Representation
    etag: str
    parts: Contents | None
    watched: Callable[[Content], Content]
    headers_only: bool = False


@dataclass(frozen=True, slots=True)
class StoredForm:
    """How instances are stored: the UIDs of their transfer syntaxes, and whether Orthanc could transcode them."""

    transfer_syntaxes: frozenset[str]
    can_transcode: bool
    frames: int = 1  # that are asked for


@dataclass(frozen=True, slots=True)
class BulkDataPath:
    """A binary value: as the DICOM JSON model names it in a URL, and as Orthanc does."""

    url: str
    tags: str


Choose = Callable[[StoredForm], Sequence[Representation]]
"""Returns what a caller accepts, the best first. Raises NotAcceptable."""


def get_files(
    context: RequestContext,
    path: UIDPath,
    choose: Choose,
    wanted: DownloadRequest = EVERYTHING,
) -> Retrieval:
    """Return the DICOM files of a study, series or instance. Raises NotFound or NotAcceptable."""
    with _authorized(context, path, _FILE_NEEDS, wanted) as (pending, instances):
        representations = choose(_stored_form(context, instances))

        def openers(chosen: Representation) -> Iterable[tuple[str, Opener]]:
            for one in instances:
                syntax = chosen.transfer_syntax
                is_stored = syntax is None or syntax == one.transfer_syntax_uid
                yield _path(one), partial(_open_file, context.client, one, None if is_stored else syntax)

        return _retrieval(pending, instances, representations, lambda one: Contents(openers(one)), path, wanted)


def get_frames(
    context: RequestContext,
    path: UIDPath,
    numbers: Sequence[int],
    choose: Choose,
    wanted: DownloadRequest = EVERYTHING,
) -> Retrieval:
    """Return frames (from 1) of an instance. Raises NotFound, NotAcceptable, or NotRenderable if it has no frames."""
    with _authorized(context, path, _FRAME_NEEDS, wanted) as (pending, instances):
        instance = instances[0]
        most = max(instance.number_of_frames or 1, 1)
        if beyond := [number for number in numbers if number > most]:
            raise NotFound(f"There is no frame {beyond[0]}: the last one of this instance is {most}.")
        return _frames(context, pending, instance, numbers, choose, wanted)


def get_bulk_data(
    context: RequestContext,
    path: UIDPath,
    attribute: BulkDataPath,
    choose: Choose,
    choose_frames: Choose,
    wanted: DownloadRequest = EVERYTHING,
) -> Retrieval:
    """Return a binary value of an instance; of compressed pixel data, all frames. Raises NotFound or NotAcceptable."""
    with _authorized(context, path, _FRAME_NEEDS, wanted) as (pending, instances):
        instance = instances[0]
        if attribute.tags == PIXEL_DATA and instance.transfer_syntax_uid not in NATIVE:
            numbers = range(1, (instance.number_of_frames or 1) + 1)
            return _frames(context, pending, instance, numbers, choose_frames, wanted)
        representations = choose(_stored_form(context, [instance]))

        def contents(chosen: Representation) -> Contents:
            opener = partial(open_value, context.client, instance.orthanc_id, attribute.tags, chosen.media_type)
            return Contents([(f"{_path(instance)}/{attribute.url}", opener)])

        return _retrieval(pending, [instance], representations, contents, attribute, wanted)


@contextmanager
def _authorized(
    context: RequestContext, path: UIDPath, needs: Needs, wanted: DownloadRequest
) -> Iterator[tuple[PendingDownload, Sequence[Instance]]]:
    """Authorize the caller, find the instances at or below a path, and audit that they are sent. Raises NotFound."""
    level = path.named_level
    operation = DOWNLOAD[level] if level is Level.STUDY else VIEW[level]
    if wanted.headers_only:
        operation = replace(operation, kind=EventKind.ACCESSED, viewed=False)
    with audited_write(context, operation, path.levels[level]) as event:
        plan = LevelPlan(level=Level.INSTANCE, needs=needs)
        while plan.level is not level:
            plan = LevelPlan(level=plan.level.parent, related={_BELOW: plan})
        # what is streamed is no response of many objects
        hierarchy = replace(context, budget=ObjectBudget()).open_hierarchy()
        named = found(hierarchy, with_audit_tags(plan), path)
        if not named:
            raise NotFound(f"There is no such {level.value.lower()}.")
        instances = named
        for _ in Level.INSTANCE.above[level.depth :]:
            instances = [below for one in instances for below in one.related[_BELOW]]
        event.subjects = dict.fromkeys(map(subject_of, named))
        event.counts = {level.path: len(named)}
        pending = PendingDownload(named[0], needs, event, is_viewed=operation.viewed)
        if len(named) == 1:
            [one] = named
            event.target = one.orthanc_id
            if level is not Level.STUDY:
                pending.view(one.parent_id if level is Level.INSTANCE else one.orthanc_id)
        try:
            yield pending, cast("list[Instance]", instances)
        except BaseException:
            pending.close()
            raise


def _frames(
    context: RequestContext,
    pending: PendingDownload,
    instance: Instance,
    numbers: Sequence[int],
    choose: Choose,
    wanted: DownloadRequest,
) -> Retrieval:
    representations = choose(replace(_stored_form(context, [instance]), frames=len(numbers)))
    prefix = f"{_path(instance)}/frames"

    def contents(chosen: Representation) -> Contents:
        if chosen.transfer_syntax is None:
            stored = partial(_open_stored_frame, context.client, instance.orthanc_id, chosen.media_type)
            return Contents((f"{prefix}/{number}", partial(stored, number)) for number in numbers)
        decoded = DecodedFrames(context.client, instance.orthanc_id, chosen.media_type)
        openers = ((f"{prefix}/{number}", partial(decoded.open, number)) for number in numbers)
        return Contents(openers, decoded.close)

    return _retrieval(pending, [instance], representations, contents, tuple(numbers), wanted)


def _retrieval(
    pending: PendingDownload,
    instances: Sequence[Instance],
    representations: Sequence[Representation],
    contents: Callable[[Representation], Contents],
    what: object,
    wanted: DownloadRequest,
) -> Retrieval:
    """Return the contents in the first of these forms that Orthanc can make; `what` tells them from others of these."""
    for chosen in representations:
        etag = _etag(instances, chosen, what)
        if wanted.has(etag):
            return pending.unchanged(Retrieval(chosen, etag, None, pending.watched))
        parts = contents(chosen)
        if wanted.headers_only:
            return Retrieval(chosen, etag, parts, pending.watched, headers_only=True)
        try:
            parts.open_first()
        except (ArchiveRejected, NotRenderable, NotTranscodable):
            if chosen.transfer_syntax is None:
                raise
            parts.close()
            continue
        return Retrieval(chosen, etag, parts, pending.watched)
    raise NotAcceptable("Orthanc cannot transcode this to a transfer syntax that is accepted.")


def _open_file(client: OrthancClient, instance: Instance, transfer_syntax: str | None) -> Content:
    if transfer_syntax is None:
        content = open_file(client, instance.orthanc_id)
    else:
        content = open_transcoded(client, instance.orthanc_id, transfer_syntax)
    syntax = transfer_syntax or instance.transfer_syntax_uid
    return replace(content, media_type=f"{content.media_type}; transfer-syntax={syntax}")


def _open_stored_frame(client: OrthancClient, orthanc_id: str, media_type: str, number: int) -> Content:
    try:
        return open_stored_frame(client, orthanc_id, number, media_type)
    except ArchiveRejected as error:
        raise NotFound("This instance has no frames.") from error


def _stored_form(context: RequestContext, instances: Sequence[Instance]) -> StoredForm:
    syntaxes = frozenset(one.transfer_syntax_uid or "" for one in instances)
    return StoredForm(syntaxes, converts_files(context.client))


def _path(instance: Resource) -> str:
    uids = (
        instance.tags.get(level.identifier, "").rstrip(" \0") for level in (*Level.INSTANCE.above[1:], Level.INSTANCE)
    )
    return UIDPath(*uids).url


def _etag(instances: Iterable[Instance], chosen: Representation, what: object) -> str:
    """Return an entity tag, which changes when a file is replaced, added or deleted."""
    versions = [one.version for one in instances]
    etag = f'"{sha256(repr((versions, chosen, what)).encode()).hexdigest()[:32]}"'
    # Orthanc may encode the same pixels differently the next time
    return f"W/{etag}" if chosen.transfer_syntax else etag
