"""Tags that only the files have, read by an Orthanc without `RequestedTags` (before 1.11): one call for each study."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

from orthancproxy.archive.keywords import KEYWORDS
from orthancproxy.archive.levels import Level
from orthancproxy.archive.records import Resource
from orthancproxy.errors import ArchiveProtocolError, NotFound
from orthancproxy.orthanc import endpoints
from orthancproxy.orthanc.client import OrthancClient
from orthancproxy.threads import FILE_TAGS

Tags = Mapping[str, str]


def read_tags(
    client: OrthancClient,
    level: Level,
    found: Sequence[Resource],
    studies: Mapping[str, str],
    wanted: frozenset[str],
) -> dict[str, Tags]:
    """Tags of resources by their ids: an instance's own, above it those of one instance below.

    `studies` are those of instances, which do not tell them. A resource that was deleted meanwhile has no tags.
    """
    if level in (Level.PATIENT, Level.STUDY):
        # one study of a patient, one series of a study: to read all of them would take as many times as long
        children = "Studies" if level is Level.PATIENT else "Series"
        tags = {}
        for record in found:
            below = _of_all(client, level.child, record.facts[children][0], wanted)
            tags[record.orthanc_id] = below[min(below)] if below else {}
        return tags
    families: dict[str, list[Resource]] = defaultdict(list)
    for record in found:
        study = record.parent_id if level is Level.SERIES else studies.get(record.orthanc_id)
        if study is not None:
            families[study].append(record)
    reading = [FILE_TAGS.submit(_of_family, client, study, family, wanted) for study, family in families.items()]
    try:
        return {orthanc_id: tags for future in reading for orthanc_id, tags in future.result().items()}
    finally:
        for future in reading:
            future.cancel()


def _of_family(
    client: OrthancClient, study: str, family: Sequence[Resource], wanted: frozenset[str]
) -> dict[str, Tags]:
    """Tags of the series or instances of one study, by the narrowest call that has them all."""
    instances = {record.orthanc_id: _instance_of(record) for record in family}
    series = {record.orthanc_id if record.level is Level.SERIES else record.parent_id or "" for record in family}
    if len(family) == 1:
        [one] = instances.values()
        tags = {one: _of_one(client, one, wanted)}
    elif len(series) == 1:
        tags = _of_all(client, Level.SERIES, series.pop(), wanted)
    else:
        tags = _of_all(client, Level.STUDY, study, wanted)
    return {orthanc_id: tags.get(instance, {}) for orthanc_id, instance in instances.items()}


def _instance_of(record: Resource) -> str:
    return record.orthanc_id if record.level is Level.INSTANCE else min(record.facts["Instances"])


def _of_all(client: OrthancClient, level: Level, orthanc_id: str, wanted: frozenset[str]) -> dict[str, Tags]:
    """Tags of every instance below a resource."""
    query = _untruncated(wanted)
    try:
        answer = client.call(endpoints.INSTANCES_TAGS, query=query, level=level.path, id=orthanc_id)
    except NotFound:
        return {}
    if not isinstance(answer, dict):
        raise ArchiveProtocolError("The archive's answer is not what Orthanc answers.")
    return {instance: _text_tags(tags, wanted) for instance, tags in answer.items()}


def _of_one(client: OrthancClient, orthanc_id: str, wanted: frozenset[str]) -> Tags:
    try:
        return _text_tags(client.call(endpoints.INSTANCE_TAGS, query=_untruncated(wanted), id=orthanc_id), wanted)
    except NotFound:
        return {}


def _text_tags(tags: Any, wanted: frozenset[str]) -> Tags:
    """Those of a file's tags that are wanted and text."""
    if not isinstance(tags, dict):
        raise ArchiveProtocolError("The archive's answer is not what Orthanc answers.")
    return {KEYWORDS[tag]: value for tag in wanted if isinstance(value := tags.get(tag), str)}


def _untruncated(wanted: frozenset[str]) -> str:
    """Orthanc leaves values of more than 256 characters out unless their tags are named."""
    return "short&ignore-length=" + ",".join(sorted(tag.replace(",", "-") for tag in wanted))
