"""The distributions contain the GraphQL transport once, as `orthancproxy.schema`, and leave `schema` to others."""

import json
import os
import stat
import subprocess
import sys
import sysconfig
from pathlib import Path
from zipfile import ZipFile

import pytest

from orthancproxy.sandbox.gateway import CHECKOUT

UV = CHECKOUT / ".uv/bin/uv"
PINS = CHECKOUT / "requirements-dev.txt"
PROJECT = {
    "schema.py": "",
    "settings.py": """
SECRET_KEY = "unused"
ALLOWED_HOSTS = ["testserver"]
INSTALLED_APPS = [
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.staticfiles",
    "rest_framework",
    "drf_spectacular",
    "drf_spectacular_sidecar",
    "strawberry_django",
    "knox",
    "orthancproxy",
]
MIDDLEWARE = [
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
]
DATABASES = {"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:"}}
REST_FRAMEWORK = {"DEFAULT_SCHEMA_CLASS": "drf_spectacular.openapi.AutoSchema"}
ROOT_URLCONF = "urls"
""",
    "urls.py": """
from django.urls import path
from orthancproxy.schema.view import graphql_view

urlpatterns = [path("graphql/", graphql_view())]
""",
    "query.py": """
import json
import os
import sys

import django

os.environ["DJANGO_SETTINGS_MODULE"] = "settings"
django.setup()

import orthancproxy.schema
from django.test import Client

response = Client().post("/graphql/", {"query": "{ __typename }"}, content_type="application/json")
import schema

schemas = [schema.__file__]
# as in a project without a module of that name
sys.path.remove(os.getcwd())
del sys.modules["schema"]
import schema

schemas.append(schema.__file__)
print(json.dumps([*schemas, orthancproxy.schema.__file__, response.json()]))
""",
}


def run(*command: str | Path, cwd: Path = CHECKOUT) -> str:
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("DJANGO_", "ORTHANC_"))}
    # as in dev/make-environment
    if any(Path("/etc/ssl/certs").glob("*")):
        environment.setdefault("UV_SYSTEM_CERTS", "true")
    done = subprocess.run(command, cwd=cwd, env=environment, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def build(folder: Path, *options: str) -> Path:
    """Build into a folder, with the pinned build backend; return the wheel."""
    build = (UV, "build", "--quiet", "--python", sys.executable, "--build-constraints", PINS, "--out-dir", folder)
    run(*build, *options)
    [wheel] = folder.glob("*.whl")
    return wheel


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel built from the checkout."""
    return build(tmp_path_factory.mktemp("wheel"), "--wheel")


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A Django project with a `schema.py` in its root."""
    folder = tmp_path / "project"
    folder.mkdir()
    for name, text in PROJECT.items():
        (folder / name).write_text(text)
    return folder


def contents(wheel: Path) -> list[str]:
    with ZipFile(wheel) as file:
        return sorted(name for name in file.namelist() if ".dist-info/" not in name)


def test_the_wheel_has_one_copy_of_the_schema_package_and_no_symlink(wheel: Path) -> None:
    names = contents(wheel)
    assert {name.split("/")[0] for name in names} == {"orthancproxy"}
    assert len(names) == len(set(names))
    package = {f"orthancproxy/schema/{path.name}" for path in (CHECKOUT / "schema").iterdir() if path.is_file()}
    assert {name for name in names if "schema/" in name} == package
    with ZipFile(wheel) as file:
        assert not any(stat.S_ISLNK(entry.external_attr >> 16) for entry in file.infolist())


def test_the_sdist_builds_the_same_wheel(wheel: Path, tmp_path: Path) -> None:
    assert contents(build(tmp_path)) == contents(wheel)


@pytest.mark.parametrize("installed", ["gateway, library", "library, gateway", "library, checkout"])
def test_the_gateway_works_beside_a_library_and_a_project_module_named_schema(
    installed: str, wheel: Path, project: Path, tmp_path: Path
) -> None:
    python = tmp_path / "venv/bin/python"
    run(UV, "venv", "--quiet", "--python", sys.executable, tmp_path / "venv")
    sources = {
        "gateway": [str(wheel)],
        "checkout": ["--editable", str(CHECKOUT), "--build-constraints", str(PINS)],
        "library": ["schema", "--constraints", str(PINS)],
    }
    for name in installed.split(", "):
        run(UV, "pip", "install", "--quiet", "--no-deps", "--python", python, *sources[name])
    [site_packages] = (tmp_path / "venv/lib").glob("python*/site-packages")
    # the dependencies; a .pth file appends to the path, so that what is installed in the environment comes first
    (site_packages / "dependencies.pth").write_text(sysconfig.get_path("purelib"))
    transport = CHECKOUT if "checkout" in installed else site_packages

    own, library, ours, answer = json.loads(run(python, "query.py", cwd=project))
    assert Path(own) == project / "schema.py"
    assert Path(library) == site_packages / "schema/__init__.py"
    assert Path(ours) == transport / "orthancproxy/schema/__init__.py"
    assert answer == {"data": {"__typename": "Query"}}
