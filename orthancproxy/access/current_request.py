"""The request that is being answered, for what Django announces without one."""

from contextvars import ContextVar

from django.http import HttpRequest

current_request: ContextVar[HttpRequest | None] = ContextVar("current_request", default=None)
"""Set by `http.request_log`, which is imported before the settings: this module imports no models."""
