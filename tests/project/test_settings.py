"""The settings: documented, read from the environment, and safe where the environment is wrong."""

import os
import re
import stat
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from django.test import override_settings

from orthancproxy.conf import DEPLOYMENT_VARIABLES, SETTINGS, Setting, conf
from orthancproxy.project.environment import Environment
from orthancproxy.project.static import cache_for_good

CHECKOUT = Path(__file__).resolve().parents[2]
ALL = (*SETTINGS, *DEPLOYMENT_VARIABLES)
BY_NAME = {setting.name: setting for setting in ALL}


def documented_default(setting: Setting[Any]) -> str:
    """A default as the README's table has it: as it would be written in the environment."""
    default = setting.default
    if isinstance(default, bool):
        text = str(default).lower()
    elif isinstance(default, float):
        text = f"{default:g}"
    elif isinstance(default, tuple):
        text = ",".join(default)
    else:
        text = str(default)
    return f"`{text}`" if text else "empty"


def run(code: str, tmp_path: Path, **variables: str) -> subprocess.CompletedProcess[str]:
    own = {name: value for name, value in os.environ.items() if name.removesuffix("_FILE") not in BY_NAME}
    return subprocess.run(
        [sys.executable, "-c", code],
        cwd=CHECKOUT,
        env={**own, "DJANGO_DATA_DIR": str(tmp_path), **variables},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


@pytest.mark.parametrize("setting", ALL, ids=lambda setting: setting.name)
def test_the_readme_has_each_setting_with_its_default_and_what_it_does(setting: Setting[Any]) -> None:
    readme = (CHECKOUT / "README.md").read_text("utf-8")
    row = f"| `{setting.name}` | {documented_default(setting)} | {setting.description} |"
    assert row in readme.splitlines()


def test_the_readme_has_no_setting_that_does_not_exist() -> None:
    readme = (CHECKOUT / "README.md").read_text("utf-8")
    rows = re.findall(r"^\| `((?:ORTHANC|DJANGO|DATABASE)_[A-Z_]+)` \|", readme, re.MULTILINE)
    assert set(rows) <= set(BY_NAME)


@pytest.mark.parametrize("setting", SETTINGS, ids=lambda setting: setting.name)
def test_a_project_that_knows_none_of_the_settings_has_the_defaults(setting: Setting[Any]) -> None:
    with override_settings():
        from django.conf import settings

        delattr(settings, setting.name)
        assert getattr(conf, setting.name) == setting.default


def test_a_project_sets_what_it_wants() -> None:
    with override_settings(ORTHANC_BASE_URL="https://archive.example.org"):
        assert conf.ORTHANC_BASE_URL == "https://archive.example.org"


@pytest.mark.parametrize(
    ("name", "text", "value"),
    [
        ("ORTHANC_BASE_URL", "https://archive:8042/orthanc", "https://archive:8042/orthanc"),
        ("ORTHANC_READ_TIMEOUT", "1e2", 100.0),
        ("ORTHANC_POOL_SIZE", "8", 8),
        ("ORTHANC_DEBUG_LOG", "True", True),
        ("ORTHANC_DEBUG_LOG", "off", False),
        (
            "ORTHANC_CORS_ORIGINS",
            "https://a.example, https://b.example,",
            ["https://a.example", "https://b.example"],
        ),
        ("ORTHANC_PASSWORD", "$HOME=a,b#c ", "$HOME=a,b#c "),
    ],
)
def test_a_variable_of_the_environment_is_the_setting(name: str, text: str, value: object) -> None:
    environment = Environment({name: text})
    assert environment.read(BY_NAME[name]) == value
    assert environment.problems == []


def test_a_secret_can_come_from_a_file(tmp_path: Path) -> None:
    (tmp_path / "password").write_text("s3cret\n")
    environment = Environment({"ORTHANC_PASSWORD_FILE": str(tmp_path / "password")})
    assert environment.read(BY_NAME["ORTHANC_PASSWORD"]) == "s3cret"


def test_a_secret_whose_file_is_missing_is_a_problem(tmp_path: Path) -> None:
    environment = Environment({"ORTHANC_PASSWORD_FILE": str(tmp_path / "none")})
    assert environment.read(BY_NAME["ORTHANC_PASSWORD"]) == ""
    assert environment.problems == ["ORTHANC_PASSWORD_FILE names a file that can't be read."]


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("ORTHANC_READ_TIMEOUT", "abc"),
        ("ORTHANC_READ_TIMEOUT", "10s"),
        ("ORTHANC_POOL_SIZE", "1.5"),
        ("ORTHANC_POOL_SIZE", ""),
        ("ORTHANC_DEBUG_LOG", "yse"),
        ("DJANGO_DEBUG", "maybe"),
    ],
)
def test_a_value_that_is_none_is_a_problem_and_leaves_the_default(name: str, text: str) -> None:
    environment = Environment({name: text})
    assert environment.read(BY_NAME[name]) == BY_NAME[name].default
    [problem] = environment.problems
    assert name in problem
    assert repr(text) in problem


