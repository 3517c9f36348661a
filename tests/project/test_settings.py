"""Settings are documented and read from the environment; invalid values are reported and leave the defaults."""

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

from dev.generate_docs import table
from orthancproxy.conf import SETTINGS, conf
from orthancproxy.project.environment import Environment
from orthancproxy.project.static import add_headers
from orthancproxy.project.variables import DEPLOYMENT_VARIABLES
from orthancproxy.setting import Setting

CHECKOUT = Path(__file__).resolve().parents[2]
ALL = (*SETTINGS, *DEPLOYMENT_VARIABLES)
BY_NAME = {setting.name: setting for setting in ALL}


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


class TestDocumentation:
    def test_has_each_setting_and_no_other(self) -> None:
        names = re.findall(r"^\| `(\w+)` \|", (CHECKOUT / "docs/settings.md").read_text("utf-8"), re.MULTILINE)
        assert names == [setting.name for setting in ALL]

    def test_a_table_escapes_what_would_end_a_cell(self) -> None:
        assert table(("Name", "Value"), [("`x`", "json|console")]) == (
            "| Name | Value |\n| --- | --- |\n| `x` | json\\|console |\n"
        )

    def test_is_generated_from_the_code(self, tmp_path: Path) -> None:
        assert generate_docs("--check").stdout == ""
        stale = tmp_path / "settings.md"
        original = (CHECKOUT / "docs/settings.md").read_text("utf-8")
        stale.write_text(original.replace("`http://localhost:8042`", "`http://elsewhere`"))
        checked = generate_docs("--check", str(stale))
        assert checked.returncode == 1
        assert "+| `ORTHANC_BASE_URL`" in checked.stdout
        assert generate_docs(str(stale)).returncode == 0
        assert stale.read_text("utf-8") == original


def generate_docs(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "dev.generate_docs", *arguments]
    return subprocess.run(command, cwd=CHECKOUT, capture_output=True, text=True, timeout=60, check=False)


class TestSecrets:
    def test_are_not_in_a_repr(self) -> None:
        assert "hunter2" not in repr(Setting("hunter2", "", secret=True))

    def test_are_not_in_a_message_about_an_invalid_value(self) -> None:
        class Declared:
            PIN = Setting(0, "", minimum=1000, secret=True)

        environment = Environment({"PIN": "777"})
        environment.read(Declared.PIN)
        assert environment.problems == ["PIN must be a whole number of at least 1,000, not ********."]

    def test_are_the_passwords_and_keys(self) -> None:
        assert {setting.name for setting in ALL if setting.secret} == {
            "ORTHANC_EVENTS_SECRET",
            "ORTHANC_OIDC_CLIENT_SECRET",
            "ORTHANC_PASSWORD",
            "ORTHANC_PSEUDONYM_KEY",
            "DJANGO_SECRET_KEY",
            "OTEL_EXPORTER_OTLP_HEADERS",
            "DATABASE_URL",
        }


@pytest.mark.parametrize("setting", SETTINGS, ids=lambda setting: setting.name)
def test_a_project_that_defines_no_settings_gets_the_defaults(setting: Setting[Any]) -> None:
    with override_settings():
        from django.conf import settings

        delattr(settings, setting.name)
        assert getattr(conf, setting.name) == setting.default


def test_a_project_overrides_a_setting() -> None:
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
def test_a_setting_is_parsed_from_its_environment_variable(name: str, text: str, value: object) -> None:
    environment = Environment({name: text})
    assert environment.read(BY_NAME[name]) == value
    assert environment.problems == []


@pytest.mark.parametrize("end", ["", "\n", "\r\n"])
def test_a_secret_can_be_read_from_a_file(tmp_path: Path, end: str) -> None:
    (tmp_path / "password").write_bytes(f" s3cret {end}".encode())
    environment = Environment({"ORTHANC_PASSWORD_FILE": str(tmp_path / "password")})
    assert environment.read(BY_NAME["ORTHANC_PASSWORD"]) == " s3cret "


