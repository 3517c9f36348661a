"""A gateway over the sample studies, and a browser for it."""

from collections.abc import Iterator

import pytest
from django.contrib.staticfiles import finders
from playwright.sync_api import Browser

from orthancproxy.schema.graphiql import BUNDLE
from tests.browser.gateway import serving_samples
from tests.browser.graphiql import GraphiQL, chromium, graphiql_page


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a gateway over the sample studies."""
    assert finders.find(BUNDLE), "GraphiQL is not built: run `make web`, with Node 20.19 or newer"
    with serving_samples(tmp_path_factory.mktemp("gateway")) as address:
        yield address


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """A browser that ends with the module: other modules' tests need a thread without its event loop."""
    with chromium() as browser:
        yield browser


@pytest.fixture
def graphiql(browser: Browser, gateway: str) -> Iterator[GraphiQL]:
    """A page in a profile of its own."""
    with graphiql_page(browser, gateway) as page:
        yield page
