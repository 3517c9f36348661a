"""Without the bundle, the page says how to build it, and the endpoint works."""

import re

import pytest
from django.contrib.staticfiles import finders
from django.test import Client

PAGES = ["/graphql/", "/graphql"]
# those whose bundle may be missing
BUILT = [*PAGES, "/studies/x"]


@pytest.fixture
def missing_bundle(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody has run `make web`."""
    monkeypatch.setattr(finders, "find", lambda path: None)


@pytest.mark.usefixtures("missing_bundle")
@pytest.mark.parametrize("path", BUILT)
def test_page_without_the_bundle_says_how_to_build_it(path: str) -> None:
    response = Client().get(path, headers={"accept": "text/html"})
    assert response.status_code == 200
    assert response["Content-Type"].startswith("text/html")
    text = response.content.decode()
    assert "make web" in text
    assert "Node.js 20.19" in text
    assert "<script" not in text
    # what its policy lets the browser apply
    [nonce] = re.findall(r'<style nonce="([^"]+)">', text)
    assert f"style-src 'nonce-{nonce}'" in response["Content-Security-Policy"]


@pytest.mark.usefixtures("missing_bundle")
def test_graphql_endpoint_works_without_the_bundle() -> None:
    response = Client().post("/graphql/", {"query": "{ __typename }"}, content_type="application/json")
    assert response.json() == {"data": {"__typename": "Query"}}


@pytest.mark.parametrize("path", PAGES)
def test_page_with_the_bundle_loads_nothing_from_other_hosts(path: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(finders, "find", lambda path: f"/somewhere/{path}")
    response = Client().get(path, headers={"accept": "text/html"})
    text = response.content.decode()
    assert f'data-endpoint="{path}"' in text
    addresses = re.findall(r'(?:src|href)="([^"]*)"', text)
    assert addresses
    assert all(address.startswith(("/static/", "data:")) for address in addresses)
    assert "script-src 'self'" in response["Content-Security-Policy"]
