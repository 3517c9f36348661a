"""OpenTelemetry's environment variables, read without it: it takes time to import, and need not be installed."""

import os
from collections.abc import Mapping

_ENDPOINTS = ("OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT")


def is_traced(variables: Mapping[str, str] = os.environ) -> bool:
    """Return whether these variables name a receiver of traces, and do not turn them off."""
    return (
        any(variables.get(name) for name in _ENDPOINTS)
        and variables.get("OTEL_SDK_DISABLED", "").lower() != "true"
        and variables.get("OTEL_TRACES_EXPORTER", "otlp") == "otlp"
    )
