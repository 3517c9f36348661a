"""Audits logins and logouts, which Django announces as signals."""

from collections.abc import Mapping
from typing import Any

from django.contrib.auth.signals import user_logged_in, user_logged_out, user_login_failed
from django.dispatch import receiver
from django.http import HttpRequest

from orthancproxy.access.authentication import record
from orthancproxy.access.callers import Caller
from orthancproxy.audit.kinds import AuditOutcome, Authentication, EventKind
from orthancproxy.errors import NotAuthenticated


@receiver(user_logged_in)
def _logged_in(request: HttpRequest | None, user: Any, **_: Any) -> None:
    _write(request, EventKind.LOGIN, AuditOutcome.SUCCESS, user.get_username())


@receiver(user_logged_out)
def _logged_out(request: HttpRequest | None, user: Any, **_: Any) -> None:
    if user is not None:
        _write(request, EventKind.LOGOUT, AuditOutcome.SUCCESS, user.get_username())


@receiver(user_login_failed)
def _login_failed(credentials: Mapping[str, Any], request: HttpRequest | None = None, **_: Any) -> None:
    _write(request, EventKind.LOGIN, AuditOutcome.FAILED, str(credentials.get("username") or ""))


def _write(request: HttpRequest | None, event: EventKind, outcome: AuditOutcome, username: str) -> None:
    # a login without a request is not one of a client
    if request is not None:
        code = NotAuthenticated.code if outcome is AuditOutcome.FAILED else ""
        record(request, Caller(username, authentication=Authentication.SESSION), event, outcome, code)
