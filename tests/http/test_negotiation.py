"""The media type of a response."""

import pytest
from django.test import RequestFactory

from orthancproxy.http.negotiation import preferred


@pytest.mark.parametrize(
    ("accept", "expected"),
    [
        (None, "image/png"),
        ("", "image/png"),
        ("*/*", "image/png"),
        ("image/jpeg", "image/jpeg"),
        ("image/*;q=0.5, image/jpeg", "image/jpeg"),
        ("image/jpeg;q=0.5, image/png", "image/png"),
        ("image/png;q=0, image/jpeg;q=0.1", "image/jpeg"),
        ("application/json", "image/png"),
        ("image/jpeg; q*=x''1", "image/png"),
        ("nonsense", "image/png"),
    ],
)
def test_is_the_one_that_accept_prefers_and_else_the_first(accept: str | None, expected: str) -> None:
    request = RequestFactory().get("/", headers={} if accept is None else {"accept": accept})
    assert preferred(request, ("image/png", "image/jpeg")) == expected
