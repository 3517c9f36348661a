"""What is kept between requests of the DICOM JSON of series, under the `LastUpdate` of these, like their instances.

Whoever reads an entry must have seen that `LastUpdate` in the same request (ADR 0018).
"""

import threading
import zlib
from collections import OrderedDict
from collections.abc import Iterator

from orthancproxy.archive.revisions import Lookups, Revision

CHUNK_BYTES = 512 * 1024
# 400 instances with 160 tags are 5 MB, and 0.2 MB compressed; 9, the default for ZIPs, takes five times as long
_COMPRESSION_LEVEL = 1


class MetadataCache:
    """Keeps the DICOM JSON of series, at most `max_bytes` of it; the least recently used goes first. Thread-safe."""

    def __init__(self, max_bytes: int) -> None:
        self.max_bytes = max_bytes
        self._lock = threading.Lock()
        self._kept: OrderedDict[tuple[Revision, str], bytes] = OrderedDict()
        self._size = 0
        self.lookups = Lookups()

    @property
    def size(self) -> int:
        """The bytes that all that is kept takes."""
        return self._size

    def get(self, revision: Revision, service: str) -> Iterator[bytes] | None:
        """Return the chunks for a series at this revision, with URIs below the URL `service`, if they are kept."""
        with self._lock:
            compressed = self._kept.get((revision, service))
            self.lookups.add(is_hit=compressed is not None)
            if compressed is None:
                return None
            self._kept.move_to_end((revision, service))
        return _inflated(compressed)

    def keeping(self, revision: Revision, service: str, chunks: Iterator[bytes]) -> Iterator[bytes]:
        """Yield the chunks, and keep them when they have been read to their end."""
        deflating = zlib.compressobj(_COMPRESSION_LEVEL)
        compressed = bytearray()
        for chunk in chunks:
            # one series must not displace all others
            if len(compressed) <= self.max_bytes // 4:
                compressed += deflating.compress(chunk)
            yield chunk
        compressed += deflating.flush()
        if len(compressed) <= self.max_bytes // 4:
            self._put((revision, service), bytes(compressed))

    def _put(self, key: tuple[Revision, str], compressed: bytes) -> None:
        with self._lock:
            self._size += len(compressed) - len(self._kept.pop(key, b""))
            self._kept[key] = compressed
            while self._size > self.max_bytes:
                _, dropped = self._kept.popitem(last=False)
                self._size -= len(dropped)


def _inflated(compressed: bytes) -> Iterator[bytes]:
    inflating = zlib.decompressobj()
    while not inflating.eof:
        yield inflating.decompress(compressed, CHUNK_BYTES)
        compressed = inflating.unconsumed_tail
