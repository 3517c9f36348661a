"""Gateways of several hosts behind one nginx (docs/deployment.md): a caller does not notice which of them answers."""

import subprocess
import sys
import time
from pathlib import Path

import pytest
import requests

from orthancproxy.sandbox.gateway import CHECKOUT, serving
from orthancproxy.sandbox.nginx import nginx_before
from tests.orthancs import NOT_FOLLOWING
from tests.postgresql import run_postgresql
from tests.project.test_health import full_backlog

pytestmark = [pytest.mark.live, pytest.mark.once]

PASSWORD = "correct horse battery"
NOWHERE = "http://127.0.0.1:9"  # no archive is read


def test_a_session_counts_on_each_host_and_one_that_vanished_holds_nobody_up(tmp_path: Path) -> None:
    with run_postgresql() as url, full_backlog() as vanished:
        settings = {
            **NOT_FOLLOWING,
            "DATABASE_URL": url,
            "DJANGO_SECRET_KEY": "the same on each host " * 3,
            "ORTHANC_ANONYMOUS_ACTIONS": "",
            "ORTHANC_TRUST_FORWARDED": "true",
        }
        with (
            serving(NOWHERE, tmp_path / "a", settings=settings) as first,
            serving(NOWHERE, tmp_path / "b", settings=settings) as second,
        ):
            subprocess.run(
                [
                    sys.executable,
                    "manage.py",
                    "createsuperuser",
                    "--noinput",
                    "--username=mina",
                    "--email=m@example.org",
                ],
                cwd=CHECKOUT,
                env={"DATABASE_URL": url, "DJANGO_DATA_DIR": str(tmp_path), "DJANGO_SUPERUSER_PASSWORD": PASSWORD},
                check=True,
            )
            addresses = [f"127.0.0.1:{port}" for port in (first.port, second.port, vanished.getsockname()[1])]
            with nginx_before(first, NOWHERE, {"GATEWAY": " ".join(addresses)}) as nginx, requests.Session() as browser:
                browser.trust_env = False
                browser.get(f"{nginx.address}/login/", timeout=30)
                form = {
                    "username": "mina",
                    "password": PASSWORD,
                    "csrfmiddlewaretoken": browser.cookies["csrftoken"],
                }
                answer = browser.post(f"{nginx.address}/login/", form, timeout=30, allow_redirects=False)
                assert answer.status_code == 302
                seconds = []
                for _ in range(12):
                    begun = time.monotonic()
                    answer = browser.post(
                        f"{nginx.address}/graphql/",
                        json={"query": "{ viewer { username } }"},
                        headers={"X-CSRFToken": browser.cookies["csrftoken"]},
                        timeout=90,
                    )
                    seconds.append(time.monotonic() - begun)
                    assert answer.json() == {"data": {"viewer": {"username": "mina"}}}
                # by default, nginx waits for a minute
                assert max(seconds) < 15
        for gateway in (first, second):
            assert '"user": "mina"' in gateway.log.read_text()
