"""Reads tags from files for an Orthanc without `RequestedTags` (before 1.11), with one call for each study."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

from orthancproxy.archive.charsets import repaired
from orthancproxy.archive.keywords import KEYWORDS
from orthancproxy.archive.levels import Level
from orthancproxy.archive.records import Resource
from orthancproxy.errors import NotFound
from orthancproxy.orthanc import endpoints
from orthancproxy.orthanc.client import OrthancClient
from orthancproxy.orthanc.responses import TAGS_BY_INSTANCE_DECODER, TAGS_DECODER
from orthancproxy.threads import FILE_TAGS

Tags = Mapping[str, str]


def read_tags(
    client: OrthancClient,
    level: Level,
    found: Sequence[Resource],
    studies: Mapping[str, str],
    wanted: frozenset[str],
) -> dict[str, Tags]:
    """Return tags by resource id: an instance's own, or those of one instance below.

    `studies` maps instances to their studies. A resource that was deleted in the meantime has no tags.
    """
    if level in (Level.PATIENT, Level.STUDY):
        # one study of a patient, one series of a study: reading all would multiply the time
        children = "Studies" if level is Level.PATIENT else "Series"
        tags = {}
        for resource in found:
            below = _of_all(client, level.child, resource.facts[children][0], wanted)
            tags[resource.orthanc_id] = below[min(below)] if below else {}
        return tags
    families: dict[str, list[Resource]] = defaultdict(list)
    for resource in found:
        study = resource.parent_id if level is Level.SERIES else studies.get(resource.orthanc_id)
        if study is not None:
            families[study].append(resource)
    reading = {study: FILE_TAGS.submit(_of_family, client, study, family, wanted) for study, family in families.items()}
    tags = {}
    try:
        for study, future in reading.items():
            # where all threads are busy, with other requests too, this one reads its own
            own = future.cancel()
            tags |= _of_family(client, study, families[study], wanted) if own else future.result()
    finally:
        for future in reading.values():
            future.cancel()
    return tags


def _of_family(
    client: OrthancClient, study: str, family: Sequence[Resource], wanted: frozenset[str]
) -> dict[str, Tags]:
    """Tags of series or instances of one study, by the narrowest call that returns them all."""
    instances = {resource.orthanc_id: _instance_of(resource) for resource in family}
    series = {
        resource.orthanc_id if resource.level is Level.SERIES else resource.parent_id or "" for resource in family
    }
    if len(family) == 1:
        [one] = instances.values()
        tags = {one: _of_one(client, one, wanted)}
    elif len(series) == 1:
        tags = _of_all(client, Level.SERIES, series.pop(), wanted)
    else:
        tags = _of_all(client, Level.STUDY, study, wanted)
    return {orthanc_id: tags.get(instance, {}) for orthanc_id, instance in instances.items()}


def _instance_of(resource: Resource) -> str:
    return resource.orthanc_id if resource.level is Level.INSTANCE else min(resource.facts["Instances"])


def _of_all(client: OrthancClient, level: Level, orthanc_id: str, wanted: frozenset[str]) -> dict[str, Tags]:
    """Tags of all instances below a resource."""
    query = _untruncated(wanted)
    try:
        found = client.call(
            endpoints.INSTANCES_TAGS, query=query, decoder=TAGS_BY_INSTANCE_DECODER, level=level.path, id=orthanc_id
        )
    except NotFound:
        return {}
    return {instance: _text_tags(tags, wanted) for instance, tags in found.items()}


def _of_one(client: OrthancClient, orthanc_id: str, wanted: frozenset[str]) -> Tags:
    query = _untruncated(wanted)
    try:
        tags = client.call(endpoints.INSTANCE_TAGS, query=query, decoder=TAGS_DECODER, id=orthanc_id)
    except NotFound:
        return {}
    return _text_tags(tags, wanted)


def _text_tags(tags: Mapping[str, Any], wanted: frozenset[str]) -> Tags:
    """The wanted tags whose values are text."""
    return {KEYWORDS[tag]: repaired(KEYWORDS[tag], value) for tag in wanted if isinstance(value := tags.get(tag), str)}


def _untruncated(wanted: frozenset[str]) -> str:
    """Orthanc omits values of more than 256 characters unless their tags are named."""
    return "short&ignore-length=" + ",".join(sorted(tag.replace(",", "-") for tag in wanted))
