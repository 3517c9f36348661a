"""Detection of LimitFindResults and LimitFindInstances in Orthanc's configuration, which truncate results silently.

No route returns them. They are detected when a find for everything returns fewer resources than are stored.
"""

import threading
from collections.abc import Mapping
from typing import Any, Protocol

from msgspec.json import Decoder

from orthancproxy.orthanc.deadline import clip_to_deadline
from orthancproxy.orthanc.endpoints import FIND, STATISTICS, Endpoint
from orthancproxy.orthanc.responses import ID_LIST_DECODER, STATISTICS_DECODER, Statistics

FIRST_PROBE_RESOURCES = 1000
PROBE_ATTEMPTS = 3
MAX_WAIT_SECONDS = 10.0


class CallOrthanc(Protocol):
    """The type of `OrthancClient.call`."""

    def __call__(
        self, endpoint: Endpoint, *, body: Mapping[str, Any] | None = None, query: str = "", decoder: Decoder[Any]
    ) -> Any:
        """Return Orthanc's decoded response."""


class FindLimits:
    """Tells whether results may be truncated. It probes Orthanc when a result is longer than any before."""

    def __init__(self, call: CallOrthanc) -> None:
        self._call = call
        self._longest: dict[str, int] = {}  # the longest complete result
        self._limits: dict[str, int] = {}  # the length at which results are truncated
        self._probing = threading.Lock()
        for level in ("Series", "Instance"):
            self._probe(level, FIRST_PROBE_RESOURCES)

    @property
    def found(self) -> bool:
        """Whether there are limits."""
        return bool(self._limits)

    def refresh(self, level: str) -> None:
        """Probe again if more resources are stored than were ever found at once.

        A find for tags that Orthanc matches after truncating does not show by its length that it was truncated.
        """
        probe = "Instance" if level == "Instance" else "Series"
        stored = _stored(probe, self._call(STATISTICS, decoder=STATISTICS_DECODER))
        self._probe_beyond(probe, stored)

    def may_truncate(self, level: str, length: int) -> bool:
        """Whether a result of this length may be truncated."""
        # one limit applies to instances, the other to the levels above, of which series are the most numerous
        probe = "Instance" if level == "Instance" else "Series"
        self._probe_beyond(probe, length)
        return length >= self._limits.get(probe, length + 1)

    def _probe_beyond(self, probe: str, length: int) -> None:
        if not self._is_longer(probe, length):
            return
        # One thread probes and the others wait, but not long: Orthanc may be down. A probe takes 0.2 s for 10,000
        # instances (1.13.0), and Orthanc's index answers one at a time.
        locked = self._probing.acquire(timeout=clip_to_deadline(MAX_WAIT_SECONDS))
        try:
            if self._is_longer(probe, length):
                # more than needed, so that a growing archive is not probed each time
                self._probe(probe, 2 * length)
        finally:
            if locked:
                self._probing.release()

    def _is_longer(self, probe: str, length: int) -> bool:
        return probe not in self._limits and length > self._longest[probe]

    def _probe(self, level: str, length: int) -> None:
        lengths = []
        least = length
        # a limit truncates at the same length each time; a find during storing also returns fewer than are stored
        for _ in range(PROBE_ATTEMPTS):
            found = self._call(FIND, body={"Level": level, "Query": {}, "Limit": length}, decoder=ID_LIST_DECODER)
            stored = _stored(level, self._call(STATISTICS, decoder=STATISTICS_DECODER))
            self._longest[level] = len(found)
            if len(found) >= min(least, stored):
                return
            least = min(length, stored)
            lengths.append(len(found))
        if len(set(lengths)) == 1:
            self._limits[level] = lengths[0]


def _stored(level: str, statistics: Statistics) -> int:
    return statistics.count_series if level == "Series" else statistics.count_instances
