"""A clock that a test advances."""

import time


class ManualClock:
    """A replacement for `time.monotonic` that stands still unless the test adds seconds to `now`."""

    def __init__(self) -> None:
        self.now = time.monotonic()

    def __call__(self) -> float:
        return self.now
