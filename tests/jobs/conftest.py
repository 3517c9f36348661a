"""A gateway whose jobs are followed by the test, step by step."""

import os
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta

import pytest
from django.contrib.auth.models import User
from django.utils import timezone
from pytest_django import Settings

from orthancproxy.follower.follower import Follower
from orthancproxy.jobs.following import JobFollower
from orthancproxy.jobs.work import WorkContext
from orthancproxy.resolvers.background import background
from orthancproxy.resolvers.context import connect
from orthancproxy.sandbox.orthanc import LocalOrthanc
from tests.access.callers import api_token, bearer
from tests.conftest import GraphQL, UseOrthanc
from tests.corpus import instance, load
from tests.jobs.servers import ENVIRONMENT, cancel_all, clear, start_remote, start_source
from tests.orthancs import StartOrthanc


class Clock:
    """The time, which a test moves on."""

    def __init__(self) -> None:
        self.ahead = timedelta()

    def __call__(self) -> datetime:
        return timezone.now() + self.ahead


@pytest.fixture(scope="package", autouse=True)
def _without_nagle() -> Iterator[None]:
    name, value = ENVIRONMENT
    before = os.environ.get(name)
    os.environ[name] = value
    yield
    os.environ.pop(name)
    if before is not None:
        os.environ[name] = before


@pytest.fixture(scope="module")
def remote(_without_nagle: None, start_orthanc: StartOrthanc) -> LocalOrthanc:
    return start_remote(start_orthanc)


@pytest.fixture(scope="module")
def source(remote: LocalOrthanc, start_orthanc: StartOrthanc) -> LocalOrthanc:
    """An Orthanc with two patients of two studies, of two series of three instances."""
    orthanc = start_source(start_orthanc, remote)
    load(orthanc, [instance(p, st, se, n) for p in (1, 2) for st in (1, 2) for se in (1, 2) for n in (1, 2, 3)])
    return orthanc


@pytest.fixture
def gateway(
    source: LocalOrthanc,
    remote: LocalOrthanc,
    use_orthanc: UseOrthanc,
    settings: Settings,
    monkeypatch: pytest.MonkeyPatch,
) -> LocalOrthanc:
    """Point the gateway to the source, whose jobs nobody follows, and empty the remote."""
    settings.ORTHANC_DESTINATIONS = ["*"]
    cancel_all(source)
    clear(remote)
    use_orthanc(source)
    background(connect()).follower.stop()
    # nor those that begin when a test changes a setting
    monkeypatch.setattr(Follower, "_repeat", lambda _follower, _step: None)
    return source


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def make_follower(clock: Clock) -> Callable[[], JobFollower]:
    """Return a function that makes a follower, as another process has one."""
    return lambda: JobFollower(work_context(), lambda: True, clock)


def work_context() -> WorkContext:
    client = connect()
    return WorkContext(client, background(client).report)


@pytest.fixture
def superuser(db: None) -> GraphQL:
    """A client of somebody who may do everything, and has a name."""
    return GraphQL(bearer(api_token(User.objects.create_superuser("manager"))))
