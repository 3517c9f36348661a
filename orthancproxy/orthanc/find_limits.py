"""Detection of LimitFindResults and LimitFindInstances in Orthanc's configuration, which truncate results silently.

No route returns them. They are detected when a find for everything returns fewer resources than are stored.
"""

from collections.abc import Mapping
from typing import Any, Protocol

from msgspec.json import Decoder

from orthancproxy.orthanc.endpoints import FIND, STATISTICS, Endpoint
from orthancproxy.orthanc.responses import ID_LIST_DECODER, STATISTICS_DECODER

FIRST_PROBE_RESOURCES = 1000
PROBE_ATTEMPTS = 3


class CallOrthanc(Protocol):
    """The type of `OrthancClient.call`."""

    def __call__(self, endpoint: Endpoint, *, body: Mapping[str, Any] | None = None, decoder: Decoder[Any]) -> Any:
        """Return Orthanc's decoded response."""


class FindLimits:
    """Tells whether results may be truncated. It probes Orthanc when a result is longer than any before."""

    def __init__(self, call: CallOrthanc) -> None:
        self._call = call
        self._longest: dict[str, int] = {}  # the longest complete result
        self._limits: dict[str, int] = {}  # the length at which results are truncated
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
        statistics = self._call(STATISTICS, decoder=STATISTICS_DECODER)
        stored = statistics.count_series if probe == "Series" else statistics.count_instances
        if probe not in self._limits and stored > self._longest[probe]:
            self._probe(probe, 2 * stored)

    def may_truncate(self, level: str, length: int) -> bool:
        """Whether a result of this length may be truncated."""
        # one limit applies to instances, the other to the levels above, of which series are the most numerous
        probe = "Instance" if level == "Instance" else "Series"
        if probe not in self._limits and length > self._longest[probe]:
            # more than needed, so that a growing archive is not probed each time
            self._probe(probe, 2 * length)
        return length >= self._limits.get(probe, length + 1)

    def _probe(self, level: str, length: int) -> None:
        lengths = []
        least = length
        # a limit truncates at the same length each time; a find during storing also returns fewer than are stored
        for _ in range(PROBE_ATTEMPTS):
            found = self._call(FIND, body={"Level": level, "Query": {}, "Limit": length}, decoder=ID_LIST_DECODER)
            statistics = self._call(STATISTICS, decoder=STATISTICS_DECODER)
            stored = statistics.count_series if level == "Series" else statistics.count_instances
            self._longest[level] = len(found)
            if len(found) >= min(least, stored):
                return
            least = min(length, stored)
            lengths.append(len(found))
        if len(set(lengths)) == 1:
            self._limits[level] = lengths[0]
