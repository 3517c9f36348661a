"""The headers that pages of other origins may send."""

import subprocess
import sys

import pytest
from django.conf import settings

SENT = [
    *("apollo-require-preflight", "apollographql-client-name", "apollographql-client-version"),
    *("traceparent", "tracestate", "baggage", "sentry-trace"),
]


@pytest.mark.parametrize("header", SENT)
def test_headers_of_apollo_client_and_tracing_pass_the_preflight(header: str) -> None:
    assert header in settings.CORS_ALLOW_HEADERS


def test_further_headers_are_a_setting() -> None:
    code = "from orthancproxy.project import settings; print(settings.CORS_ALLOW_HEADERS[-2:])"
    variables = {
        "ORTHANC_CORS_HEADERS": "X-Tenant, x-version",
        "DJANGO_SECRET_KEY": "x",
        "DATABASE_URL": "sqlite://:memory:",
    }
    result = subprocess.run([sys.executable, "-c", code], env=variables, capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "['x-tenant', 'x-version']"
