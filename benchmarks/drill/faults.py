"""What happens to the deployment in turn, and how it is mended."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from benchmarks.drill.deployment import SPOOL_MEGABYTES, Deployment

DOWN_SECONDS = 5.0


@dataclass(frozen=True, slots=True)
class Fault:
    """A fault: `happen` returns when it is over, when what had failed has been started again."""

    name: str
    happen: Callable[[Deployment], None]


def _kill_worker(deployment: Deployment) -> None:
    deployment.hosts[0].end_worker(signal.SIGKILL)


def _stop_worker(deployment: Deployment) -> None:
    deployment.hosts[1].end_worker(signal.SIGTERM)


def _kill_host(deployment: Deployment) -> None:
    deployment.hosts[0].kill()
    time.sleep(DOWN_SECONDS)
    deployment.hosts[0].start()


def _kill_postgresql(deployment: Deployment) -> None:
    deployment.postgresql.kill()
    time.sleep(DOWN_SECONDS)
    deployment.postgresql.start()


def _kill_orthanc(deployment: Deployment) -> None:
    deployment.orthanc.kill()
    time.sleep(DOWN_SECONDS)
    deployment.orthanc.start()


def _stop_host(deployment: Deployment) -> None:
    deployment.hosts[1].stop()
    time.sleep(DOWN_SECONDS)
    deployment.hosts[1].start()


def _stop_postgresql(deployment: Deployment) -> None:
    # it waits for its clients, and rejects others: what stops it waits for a while, as here, and then kills it
    deployment.postgresql.stop(signal.SIGTERM, DOWN_SECONDS)
    deployment.postgresql.start()


def _stop_orthanc(deployment: Deployment) -> None:
    deployment.orthanc.stop()
    time.sleep(DOWN_SECONDS)
    deployment.orthanc.start()


def _replace_workers(deployment: Deployment) -> None:
    deployment.hosts[1].replace_workers()


def _fill_disk(deployment: Deployment) -> None:
    filler = deployment.hosts[1].spool / "filler"
    try:
        with filler.open("wb") as file:
            for _ in range(SPOOL_MEGABYTES * 16):
                file.write(bytes(64 * 1024))
    except OSError:
        # full
        pass
    time.sleep(DOWN_SECONDS)
    filler.unlink()


def _stop_provider(deployment: Deployment) -> None:
    deployment.provider.stop()
    time.sleep(DOWN_SECONDS)
    deployment.provider.start()


FAULTS: Sequence[Fault] = (
    Fault("kill -9 of a worker", _kill_worker),
    Fault("kill -9 of a host", _kill_host),
    Fault("kill -9 of PostgreSQL", _kill_postgresql),
    Fault("kill -9 of Orthanc", _kill_orthanc),
    Fault("SIGTERM of a worker", _stop_worker),
    Fault("SIGTERM of a host", _stop_host),
    Fault("SIGTERM of PostgreSQL", _stop_postgresql),
    Fault("SIGTERM of Orthanc", _stop_orthanc),
    Fault("SIGHUP of a host", _replace_workers),
    Fault("disk of a host full", _fill_disk),
    Fault("provider down", _stop_provider),
)