def test_without_a_database_url_the_database_is_a_file_in_the_data_folder(tmp_path: Path) -> None:
    database = Environment({}).database("", tmp_path)
    assert database["ENGINE"] == "django.db.backends.sqlite3"
    assert database["NAME"] == str(tmp_path / "gateway.sqlite3")


def test_workers_that_write_to_sqlite_wait_for_each_other(tmp_path: Path) -> None:
    for url in ("", f"sqlite:///{tmp_path}/own.sqlite3"):
        database = Environment({}).database(url, tmp_path)
        options = database["OPTIONS"]
        assert options["timeout"] >= 10
        assert database["CONN_MAX_AGE"] is None
        assert "journal_mode=WAL" in options["init_command"]


def test_a_time_zone_is_one_that_exists() -> None:
    environment = Environment({})
    assert environment.time_zone("Asia/Seoul") == "Asia/Seoul"
    assert environment.problems == []
    for name in ("Asia/Soul", "../etc/passwd", "/etc/passwd", "", "a\0"):
        assert environment.time_zone(name) == "UTC"
        assert "TZ" in environment.problems.pop()


def test_a_database_url_names_the_database(tmp_path: Path) -> None:
    database = Environment({}).database("postgres://me:p%40ss@db:5433/gateway", tmp_path)
    assert database["ENGINE"] == "django.db.backends.postgresql"
    assert (database["USER"], database["PASSWORD"]) == ("me", "p@ss")
    assert (database["HOST"], database["PORT"], database["NAME"]) == ("db", 5433, "gateway")


def test_connections_to_postgresql_are_shared_and_tried_before_they_are_used_again(tmp_path: Path) -> None:
    database = Environment({}).database("postgres://me@db/gateway?sslmode=require", tmp_path)
    assert database["OPTIONS"]["pool"]["max_size"] >= 16
    assert database["OPTIONS"]["sslmode"] == "require"
    assert database["CONN_HEALTH_CHECKS"]


def test_who_says_how_long_connections_to_postgresql_are_kept_gets_no_pool(tmp_path: Path) -> None:
    database = Environment({}).database("postgres://me@db/gateway?conn_max_age=60", tmp_path)
    assert database["CONN_MAX_AGE"] == 60
    assert "pool" not in database.get("OPTIONS", {})


def test_the_folder_of_a_sqlite_file_is_made(tmp_path: Path) -> None:
    Environment({}).database(f"sqlite:///{tmp_path}/new/one.sqlite3", tmp_path)
    assert (tmp_path / "new").is_dir()


@pytest.mark.parametrize("url", ["foo://me:hunter2@db/x", "postgres://me:hunter2@db:port/x", "hunter2"])
def test_a_database_url_that_is_none_is_a_problem_that_does_not_repeat_it(url: str, tmp_path: Path) -> None:
    environment = Environment({})
    assert environment.database(url, tmp_path)["ENGINE"] == "django.db.backends.sqlite3"
    [problem] = environment.problems
    assert "DATABASE_URL" in problem
    assert "hunter2" not in problem


