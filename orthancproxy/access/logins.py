"""What the audit gets of logins: what Django's signals tell."""

from collections.abc import Mapping
from typing import Any

from django.contrib.auth.signals import user_logged_in, user_logged_out, user_login_failed
from django.dispatch import receiver
from django.http import HttpRequest

from orthancproxy import audit
from orthancproxy.access.authentication import author
from orthancproxy.access.callers import Authentication, Caller
from orthancproxy.models import AuditEvent


@receiver(user_logged_in)
def _logged_in(request: HttpRequest | None, user: Any, **_: Any) -> None:
    _write(request, AuditEvent.Event.LOGIN, AuditEvent.Outcome.SUCCESS, user.get_username())


@receiver(user_logged_out)
def _logged_out(request: HttpRequest | None, user: Any, **_: Any) -> None:
    if user is not None:
        _write(request, AuditEvent.Event.LOGOUT, AuditEvent.Outcome.SUCCESS, user.get_username())


@receiver(user_login_failed)
def _login_failed(credentials: Mapping[str, Any], request: HttpRequest | None = None, **_: Any) -> None:
    _write(request, AuditEvent.Event.LOGIN, AuditEvent.Outcome.FAILED, str(credentials.get("username") or ""))


def _write(request: HttpRequest | None, event: AuditEvent.Event, outcome: AuditEvent.Outcome, username: str) -> None:
    # without a request, it is a program of this project that asks
    caller = Caller(username, authentication=Authentication.SESSION)
    who = author(request, caller) if request is not None else audit.Author(username, Authentication.SESSION)
    operation = f"{request.method} {request.path}" if request is not None else "login"
    code = "UNAUTHENTICATED" if outcome is AuditEvent.Outcome.FAILED else ""
    audit.write(who, event, operation, outcome, error_code=code)
