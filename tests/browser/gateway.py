"""The gateway as users meet it: over an Orthanc that holds the sample studies."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from orthancproxy.sandbox.gateway import serving
from orthancproxy.sandbox.loading import load
from orthancproxy.sandbox.orthanc import INDEXED_INSTANCE_TAGS, LocalOrthanc
from orthancproxy.sandbox.studies import INSTANCES_COUNT, instances


@contextmanager
def serving_samples(data: Path, port: int | None = None) -> Iterator[str]:
    """Yield the address of a gateway over the sample studies; `data` is an empty folder for it."""
    with LocalOrthanc(configuration=INDEXED_INSTANCE_TAGS) as orthanc:
        stored = set(load(instances(), orthanc.base_url, orthanc.headers))
        assert len(stored) == INSTANCES_COUNT
        with serving(orthanc.base_url, data, port=port) as gateway:
            yield gateway.address
