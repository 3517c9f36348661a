"""What is kept of resources between requests, and how it is put together again."""

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from functools import cache

from orthancproxy.archive.keywords import KEYWORDS, is_long
from orthancproxy.archive.levels import Level
from orthancproxy.archive.plan import Fact
from orthancproxy.archive.records import Resource
from orthancproxy.orthanc.capabilities import Capabilities

FRESH_FACTS = {Fact.FILE_UUID: "FileUuid", Fact.LABELS: "Labels"}
"""The facts that change without a new `LastUpdate`, with their names in a resource."""
_KEPT_FACTS = frozenset({"FileSize", "SopClassUid", "TransferSyntax"})


def indexed_keywords(capabilities: Capabilities, levels: Collection[Level]) -> frozenset[str]:
    """Return the keywords that Orthanc has in its index for these levels, except those that it truncates."""
    return frozenset[str]().union(
        *(_keywords((capabilities.indexed or {}).get(level.value, frozenset())) for level in levels),
        *(
            _keywords(capabilities.partly_indexed.get(level.value, frozenset()))
            for level in levels
            if level is not Level.INSTANCE
        ),
    )


@cache
def _keywords(tags: frozenset[str]) -> frozenset[str]:
    return frozenset(keyword for keyword in map(KEYWORDS.__getitem__, tags) if not is_long(keyword))


def by_parent(resources: Iterable[Resource]) -> defaultdict[str, list[Resource]]:
    """Group resources by their parent, without duplicates."""
    families: defaultdict[str, list[Resource]] = defaultdict(list)
    for one in {one.orthanc_id: one for one in resources}.values():
        families[one.parent_id or ""].append(one)
    return families


def reduced(resource: Resource, keywords: Collection[str], tags: Mapping[str, str] = {}) -> Resource:
    """Return a resource with what is kept of it: these keywords, and further tags."""
    own = {keyword: value for keyword, value in resource.tags.items() if keyword in keywords}
    facts = {name: value for name, value in resource.facts.items() if name in _KEPT_FACTS}
    return replace(resource, tags={**tags, **own}, facts=facts)


def lack_facts(instances: Sequence[Resource], facts: Collection[Fact]) -> bool:
    """Whether instances of one series, which were fetched together, lack any of these of FRESH_FACTS."""
    return any(FRESH_FACTS[fact] not in one.facts for one in instances[:1] for fact in facts)


def merged(known: Resource, fetched: Resource) -> Resource:
    """Return a resource with the data of two fetches; the later one wins."""
    return replace(fetched, tags={**known.tags, **fetched.tags}, facts={**known.facts, **fetched.facts})
