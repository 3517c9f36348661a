"""What is kept between requests of studies and series, under their `LastUpdate`: their children, and counts of studies.

Whoever reads an entry must have seen that `LastUpdate` in the same request (ADR 0018).
"""

import threading
from collections import Counter, OrderedDict
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from sys import getsizeof
from typing import Any

from orthancproxy.archive.plan import Needs
from orthancproxy.archive.records import Resource
from orthancproxy.orthanc.clock import OrthancClock, seconds_of

# of a child in the index, and of a list with the ids above it, with their shares of free slots
_CHILD_BYTES = 110
_LIST_BYTES = 1400
# of the counts of a study: the entry, its revision and its key, with their shares of free slots
_COUNTS_BYTES = 480
_NOTHING: Mapping[str, Any] = {}


@dataclass(frozen=True, slots=True)
class Revision:
    """A study or series, with its UID, at one `LastUpdate`."""

    orthanc_id: str
    uid: str
    last_update: str


@dataclass(frozen=True, slots=True)
class Children:
    """All children of one resource, with the data that `needs` names."""

    needs: Needs
    resources: tuple[Resource, ...]


Counts = Mapping[str, str]
"""Attributes that are computed from what is below a study, by keyword, as text."""


@dataclass(frozen=True, slots=True)
class _Entry:
    revision: Revision
    kept: Children | Counts
    above: tuple[str, ...]
    size: int  # bytes

    @property
    def resources(self) -> tuple[Resource, ...]:
        return self.kept.resources if isinstance(self.kept, Children) else ()


# whether it is counts, and of which resource
_Key = tuple[bool, str]


@dataclass(slots=True)
class Lookups:
    """How often a cache had what was looked up."""

    hits: int = 0
    misses: int = 0

    def add(self, *, is_hit: bool) -> None:
        """Count one; for use under the cache's lock."""
        if is_hit:
            self.hits += 1
        else:
            self.misses += 1


