"""A gateway with real identities before a small Orthanc, whose every request is seen."""

from collections.abc import Callable, Iterator

import pytest
from django.contrib.auth.models import Permission
from django.core.management import call_command
from django.test import override_settings
from pytest_django import Settings

from orthancproxy.access.actions import Action
from orthancproxy.resolvers.context import connect
from orthancproxy.sandbox.orthanc import INDEXED_INSTANCE_TAGS, LocalOrthanc
from orthancproxy.uploads.models import UploadBatch
from tests.access.archive import Archive
from tests.access.callers import ROLE_GROUPS, Caller, make_callers, make_confined, make_groups
from tests.identity.provider import IdentityProvider
from tests.proxy import RecordingProxy


@pytest.fixture(autouse=True)
def _nobody_may_do_anything(_everybody_may_do_everything: None, settings: Settings) -> None:
    """As it is by default, which the rest of the tests is not."""
    settings.ORTHANC_ANONYMOUS_ACTIONS = []


@pytest.fixture(scope="package")
def small_archive(start_session_orthanc: Callable[..., LocalOrthanc]) -> Archive:
    # so that a study that becomes stable is no change that a test would see
    return Archive(start_session_orthanc(configuration={**INDEXED_INSTANCE_TAGS, "StableAge": 3600}))


@pytest.fixture(scope="package")
def recorder(small_archive: Archive) -> Iterator[RecordingProxy]:
    with RecordingProxy(small_archive.orthanc.port) as running:
        yield running


@pytest.fixture(scope="package")
def home_provider() -> Iterator[IdentityProvider]:
    """The one that the gateway trusts; nobody rotates its keys."""
    with IdentityProvider() as running:
        yield running


@pytest.fixture(scope="package")
def foreign_provider() -> Iterator[IdentityProvider]:
    with IdentityProvider() as running:
        yield running


@pytest.fixture(scope="package")
def groups() -> Iterator[None]:
    """The groups of the migration, made by it, in a database that has nothing else.

    No test of this package may ask for `transactional_db`, which empties it.
    """
    call_command("flush", interactive=False, verbosity=0)
    Permission.objects.filter(codename__in=[action.value for action in Action]).delete()
    make_groups()
    # nobody waits here for a hash that is hard to guess from
    with override_settings(PASSWORD_HASHERS=["django.contrib.auth.hashers.MD5PasswordHasher"]):
        yield
    call_command("flush", interactive=False, verbosity=0)


@pytest.fixture(scope="package")
def callers(groups: None, home_provider: IdentityProvider, foreign_provider: IdentityProvider) -> dict[str, Caller]:
    """Everybody who sees either all of the archive, or nothing."""
    return {caller.name: caller for caller in make_callers(home_provider, foreign_provider)}


@pytest.fixture(scope="package")
def confined(groups: None, home_provider: IdentityProvider) -> dict[str, Caller]:
    """Everybody who sees a part of it."""
    return {caller.name: caller for caller in make_confined(home_provider)}


@pytest.fixture
def proxy(
    groups: None,
    recorder: RecordingProxy,
    home_provider: IdentityProvider,
    settings: Settings,
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[RecordingProxy]:
    """What the gateway asks of Orthanc; the gateway of the test is set up with it."""
    # what the developer's environment has must not come between us and this machine
    monkeypatch.setenv("no_proxy", "*")
    for name, value in home_provider.settings.items():
        setattr(settings, name, value)
    settings.ORTHANC_OIDC_ROLE_GROUPS = ROLE_GROUPS
    settings.ORTHANC_BASE_URL = recorder.base_url
    # what it can do is asked once in its life
    connect().capabilities()
    recorder.requests.clear()
    yield recorder
    connect.cache_clear()


@pytest.fixture
def stored(small_archive: Archive, proxy: RecordingProxy) -> Iterator[Archive]:
    """The archive, whole at the beginning of a test and after it."""
    yield small_archive
    small_archive.refill()
    UploadBatch.objects.all().delete()
