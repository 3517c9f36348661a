"""The gateway as users meet it: uvicorn on a port of its own, over an Orthanc that holds the sample studies."""

import os
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from orthancproxy.sandbox.loading import load
from orthancproxy.sandbox.orthanc import INDEXED_INSTANCE_TAGS, LocalOrthanc, free_port
from orthancproxy.sandbox.process import ChildProcess
from orthancproxy.sandbox.studies import INSTANCES_COUNT, instances

REPOSITORY = Path(__file__).parents[2]
START_TIMEOUT = 60.0  # seconds


@contextmanager
def serving_samples(data: Path, port: int | None = None) -> Iterator[str]:
    """Yield the address of a gateway over the sample studies; `data` is an empty folder for it."""
    with LocalOrthanc(configuration=INDEXED_INSTANCE_TAGS) as orthanc:
        stored = set(load(instances(), orthanc.base_url, orthanc.headers))
        assert len(stored) == INSTANCES_COUNT
        with serving(orthanc, data, port or free_port()) as address:
            yield address


@contextmanager
def serving(orthanc: LocalOrthanc, data: Path, port: int) -> Iterator[str]:
    """Yield the address of a gateway over this Orthanc; its log is `data / "gateway.log"`."""
    log = data / "gateway.log"
    gateway = ChildProcess(
        [
            *(sys.executable, "-m", "uvicorn", "orthancproxy.project.asgi:application"),
            *("--app-dir", str(REPOSITORY), "--host", "127.0.0.1", "--port", str(port), "--no-proxy-headers"),
            # a browser keeps its connections open
            *("--timeout-graceful-shutdown", "1"),
        ],
        log=log,
        environment={**_neutral_environment(), "ORTHANC_BASE_URL": orthanc.base_url, "DJANGO_DATA_DIR": str(data)},
    )
    address = f"http://127.0.0.1:{port}"
    try:
        _wait_until_alive(gateway, address, log)
        yield address
    finally:
        gateway.stop()


def _neutral_environment() -> dict[str, str]:
    """The environment without what a developer may have set for a gateway of their own."""
    settings = ("ORTHANC_", "DJANGO_", "DATABASE_URL", "UVICORN_", "WEB_CONCURRENCY")
    return {name: value for name, value in os.environ.items() if not name.startswith(settings)}


def _wait_until_alive(gateway: ChildProcess, address: str, log: Path) -> None:
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    deadline = time.monotonic() + START_TIMEOUT
    while time.monotonic() < deadline and gateway.exit_code is None:
        try:
            with opener.open(f"{address}/livez", timeout=5):
                return
        except OSError:
            time.sleep(0.05)
    raise AssertionError(f"the gateway did not start:\n{log.read_text()}")
