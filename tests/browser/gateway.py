"""The gateway as users meet it: over an Orthanc that holds the sample studies."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from orthancproxy.sandbox.gateway import serving
from orthancproxy.sandbox.orthanc import INDEXED_INSTANCE_TAGS
from tests.corpus import load, sample_studies
from tests.orthancs import running_orthancs


@contextmanager
def serving_samples(data: Path, port: int | None = None) -> Iterator[str]:
    """Yield the address of a gateway over the sample studies; `data` is an empty folder for it."""
    with running_orthancs() as start_orthanc:
        orthanc = start_orthanc(configuration=INDEXED_INSTANCE_TAGS)
        load(orthanc, sample_studies())
        with serving(orthanc.base_url, data, port=port) as gateway:
            yield gateway.address
