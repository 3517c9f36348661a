"""What the gateway logs meanwhile, as its operator reads it."""

import io
import json
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from structlog.stdlib import ProcessorFormatter

from orthancproxy.logs import logging_config


@contextmanager
def logged() -> Iterator[list[dict[str, Any]]]:
    """Yield the list that gets the log's lines, parsed, at the end of the block."""
    arguments = dict(logging_config("json")["formatters"]["structured"])
    arguments.pop("()")
    handler = logging.StreamHandler(io.StringIO())
    handler.setFormatter(ProcessorFormatter(**arguments))
    logging.getLogger().addHandler(handler)
    lines: list[dict[str, Any]] = []
    try:
        yield lines
    finally:
        logging.getLogger().removeHandler(handler)
        lines += map(json.loads, handler.stream.getvalue().splitlines())
