"""All errors that the gateway raises on purpose. Each transport maps this tree once; nothing here depends on HTTP.

    GatewayError
    ├── NotAuthenticated          the caller is not authenticated
    ├── PermissionDenied          the caller lacks a permission
    │   └── CSRFFailed            the request lacks the CSRF token of its session
    ├── NotFound                  the resource does not exist, or is hidden from the caller
    ├── InvalidRequest            the request is invalid; retrying is useless
    │   ├── InvalidDicom          a file or a value violates the DICOM standard
    │   │   ├── EmptyFile         the file has no content
    │   │   ├── NotDicom          the file is not a DICOM file
    │   │   ├── UnreadableDicom   the file is truncated or malformed
    │   │   └── UnsafeDicom       the file looks like an attack
    │   ├── Collision             the request needs to be accepted by who makes it
    │   ├── NotRenderable         Orthanc cannot render the instance
    │   ├── NotAcceptable         the response is not available in a media type that Accept names
    │   ├── NotTranscodable       Orthanc cannot convert the instance to a transfer syntax
    │   └── RangeNotSatisfiable   the file has no byte of the requested range
    ├── CursorExpired             the log no longer has all changes after the cursor
    ├── LimitExceeded             the request exceeds a limit of the gateway
    ├── ClientDisconnected        the client has gone away; nobody receives this
    ├── GatewayUnavailable        the gateway is busy, or its database is unavailable; retry later
    ├── InsufficientStorage       the gateway has no disk space left for an upload; retry later
    ├── SourceFailed              another server, which was to be searched, does not answer or rejected the query
    ├── DestinationFailed         another server, which was sent an instance, does not answer or rejected it
    └── ArchiveError              Orthanc failed
        ├── ArchiveUnavailable    Orthanc is unreachable or busy; retry later
        │   └── ArchiveTimeout    Orthanc did not answer in time
        ├── ArchiveRejected       Orthanc rejected the request
        └── ArchiveProtocolError  Orthanc's response is unexpected or malformed

Messages are written for the person who made the request: they contain neither Orthanc's address and credentials nor
patient data that the caller did not send.
"""

from collections.abc import Mapping
from typing import Any, ClassVar, TypeVar

T = TypeVar("T")


class GatewayError(Exception):
    """Base class of all errors that the gateway raises on purpose. Programs tell them apart by `code`."""

    code: ClassVar[str]

    @property
    def message(self) -> str:
        """One sentence for the caller."""
        return str(self)


class NotAuthenticated(GatewayError):
    """The caller is not authenticated."""

    code = "UNAUTHENTICATED"


class PermissionDenied(GatewayError):
    """The caller lacks a permission."""

    code = "FORBIDDEN"


class CSRFFailed(PermissionDenied):
    """The request lacks the CSRF token of its session; with a new token it would be accepted."""

    code = "CSRF_FAILED"

    def __init__(self) -> None:
        super().__init__("The request lacks a valid CSRF token: send that of the cookie `csrftoken` as X-CSRFToken.")


class NotFound(GatewayError):
    """The resource does not exist, or is hidden from the caller."""

    code = "NOT_FOUND"


class InvalidRequest(GatewayError):
    """The request is invalid; retrying is useless."""

    code = "BAD_USER_INPUT"


class InvalidDicom(InvalidRequest):
    """A file or a value violates the DICOM standard."""


class EmptyFile(InvalidDicom):
    """The file has no content."""


class NotDicom(InvalidDicom):
    """The file is not a DICOM file."""


class UnreadableDicom(InvalidDicom):
    """The file is truncated or malformed."""


class UnsafeDicom(InvalidDicom):
    """The file looks like an attack."""


class Collision(InvalidRequest):
    """What is asked for would contradict what else the archive has; it is done if the request says so."""

    code = "COLLISION"


class NotRenderable(InvalidRequest):
    """Orthanc cannot render the instance."""

    code = "NOT_RENDERABLE"


class NotAcceptable(InvalidRequest):
    """The response is not available in a media type that Accept names."""

    code = "NOT_ACCEPTABLE"


class NotTranscodable(InvalidRequest):
    """Orthanc cannot convert the instance to a transfer syntax."""

    code = "NOT_TRANSCODABLE"


class RangeNotSatisfiable(InvalidRequest):
    """The file has no byte of the requested range; `total` is the number of its bytes."""

    code = "RANGE_NOT_SATISFIABLE"

    def __init__(self, message: str, total: int = 0) -> None:
        super().__init__(message)
        self.total = total


class CursorExpired(GatewayError):
    """The log no longer has all changes after the cursor."""

    code = "CURSOR_EXPIRED"

    def __init__(
        self, message: str = "The changes after this cursor are no longer kept: read the archive anew, then continue."
    ) -> None:
        super().__init__(message)


class LimitExceeded(GatewayError):
    """The request exceeds a limit of the gateway."""

    code = "LIMIT_EXCEEDED"


class ClientDisconnected(GatewayError):
    """The client has gone away; nobody receives this, but the audit log has it."""

    code = "CLIENT_DISCONNECTED"


class GatewayUnavailable(GatewayError):
    """The gateway is busy, or its database is unavailable; retry later."""

    code = "GATEWAY_UNAVAILABLE"


class InsufficientStorage(GatewayError):
    """The gateway has no disk space left for an upload; retry later."""

    code = "INSUFFICIENT_STORAGE"

    def __init__(self, message: str = "The gateway has no disk space left for this upload: try again later.") -> None:
        super().__init__(message)


class OtherServerError(Exception):
    """What errors of another server than Orthanc have: `dimse_status` tells why, if that server told it."""

    def __init__(self, message: str, dimse_status: int | None = None) -> None:
        super().__init__(message)
        self.dimse_status = dimse_status


class SourceFailed(OtherServerError, GatewayError):
    """Another server, which was to be searched, or to send something, does not answer or rejected that."""

    code = "SOURCE_FAILED"


class DestinationFailed(OtherServerError, GatewayError):
    """Another server, which was sent an instance, does not answer or rejected it."""

    code = "DESTINATION_FAILED"


class ArchiveError(GatewayError):
    """Orthanc failed; the subclasses say how, where it is known."""

    code = "ARCHIVE_ERROR"


class ArchiveUnavailable(ArchiveError):
    """Orthanc is unreachable or busy; retry later."""

    code = "ARCHIVE_UNAVAILABLE"


class ArchiveTimeout(ArchiveUnavailable):
    """Orthanc did not answer in time."""


class ArchiveRejected(ArchiveError):
    """Orthanc rejected the request."""


class ArchiveProtocolError(ArchiveError):
    """Orthanc's response is unexpected or malformed."""

    def __init__(self, message: str = "Unexpected response from Orthanc.") -> None:
        super().__init__(message)


def nearest(mapping: Mapping[Any, T], error: BaseException) -> T | None:
    """Return the value for the class of `error` or for its nearest base class in `mapping`, None without one."""
    return next((mapping[kind] for kind in type(error).__mro__ if kind in mapping), None)
