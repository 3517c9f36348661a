"""Every failure is JSON in the contract's form, with its status, and tells nothing of Orthanc or of the code."""

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler
from typing import Any, TypeVar

import pytest
from django.test import Client
from django.urls import path
from pytest_django import Settings
from rest_framework import exceptions
from rest_framework.request import Request
from rest_framework.response import Response

from orthancproxy import errors
from orthancproxy.errors import ArchiveTimeout, ArchiveUnavailable
from orthancproxy.http.error_responses import STATUSES
from orthancproxy.rest.errors import FRAMEWORK_ANSWERS, exception_handler
from orthancproxy.rest.views import GatewayView
from orthancproxy.sandbox.orthanc import LocalOrthanc, free_port
from tests.conftest import UseOrthanc
from tests.log_capture import logged
from tests.rest.conftest import INSTANCE, SERIES, FalseOrthanc, send

T = TypeVar("T")


class FailingView(GatewayView):
    error: type[Exception] = RuntimeError

    def get(self, request: Request) -> Response:
        raise self.error("What went wrong.")


KINDS = {kind.__name__: kind for kind in (*STATUSES, RuntimeError)}
urlpatterns = [path(name, FailingView.as_view(error=kind)) for name, kind in KINDS.items()]

ROUTES = (
    "patients/",
    "studies/?patient_id=P001",
    "series/?study_id=1.2.3",
    "instances/?series_id=1.2.3",
    f"instances/{INSTANCE}/file/",
    f"instances/{INSTANCE}/preview/",
    f"instances/{INSTANCE}/thumbnail/",
    f"series/{SERIES}/archive/",
)


def get(route: str) -> Any:
    return Client().get(f"/api/orthanc/{route}")


def subclasses(kind: type[T]) -> Iterator[type[T]]:
    found: list[type[T]] = kind.__subclasses__()
    for subclass in found:
        yield subclass
        yield from subclasses(subclass)


class TestMapping:
    def test_every_gateway_error_has_a_status(self) -> None:
        declared = {kind for kind in subclasses(errors.GatewayError) if kind.__module__ == errors.__name__}
        assert declared
        assert not [kind for kind in declared if STATUSES.keys().isdisjoint(kind.__mro__) or not kind.code]

    def test_every_framework_error_has_a_status_and_code(self) -> None:
        declared = {kind for kind in subclasses(exceptions.APIException) if kind.__module__ == exceptions.__name__}
        assert set(FRAMEWORK_ANSWERS) == declared

    @pytest.mark.parametrize("kind", STATUSES)
    def test_gateway_error_is_answered_with_its_message_and_code(
        self, kind: type[errors.GatewayError], settings: Settings
    ) -> None:
        settings.ROOT_URLCONF = __name__
        response = Client().get(f"/{kind.__name__}")
        assert response.status_code == STATUSES[kind]
        assert response.json() == {"detail": "What went wrong.", "code": kind.code}
        assert ("Retry-After" in response) == (response.status_code == 503)

    @pytest.mark.parametrize(("wait", "seconds"), [(2.5, "3"), (None, None)])
    def test_a_throttled_request_is_told_how_long_to_wait(self, wait: float | None, seconds: str | None) -> None:
        response = exception_handler(exceptions.Throttled(wait), {})
        assert (response.status_code, response.get("Retry-After")) == (429, seconds)

    def test_unexpected_error_is_masked_and_logged(self, settings: Settings, caplog: pytest.LogCaptureFixture) -> None:
        settings.ROOT_URLCONF = __name__
        response = Client().get("/RuntimeError", headers={"X-Request-ID": "abc"})
        assert response.status_code == 500
        assert response.json() == {
            "detail": "The gateway failed. Its log has the details.",
            "code": "INTERNAL",
            "requestId": "abc",
        }
        assert "What went wrong." in caplog.text

    @pytest.mark.parametrize("method", ["post", "put", "patch", "delete", "options"])
    def test_other_methods_are_rejected(self, method: str) -> None:
        response = getattr(Client(), method)("/api/orthanc/patients/")
        assert (response.status_code, response.json()["code"]) == (405, "METHOD_NOT_ALLOWED")
        assert response["Allow"] == "GET, HEAD"

    @pytest.mark.parametrize("address", ["nothing/", "patients/x/y/z", "instances/"])
    def test_unknown_url_is_answered_in_json(self, address: str) -> None:
        response = get(address)
        assert response.status_code == (400 if address == "instances/" else 404)
        assert set(response.json()) == {"detail", "code"}


