"""An outage of Orthanc while files are stored."""

import threading

from orthancproxy.errors import ArchiveUnavailable, GatewayError
from orthancproxy.logs import log_archive_failure
from orthancproxy.orthanc.client import OrthancClient


class Outage:
    """Whether Orthanc has stopped answering, so that the remaining files do not wait for it one by one."""

    def __init__(self, client: OrthancClient) -> None:
        self._client = client
        self._is_down = threading.Event()

    def check(self) -> None:
        """Raise ArchiveUnavailable if Orthanc does not answer any more."""
        if self._is_down.is_set():
            raise ArchiveUnavailable("Orthanc cannot be reached.")

    def learn(self, error: GatewayError) -> None:
        """Find out whether an error is of an outage, and log it."""
        if not isinstance(error, ArchiveUnavailable) or self._is_down.is_set():
            return
        try:
            self._client.ping()
        except GatewayError:
            self._is_down.set()
            log_archive_failure(error, error.code)
