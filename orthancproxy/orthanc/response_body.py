"""The body of an answer, read piece by piece, so that a file of any size takes the same memory."""

import threading
from collections.abc import Callable, Iterator
from contextlib import suppress

import requests
from urllib3.exceptions import ReadTimeoutError

from orthancproxy.errors import ArchiveError

CHUNK_BYTES = 512 * 1024  # bytes


class ResponseBody(Iterator[bytes]):
    """An iterator over the pieces of a body, which ends Orthanc's side when it is closed early.

    `length` is in bytes, None where Orthanc does not tell it (a ZIP archive that it makes meanwhile). One thread reads;
    any thread may close, also while another one waits for the next piece. Reading raises ArchiveError.
    """

    def __init__(self, response: requests.Response, translate: Callable[[Exception], ArchiveError]) -> None:
        self._response = response
        self._translate = translate
        self._pieces: Iterator[bytes] = response.iter_content(CHUNK_BYTES)
        self._reading = threading.Lock()
        self._closed = False
        length = response.headers.get("Content-Length", "")
        encoded = "Content-Encoding" in response.headers
        self.length = int(length) if length.isdecimal() and not encoded else None

    def __next__(self) -> bytes:
        with self._reading:
            try:
                if not self._closed:
                    return next(self._pieces)
            except (requests.RequestException, OSError) as error:
                # a reader that is woken up by close() sees a broken connection, which is none
                if not self._closed:
                    self._finish()
                    raise self._translate(error) from error
            except StopIteration:
                self._finish()
        raise StopIteration

    def close(self) -> None:
        """End the transfer. What was not read is never read: the connection is closed with it."""
        self._closed = True
        with suppress(ValueError, RuntimeError, OSError):
            # wakes up a thread that waits for the next piece
            self._response.raw.shutdown()
        with self._reading:
            self._response.close()

    def _finish(self) -> None:
        self._closed = True
        self._response.close()


def timed_out(error: Exception) -> bool:
    """Whether Orthanc was too slow: requests calls it a broken connection when that happens within a body."""
    return isinstance(error, requests.Timeout | ReadTimeoutError) or (
        isinstance(error, requests.ConnectionError)
        and any(isinstance(reason, ReadTimeoutError) for reason in error.args)
    )
