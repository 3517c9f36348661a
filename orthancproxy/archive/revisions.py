"""What is kept between requests of the children of studies and series, under the `LastUpdate` of these.

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


@dataclass(frozen=True, slots=True)
class _Entry:
    revision: Revision
    children: Children
    above: tuple[str, ...]
    size: int  # bytes


class RevisionCache:
    """Keeps the children of studies and series, at most `max_bytes` of them; the least recently used list goes first.

    Thread-safe. Returned resources are shared: they must not be changed.
    """

    def __init__(self, clock: OrthancClock, *, max_bytes: int, min_age: float) -> None:
        self.clock = clock
        self.max_bytes = max_bytes
        self.flights = Flights()
        self._min_age = min_age
        self._lock = threading.Lock()
        self._entries: OrderedDict[str, _Entry] = OrderedDict()  # by the id of the parent
        self._parents: dict[str, str] = {}
        self._lists_below: Counter[str] = Counter()
        self._size = 0

    @property
    def size(self) -> int:
        """The bytes that the kept resources take."""
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
        with self._lock:
            entry = self._entries.get(revision.orthanc_id)
            if entry is None or entry.revision != revision:
                return None
            self._entries.move_to_end(revision.orthanc_id)
            return entry.children

    def uid_of(self, orthanc_id: str) -> str | None:
        """Return the UID of a study or series that has kept children, or is kept. It may have been deleted."""
        with self._lock:
            if entry := self._entries.get(orthanc_id):
                return entry.revision.uid
            above = self._entries.get(self._parents.get(orthanc_id, ""))
            kept = above.children.resources if above else ()
            return next((one.tags.get(one.level.identifier) for one in kept if one.orthanc_id == orthanc_id), None)

    def parent_of(self, orthanc_id: str) -> str | None:
        """Return the id of the parent of a kept series or instance."""
        return self._parents.get(orthanc_id)

    def has_below(self, orthanc_id: str) -> bool:
        """Whether lists below this resource are kept, of whatever revision: a hint, which proves nothing."""
        return orthanc_id in self._entries or orthanc_id in self._lists_below

    def put(self, revision: Revision, children: Children, above: Collection[str] = ()) -> Children:
        """Keep all children of a study or series at this revision, instead of any other. Return them as they are kept.

        `above` are ids of resources above the study or series. Children larger than the cache are not kept.
        """
        parent_id = revision.orthanc_id
        resources, size = _compacted(parent_id, children.resources)
        kept = replace(children, resources=resources)
        entry = _Entry(revision, kept, tuple(above), size)
        with self._lock:
            self._remove(parent_id)
            if entry.size > self.max_bytes:
                return kept
            self._entries[parent_id] = entry
            self._size += entry.size
            self._lists_below.update(entry.above)
            self._parents |= {child.orthanc_id: parent_id for child in kept.resources}
            while self._size > self.max_bytes:
                self._remove(next(iter(self._entries)))
        return kept

    def _remove(self, parent_id: str) -> None:
        entry = self._entries.pop(parent_id, None)
        if entry is not None:
            self._size -= entry.size
            for orthanc_id in entry.above:
                self._lists_below[orthanc_id] -= 1
                if not self._lists_below[orthanc_id]:
                    del self._lists_below[orthanc_id]
            for child in entry.children.resources:
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
