"""The rate limit of audit rows for rejected anonymous requests.

Anyone who can reach the gateway can cause any number of rejections, and rows are never deleted. So only the first
rejections of an address in each minute become rows; the next row has the number of those that were suppressed.
"""

import logging
import threading
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from time import monotonic

logger = logging.getLogger(__name__)

WINDOW_SECONDS = 60.0


@dataclass(slots=True)
class RefusalRateLimit:
    """Counts the rejections of one worker process, in windows of a minute.

    `max_rows_per_address` and `max_rows` (of all addresses together) are rows in a window; `clock` is in seconds.
    """

    max_rows_per_address: int = 20
    max_rows: int = 200
    clock: Callable[[], float] = monotonic
    _ends: float = 0.0
    _written: Counter[str] = field(default_factory=Counter)
    _suppressed: int = 0
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def count(self, address: str) -> int | None:
        """Return None if the limit is reached, else the number of rejections suppressed since the last row."""
        with self._lock:
            if self.clock() >= self._ends:
                self._ends = self.clock() + WINDOW_SECONDS
                self._written.clear()
            if self._written[address] >= self.max_rows_per_address or self._written.total() >= self.max_rows:
                if not self._suppressed:
                    logger.warning("rate limit of the audit log reached: rejections are suppressed")
                self._suppressed += 1
                return None
            self._written[address] += 1
            suppressed, self._suppressed = self._suppressed, 0
            return suppressed


refusal_rate_limit = RefusalRateLimit()
