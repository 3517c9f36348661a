"""Logins at the provider with two workers on PostgreSQL, over real connections."""

import html
import re
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psycopg
import pytest
import requests

from orthancproxy.sandbox.gateway import serving
from orthancproxy.sandbox.orthanc import free_port
from tests.identity.provider import CLIENT, SECRET, IdentityProvider
from tests.postgresql import run_postgresql, run_script

AT_ONCE = 6
TWO_LOGINS = """
import os, threading
os.environ["DJANGO_SETTINGS_MODULE"] = "orthancproxy.project.settings"
import django
django.setup()
import psycopg
from django.contrib.auth.models import Group
from django.db import connection, connections
from orthancproxy.project.sso.users import user_of

def log_in(*roles):
    user = user_of({"sub": "anna-1", "preferred_username": "anna", "realm_access": {"roles": list(roles)}})
    return sorted(group.name for group in user.groups.all())

def log_in_and_close(*roles):
    log_in(*roles)
    connections.close_all()

def log_in_twice_at_once(first, second):
    other = threading.Thread(target=log_in_and_close, args=[second])

    def other_logs_in(execute, sql, *arguments):
        found = execute(sql, *arguments)
        if other.ident is None and sql.startswith("SELECT") and "provideridentity" in sql:
            other.start()
            while other.is_alive() and not waits():
                pass
        return found

    with connection.execute_wrapper(other_logs_in):
        log_in(first)
    other.join()

def waits():
    return watching.execute("SELECT 1 FROM pg_stat_activity WHERE wait_event_type = 'Lock'").fetchone()

for name in ("one", "two"):
    Group.objects.create(name=name)
with psycopg.connect(os.environ["DATABASE_URL"], autocommit=True) as watching:
    log_in_twice_at_once("one", "one")
    log_in_twice_at_once("one", "two")
print(log_in("one"))
"""


@pytest.fixture
def provider() -> Iterator[IdentityProvider]:
    with IdentityProvider() as running:
        running.set_account("anna-1", "anna", ["Viewer"])
        yield running


def browser() -> requests.Session:
    session = requests.Session()
    # a proxy of the developer's environment must not get local requests
    session.trust_env = False
    return session


def log_in(gateway: str, sub: str) -> requests.Session:
    session = browser()
    page = session.get(f"{gateway}/sso/?next=/tokens/", timeout=30)
    [action] = re.findall(r'action="([^"]+)"', page.text)
    form = {"prompt": "login", "login": sub, "password": "any"}
    response = session.post(html.unescape(action), form, timeout=30)
    assert (response.status_code, response.url) == (200, f"{gateway}/tokens/"), response.text
    return session


def username(gateway: str, session: requests.Session) -> object:
    headers = {"X-CSRFToken": session.cookies.get("csrftoken", "")}
    query = {"query": "{ viewer { username } }"}
    return session.post(f"{gateway}/graphql/", json=query, headers=headers, timeout=30).json()["data"]["viewer"][
        "username"
    ]


def test_first_logins_of_one_person_at_once_make_one_user_whose_sessions_end_one_by_one(
    provider: IdentityProvider, tmp_path: Path
) -> None:
    port = free_port()
    address = f"http://127.0.0.1:{port}"
    provider.accept_logins(address)
    settings = {
        **provider.settings,
        "ORTHANC_ANONYMOUS_ACTIONS": "",
        "ORTHANC_OIDC_CLIENT_ID": CLIENT,
        "ORTHANC_OIDC_CLIENT_SECRET": SECRET,
        "no_proxy": "*",
    }
    with (
        run_postgresql() as url,
        # no archive is read
        serving("http://127.0.0.1:9", tmp_path, port=port, workers=2, settings={**settings, "DATABASE_URL": url}),
    ):
        with ThreadPoolExecutor(AT_ONCE) as threads:
            sessions = list(threads.map(lambda _: log_in(address, "anna-1"), range(AT_ONCE)))
        assert [username(address, session) for session in sessions] == ["anna"] * AT_ONCE
        first, *others = sessions
        page = first.get(f"{provider.base_url}/session/end", timeout=30)
        [(action, xsrf)] = re.findall(r'action="([^"]+)".*?name="xsrf" value="([^"]+)"', page.text, re.DOTALL)
        first.post(html.unescape(action), {"xsrf": xsrf, "logout": "yes"}, timeout=30)
        # whichever worker answers
        assert {username(address, first) for _ in range(10)} == {None}
        assert [username(address, session) for session in others] == ["anna"] * (AT_ONCE - 1)
        with psycopg.connect(url) as connection:
            [users] = connection.execute("SELECT count(*) FROM auth_user").fetchall()
            [identities] = connection.execute("SELECT count(*) FROM orthancproxy_sso_provideridentity").fetchall()
        assert (users, identities) == ((1,), (1,))


def test_two_logins_of_one_person_at_once_are_one_after_the_other(provider: IdentityProvider, tmp_path: Path) -> None:
    with run_postgresql() as url:
        settings = {
            "ORTHANC_OIDC_ISSUER": provider.settings["ORTHANC_OIDC_ISSUER"],
            "ORTHANC_OIDC_CLIENT_ID": CLIENT,
        }
        done = run_script(TWO_LOGINS, url, tmp_path, **settings)
    assert (done.stdout, done.stderr) == ("['one']\n", "")
