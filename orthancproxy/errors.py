"""Everything that can go wrong, as one tree. The transports map it once each; nothing here knows HTTP.

    GatewayError
    ├── NotAuthenticated          who is asking is not known
    ├── PermissionDenied          known, but may not do this
    ├── NotFound                  there is no such thing, or the caller may not know of it
    ├── InvalidRequest            the request itself is wrong: sending it again is useless
    │   ├── InvalidDicom          a file or a value is not what DICOM allows
    │   │   ├── EmptyFile         there is nothing in the file
    │   │   ├── NotDicom          it is a file of another kind
    │   │   ├── UnreadableDicom   it breaks off, or is malformed
    │   │   └── UnsafeDicom       it is built to do harm, or looks as if
    │   └── NotRenderable         the instance has no picture that Orthanc can make
    ├── LimitExceeded             more than the gateway is set to do for one request
    ├── GatewayUnavailable        the gateway's own database does not do its part: worth a retry
    └── ArchiveError              Orthanc did not do its part
        ├── ArchiveUnavailable    it can't be reached, or is busy: worth a retry
        │   └── ArchiveTimeout    it did not answer in time
        ├── ArchiveRejected       it answered, and refused
        └── ArchiveProtocolError  what it answered is not what Orthanc answers

A message is written for the person who made the request: it never holds Orthanc's address, credentials or patient
data that the caller did not send.
"""

from collections.abc import Mapping
from typing import Any, ClassVar, TypeVar

T = TypeVar("T")


class GatewayError(Exception):
    """Base of every error that the gateway raises on purpose. `code` is what programs tell them apart by."""

    code: ClassVar[str]

    @property
    def message(self) -> str:
        """The text for the caller, one sentence."""
        return str(self)


class NotAuthenticated(GatewayError):
    """Who is asking is not known."""

    code = "UNAUTHENTICATED"


class PermissionDenied(GatewayError):
    """The caller is known, but may not do this."""

    code = "FORBIDDEN"


class NotFound(GatewayError):
    """There is no such thing, or the caller may not know of it."""

    code = "NOT_FOUND"


class InvalidRequest(GatewayError):
    """The request itself is wrong: sending it again is useless."""

    code = "BAD_USER_INPUT"


class InvalidDicom(InvalidRequest):
    """A file or a value is not what DICOM allows."""


class EmptyFile(InvalidDicom):
    """There is nothing in the file."""


class NotDicom(InvalidDicom):
    """The file is of another kind."""


class UnreadableDicom(InvalidDicom):
    """The file breaks off, or is malformed."""


class UnsafeDicom(InvalidDicom):
    """The file is built to do harm, or looks as if."""


class NotRenderable(InvalidRequest):
    """The instance has no picture that Orthanc can make."""

    code = "NOT_RENDERABLE"


class LimitExceeded(GatewayError):
    """More than the gateway is set to do for one request."""

    code = "LIMIT_EXCEEDED"


class GatewayUnavailable(GatewayError):
    """The gateway's own database does not do its part: worth a retry."""

    code = "GATEWAY_UNAVAILABLE"


class ArchiveError(GatewayError):
    """Orthanc did not do its part."""

    code = "ARCHIVE_ERROR"


class ArchiveUnavailable(ArchiveError):
    """Orthanc can't be reached, or is busy: worth a retry."""

    code = "ARCHIVE_UNAVAILABLE"


class ArchiveTimeout(ArchiveUnavailable):
    """Orthanc did not answer in time."""


class ArchiveRejected(ArchiveError):
    """Orthanc answered, and refused."""


class ArchiveProtocolError(ArchiveError):
    """What Orthanc answered is not what Orthanc answers."""


def nearest(mapping: Mapping[Any, T], error: BaseException) -> T | None:
    """Return the value for the class of `error` or for its nearest base class in `mapping`, None without one."""
    return next((mapping[kind] for kind in type(error).__mro__ if kind in mapping), None)
