"""What the request log line says of a request, noted where it is known. Shared by the threads that answer it."""

from collections.abc import Iterable
from contextvars import ContextVar
from dataclasses import dataclass, field

MAX_NOTES = 20
"""A GraphQL request can have fifty operations: the line names the first of them."""


@dataclass(slots=True)
class RequestRecord:
    """The caller's name, the operations that were carried out, and the codes of errors, without duplicates."""

    username: str = ""
    operations: dict[str, None] = field(default_factory=dict)
    error_codes: dict[str, None] = field(default_factory=dict)


current_record: ContextVar[RequestRecord | None] = ContextVar("current_record", default=None)


def note_caller(username: str) -> None:
    """Note who sent the current request."""
    if record := current_record.get():
        record.username = username


def note_operation(name: str) -> None:
    """Note an operation of the current request, by its name in the audit log."""
    if (record := current_record.get()) and len(record.operations) < MAX_NOTES:
        record.operations[name] = None


def note_errors(codes: Iterable[str]) -> None:
    """Note codes of errors in the response to the current request."""
    if record := current_record.get():
        for code in codes:
            if len(record.error_codes) < MAX_NOTES:
                record.error_codes[code] = None
