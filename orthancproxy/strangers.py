"""How much of the audit strangers may fill: what they are refused is written down, but not without measure.

Whoever can reach the gateway can be refused as often as they like, and a row that is written once is never deleted.
So the first refusals of an address in a minute are rows; of the others, the row that comes next tells how many.
"""

import logging
import threading
from collections import Counter
from dataclasses import dataclass, field
from time import monotonic

logger = logging.getLogger(__name__)

MINUTE = 60.0  # seconds
OF_ONE_ADDRESS = 20  # rows in a minute
OF_ALL = 200  # rows in a minute, of each worker process


@dataclass(slots=True)
class Refusals:
    """The refusals of this minute, by addresses."""

    _ends: float = 0.0
    _written: Counter[str] = field(default_factory=Counter)
    _left_out: int = 0
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def count(self, address: str) -> int | None:
        """Whether one more is to be written down: None, or how many were not since the last that was."""
        with self._lock:
            if monotonic() >= self._ends:
                self._ends = monotonic() + MINUTE
                self._written.clear()
            if self._written[address] >= OF_ONE_ADDRESS or self._written.total() >= OF_ALL:
                if not self._left_out:
                    logger.warning("more refusals than the audit takes")
                self._left_out += 1
                return None
            self._written[address] += 1
            left_out, self._left_out = self._left_out, 0
            return left_out


refusals = Refusals()
