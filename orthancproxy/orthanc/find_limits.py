"""LimitFindResults and LimitFindInstances of Orthanc's configuration, which cut answers off silently.

No route tells them. They are seen from a find for everything that returns fewer than are stored.
"""

from collections.abc import Mapping
from typing import Any, Protocol

from orthancproxy.errors import ArchiveProtocolError
from orthancproxy.orthanc.endpoints import FIND, STATISTICS, Endpoint

FIRST_PROBE_RESOURCES = 1000  # resources
PROBE_ATTEMPTS = 3


class CallOrthanc(Protocol):
    """How Orthanc is asked: `OrthancClient.call`."""

    def __call__(self, endpoint: Endpoint, *, body: Mapping[str, Any] | None = None) -> Any:
        """Return Orthanc's answer, parsed from JSON."""


class FindLimits:
    """Tells whether an answer may have been cut off. It asks Orthanc when an answer is longer than any before."""

    def __init__(self, call: CallOrthanc) -> None:
        self._call = call
        self._whole: dict[str, int] = {}  # the longest answer that was whole
        self._cut: dict[str, int] = {}  # where answers are cut off
        for level in ("Series", "Instance"):
            self._probe(level, FIRST_PROBE_RESOURCES)

    @property
    def found(self) -> bool:
        """Whether answers are cut off."""
        return bool(self._cut)

    def may_cut(self, level: str, length: int) -> bool:
        """Whether there may be more than the resources of an answer of this length."""
        # one limit is for instances, the other for the levels above, of which there are the most series
        probe = "Instance" if level == "Instance" else "Series"
        if probe not in self._cut and length > self._whole[probe]:
            # more than needed, so that a growing archive is not asked each time
            self._probe(probe, 2 * length)
        return length >= self._cut.get(probe, length + 1)

    def _probe(self, level: str, length: int) -> None:
        count = "CountSeries" if level == "Series" else "CountInstances"
        lengths = []
        least = length
        # a limit cuts off in the same place each time; fewer than are stored are also found while others store
        for _ in range(PROBE_ATTEMPTS):
            found = self._call(FIND, body={"Level": level, "Query": {}, "Limit": length})
            stored = self._call(STATISTICS)
            if not isinstance(found, list) or not isinstance(stored, dict):
                raise ArchiveProtocolError("The archive does not answer as Orthanc does.")
            self._whole[level] = len(found)
            if len(found) >= min(least, stored[count]):
                return
            least = min(length, stored[count])
            lengths.append(len(found))
        if len(set(lengths)) == 1:
            self._cut[level] = lengths[0]
