"""The configuration of the log, and what it says of failures of Orthanc and the database.

No line holds a query parameter, a header or a body, since patient data may be in them. Our modules log with the
standard library (`logger.info("event", extra={...})`), so that the app fits into any project's logging.
"""

import logging
import re
import sys
from typing import Any

import structlog
from structlog.contextvars import merge_contextvars
from structlog.typing import EventDict, WrappedLogger

from orthancproxy.errors import ArchiveError, GatewayUnavailable

logger = logging.getLogger(__name__)

LOG_FORMATS = ("json", "console")
_STEERING = re.compile("[\x00-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069]")

# what Django, its database layer and uvicorn attach to records: objects, SQL with its values, colours
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
            # the request's own line says it
            "django.server": {"handlers": [], "level": "CRITICAL", "propagate": True},
            # it quotes the files that it reads
            "pydicom": {"handlers": [], "level": "CRITICAL", "propagate": False},
            "uvicorn": {"handlers": [], "level": "INFO", "propagate": True},
            "uvicorn.access": {"handlers": [], "level": "CRITICAL", "propagate": False},
        },
    }


class FailuresOnly(logging.Filter):
    """Passes what has a traceback: of an answer's status, the request's own line tells already."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Return whether the record is about an exception."""
        return bool(record.exc_info)


def log_archive_failure(error: Exception, code: str) -> None:
    """Log why Orthanc or the database did not do its part; nothing of other errors, which are the caller's own.

    Of Orthanc only the names of classes, the outermost first: the texts hold its address.
    """
    if isinstance(error, GatewayUnavailable):
        # the database's own words, such as that it is locked
        logger.warning("gateway unavailable", extra={"code": code, "cause": str(error.__cause__)})
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
    """Show what would steer a terminal, or turn its text around, as JSON would show it."""
    for key, value in event.items():
        if isinstance(value, str):
            event[key] = _STEERING.sub(lambda found: f"\\u{ord(found.group()):04x}", value)
    return event


def _drop_unlogged(logger: WrappedLogger, name: str, event: EventDict) -> EventDict:
    for key in UNLOGGED:
        event.pop(key, None)
    return event