@pytest.mark.parametrize("route", ROUTES)
class TestFailingOrthanc:
    def test_unreachable(self, route: str, settings: Settings) -> None:
        settings.ORTHANC_BASE_URL = f"http://127.0.0.1:{free_port()}"
        self._check(get(route), 503, "ARCHIVE_UNAVAILABLE", settings.ORTHANC_BASE_URL)

    def test_slower_than_the_timeout(self, route: str, settings: Settings, false_orthanc: FalseOrthanc) -> None:
        is_answered = threading.Event()
        false_orthanc.answers["/system"] = lambda _: is_answered.wait(10)
        settings.ORTHANC_BASE_URL = false_orthanc.base_url
        settings.ORTHANC_READ_TIMEOUT = 0.2
        response = get(route)
        is_answered.set()
        self._check(response, 504, "ARCHIVE_UNAVAILABLE", settings.ORTHANC_BASE_URL)

    @pytest.mark.parametrize("garbage", [b"", b"hello", b"[]", b'"x"', b"<html></html>", b"\xff\xfe"])
    def test_response_of_garbage(
        self, route: str, garbage: bytes, settings: Settings, false_orthanc: FalseOrthanc
    ) -> None:
        false_orthanc.answers["/system"] = lambda handler: send(handler, garbage)
        settings.ORTHANC_BASE_URL = false_orthanc.base_url
        self._check(get(route), 502, "ARCHIVE_ERROR", settings.ORTHANC_BASE_URL)

    def test_response_that_is_not_http(self, route: str, settings: Settings, false_orthanc: FalseOrthanc) -> None:
        false_orthanc.answers["/system"] = lambda handler: handler.wfile.write(b"hello\r\n\r\n")
        settings.ORTHANC_BASE_URL = false_orthanc.base_url
        self._check(get(route), None, None, settings.ORTHANC_BASE_URL)

    def test_busy(self, route: str, settings: Settings, false_orthanc: FalseOrthanc) -> None:
        false_orthanc.answers["/system"] = lambda handler: send(handler, b"", status=503)
        settings.ORTHANC_BASE_URL = false_orthanc.base_url
        self._check(get(route), 503, "ARCHIVE_UNAVAILABLE", settings.ORTHANC_BASE_URL)

    def _check(self, response: Any, status: int | None, code: str | None, base_url: str) -> None:
        body = response.json()
        if status is None:
            assert response.status_code in (502, 503)
        else:
            assert (response.status_code, body["code"]) == (status, code)
        assert set(body) == {"detail", "code"}
        assert ("Retry-After" in response) == (response.status_code == 503)
        assert base_url not in response.content.decode()
        assert base_url.rpartition(":")[2] not in response.content.decode()


class TestFailingTransfer:
    """An answer that began as 200 can only break off; it must not look whole."""

    @pytest.fixture(autouse=True)
    def _archive(self, settings: Settings, false_orthanc: FalseOrthanc) -> None:
        settings.ORTHANC_BASE_URL = false_orthanc.base_url

    def test_truncated_file_is_an_error(self, false_orthanc: FalseOrthanc) -> None:
        def broken(handler: BaseHTTPRequestHandler) -> None:
            send(handler, b"part", length=1000)
            handler.close_connection = True

        false_orthanc.answers[f"/instances/{INSTANCE}/file"] = broken
        response = get(f"instances/{INSTANCE}/file/")
        with pytest.raises(ArchiveUnavailable):
            response.getvalue()

    def test_stalled_file_is_a_timeout(self, false_orthanc: FalseOrthanc, settings: Settings) -> None:
        # also of the calls before
        settings.ORTHANC_READ_TIMEOUT = 2.0
        is_read = threading.Event()

        def stopped(handler: BaseHTTPRequestHandler) -> None:
            send(handler, b"part", length=1000)
            is_read.wait(10)

        false_orthanc.answers[f"/instances/{INSTANCE}/file"] = stopped
        response = get(f"instances/{INSTANCE}/file/")
        with pytest.raises(ArchiveTimeout):
            response.getvalue()
        is_read.set()

    @pytest.mark.parametrize("body", [b"", b"PK\x03\x04 and no end", b"PK\x05\x06" + bytes(17)])
    def test_truncated_zip_is_an_error(self, false_orthanc: FalseOrthanc, body: bytes) -> None:
        def broken(handler: BaseHTTPRequestHandler) -> None:
            handler.send_response(200)
            handler.end_headers()
            handler.wfile.write(body)
            handler.close_connection = True

        false_orthanc.answers[f"/series/{SERIES}/archive"] = broken
        response = get(f"series/{SERIES}/archive/")
        with pytest.raises(ArchiveUnavailable):
            response.getvalue()


def test_log_has_the_cause_of_an_orthanc_failure_without_its_url(settings: Settings) -> None:
    settings.ORTHANC_BASE_URL = f"http://127.0.0.1:{free_port()}"
    with logged() as lines:
        Client().get("/api/orthanc/patients/", headers={"X-Request-ID": "abc"})
    [line] = [line for line in lines if line["event"] == "archive failed"]
    assert line["level"] == "warning"
    assert (line["request_id"], line["code"]) == ("abc", "ARCHIVE_UNAVAILABLE")
    assert line["cause"].endswith("ConnectionRefusedError")
    # but that of the client
    assert "127.0.0.1" not in json.dumps([{**line, "address": ""} for line in lines])


def test_caller_errors_are_not_logged() -> None:
    with logged() as lines:
        assert get("studies/").status_code == 400
    assert [line["event"] for line in lines] == ["request"]


@pytest.mark.live
def test_gateway_recovers_when_orthanc_restarts(use_orthanc: UseOrthanc) -> None:
    with LocalOrthanc() as orthanc:
        use_orthanc(orthanc)
        assert get("patients/").status_code == 200
        orthanc.kill()
        assert get("patients/").status_code == 503
        orthanc.start()
        assert get("patients/").status_code == 200
