"""A DICOM modality that rejects some of the instances that it is sent."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from pydicom.uid import ExplicitVRLittleEndian, ImplicitVRLittleEndian
from pynetdicom import AE, AllStoragePresentationContexts, evt

SUCCESS = 0x0000

Judge = Callable[[Any], int]


@dataclass
class Modality:
    """`judge` returns the status of a C-STORE for a data set (PS3.4 section B.2.3)."""

    judge: Judge = lambda _dataset: SUCCESS
    port: int = 0
    taken: list[str] = field(default_factory=list)
    """The SOPInstanceUIDs of what it took, in order."""

    def store(self, event: Any) -> int:
        """Answer a C-STORE."""
        status = self.judge(event.dataset)
        if status == SUCCESS:
            self.taken.append(event.dataset.SOPInstanceUID)
        return status


@contextmanager
def modality() -> Iterator[Modality]:
    """Yield a modality that takes everything at first."""
    entity, served = AE("PICKY"), Modality()
    for context in AllStoragePresentationContexts:
        entity.add_supported_context(str(context.abstract_syntax), [ExplicitVRLittleEndian, ImplicitVRLittleEndian])
    server = entity.start_server(("127.0.0.1", 0), block=False, evt_handlers=[(evt.EVT_C_STORE, served.store)])
    assert server
    served.port = server.server_address[1]
    try:
        yield served
    finally:
        server.shutdown()
