"""The settings and URLs of docs/embedding.md make a new Django project serve the gateway."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from orthancproxy.sandbox.gateway import CHECKOUT
from tests.doc_examples import example

EMBEDDING = "docs/embedding.md"
TITLE = "In a Django project of your own"
# `...` in the page's lists stands for what startproject put there
ELLIPSIS_IN_SETTINGS = """
for _name, _before in (("INSTALLED_APPS", _apps), ("MIDDLEWARE", _middleware)):
    _own = globals()[_name]
    globals()[_name] = [
        item for entry in _own for item in ([old for old in _before if old not in _own] if entry is ... else [entry])
    ]
"""
REQUESTS = """
from django.test import Client
client = Client(SERVER_NAME="localhost")
answer = client.post("/graphql/", {"query": "{ viewer { username } }"}, content_type="application/json")
assert answer.status_code == 200, answer.content
assert answer.json() == {"data": {"viewer": {"username": None}}}, answer.content
assert client.get("/api/orthanc/patients/").json()["code"] == "UNAUTHENTICATED"
assert client.get("/api/orthanc/schema/").status_code == 200
assert client.get("/imaging/status")["Location"] == "/accounts/login/?next=/imaging/status"
"""

UPLOAD = """
import asyncio, json
from django.conf import settings
from hospital.asgi import application
settings.ORTHANC_ANONYMOUS_ACTIONS = ("upload",)
parts = [("operations", '{"query": "{ __typename }"}'), ("map", "{}")]
head = '--b\\r\\nContent-Disposition: form-data; name="%s"\\r\\n\\r\\n%s\\r\\n'
body = "".join(head % part for part in parts).encode() + b"--b--\\r\\n"
pieces = [body[:100], body[100:]]
sent = []
async def receive():
    if not pieces:
        await asyncio.Event().wait()
    return {"type": "http.request", "body": pieces.pop(0), "more_body": bool(pieces)}
async def send(message):
    sent.append(message)
headers = [(b"host", b"localhost"), (b"content-type", b"multipart/form-data; boundary=b")]
scope = {"type": "http", "method": "POST", "path": "/graphql/", "query_string": b"", "headers": headers}
asyncio.run(application(scope, receive, send))
assert sent[0]["status"] == 200, sent
assert json.loads(sent[1]["body"]) == {"data": {"__typename": "Query"}}, sent
"""


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A new project with the examples of the page, and with a `schema.py` of its own."""
    manage(CHECKOUT, "-m", "django", "startproject", "hospital", str(tmp_path))
    settings, urls = tmp_path / "hospital/settings.py", tmp_path / "hospital/urls.py"
    with settings.open("a") as file:
        file.write("_apps, _middleware = INSTALLED_APPS, MIDDLEWARE\n")
        file.write(example(EMBEDDING, TITLE, "python", "INSTALLED_APPS"))
        file.write(ELLIPSIS_IN_SETTINGS)
    with urls.open("a") as file:
        file.write("_routes = urlpatterns\n")
        file.write(example(EMBEDDING, TITLE, "python", "urlpatterns"))
        file.write("urlpatterns = [*_routes, *urlpatterns[1:]]\n")
    with (tmp_path / "hospital/asgi.py").open("a") as file:
        file.write(example(EMBEDDING, TITLE, "python", "receive_early"))
    (tmp_path / "schema.py").write_text('raise ImportError("the project\'s own schema")\n')
    return tmp_path


def manage(folder: Path, *arguments: str) -> None:
    """Run Python in a folder, with the checkout on its path as an installed package is."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("DJANGO", "ORTHANC"))}
    result = subprocess.run(
        [sys.executable, *arguments],
        cwd=folder,
        env={**environment, "PYTHONPATH": str(CHECKOUT)},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert result.returncode == 0, result.stderr[:2000]


def test_a_project_with_the_documented_settings_serves_the_gateway(project: Path) -> None:
    manage(project, "manage.py", "check", "--fail-level", "WARNING")
    manage(project, "manage.py", "migrate", "--verbosity", "0")
    manage(project, "manage.py", "shell", "-c", REQUESTS)
    manage(project, "manage.py", "shell", "-c", UPLOAD)
