"""A gateway at which people log in with a real provider."""

import uuid
from collections.abc import Callable, Iterator

import pytest
from django.contrib.auth.models import Group
from pytest_django import Settings

from orthancproxy.access import identity_provider
from tests.access.callers import make_groups
from tests.identity.provider import CLIENT, SECRET, IdentityProvider
from tests.project.sso.people import GATEWAY, Person


@pytest.fixture(scope="session")
def provider() -> Iterator[IdentityProvider]:
    """Yield the provider that the tests share: they restart none, and rotate no keys."""
    with IdentityProvider() as running:
        running.accept_logins(GATEWAY)
        yield running


@pytest.fixture(autouse=True)
def _use_provider(provider: IdentityProvider, settings: Settings, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    use_provider(settings, provider)
    settings.ORTHANC_ANONYMOUS_ACTIONS = []
    # a proxy of the developer's environment must not get local requests
    monkeypatch.setenv("no_proxy", "*")
    yield
    identity_provider._configuration.forget()
    identity_provider._keys.forget()


@pytest.fixture(autouse=True)
def _groups(transactional_db: None) -> None:
    """Make the groups of the migration in the empty database."""
    if not Group.objects.exists():
        make_groups()


def use_provider(settings: Settings, provider: IdentityProvider) -> None:
    """Let people log in at a provider."""
    for name, value in {
        **provider.settings,
        "ORTHANC_OIDC_CLIENT_ID": CLIENT,
        "ORTHANC_OIDC_CLIENT_SECRET": SECRET,
    }.items():
        setattr(settings, name, value)


MakePerson = Callable[..., Person]


@pytest.fixture
def person(provider: IdentityProvider) -> MakePerson:
    """Return a function that makes somebody new at the provider, with a name and roles."""

    def make(username: str = "", *roles: str) -> Person:
        sub = f"sub-{uuid.uuid4().hex[:12]}"
        provider.set_account(sub, username or sub, roles)
        return Person(sub)

    return make
