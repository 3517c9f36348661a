"""What callers without a permission make the gateway store, and how much of the processor their passwords take."""

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor, as_completed
from itertools import islice

import pytest
from axes.models import AccessAttempt
from django.contrib.auth.hashers import MD5PasswordHasher
from django.contrib.auth.models import User
from django.core.exceptions import ValidationError
from django.db import connection
from django.test import override_settings

from orthancproxy.access.password_hashing import MAX_HASHES_AT_ONCE, MAX_LOGINS_AT_ONCE, logins
from orthancproxy.audit.models import AuditEvent
from orthancproxy.project.login import PasswordBackend
from orthancproxy.project.sso.models import LoginSession
from tests.access.callers import ANONYMOUS, CallerClient, csrf_client, log_in, make_user
from tests.proxy import RecordingProxy

pytestmark = [pytest.mark.live, pytest.mark.once]

GUESSES = 25


@pytest.fixture
def user(groups: None) -> Iterator[User]:
    """Yield a user, and forget the failed logins."""
    made = make_user("guessed")
    yield made
    AccessAttempt.objects.all().delete()
    made.delete()


def test_anonymous_caller_that_reads_its_own_name_is_not_audited(
    callers: dict[str, CallerClient], proxy: RecordingProxy
) -> None:
    answer = callers[ANONYMOUS].graphql("{ viewer { username actions } again: viewer { username } }")
    assert answer.data["viewer"] == {"username": None, "actions": []}
    assert answer.audit_events == []


def test_pages_for_anonymous_callers_store_nothing(groups: None) -> None:
    events, sessions = AuditEvent.objects.count(), LoginSession.objects.count()
    client = csrf_client()
    for path in ("/login/", "/admin/", "/admin/login/", "/graphql/", "/api/orthanc/docs/", "/nowhere", "/livez"):
        client.get(path, headers={"Accept": "text/html"})
    assert (AuditEvent.objects.count(), LoginSession.objects.count()) == (events, sessions)


def test_failed_logins_are_counted_without_data_of_the_request(user: User) -> None:
    client = csrf_client()
    for number in range(GUESSES):
        client.defaults["HTTP_USER_AGENT"] = f"program {number}"
        client.defaults["HTTP_ACCEPT"] = f"text/html;q={number}"
        status = log_in(client, user.username, f"guess {number}", f"/login/?next={'x' * 1000}").status_code
    assert status == 429
    [attempt] = AccessAttempt.objects.filter(username=user.username)
    assert (attempt.get_data, attempt.post_data, attempt.user_agent, attempt.http_accept) == ("", "", "", "")
    # nothing is counted, and the lock is not prolonged, once it is locked
    assert attempt.failures_since_start == 10
    assert log_in(client, user.username).status_code == 429
    [again] = AccessAttempt.objects.filter(username=user.username)
    assert again.attempt_time == attempt.attempt_time


class WaitingHasher(MD5PasswordHasher):
    """Hashes when it is told to, and counts how many hash at once."""

    proceed = threading.Event()
    started = threading.Semaphore(0)
    most = running = 0

    def encode(self, password: str, salt: str) -> str:
        """Wait for `proceed`, and hash."""
        kind = WaitingHasher
        kind.running += 1
        kind.most = max(kind.most, kind.running)
        self.started.release()
        assert self.proceed.wait(30)
        kind.running -= 1
        return super().encode(password, salt)


def test_few_passwords_are_hashed_at_once_and_a_login_too_many_is_told_so(user: User) -> None:
    def guess() -> str:
        try:
            return str(PasswordBackend().authenticate(None, user.username, "wrong"))
        except ValidationError as error:
            return str(error.code)
        finally:
            connection.close()

    hasher = f"{__name__}.{WaitingHasher.__name__}"
    with override_settings(PASSWORD_HASHERS=[hasher]), ThreadPoolExecutor(MAX_LOGINS_AT_ONCE + 3) as pool:
        guesses = [pool.submit(guess) for _ in range(MAX_LOGINS_AT_ONCE + 3)]
        assert WaitingHasher.started.acquire(timeout=30)
        # the others are answered while the first ones wait
        assert [one.result() for one in islice(as_completed(guesses, timeout=30), 3)] == ["busy"] * 3
        WaitingHasher.proceed.set()
        answers = [one.result(30) for one in guesses]
    assert sorted(answers) == ["None"] * MAX_LOGINS_AT_ONCE + ["busy"] * 3
    assert WaitingHasher.most == MAX_HASHES_AT_ONCE


def test_login_too_many_is_explained_on_the_page(user: User) -> None:
    holds = [logins.acquire(blocking=False) for _ in range(MAX_LOGINS_AT_ONCE)]
    try:
        for path in ("/login/", "/admin/login/"):
            answer = log_in(csrf_client(), user.username, path=path)
            assert b"Too many users are logging in" in answer.content
    finally:
        for _ in holds:
            logins.release()
    assert log_in(csrf_client(), user.username).status_code == 302
    assert not AccessAttempt.objects.exists()
