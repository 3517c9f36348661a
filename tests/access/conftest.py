"""A gateway with real callers, and a small Orthanc behind a proxy that records every request."""

from collections.abc import Callable, Iterator
from datetime import timedelta

import pytest
from django.contrib.auth.models import Permission
from django.core.management import call_command
from django.test import override_settings
from django.utils import timezone
from pytest_django import Settings

from orthancproxy.access.actions import Action
from orthancproxy.follower.follower import LeaseHolder
from orthancproxy.jobs.models import Job
from orthancproxy.resolvers.background import background
from orthancproxy.resolvers.context import connect
from orthancproxy.sandbox.orthanc import INDEXED_INSTANCE_TAGS, LocalOrthanc, free_port
from orthancproxy.uploads.models import UploadBatch
from tests.access.archive import SmallArchive
from tests.access.callers import ROLE_GROUPS, CallerClient, make_callers, make_groups, make_scoped_callers
from tests.identity.provider import IdentityProvider
from tests.proxy import RecordingProxy


@pytest.fixture(autouse=True)
def _anonymous_callers_have_no_permissions(_anonymous_callers_have_every_permission: None, settings: Settings) -> None:
    """Use the default, which the other tests change."""
    settings.ORTHANC_ANONYMOUS_ACTIONS = []


@pytest.fixture(scope="package")
def small_archive(start_session_orthanc: Callable[..., LocalOrthanc]) -> SmallArchive:
    port = free_port()
    configuration = {
        "DicomServerEnabled": True,
        "DicomPort": port,
        "DicomAet": "SELF",
        # what it retrieves is there already
        "DicomModalities": {"PACS": ["PACS", "127.0.0.1", 1], "SELF": ["SELF", "127.0.0.1", port]},
    }
    return SmallArchive(start_session_orthanc(configuration={**INDEXED_INSTANCE_TAGS, **configuration}))


@pytest.fixture(scope="package")
def recorder(small_archive: SmallArchive) -> Iterator[RecordingProxy]:
    with RecordingProxy(small_archive.orthanc.port) as running:
        yield running


@pytest.fixture(scope="package")
def home_provider() -> Iterator[IdentityProvider]:
    """Yield the provider that the gateway trusts; its keys must not be rotated."""
    with IdentityProvider() as running:
        yield running


@pytest.fixture(scope="package")
def foreign_provider() -> Iterator[IdentityProvider]:
    with IdentityProvider() as running:
        yield running


@pytest.fixture(scope="package")
def groups() -> Iterator[None]:
    """Create the groups of the migration in an empty database.

    No test of this package may use `transactional_db`, which empties the database.
    """
    call_command("flush", interactive=False, verbosity=0)
    Permission.objects.filter(codename__in=[action.value for action in Action]).delete()
    make_groups()
    # the default hasher is slow on purpose
    with override_settings(PASSWORD_HASHERS=["django.contrib.auth.hashers.MD5PasswordHasher"]):
        yield
    call_command("flush", interactive=False, verbosity=0)


@pytest.fixture(scope="package")
def callers(
    groups: None, home_provider: IdentityProvider, foreign_provider: IdentityProvider
) -> dict[str, CallerClient]:
    """Return the callers without a scope by name."""
    return {caller.name: caller for caller in make_callers(home_provider, foreign_provider)}


@pytest.fixture(scope="package")
def scoped_callers(groups: None, home_provider: IdentityProvider) -> dict[str, CallerClient]:
    """Return the callers with a scope by name."""
    return {caller.name: caller for caller in make_scoped_callers(home_provider)}


@pytest.fixture
def proxy(
    groups: None,
    recorder: RecordingProxy,
    home_provider: IdentityProvider,
    settings: Settings,
    use_index: Callable[[], None],
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[RecordingProxy]:
    """Yield the proxy that records the requests to Orthanc, and configure the gateway, with the index if it can be."""
    # a proxy of the developer's environment must not get local requests
    monkeypatch.setenv("no_proxy", "*")
    for name, value in home_provider.settings.items():
        setattr(settings, name, value)
    settings.ORTHANC_OIDC_ROLE_GROUPS = ROLE_GROUPS
    settings.ORTHANC_BASE_URL = recorder.base_url
    settings.ORTHANC_DESTINATIONS = ["PACS"]
    settings.ORTHANC_SOURCES = ["SELF"]
    # the gateway detects the capabilities of Orthanc once
    if connect().capabilities().has_extended_find:
        use_index()
        background(connect()).follower.stop()
    # the requests of a follower are those of no caller: none works while this holds the lease
    lease = LeaseHolder(recorder.base_url, lambda: timezone.now() + timedelta(days=1))
    lease.take()
    recorder.requests.clear()
    yield recorder
    lease.release()
    connect.cache_clear()


@pytest.fixture
def archive(small_archive: SmallArchive, proxy: RecordingProxy) -> Iterator[SmallArchive]:
    """Yield the archive, and refill it after the test."""
    yield small_archive
    small_archive.refill()
    UploadBatch.objects.all().delete()
    Job.objects.all().delete()