def test_a_missing_secret_file_is_a_problem(tmp_path: Path) -> None:
    environment = Environment({"ORTHANC_PASSWORD_FILE": str(tmp_path / "none")})
    assert environment.read(BY_NAME["ORTHANC_PASSWORD"]) == ""
    assert environment.problems == ["ORTHANC_PASSWORD_FILE names a file that cannot be read."]


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("ORTHANC_READ_TIMEOUT", "abc"),
        ("ORTHANC_READ_TIMEOUT", "10s"),
        ("ORTHANC_POOL_SIZE", "1.5"),
        ("ORTHANC_POOL_SIZE", ""),
        ("ORTHANC_POOL_SIZE", "0"),
        ("ORTHANC_READ_TIMEOUT", "0"),
        ("ORTHANC_READ_TIMEOUT", "nan"),
        ("DJANGO_SESSION_HOURS", "nan"),
        ("DJANGO_SESSION_HOURS", "inf"),
        ("DJANGO_SECURE_HSTS_SECONDS", "-1"),
        ("ORTHANC_DEBUG_LOG", "yse"),
        ("DJANGO_DEBUG", "maybe"),
    ],
)
def test_an_invalid_value_is_a_problem_and_leaves_the_default(name: str, text: str) -> None:
    environment = Environment({name: text})
    assert environment.read(BY_NAME[name]) == BY_NAME[name].default
    [problem] = environment.problems
    assert name in problem
    assert repr(text) in problem


def test_the_default_database_is_a_sqlite_file_in_the_data_folder(tmp_path: Path) -> None:
    database = Environment({}).database("", tmp_path)
    assert database["ENGINE"] == "django.db.backends.sqlite3"
    assert database["NAME"] == str(tmp_path / "gateway.sqlite3")


def test_a_database_in_memory_makes_no_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    environment = Environment({})
    assert environment.database("sqlite://:memory:", tmp_path)["NAME"] == ":memory:"
    assert environment.problems == []
    assert list(tmp_path.iterdir()) == []


def test_sqlite_connections_wait_for_each_other_and_write_ahead(tmp_path: Path) -> None:
    for url in ("", f"sqlite:///{tmp_path}/own.sqlite3"):
        database = Environment({}).database(url, tmp_path)
        options = database["OPTIONS"]
        assert options["timeout"] >= 10
        assert database["CONN_MAX_AGE"] is None
        assert "journal_mode=WAL" in options["init_command"]


def test_an_unknown_time_zone_is_a_problem_and_leaves_utc() -> None:
    environment = Environment({})
    assert environment.time_zone("Asia/Seoul") == "Asia/Seoul"
    assert environment.problems == []
    for name in ("Asia/Soul", "../etc/passwd", "/etc/passwd", "", "a\0"):
        assert environment.time_zone(name) == "UTC"
        assert "TZ" in environment.problems.pop()


def test_a_database_url_is_parsed(tmp_path: Path) -> None:
    database = Environment({}).database("postgres://me:p%40ss@db:5433/gateway", tmp_path)
    assert database["ENGINE"] == "django.db.backends.postgresql"
    assert (database["USER"], database["PASSWORD"]) == ("me", "p@ss")
    assert (database["HOST"], database["PORT"], database["NAME"]) == ("db", 5433, "gateway")


def test_postgresql_connections_are_pooled_and_health_checked(tmp_path: Path) -> None:
    database = Environment({}).database("postgres://me@db/gateway?sslmode=require", tmp_path, 11)
    assert database["OPTIONS"]["pool"]["max_size"] == 11
    assert database["OPTIONS"]["sslmode"] == "require"
    assert database["CONN_HEALTH_CHECKS"]


def test_postgresql_connections_with_conn_max_age_are_not_pooled(tmp_path: Path) -> None:
    database = Environment({}).database("postgres://me@db/gateway?conn_max_age=60", tmp_path)
    assert database["CONN_MAX_AGE"] == 60
    assert "pool" not in database.get("OPTIONS", {})


