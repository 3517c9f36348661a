"""Whether this worker process is about to end: what its probes and its connections tell."""

from dataclasses import dataclass


@dataclass
class Ending:
    """`is_draining`: `/readyz` answers 503. `closes_connections`: each response is the last of its connection."""

    is_draining: bool = False
    closes_connections: bool = False


ENDING = Ending()
