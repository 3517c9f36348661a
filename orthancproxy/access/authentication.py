"""Authentication for all transports: sessions, OpenID Connect, API tokens, signed URLs and share links."""

import time

from django.conf import settings
from django.http import HttpRequest, HttpResponse, QueryDict
from django.middleware.csrf import CsrfViewMiddleware
from knox.crypto import hash_token

from orthancproxy.access import oidc, share_links, signed_urls
from orthancproxy.access.actions import Action
from orthancproxy.access.api_tokens import caller_of_api_token
from orthancproxy.access.callers import Caller, anonymous, caller_of_identity, caller_of_user
from orthancproxy.audit import events
from orthancproxy.audit.kinds import AuditOutcome, Authentication, EventKind
from orthancproxy.conf import conf
from orthancproxy.errors import CSRFFailed, GatewayError, NotAuthenticated, PermissionDenied
from orthancproxy.request_record import note_caller

SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS", "TRACE"})


def authenticate(request: HttpRequest, *, takes_signed_urls: bool = False) -> Caller:
    """Return the caller of a request; it may query the database.

    A signed URL counts instead of all other credentials if the route `takes_signed_urls`. Raises NotAuthenticated for
    an invalid token or signed URL, and PermissionDenied for a request that another site may have forged. Both are
    audited.
    """
    started = time.perf_counter()
    caller = Caller()
    try:
        is_signed = takes_signed_urls and signed_urls.is_signed(request)
        caller = signed_urls.caller_of(request) if is_signed else identify(request)
        note_caller(caller.username)
        _check_forgery(request, caller)
    except GatewayError as error:
        is_forged = isinstance(error, PermissionDenied)
        outcome = AuditOutcome.DENIED if is_forged else AuditOutcome.FAILED
        record(request, caller, EventKind.LOGIN, outcome, error.code, time.perf_counter() - started)
        raise
    return caller


def record(
    request: HttpRequest,
    caller: Caller,
    event: EventKind,
    outcome: AuditOutcome,
    error_code: str = "",
    duration: float = 0.0,
) -> None:
    """Write an audit event for a request that is not an operation, such as a login; `duration` is in seconds."""
    operation = f"{request.method} {request.path}"
    events.write(author(request, caller), event, operation, outcome, error_code=error_code, duration=duration)


def author(request: HttpRequest, caller: Caller) -> events.Author:
    """Return the author of the request's audit events."""
    return events.Author(
        username=caller.username,
        authentication=caller.authentication,
        # empty on a Unix socket; PostgreSQL rejects the zone of an IPv6 address
        address=request.META.get("REMOTE_ADDR", "").partition("%")[0] or None,
        request_id=getattr(request, "request_id", ""),
    )


def identify(request: HttpRequest) -> Caller:
    """Return the caller that the credentials of a request name. Raises NotAuthenticated. Not audited."""
    header = request.headers.get("Authorization")
    if header is not None:
        scheme, _, token = header.partition(" ")
        if scheme.lower() != "bearer" or not token:
            raise NotAuthenticated("The Authorization header must have the form “Bearer <token>”.")
        return _bearer(token.strip())
    user = getattr(request, "user", None)
    if user is not None and user.is_authenticated:
        return caller_of_user(user, Authentication.SESSION)
    return share_links.caller_of(request) or anonymous()


def has_permission(request: HttpRequest, action: Action) -> bool:
    """Whether the caller of a request has a permission, for pages that otherwise lead to the login. Not audited."""
    try:
        return action in identify(request).actions
    except GatewayError:
        return False


def _bearer(token: str) -> Caller:
    """Return the caller that a token identifies: an access token contains dots (RFC 7519), an API token does not."""
    if "." in token:
        if not oidc.is_configured():
            raise NotAuthenticated("This gateway does not accept tokens of an OpenID Connect provider.")
        return caller_of_identity(oidc.verify(token))
    return caller_of_api_token(hash_token(token))


def _check_forgery(request: HttpRequest, caller: Caller) -> None:
    """Raise PermissionDenied for a possible cross-site request forgery; a request with a token is never one."""
    if request.method in SAFE_METHODS:
        return
    if caller.authentication == Authentication.SESSION:
        _check_csrf_token(request)
    elif caller.authentication in (Authentication.NONE, Authentication.SHARE_LINK):
        _check_origin(request)


def _check_csrf_token(request: HttpRequest) -> None:
    """Raise CSRFFailed unless a request with a session has its CSRF token in `X-CSRFToken`.

    The token is not read from a form, which may be gigabytes long.
    """
    request.POST = QueryDict()
    check = CsrfViewMiddleware(lambda _: HttpResponse())
    check.process_request(request)
    rejection = check.process_view(request, lambda _: HttpResponse(), (), {})
    del request._post  # type: ignore[attr-defined]
    if rejection is not None:
        raise CSRFFailed


def _check_origin(request: HttpRequest) -> None:
    """Raise PermissionDenied for a request from a page of another origin.

    The page runs in a browser, which may reach a gateway that is hidden from the page's server. Browsers send the
    origin (RFC 6454) with every request that may change something; other clients need not.
    """
    origin = request.headers.get("Origin")
    if origin is None:
        return
    own = f"{request.scheme}://{request.get_host()}"
    trusted = {own, *conf.ORTHANC_CORS_ORIGINS, *settings.CSRF_TRUSTED_ORIGINS}
    if origin not in trusted:
        raise PermissionDenied("Requests from pages of other origins are not allowed.")