def test_the_secret_key_is_made_once_and_only_its_owner_may_read_it(tmp_path: Path) -> None:
    key = Environment({}).secret_key("", tmp_path)
    assert len(key) >= 50
    assert Environment({}).secret_key("", tmp_path) == key
    assert stat.S_IMODE((tmp_path / "secret-key").stat().st_mode) == 0o600
    assert [path.name for path in tmp_path.iterdir()] == ["secret-key"]


def test_workers_that_start_at_once_have_one_secret_key(tmp_path: Path) -> None:
    with ThreadPoolExecutor(16) as workers:
        keys = set(workers.map(lambda _: Environment({}).secret_key("", tmp_path), range(64)))
    assert len(keys) == 1


def test_a_secret_key_that_is_given_is_used_and_not_kept(tmp_path: Path) -> None:
    assert Environment({}).secret_key("given", tmp_path) == "given"
    assert list(tmp_path.iterdir()) == []


def test_a_data_folder_that_can_not_be_made_is_a_problem(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    environment = Environment({})
    folder = environment.folder(tmp_path / "file" / "data")
    assert environment.secret_key("", folder)
    assert len(environment.problems) == 2


SHOW = """
import os
os.environ["DJANGO_SETTINGS_MODULE"] = "orthancproxy.project.settings"
from django.conf import settings
print(settings.USE_X_FORWARDED_HOST, settings.USE_X_FORWARDED_PORT, settings.SECURE_PROXY_SSL_HEADER)
"""


def test_djangos_settings_for_a_proxy_are_off_by_default(tmp_path: Path) -> None:
    assert run(SHOW, tmp_path).stdout == "False False None\n"


def test_one_setting_turns_on_djangos_settings_for_a_proxy(tmp_path: Path) -> None:
    shown = run(SHOW, tmp_path, ORTHANC_TRUST_FORWARDED="true").stdout
    assert shown == "True True ('HTTP_X_FORWARDED_PROTO', 'https')\n"


def test_files_named_by_their_content_may_be_kept_for_good_and_others_not() -> None:
    for url, kept in (
        ("/static/orthancproxy/graphiql/assets/editor.worker-DEFT_Yb2.js", True),
        ("/static/orthancproxy/graphiql/main.js", False),
        ("/static/drf_spectacular_sidecar/swagger-ui-dist/swagger-ui.css", False),
    ):
        headers: dict[str, str] = {}
        cache_for_good(headers, "", url)
        assert ("immutable" in headers.get("Cache-Control", "")) is kept


def test_every_middleware_runs_on_the_event_loop() -> None:
    from django.conf import settings
    from django.utils.module_loading import import_string

    assert [path for path in settings.MIDDLEWARE if not import_string(path).async_capable] == []


def test_the_server_refuses_to_start_on_a_bad_configuration_with_a_line_for_each_problem(
    tmp_path: Path,
) -> None:
    refused = run(
        "import orthancproxy.project.asgi",
        tmp_path,
        ORTHANC_READ_TIMEOUT="abc",
        ORTHANC_BASE_URL="ftp://archive",
        DATABASE_URL="hunter2",
    )
    assert refused.returncode == 1
    first, *problems = refused.stderr.strip().splitlines()
    assert first == "The gateway can't start:"
    assert [problem.split(" ")[0] for problem in problems] == [
        "orthancproxy.E001:",
        "orthancproxy.E001:",
        "orthancproxy.E003:",
    ]
    assert "hunter2" not in refused.stderr


CHECK = """
import runpy, sys
sys.argv = ["manage.py", "check"]
runpy.run_path("manage.py", run_name="__main__")
"""


def test_the_command_line_names_the_problems_too(tmp_path: Path) -> None:
    refused = run(CHECK, tmp_path, ORTHANC_READ_TIMEOUT="abc")
    assert refused.returncode != 0
    assert "ORTHANC_READ_TIMEOUT must be a number, not 'abc'." in refused.stderr
    assert "Traceback" not in refused.stderr
