"""Tells whether the DICOMweb plugin wrote the attachment 4301 of a series after the last change of the series.

The plugin writes it each time that a series has become stable, and when it is asked for metadata that no attachment has
(1.20, 1.24). It keeps it when an instance is overwritten, or deleted and stored again: then its list of instances
is that of the series, and its tags are old. If Orthanc restarts before the series is stable, they stay so. Neither the
attachment nor its entry in Orthanc's index has a date.

Orthanc's log of changes has: `StableSeries` when nothing had changed for `StableAge` seconds, and `UpdatedAttachment`
when an attachment was written. So an attachment is current if the log has the first after `LastUpdate`, and then the
second. It could still be of a reading of the files that began before the change and took longer than `StableAge`: that
must be longer than any reading takes.
"""

import logging
import threading
from collections import OrderedDict
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from math import inf
from operator import itemgetter

from orthancproxy.errors import ArchiveRejected, NotFound
from orthancproxy.orthanc.endpoints import CHANGES
from orthancproxy.orthanc.find_limits import CallOrthanc
from orthancproxy.orthanc.responses import CHANGES_DECODER, OrthancChange, OrthancChanges

logger = logging.getLogger("orthancproxy.orthanc")

# LastUpdate has whole seconds, and the clocks of several Orthancs over one database differ
MIN_QUIET_SECONDS = 4.0
# reading a file takes 1 to 3 ms (1.12.7, 1.13.0), and four threads do it
QUIET_SECONDS_PER_INSTANCE = 0.01
# a call takes 1 ms; to find a date among a million entries takes 13
MAX_CALLS = 60
EVENTS_PER_CALL = 500
MAX_CALLS_PER_SERIES = 3  # to find its events after that date
_MAX_KNOWN_SERIES = 20_000


@dataclass(frozen=True, slots=True)
class SeriesState:
    """A series as Orthanc's index has it: its `LastUpdate`, its number of instances, the uuid of its attachment."""

    last_update: str
    instances: int
    attachment: str

    @property
    def stable_from(self) -> float | None:
        """The time (seconds since the epoch) from which on its `StableSeries` proves that its files were read again."""
        changed = _seconds(self.last_update)
        quiet = max(MIN_QUIET_SECONDS, self.instances * QUIET_SECONDS_PER_INSTANCE)
        return None if changed is None else changed + quiet


class MetadataAttachments:
    """What is known of the attachments 4301 of one Orthanc. Thread-safe."""

    def __init__(self, call: CallOrthanc) -> None:
        self._call = call
        self._lock = threading.Lock()
        # whether the attachment is current
        self._known: OrderedDict[str, tuple[SeriesState, bool]] = OrderedDict()

    def current(self, series: Mapping[str, SeriesState]) -> set[str]:
        """Return the ids of those series whose attachment is proven to be current. Raises ArchiveError."""
        with self._lock:
            known = {one: self._known[one] for one in series if one in self._known}
        current = {one: is_current for one, (state, is_current) in known.items() if state == series[one]}
        unknown = {one: state for one, state in series.items() if one not in current and state.stable_from}
        if unknown:
            with suppress(ArchiveRejected, NotFound):
                # the gateway may not be allowed to read the log
                for one, is_current in _Search(self._call, unknown).results().items():
                    current[one] = is_current
                    self._remember(one, series[one], is_current)
        return {one for one, is_current in current.items() if is_current}

    def reject(self, series_id: str, state: SeriesState) -> None:
        """Do not use this attachment again: it is malformed or too large."""
        logger.warning("metadata attachment is not usable: its tags are read from files", extra={"series": series_id})
        self._remember(series_id, state, False)

    def _remember(self, series_id: str, state: SeriesState, is_current: bool) -> None:
        with self._lock:
            self._known[series_id] = state, is_current
            self._known.move_to_end(series_id)
            if len(self._known) > _MAX_KNOWN_SERIES:
                self._known.popitem(last=False)


class _Search:
    """One search of the log of changes for the events of some series, with at most MAX_CALLS."""

    def __init__(self, call: CallOrthanc, series: Mapping[str, SeriesState]) -> None:
        self._call = call
        self._series = {one: state.stable_from or inf for one, state in series.items()}
        self._calls = 0
        self._stable: set[str] = set()
        self._found: dict[str, bool] = {}

    def results(self) -> dict[str, bool]:
        """Return whether the attachment of a series is current; a series that was not reached is left out."""
        last = self._read("last").last
        position = 0
        for series_id, moment in sorted(self._series.items(), key=itemgetter(1)):
            if series_id not in self._found:
                position = self._position_of(moment, position, last)
                self._follow(series_id, position)
                if self._calls >= MAX_CALLS:
                    break
                # its next attachment has another uuid
                self._found.setdefault(series_id, False)
        return self._found

    def _position_of(self, moment: float, low: int, high: int) -> int:
        """Return a sequence number shortly before the first entry that is not older, between two others."""
        while high - low > EVENTS_PER_CALL // 2 and self._calls < MAX_CALLS:
            middle = (low + high) // 2
            entries = self._read(f"since={middle}&limit=1").changes
            if entries and (_seconds(entries[0].date) or 0) < moment:
                low = entries[0].seq
            else:
                high = middle
        return low

    def _follow(self, series_id: str, position: int) -> None:
        """Read the log from there until the events of this series are found, and note those of the others."""
        for _ in range(MAX_CALLS_PER_SERIES):
            entries = self._read(f"type=StableSeries;UpdatedAttachment&since={position}&limit={EVENTS_PER_CALL}")
            for entry in entries.changes:
                self._note(entry)
            position = entries.last
            if series_id in self._found or entries.done or not entries.changes:
                return

    def _note(self, entry: OrthancChange) -> None:
        if entry.id not in self._series:
            return
        if entry.type == "StableSeries" and (_seconds(entry.date) or 0) >= self._series[entry.id]:
            self._stable.add(entry.id)
        elif entry.type == "UpdatedAttachment" and entry.id in self._stable:
            self._found[entry.id] = True

    def _read(self, query: str) -> OrthancChanges:
        self._calls += 1
        entries: OrthancChanges = self._call(CHANGES, query=query, decoder=CHANGES_DECODER)
        return entries


def _seconds(date: str) -> float | None:
    """Return a date of Orthanc's (UTC, YYYYMMDDTHHMMSS) in seconds since the epoch."""
    try:
        return datetime.strptime(date, "%Y%m%dT%H%M%S").replace(tzinfo=UTC).timestamp()
    except ValueError:
        return None
