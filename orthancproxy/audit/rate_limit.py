"""The rate limit of audit rows for rejections.

Anyone who can reach the gateway, and any user, can cause any number of rejections, and rows are never deleted. So only
the first rejections of a caller in each minute become rows; the next row has the number of those that were suppressed.
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

    `max_rows_per_caller` and `max_rows` (of all anonymous callers) are rows in a window; `clock` is in seconds.
    """

    max_rows_per_caller: int = 20
    max_rows: int = 200
    clock: Callable[[], float] = monotonic
    _ends: float = 0.0
    _written: Counter[tuple[str, str]] = field(default_factory=Counter)
    # by user: anonymous callers have any number of addresses
    _suppressed: Counter[str] = field(default_factory=Counter)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def count(self, username: str, address: str) -> int | None:
        """Count a rejection of a user, or, without a username, of the anonymous caller at an address.

        Return None if the limit is reached, else the number of rejections suppressed since the caller's last row; for
        an anonymous caller, those of all of them.
        """
        caller = (username, "" if username else address)
        with self._lock:
            if self.clock() >= self._ends:
                self._ends = self.clock() + WINDOW_SECONDS
                self._written.clear()
            if self._written[caller] >= self.max_rows_per_caller or self._is_full(username):
                if not self._suppressed[username]:
                    logger.warning("rate limit of the audit log reached: rejections are suppressed")
                self._suppressed[username] += 1
                return None
            self._written[caller] += 1
            return self._suppressed.pop(username, 0)

    def _is_full(self, username: str) -> bool:
        """Whether anonymous callers have all of their rows; users always have their own."""
        return not username and sum(rows for (user, _), rows in self._written.items() if not user) >= self.max_rows


refusal_rate_limit = RefusalRateLimit()
