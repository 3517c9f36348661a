"""All that the GraphQL client asks here, it asks twice: with the compiled fast path and the cache, and without them."""

import pytest
from pytest_django import Settings


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run what uses the client of the endpoint on both paths; nothing else comes to an execution."""
    if "graphql" in metafunc.fixturenames:
        metafunc.parametrize("execution", ["compiled", "standard"], indirect=True)


@pytest.fixture(autouse=True)
def execution(request: pytest.FixtureRequest, settings: Settings) -> str:
    """How queries are executed: as always where nothing else is said."""
    path: str = getattr(request, "param", "compiled")
    settings.ORTHANC_COMPILED_EXECUTION = path == "compiled"
    if path == "standard":
        settings.ORTHANC_CACHE_BYTES = 0
    return path
