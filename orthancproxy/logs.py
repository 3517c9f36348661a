"""The logging configuration, and log lines for failures of Orthanc and the database.

No line has a query parameter, a header or a body, since they may hold patient data. Modules log with the standard
library (`logger.info("event", extra={...})`), so that the app works with any project's logging.
"""

import logging
import re
import sys
import tempfile
import threading
from types import TracebackType
from typing import Any

import structlog
from structlog.contextvars import merge_contextvars
from structlog.typing import EventDict, WrappedLogger

from orthancproxy.errors import ArchiveError, GatewayUnavailable, InsufficientStorage

logger = logging.getLogger(__name__)

LOG_FORMATS = ("json", "console")
_CONTROL_CHARACTERS = re.compile("[\x00-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069]")

# the token of a share link, in a path; no id of Orthanc's and no UID looks like it
_TOKENS = re.compile(r"/[A-Za-z0-9_-]{43}(?![A-Za-z0-9_.-])")

# attributes of log records by Django, its database layer and uvicorn: objects, SQL with its values, colours
UNLOGGED = ("request", "status_code", "server_time", "sql", "params", "alias", "duration", "color_message")


def logging_config(log_format: str) -> dict[str, Any]:
    """Return Django's LOGGING for lines on standard error: `console`, or (anything else) JSON."""
    renderer: list[structlog.typing.Processor]
    if log_format == "console":
        # structlog's default prints the local variables of each frame where `rich` is installed: patient data
        plain = structlog.dev.plain_traceback
        renderer = [_escape, structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty(), exception_formatter=plain)]
    else:
        renderer = [structlog.processors.format_exc_info, structlog.processors.JSONRenderer()]
    return {
        "version": 1,
        "disable_existing_loggers": False,
        "filters": {"failures": {"()": FailuresOnly}},
        "formatters": {
            "structured": {
                "()": structlog.stdlib.ProcessorFormatter,
                "foreign_pre_chain": [
                    merge_contextvars,
                    structlog.stdlib.add_log_level,
                    structlog.stdlib.add_logger_name,
                    structlog.stdlib.ExtraAdder(),
                    _drop_unlogged,
                    _mask_tokens,
                    structlog.processors.TimeStamper(fmt="iso", utc=True),
                ],
                "processors": [structlog.stdlib.ProcessorFormatter.remove_processors_meta, *renderer],
            }
        },
        "handlers": {"stderr": {"class": "logging.StreamHandler", "formatter": "structured"}},
        "root": {"handlers": ["stderr"], "level": "INFO"},
        "loggers": {
            "django": {"handlers": [], "level": "INFO", "propagate": True},
            "django.request": {"filters": ["failures"]},
            # the request log line has the same
            "django.server": {"handlers": [], "level": "CRITICAL", "propagate": True},
            # it quotes the content of files
            "pydicom": {"handlers": [], "level": "CRITICAL", "propagate": False},
            # a line for each attempt to connect: those who wait for the connection report it
            "psycopg.pool": {"handlers": [], "level": "CRITICAL", "propagate": False},
            "uvicorn": {"handlers": [], "level": "INFO", "propagate": True},
            "uvicorn.access": {"handlers": [], "level": "CRITICAL", "propagate": False},
        },
    }


def capture_prints() -> None:
    """Log what Python prints otherwise: warnings, and exceptions that nobody catches."""
    logging.captureWarnings(True)
    sys.excepthook = _log_uncaught
    threading.excepthook = _log_uncaught_of_thread


class FailuresOnly(logging.Filter):
    """Passes records with a traceback: the request log line already has the status."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Return whether the record has an exception."""
        return bool(record.exc_info)


def log_archive_failure(error: Exception, code: str) -> None:
    """Log the cause of an Orthanc or database failure, or that the disk is full.

    Other errors are the caller's, and are not logged.

    For Orthanc, the cause is the names of the exception classes, the outermost first: the messages have its URL.
    """
    if isinstance(error, GatewayUnavailable):
        # the database's message, such as that it is locked
        logger.warning("gateway unavailable", extra={"code": code, "cause": str(error.__cause__ or error)})
    if isinstance(error, InsufficientStorage):
        logger.error("no disk space for an upload", extra={"code": code, "folder": tempfile.gettempdir()})
    if not isinstance(error, ArchiveError):
        return
    causes: list[BaseException] = []
    cause = error.__cause__
    while cause is not None and cause not in causes:
        causes.append(cause)
        cause = cause.__cause__ or cause.__context__
    logger.warning(
        "archive failed",
        extra={
            "code": code,
            "error": type(error).__name__,
            "cause": " from ".join(type(cause).__name__ for cause in causes),
        },
    )


def _escape(logger: WrappedLogger, name: str, event: EventDict) -> EventDict:
    """Escape control characters and those that change the direction of text, as JSON does."""
    for key, value in event.items():
        if isinstance(value, str):
            event[key] = _CONTROL_CHARACTERS.sub(lambda found: f"\\u{ord(found.group()):04x}", value)
    return event


def without_tokens(path: str) -> str:
    """Return a path without the token of a share link, which whoever reads the log could open."""
    return _TOKENS.sub("/…", path)


def _mask_tokens(logger: WrappedLogger, name: str, event: EventDict) -> EventDict:
    """Mask tokens in messages of Django's that quote a path."""
    return {key: without_tokens(value) if isinstance(value, str) else value for key, value in event.items()}


def _drop_unlogged(logger: WrappedLogger, name: str, event: EventDict) -> EventDict:
    for key in UNLOGGED:
        event.pop(key, None)
    return event


def _log_uncaught(kind: type[BaseException], error: BaseException, traceback: TracebackType | None) -> None:
    if issubclass(kind, KeyboardInterrupt):
        sys.__excepthook__(kind, error, traceback)
    else:
        logger.critical("the process ends", exc_info=(kind, error, traceback))


def _log_uncaught_of_thread(failure: threading.ExceptHookArgs) -> None:
    error = failure.exc_value
    # SystemExit ends a thread silently, as `threading` has it
    if error is not None and failure.exc_type is not SystemExit:
        name = failure.thread.name if failure.thread else ""
        exception = (failure.exc_type, error, failure.exc_traceback)
        logger.error("a thread ends", extra={"ended": name}, exc_info=exception)
