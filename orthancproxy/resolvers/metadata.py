"""Reads the metadata of instances by their UIDs (WADO-RS, PS3.18 section 10.4.1.1.2)."""

from collections.abc import Iterable, Iterator
from dataclasses import replace
from hashlib import sha256
from itertools import chain
from typing import cast

from orthancproxy.archive.contents import coalesced
from orthancproxy.archive.dicom_metadata import MEDIA_TYPE, attached_metadata, checked, instances_metadata
from orthancproxy.archive.levels import Level
from orthancproxy.archive.object_budget import ObjectBudget
from orthancproxy.archive.plan import Fact, LevelPlan, Needs
from orthancproxy.archive.records import Instance, Resource
from orthancproxy.archive.revisions import Revision
from orthancproxy.archive.series_attachments import SeriesAttachments
from orthancproxy.archive.storage import Content
from orthancproxy.archive.uid_path import UIDPath
from orthancproxy.errors import NotFound
from orthancproxy.orthanc.call_slots import caller_scope, current_caller
from orthancproxy.resolvers.context import RequestContext, metadata_cache, revision_cache
from orthancproxy.resolvers.downloads import EVERYTHING, Download, DownloadRequest
from orthancproxy.resolvers.guard import audited_read
from orthancproxy.resolvers.hierarchy import with_audit_tags
from orthancproxy.resolvers.uid_paths import found

_BELOW = "below"
_INSTANCE_PLAN = LevelPlan(level=Level.INSTANCE, needs=Needs(facts=frozenset({Fact.FILE_UUID})))
_SERIES_PLAN = LevelPlan(
    level=Level.SERIES,
    needs=Needs(frozenset({Level.STUDY.identifier}), frozenset({Fact.CHANGES})),
    related={_BELOW: LevelPlan(level=Level.INSTANCE)},
)
_PLANS = {
    Level.INSTANCE: _INSTANCE_PLAN,
    Level.SERIES: _SERIES_PLAN,
    Level.STUDY: LevelPlan(level=Level.STUDY, related={_BELOW: _SERIES_PLAN}),
}


def get_metadata(
    context: RequestContext, path: UIDPath, service: str, wanted: DownloadRequest = EVERYTHING
) -> Download:
    """Return the metadata of the instances at or below a path as a JSON array, with URIs that begin with `service`.

    Raises NotFound or ArchiveError.
    """
    level = path.named_level
    with audited_read(context) as read:
        revisions = _Revisions(context)
        # what is streamed is no response of many objects
        hierarchy = replace(context, budget=ObjectBudget()).open_hierarchy()
        named = found(hierarchy, with_audit_tags(_PLANS[level]), path)
        if not named:
            raise NotFound(f"There is no such {level.value.lower()}.")
        read(named)
        if level is Level.INSTANCE:
            versions: list[object] = [one.version for one in cast("list[Instance]", named)]
            texts = [instances_metadata(context.client, [(one.orthanc_id, f"{service}/{path.url}") for one in named])]
        else:
            series = [one for study in named for one in study.related[_BELOW]] if level is Level.STUDY else named
            seen = [(one, revisions.of(one)) for one in series]
            versions = [revision for _, revision in seen]
            texts = [_of_series(context, one, revision, path.study or "", service) for one, revision in seen]
        etag = f'"{sha256(repr((versions, service)).encode()).hexdigest()[:32]}"' if all(versions) else None
        if etag and wanted.has(etag):
            return Download("", etag, None)
        chunks = coalesced(_array(texts))
        # its errors are raised before anything is sent
        begun = chain([next(chunks)], _as_caller(current_caller(), chunks))
        return Download("", etag, Content(begun, MEDIA_TYPE, None, lambda: None))


class _Revisions:
    """The revisions of series that are seen from now on."""

    def __init__(self, context: RequestContext) -> None:
        is_renewed = context.client.capabilities().has_extended_find
        self._cache = revision_cache(context.client) if is_renewed else None
        self._began = self._cache.clock.moment() if self._cache else 0.0

    def of(self, series: Resource) -> Revision | None:
        """Return the revision of a series, if it names one state only."""
        if self._cache is None:
            return None
        uid, changed = series.tags.get(Level.SERIES.identifier, ""), series.facts.get("LastUpdate")
        revision = Revision(series.orthanc_id, uid, changed or "")
        return revision if self._cache.is_settled(revision, self._began) else None


def _of_series(
    context: RequestContext, series: Resource, revision: Revision | None, study_uid: str, service: str
) -> Iterator[bytes]:
    """Yield the JSON objects of a series, separated by commas: kept ones, the plugin's, or those of its files."""
    kept = metadata_cache(context.client)
    if revision and (texts := kept.get(revision, service)):
        yield from texts
        return
    texts = _read_series(context, series, UIDPath(study_uid, _uid(series)), service)
    yield from kept.keeping(revision, service, texts) if revision else texts


def _read_series(context: RequestContext, series: Resource, path: UIDPath, service: str) -> Iterator[bytes]:
    client = context.client
    if client.capabilities().has_extended_find:
        uids = {series.orthanc_id: series.tags.get(Level.SERIES.identifier, "")}
        for attachment in SeriesAttachments(client).read(uids, checked).values():
            yield from attached_metadata(attachment, f"{service}/".encode())
            return
    yield from instances_metadata(
        client,
        ((one.orthanc_id, f"{service}/{replace(path, instance=_uid(one)).url}") for one in series.related[_BELOW]),
    )


def _array(texts: Iterable[Iterator[bytes]]) -> Iterator[bytes]:
    """Yield a JSON array of objects that each iterator separates by commas."""
    before = b"["
    for parts in texts:
        for part in filter(None, parts):
            yield before + part
            before = b""
        before = before or b","
    yield b"]" if before != b"[" else b"[]"


def _as_caller(caller: str, chunks: Iterator[bytes]) -> Iterator[bytes]:
    """Yield the chunks, whose calls to Orthanc count as the caller's."""
    while True:
        with caller_scope(caller):
            chunk = next(chunks, None)
        if chunk is None:
            return
        yield chunk


def _uid(resource: Resource) -> str:
    return resource.tags.get(resource.level.identifier, "").rstrip(" \0")