def test_the_folder_of_the_sqlite_file_is_created(tmp_path: Path) -> None:
    Environment({}).database(f"sqlite:///{tmp_path}/new/one.sqlite3", tmp_path)
    assert (tmp_path / "new").is_dir()


@pytest.mark.parametrize("url", ["foo://me:hunter2@db/x", "postgres://me:hunter2@db:port/x", "hunter2"])
def test_an_invalid_database_url_is_a_problem_that_does_not_show_the_url(url: str, tmp_path: Path) -> None:
    environment = Environment({})
    assert environment.database(url, tmp_path)["ENGINE"] == "django.db.backends.sqlite3"
    [problem] = environment.problems
    assert "DATABASE_URL" in problem
    assert "hunter2" not in problem


def test_the_secret_key_is_generated_once_and_readable_only_by_its_owner(tmp_path: Path) -> None:
    key = Environment({}).secret_key("", tmp_path)
    assert len(key) >= 50
    assert Environment({}).secret_key("", tmp_path) == key
    assert stat.S_IMODE((tmp_path / "secret-key").stat().st_mode) == 0o600
    assert [path.name for path in tmp_path.iterdir()] == ["secret-key"]


def test_workers_that_start_together_share_one_secret_key(tmp_path: Path) -> None:
    with ThreadPoolExecutor(16) as workers:
        keys = set(workers.map(lambda _: Environment({}).secret_key("", tmp_path), range(64)))
    assert len(keys) == 1


def test_a_given_secret_key_is_not_written_to_the_data_folder(tmp_path: Path) -> None:
    assert Environment({}).secret_key("given", tmp_path) == "given"
    assert list(tmp_path.iterdir()) == []


def test_a_data_folder_that_cannot_be_created_is_a_problem(tmp_path: Path) -> None:
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


def test_forwarded_headers_are_not_trusted_by_default(tmp_path: Path) -> None:
    assert run(SHOW, tmp_path).stdout == "False False None\n"


def test_trust_forwarded_turns_on_djangos_proxy_settings(tmp_path: Path) -> None:
    shown = run(SHOW, tmp_path, ORTHANC_TRUST_FORWARDED="true").stdout
    assert shown == "True True ('HTTP_X_FORWARDED_PROTO', 'https')\n"


def test_only_static_files_with_a_content_hash_are_cached_forever() -> None:
    for url, kept in (
        ("/static/orthancproxy/graphiql/assets/editor.worker-DEFT_Yb2.js", True),
        ("/static/orthancproxy/graphiql/main.js", False),
        ("/static/drf_spectacular_sidecar/swagger-ui-dist/swagger-ui.css", False),
    ):
        headers: dict[str, str] = {}
        add_headers(headers, "", url)
        assert ("immutable" in headers.get("Cache-Control", "")) is kept


def test_workers_that_decode_images_may_load_webassembly_of_the_gateway_and_nothing_else() -> None:
    for url, policy in (
        (
            "/static/orthancproxy/explorer/assets/decodeImageFrameWorker-B2NlUmh0.js",
            "script-src 'self' 'wasm-unsafe-eval'",
        ),
        ("/static/orthancproxy/explorer/assets/engine-Cpia_mXr.js", ""),
    ):
        headers: dict[str, str] = {}
        add_headers(headers, "", url)
        assert policy in headers.get("Content-Security-Policy", "")
        assert ("Content-Security-Policy" in headers) is bool(policy)


def test_every_middleware_is_async() -> None:
    from django.conf import settings
    from django.utils.module_loading import import_string

    assert [path for path in settings.MIDDLEWARE if not import_string(path).async_capable] == []


def test_the_server_does_not_start_with_invalid_settings_and_prints_each_problem(
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
    assert first == "The gateway cannot start:"
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


def test_manage_py_check_prints_the_problems(tmp_path: Path) -> None:
    refused = run(CHECK, tmp_path, ORTHANC_READ_TIMEOUT="abc")
    assert refused.returncode != 0
    assert "ORTHANC_READ_TIMEOUT must be a number above 0 and at most 86,400, not 'abc'." in refused.stderr
    assert "Traceback" not in refused.stderr