class RevisionCache:
    """Keeps the children of studies and series, and the counts of studies: at most `max_bytes` of both.

    The least recently used list, or counts of one study, go first. Thread-safe. Returned resources are shared: they
    must not be changed. `lookups` are those of children, `count_lookups` those of counts.
    """

    def __init__(self, clock: OrthancClock, *, max_bytes: int, min_age: float) -> None:
        self.clock = clock
        self.max_bytes = max_bytes
        self.flights = Flights()
        self._min_age = min_age
        self._lock = threading.Lock()
        self._entries: OrderedDict[_Key, _Entry] = OrderedDict()
        self._parents: dict[str, str] = {}
        self._lists_below: Counter[str] = Counter()
        self._size = 0
        self.lookups = Lookups()
        self.count_lookups = Lookups()

    @property
    def size(self) -> int:
        """The bytes that all that is kept takes."""
        return self._size

    def is_settled(self, revision: Revision, moment: float) -> bool:
        """Whether a `LastUpdate`, wherever it was read after this moment, names one state only.

        It has whole seconds: a series that changes twice within one has two states of one name. So it must be older
        than `min_age` seconds at the moment, from which on every change renews it.
        """
        changed, least = seconds_of(revision.last_update), self.clock.least_at(moment)
        return changed is not None and least is not None and changed + self._min_age <= least

    def get(self, revision: Revision) -> Children | None:
        """Return the children of a study or series at this revision, if they are kept."""
        kept = self._get((False, revision.orthanc_id), revision)
        return kept if isinstance(kept, Children) else None

    def counts(self, revision: Revision) -> Counts:
        """Return the counts of a study at this revision that are kept."""
        kept = self._get((True, revision.orthanc_id), revision)
        return {} if kept is None or isinstance(kept, Children) else kept

    def uid_of(self, orthanc_id: str) -> str | None:
        """Return the UID of a study or series that has kept children, or is kept. It may have been deleted."""
        with self._lock:
            if entry := self._entries.get((False, orthanc_id)):
                return entry.revision.uid
            above = self._entries.get((False, self._parents.get(orthanc_id, "")))
            kept = above.resources if above else ()
            return next((one.tags.get(one.level.identifier) for one in kept if one.orthanc_id == orthanc_id), None)

    def parent_of(self, orthanc_id: str) -> str | None:
        """Return the id of the parent of a kept series or instance."""
        return self._parents.get(orthanc_id)

    def has_below(self, orthanc_id: str) -> bool:
        """Whether lists below this resource are kept, of whatever revision: a hint, which proves nothing."""
        return (False, orthanc_id) in self._entries or orthanc_id in self._lists_below

    def has_counts(self, study_id: str) -> bool:
        """Whether counts of this study are kept, of whatever revision: a hint likewise."""
        return (True, study_id) in self._entries

    def put(self, revision: Revision, children: Children, above: Collection[str] = ()) -> Children:
        """Keep all children of a study or series at this revision, instead of any other. Return them as they are kept.

        `above` are ids of resources above the study or series. Children larger than the cache are not kept.
        """
        parent_id = revision.orthanc_id
        resources, size = _compacted(parent_id, children.resources)
        kept = replace(children, resources=resources)
        self._put((False, parent_id), _Entry(revision, kept, tuple(above), size))
        return kept

    def put_counts(self, revision: Revision, counts: Counts) -> None:
        """Keep counts of a study at this revision, with others that are kept of the same."""
        with self._lock:
            entry = self._entries.get((True, revision.orthanc_id))
        if entry and entry.revision == revision and not isinstance(entry.kept, Children):
            counts = {**entry.kept, **counts}
        size = _COUNTS_BYTES + sum(map(getsizeof, (counts, *counts.values())))
        self._put((True, revision.orthanc_id), _Entry(revision, counts, (), size))

    def _get(self, key: _Key, revision: Revision) -> Children | Counts | None:
        with self._lock:
            entry = self._entries.get(key)
            is_hit = entry is not None and entry.revision == revision
            (self.count_lookups if key[0] else self.lookups).add(is_hit=is_hit)
            if entry is None or not is_hit:
                return None
            self._entries.move_to_end(key)
            return entry.kept

    def _put(self, key: _Key, entry: _Entry) -> None:
        with self._lock:
            self._remove(key)
            if entry.size > self.max_bytes:
                return
            self._entries[key] = entry
            self._size += entry.size
            self._lists_below.update(entry.above)
            self._parents |= {child.orthanc_id: entry.revision.orthanc_id for child in entry.resources}
            while self._size > self.max_bytes:
                self._remove(next(iter(self._entries)))

    def _remove(self, key: _Key) -> None:
        entry = self._entries.pop(key, None)
        if entry is not None:
            self._size -= entry.size
            for orthanc_id in entry.above:
                self._lists_below[orthanc_id] -= 1
                if not self._lists_below[orthanc_id]:
                    del self._lists_below[orthanc_id]
            for child in entry.resources:
                self._parents.pop(child.orthanc_id, None)


class Flights:
    """Lets one request fetch what several want at the same time. Thread-safe."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._landed: dict[object, threading.Event] = {}

    @contextmanager
    def claim(self, keys: Collection[object]) -> Iterator[tuple[Collection[object], list[threading.Event]]]:
        """Yield those of these keys that nobody else fetches, and what the fetches of the others will set.

        The caller fetches its own within the block; at its end, whether it succeeded or not, the others look again.
        """
        landed = threading.Event()
        with self._lock:
            others = [self._landed[key] for key in keys if key in self._landed]
            own = {key for key in keys if key not in self._landed}
            self._landed |= dict.fromkeys(own, landed)
        try:
            yield own, others
        finally:
            with self._lock:
                for key in own:
                    del self._landed[key]
            landed.set()


def _compacted(parent_id: str, resources: Sequence[Resource]) -> tuple[tuple[Resource, ...], int]:
    """Return the same resources with each value once, and how many bytes they take with their entries in the cache.

    Most values of a series are those of all its instances. Keywords are everybody's.
    """
    values: dict[Any, Any] = {}
    share = values.setdefault
    compacted = []
    size = _LIST_BYTES
    for resource in resources:
        tags = {keyword: share(value, value) for keyword, value in resource.tags.items()}
        facts = {name: share(value, value) for name, value in resource.facts.items()}
        one = replace(resource, parent_id=parent_id, tags=tags, facts=facts, related=_NOTHING)
        compacted.append(one)
        size += _CHILD_BYTES + sum(map(getsizeof, (one, one.orthanc_id, tags, facts)))
    return tuple(compacted), size + sum(map(getsizeof, values))
