"""The DICOM JSON model of instances (PS3.18 annex F), in which binary values are URIs of the gateway."""

import re
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future
from contextlib import closing, suppress
from functools import partial
from typing import Any

import orjson

from orthancproxy.archive.kept_metadata import CHUNK_BYTES
from orthancproxy.archive.series_metadata import inflated
from orthancproxy.errors import ArchiveProtocolError, LimitExceeded, NotFound
from orthancproxy.orthanc import endpoints
from orthancproxy.orthanc.client import OrthancClient
from orthancproxy.threads import FILE_TAGS

MEDIA_TYPE = "application/dicom+json"
AT_A_TIME = 4
"""How many instances of one request Orthanc reads at once."""

PIXEL_DATA = "7FE00010"
# what images have besides their pixels, of which Orthanc tells nothing if they are compressed (1.10.1 to 1.13.0)
_IMAGE = frozenset({"00280010", "00280011", "00280100"})
# FloatPixelData, DoubleFloatPixelData, PixelDataProviderURL
_OTHER_PIXELS = frozenset({"7FE00008", "7FE00009", "00287FE0"})
_BINARY_VRS = frozenset({"OB", "OD", "OF", "OL", "OV", "OW", "UN"})

# `"InlineBinary" : "`, then the value: Base64 has no quotes, and no key ends within a text
_INLINE_BINARY = re.compile(rb'("InlineBinary"\s*:\s*")[^"]*')
_MAX_KEY_BYTES = 64  # of it, with its colon and blanks
# Orthanc 1.13.0 has numbers for OW. Those of other VRs are shorter, whose lengths have 16 bits
_MAX_NUMBERS_BYTES = 512 * 1024
_NUMBERS = re.compile(rb"\[(?:true,)?[-+.0-9Ee,\s]{%d,}," % _MAX_NUMBERS_BYTES)

PLACEHOLDER = b"$WADO_BASE_PLACEHOLDER$"
"""What URIs begin with in the plugin's attachments."""


def instances_metadata(client: OrthancClient, instances: Iterable[tuple[str, str]]) -> Iterator[bytes]:
    """Yield the JSON objects of instances, given by Orthanc id and URL, separated by commas.

    Those that are deleted meanwhile are left out. Raises ArchiveError.
    """
    separator = b""
    reading: deque[tuple[Callable[[], bytes], Future[bytes]]] = deque()
    try:
        for orthanc_id, url in instances:
            read = partial(_instance, client, orthanc_id, url)
            reading.append((read, FILE_TAGS.submit(read)))
            if len(reading) > AT_A_TIME:
                for text in _result(*reading.popleft()):
                    yield separator + text
                    separator = b","
        while reading:
            for text in _result(*reading.popleft()):
                yield separator + text
                separator = b","
    finally:
        for _, future in reading:
            future.cancel()


def checked(attachment: bytes) -> bytes:
    """Return an attachment that can be read to its end. Raises MalformedMetadata."""
    for _ in inflated(attachment, CHUNK_BYTES):
        pass
    return attachment


def attached_metadata(attachment: bytes, root: bytes) -> Iterator[bytes]:
    """Yield the JSON objects of an attachment of the plugin, separated by commas, in chunks.

    Raises MalformedMetadata.
    """
    rest = b""
    for chunk in inflated(attachment, CHUNK_BYTES):
        rest += chunk
        # no placeholder is divided there
        whole = rest.rfind(b"{")
        if whole > 0:
            yield rest[:whole].lstrip(b"[ \r\n").replace(PLACEHOLDER, root)
            rest = rest[whole:]
    yield rest.rstrip(b"] \r\n").replace(PLACEHOLDER, root)


def _instance(client: OrthancClient, orthanc_id: str, url: str) -> bytes:
    with closing(client.open(endpoints.INSTANCE_JSON, accept=MEDIA_TYPE, id=orthanc_id)) as body:
        text = b"".join(_without_binary_values(body))
    try:
        attributes = orjson.loads(text)
        if attributes.keys() >= _IMAGE and attributes.keys().isdisjoint({PIXEL_DATA, *_OTHER_PIXELS}):
            attributes = dict(sorted({**attributes, PIXEL_DATA: {"vr": "OB", "InlineBinary": ""}}.items()))
        _refer(attributes, f"{url}/bulkdata")
    except (orjson.JSONDecodeError, AttributeError, TypeError) as error:
        raise ArchiveProtocolError from error
    return orjson.dumps(attributes)


def _without_binary_values(chunks: Iterable[bytes]) -> Iterator[bytes]:
    """Yield DICOM JSON with its binary values emptied: Orthanc sends all of them, and files have gigabytes."""
    rest = b""
    for chunk in chunks:
        # the value `true`, which DICOM has not, tells that numbers are left out
        rest = _NUMBERS.sub(b"[true,", _INLINE_BINARY.sub(rb"\1", rest + chunk))
        # where the next chunk may continue a key or a value
        begun = rest.rfind(b"[", -_MAX_NUMBERS_BYTES)
        end = max(0, min(len(rest) - _MAX_KEY_BYTES, begun if begun >= 0 else len(rest)))
        yield rest[:end]
        rest = rest[end:]
    yield rest


def _refer(attributes: dict[str, dict[str, Any]], url: str) -> None:
    """Replace binary values by their URLs. Raises LimitExceeded."""
    for tag, element in attributes.items():
        # Orthanc has numbers for OW
        if "InlineBinary" in element or ("Value" in element and element["vr"] in _BINARY_VRS):
            element.pop("InlineBinary", None)
            element.pop("Value", None)
            element["BulkDataURI"] = f"{url}/{tag}"
        elif element["vr"] == "SQ":
            for number, item in enumerate(element.get("Value", ()), 1):
                _refer(item, f"{url}/{tag}/{number}")
        elif next(iter(element.get("Value", ())), None) is True:
            raise LimitExceeded("An attribute of an instance has too many values. Retrieve the file instead.")


def _result(read: Callable[[], bytes], future: "Future[bytes]") -> Iterator[bytes]:
    with suppress(NotFound):
        # where all threads are busy, this one reads it
        yield read() if future.cancel() else future.result()
