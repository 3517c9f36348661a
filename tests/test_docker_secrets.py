"""docker/make-env writes each secret once, and the containers take theirs from files."""

import base64
import hashlib
import hmac
import json
import os
import re
import shutil
import stat
import subprocess
from collections.abc import Callable
from pathlib import Path
from urllib.parse import urlsplit

import psycopg
import pytest
import yaml

from orthancproxy.project.environment import Environment
from orthancproxy.sandbox.gateway import CHECKOUT
from tests.postgresql import run_postgresql

Make = Callable[[], "subprocess.CompletedProcess[str]"]
SECRETS = yaml.safe_load((CHECKOUT / "docker-compose.yml").read_text())["secrets"]
# as .env was before there were files
OLD = {
    "ORTHANC_PASSWORD": 'pass"word',
    "POSTGRES_PASSWORD": "a" * 64,
    "ORTHANC_DATABASE_PASSWORD": "b" * 64,
    "GATEWAY_DATABASE_PASSWORD": "c-d.e_f~0",
    "ORTHANC_EVENTS_SECRET": "d" * 64,
    "DJANGO_SECRET_KEY": "e" * 64,
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A checkout, as far as the script needs it."""
    (tmp_path / "docker").mkdir()
    shutil.copy(CHECKOUT / "docker/make-env", tmp_path / "docker")
    shutil.copy(CHECKOUT / ".env.example", tmp_path)
    return tmp_path


@pytest.fixture
def make(folder: Path) -> Make:
    def make() -> "subprocess.CompletedProcess[str]":
        return subprocess.run([folder / "docker/make-env"], capture_output=True, text=True, check=False)

    return make


def secrets(folder: Path) -> dict[str, str]:
    return {path.name: path.read_text() for path in (folder / ".secrets").iterdir()}


class TestMakeEnv:
    def test_writes_every_secret_once(self, folder: Path, make: Make) -> None:
        assert make().returncode == 0
        made = secrets(folder)
        assert set(made) == set(SECRETS)
        assert made["oidc-client-secret"] == made["otlp-headers"] == ""
        plain = [secret for name, secret in made.items() if re.fullmatch("[0-9a-f]{64}", secret)]
        assert len(set(plain)) == len(plain) == len(SECRETS) - 5
        assert re.fullmatch("[0-9a-f]{8}", made["orthanc-host-id"])
        assert (folder / ".env").read_text() == (folder / ".env.example").read_text()

        assert make().returncode == 0
        assert secrets(folder) == made

    def test_the_folder_keeps_other_users_out_and_the_containers_can_read(self, folder: Path, make: Make) -> None:
        """Docker mounts the files, so that the folder above them is in no container."""
        make()
        modes = {path: stat.S_IMODE(path.stat().st_mode) for path in (folder / ".secrets").iterdir()}
        assert set(modes.values()) == {0o444}
        assert stat.S_IMODE((folder / ".secrets").stat().st_mode) == 0o700
        assert stat.S_IMODE((folder / ".env").stat().st_mode) == 0o600

    def test_the_services_are_told_the_same_passwords(self, folder: Path, make: Make) -> None:
        make()
        made = secrets(folder)
        assert json.loads(made["orthanc.json"]) == {
            "RegisteredUsers": {"gateway": made["orthanc-password"]},
            "PostgreSQL": {"Password": made["orthanc-database-password"]},
        }
        environment = Environment({"DATABASE_URL_FILE": str(folder / ".secrets/database-url")})
        database = environment.database(environment._text("DATABASE_URL") or "", folder)
        assert {name: database[name] for name in ("HOST", "PORT", "NAME", "USER", "PASSWORD")} == {
            "HOST": "postgres",
            "PORT": 5432,
            "NAME": "gateway",
            "USER": "gateway",
            "PASSWORD": made["gateway-database-password"],
        }

    def test_moves_the_secrets_of_an_earlier_version(self, folder: Path, make: Make) -> None:
        lines = [f"{name}={value}" for name, value in OLD.items()]
        (folder / ".env").write_text("\n".join(["# a comment", *lines, "ORTHANC_USERNAME=admin", "PORT=8001", ""]))
        assert make().returncode == 0
        assert (folder / ".env").read_text() == "# a comment\nORTHANC_USERNAME=admin\nPORT=8001\n"
        made = secrets(folder)
        assert {name.lower().replace("_", "-"): value for name, value in OLD.items()}.items() <= made.items()
        assert json.loads(made["orthanc.json"])["RegisteredUsers"] == {"admin": OLD["ORTHANC_PASSWORD"]}
        assert make().returncode == 0
        assert secrets(folder) == made

    def test_an_earlier_version_without_events_gets_a_secret_for_them(self, folder: Path, make: Make) -> None:
        lines = [f"{name}={value}" for name, value in OLD.items() if name != "ORTHANC_EVENTS_SECRET"]
        (folder / ".env").write_text("\n".join([*lines, ""]))
        assert make().returncode == 0
        assert len(secrets(folder)["orthanc-events-secret"]) == 64

    def test_takes_what_others_give_from_env(self, folder: Path, make: Make) -> None:
        make()
        with (folder / ".env").open("a") as file:
            file.write("ORTHANC_OIDC_CLIENT_SECRET=given\nORTHANC_PASSWORD=of another Orthanc\n")
            file.write("OTEL_EXPORTER_OTLP_HEADERS=Authorization=Basic%20YTpi\n")
        assert make().returncode == 0
        made = secrets(folder)
        assert (made["oidc-client-secret"], made["orthanc-password"]) == ("given", "of another Orthanc")
        assert made["otlp-headers"] == "Authorization=Basic%20YTpi"
        assert json.loads(made["orthanc.json"])["RegisteredUsers"] == {"gateway": "of another Orthanc"}
        assert (folder / ".env").read_text() == (folder / ".env.example").read_text()

    def test_does_not_replace_the_password_of_a_database(self, folder: Path, make: Make) -> None:
        make()
        before = secrets(folder)
        with (folder / ".env").open("a") as file:
            file.write("POSTGRES_PASSWORD=another\n")
        assert "has another password" in make().stderr
        assert secrets(folder) == before

    @pytest.mark.parametrize("name", ["postgres-password", "orthanc-database-password", "gateway-database-password"])
    def test_makes_no_new_password_of_a_database_that_exists(self, folder: Path, make: Make, name: str) -> None:
        make()
        (folder / ".secrets" / name).unlink()
        failed = make()
        assert failed.returncode != 0
        assert f".secrets/{name} is missing" in failed.stderr
        assert not (folder / ".secrets" / name).exists()

    def test_an_interrupted_run_is_repeated(self, folder: Path, make: Make) -> None:
        (folder / ".env.example").rename(folder / "example")
        assert make().returncode != 0
        (folder / ".secrets/postgres-password").unlink()
        (folder / "example").rename(folder / ".env.example")
        assert make().returncode == 0
        assert set(secrets(folder)) == set(SECRETS)

    def test_rejects_a_password_that_would_not_fit_into_a_url(self, folder: Path, make: Make) -> None:
        lines = [f"{name}={value}" for name, value in {**OLD, "GATEWAY_DATABASE_PASSWORD": "a@b"}.items()]
        (folder / ".env").write_text("\n".join([*lines, ""]))
        assert "letters, digits" in make().stderr
        assert "GATEWAY_DATABASE_PASSWORD=a@b" in (folder / ".env").read_text()


def test_postgresql_makes_a_database_for_each_with_the_password_of_its_file(folder: Path, make: Make) -> None:
    make()
    files = {
        f"{name}_DATABASE_PASSWORD_FILE": str(folder / f".secrets/{name.lower()}-database-password")
        for name in ("ORTHANC", "GATEWAY")
    }
    with run_postgresql(superuser="postgres") as url:
        server = urlsplit(url)
        address = {"PGHOST": server.hostname or "", "PGPORT": str(server.port)}
        subprocess.run(
            ["bash", CHECKOUT / "docker/postgres-init.sh"], env={**os.environ, **address, **files}, check=True
        )
        with psycopg.connect(url) as connection:
            found = connection.execute(
                "SELECT datname, rolname, pg_get_userbyid(datdba), rolpassword LIKE 'SCRAM-SHA-256$%', rolsuper"
                " FROM pg_database JOIN pg_authid ON rolname = datname ORDER BY datname"
            ).fetchall()
            allowed = connection.execute("SELECT has_database_privilege('orthanc', 'gateway', 'CONNECT')").fetchone()
            assert allowed == (False,)
            # the tests' PostgreSQL asks for none: compare the hash by setting it again
            hashes: dict[str, str] = dict(
                connection.execute("SELECT rolname, rolpassword FROM pg_authid WHERE NOT rolsuper").fetchall()
            )
    expected = [(name, name, name, True, False) for name in ("gateway", "orthanc")]
    assert [row for row in found if row[0] != "postgres"] == expected
    for name in ("gateway", "orthanc"):
        assert matches(hashes[name], secrets(folder)[f"{name}-database-password"])


def matches(stored: str, password: str) -> bool:
    """Whether a SCRAM verifier of PostgreSQL is that of a password (RFC 5802)."""
    iterations, salt, stored_key = re.split(r"[$:]", stored)[1:4]
    salted = hashlib.pbkdf2_hmac("sha256", password.encode(), base64.b64decode(salt), int(iterations))
    client_key = hmac.digest(salted, b"Client Key", "sha256")
    return base64.b64decode(stored_key) == hashlib.sha256(client_key).digest()


def test_a_volume_gets_another_owner_once(tmp_path: Path) -> None:
    """Only root can give files away; others have them already."""
    user, group = (999, 999) if os.geteuid() == 0 else (os.geteuid(), os.getegid())
    (tmp_path / "a/b").mkdir(parents=True, mode=0o700)
    (tmp_path / "a/b/file").touch(mode=0o600)
    (tmp_path / "link").symlink_to("/etc/passwd")
    command = [str(CHECKOUT / "docker/own-volume"), str(tmp_path), f"{user}:{group}"]
    subprocess.run(command, check=True)
    paths = [tmp_path, *tmp_path.rglob("*")]
    assert len(paths) == 5
    assert {(path.lstat().st_uid, path.lstat().st_gid) for path in paths} == {(user, group)}
    assert Path("/etc/passwd").stat().st_uid == 0
    before = {path: path.lstat().st_ctime_ns for path in paths}
    subprocess.run(command, check=True)
    assert {path: path.lstat().st_ctime_ns for path in paths} == before
