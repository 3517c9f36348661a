"""Every command block of docs/deployment.md is run, by a test here or by what ELSEWHERE names.

There is no Docker: tests/docker_stand_in.py checks its commands against docker-compose.yml, and runs what they run in
containers with a real PostgreSQL, a real Orthanc and manage.py.
"""

import io
import json
import os
import pty
import re
import shlex
import shutil
import sqlite3
import subprocess
import sys
import zipfile
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import psycopg
import pytest
import requests
import yaml

from orthancproxy.conf import SETTINGS
from orthancproxy.project.variables import DEPLOYMENT_VARIABLES
from orthancproxy.sandbox.gateway import CHECKOUT, serving
from orthancproxy.sandbox.nginx import nginx_before
from orthancproxy.sandbox.orthanc import LocalOrthanc, free_port
from orthancproxy.sandbox.process import ChildProcess
from tests.corpus import ask, instance, load
from tests.orthancs import NOT_FOLLOWING, running_orthancs
from tests.postgresql import run_postgresql
from tests.test_docker_secrets import matches
from tests.waiting import wait_until

pytestmark = [pytest.mark.live, pytest.mark.once]

PAGE = (CHECKOUT / "docs/deployment.md").read_text("utf-8")
Key = tuple[str, int]
# run as root in a system that boots with systemd; their numbers count all blocks of the section
ELSEWHERE: dict[Key, str] = {
    ("Without Docker", 1): "block 1",
    ("Without Docker", 2): "block 2",
    ("Without Docker", 3): "block 3",
}
# commands in sentences, but for those of Docker (below), with the file that runs them, and with what of them it has
IN_SENTENCES = {
    "journalctl --unit=orthanc-gateway --output=cat": (
        "dev/drill-systemd",
        "\njournalctl --unit=orthanc-gateway --output=cat ",
    ),
    "manage.py archive_audit": ("tests/audit/test_retention.py", 'call_command("archive_audit"'),
    "manage.py migrate": ("tests/project/test_migrations.py", '"manage.py", "migrate"'),
    "manage.py rebuild_index": ("tests/resolvers/test_background.py", 'call_command("rebuild_index"'),
    "python manage.py migrate": ("tests/project/test_migrations.py", '"manage.py", "migrate"'),
    "python3 -m dev.pin_images": ("tests/test_pin_images.py", "from dev.pin_images import"),
    "rsync --archive --hard-links": ("tests/test_backup.py", '"rsync", "--archive", "--hard-links"'),
    "systemctl reload orthanc-gateway": ("dev/drill-systemd", "\nsystemctl reload orthanc-gateway\n"),
    "systemctl reload orthanc-gateway-nginx": ("dev/drill-systemd", "\nsystemctl reload orthanc-gateway-nginx\n"),
    "systemd-analyze security": ("dev/drill-systemd", "\nsystemd-analyze security "),
}
# they open an editor
DIALOGS = {"systemctl edit", "systemctl edit orthanc-gateway"}
PROGRAMS = re.compile(r"(journalctl|kubectl|manage\.py|python3?|rsync|sh|systemctl|systemd-analyze) ")
RUN: set[Key] = set()
Test = Callable[..., None]


def blocks(language: str) -> dict[Key, str]:
    """Return the code blocks in a language by their section and their number in it, from 1."""
    found: dict[Key, str] = {}
    section, counts = "", dict[str, int]()
    for heading, given, text in re.findall(r"^(?:#+ (.+)|```(\w*)\n((?:(?!```).*\n)*)```)$", PAGE, re.MULTILINE):
        if heading:
            section = heading
        elif given == language:
            counts[section] = counts.get(section, 0) + 1
            found[section, counts[section]] = text
    return found


COMMANDS = blocks("sh")


def runs(*keys: Key) -> Callable[[Test], Test]:
    """Mark a test as what runs these blocks."""
    RUN.update(keys)
    return lambda test: test


def test_every_block_has_a_language_and_every_command_is_run() -> None:
    assert blocks("") == {}
    assert len(COMMANDS) > 15
    assert set(ELSEWHERE) & RUN == set()
    assert {*RUN, *ELSEWHERE} == set(COMMANDS)
    drill = (CHECKOUT / "dev/drill-systemd").read_text()
    assert all(f"$({call})" in drill or f"$({call} |" in drill for call in ELSEWHERE.values())


def test_every_command_in_a_sentence_is_run() -> None:
    sentences = re.sub(r"^```.*?^```$", "", PAGE, flags=re.MULTILINE | re.DOTALL)
    found = {text for text in re.findall(r"`([^`]+)`", sentences) if PROGRAMS.match(text)}
    assert found == {*IN_SENTENCES, *DIALOGS}
    for file, text in IN_SENTENCES.values():
        assert text in (CHECKOUT / file).read_text(), text


class Host:
    """A machine with the checkout, on which Docker runs the services: PostgreSQL and Orthanc for real."""

    def __init__(self, folder: Path, postgresql: str) -> None:
        self.folder = folder / "checkout"
        self.postgresql = urlsplit(postgresql)
        self.backups = folder / "backups"
        self._options = folder / "stand-in.json"
        self._binaries = folder / "bin"
        self.orthanc_url = ""
        state = folder / "state"
        for made in (self.folder, self._binaries, state):
            made.mkdir(parents=True)
        for name in ("docker-compose.yml", ".env.example", "Dockerfile"):
            shutil.copy(CHECKOUT / name, self.folder)
        shutil.copytree(CHECKOUT / "docker", self.folder / "docker")
        wrapper = self._binaries / "docker"
        wrapper.write_text(f'#!/bin/sh\nexec {sys.executable} {CHECKOUT}/tests/docker_stand_in.py "$@"\n')
        wrapper.chmod(0o755)
        server = {"PGHOST": self.postgresql.hostname, "PGPORT": str(self.postgresql.port)}
        self.options: dict[str, Any] = {
            "state": str(state),
            "storage": "",
            "containers": {
                "gateway": {
                    "cwd": str(CHECKOUT),
                    "env": {
                        "DATABASE_URL": self.url("gateway"),
                        "PATH": f"{Path(sys.executable).parent}:/usr/bin:/bin",
                    },
                },
                "postgres": {"env": server},
            },
        }

    def url(self, database: str) -> str:
        return f"postgres://{database}@{self.postgresql.hostname}:{self.postgresql.port}/{database}"

    def use(self, orthanc: LocalOrthanc) -> None:
        """Let `docker exec orthanc` reach an Orthanc."""
        self.orthanc_url = orthanc.base_url
        self.options["storage"] = str(orthanc.folder / "storage")
        self.options["containers"]["orthanc"] = {
            "replace": {
                "/tmp/orthanc.json": str(orthanc.folder / "orthanc.json"),  # noqa: S108 - of the container
                "localhost:8042": f"localhost:{orthanc.port}",
            }
        }

    def environment(self) -> dict[str, str]:
        self._options.write_text(json.dumps(self.options))
        return {
            "PATH": f"{self._binaries}:{os.environ['PATH']}",
            "HOME": str(self.folder),
            "LANG": "C.UTF-8",
            "TMPDIR": os.environ["TMPDIR"],
            "DOCKER_STAND_IN": str(self._options),
        }

    def run(self, key: Key, *, replace: dict[str, str] | None = None, **options: Any) -> str:
        """Run a block of the page as it is printed, but for paths, and return what it prints."""
        text = COMMANDS[key]
        for before, after in (replace or {}).items():
            assert before in text
            text = text.replace(before, after)
        command = ["bash", "-euo", "pipefail", "-c", text]
        done = subprocess.run(
            command, cwd=self.folder, env=self.environment(), stdout=subprocess.PIPE, check=True, **options
        )
        return str(done.stdout, "utf-8")

    def make_databases(self) -> None:
        """Do what the container of PostgreSQL does for a new volume."""
        files = {
            f"{name}_DATABASE_PASSWORD_FILE": str(self.folder / f".secrets/{name.lower()}-database-password")
            for name in ("ORTHANC", "GATEWAY")
        }
        environment = {**os.environ, **self.options["containers"]["postgres"]["env"], **files}
        subprocess.run(["bash", CHECKOUT / "docker/postgres-init.sh"], env=environment, check=True)

    def secret(self, name: str) -> str:
        return (self.folder / ".secrets" / name).read_text()


@pytest.fixture(scope="module")
def host(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Host]:
    """A host on which the services were started as the page says, with an archive of two studies."""
    folder = tmp_path_factory.mktemp("host")
    with run_postgresql(superuser="postgres") as url, running_orthancs() as start:
        host = Host(folder, url)
        host.run(("With Docker Compose", 1))
        host.make_databases()
        manage(host, "migrate", "--verbosity=0")
        orthanc = start_orthanc(host, start)
        host.use(orthanc)
        load(orthanc, [instance(1, study) for study in (1, 2)])
        yield host


def start_orthanc(host: Host, start: Callable[..., LocalOrthanc], **options: Any) -> LocalOrthanc:
    """Start an Orthanc with its index in the host's PostgreSQL and the users of the secret."""
    server = {"Host": host.postgresql.hostname, "Port": host.postgresql.port}
    index = {"EnableIndex": True, "EnableStorage": False, "Lock": False, "Username": "orthanc", "Database": "orthanc"}
    return start(
        plugins=["/usr/share/orthanc/plugins/libOrthancPostgreSQLIndex.so"],
        users=json.loads(host.secret("orthanc.json"))["RegisteredUsers"],
        configuration={"PostgreSQL": {**index, **server}},
        **options,
    )


def manage(host: Host, *arguments: str) -> None:
    environment = {**os.environ, **host.options["containers"]["gateway"]["env"]}
    subprocess.run([sys.executable, "manage.py", *arguments], cwd=CHECKOUT, env=environment, check=True)


@runs(("With Docker Compose", 1))
def test_the_services_start(host: Host) -> None:
    assert {path.name for path in Path(host.options["state"]).glob("running-*")} == {
        f"running-{name}" for name in ("nginx", "gateway", "orthanc", "orthanc-volume", "postgres")
    }
    assert (host.folder / ".env").exists()


@runs(("With Docker Compose", 2))
def test_orthancs_password_is_changed(host: Host) -> None:
    kept = {path.name: path.read_text() for path in (host.folder / ".secrets").iterdir()}
    host.run(("With Docker Compose", 2))
    assert {name for name, text in kept.items() if host.secret(name) != text} == {"orthanc-password", "orthanc.json"}
    # Orthanc still has the old one, for the tests below
    for name in ("orthanc-password", "orthanc.json"):
        (host.folder / ".secrets" / name).unlink()
        (host.folder / ".secrets" / name).write_text(kept[name])


@runs(("With Docker Compose", 3))
@pytest.mark.parametrize("name", ["gateway", "orthanc"])
def test_a_password_of_postgresql_is_changed(host: Host, name: str) -> None:
    before = {path.name: path.read_text() for path in (host.folder / ".secrets").iterdir()}
    replace = {"gateway": name, "GATEWAY": name.upper()} if name != "gateway" else None
    host.run(("With Docker Compose", 3), replace=replace)
    changed = {file for file, text in before.items() if host.secret(file) != text}
    assert changed == {f"{name}-database-password", {"gateway": "database-url", "orthanc": "orthanc.json"}[name]}
    password = host.secret(f"{name}-database-password")
    with psycopg.connect(host.postgresql.geturl()) as connection:
        found = connection.execute("SELECT rolpassword FROM pg_authid WHERE rolname = %s", [name]).fetchone()
    assert found
    assert matches(found[0], password)
    assert password not in (host.folder / ".env").read_text()


@runs(("The first user", 1))
def test_a_user_is_made_in_a_dialog(host: Host) -> None:
    environment = host.environment()
    process, terminal = pty.fork()
    if process == 0:  # pragma: no cover - the child
        os.chdir(host.folder)
        os.execvpe("bash", ["bash", "-euc", COMMANDS["The first user", 1]], environment)  # noqa: S606
    shown = ""
    for prompt, answer in [
        ("Username", "kim"),
        ("Email", "kim@example.org"),
        ("Password: ", "correct horse battery"),
        ("Password (again): ", "correct horse battery"),
        ("Superuser created", ""),
    ]:
        while prompt not in shown:
            shown += os.read(terminal, 1024).decode()
        shown = ""
        os.write(terminal, f"{answer}\n".encode())
    os.waitpid(process, 0)
    os.close(terminal)
    with psycopg.connect(host.url("gateway")) as connection:
        found = connection.execute("SELECT username, email, is_superuser FROM auth_user").fetchall()
    assert found == [("kim", "kim@example.org", True)]


@runs(("Getting images into Orthanc", 1))
def test_a_zip_is_stored_in_orthanc(host: Host) -> None:
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as file:
        for number in (1, 2):
            file.writestr(f"{number}.dcm", instance(7, number=number))
    assert host.run(("Getting images into Orthanc", 1), replace={"<study.zip": ""}, input=archive.getvalue()) == "200\n"
    assert studies_of(host, 7) == 1


def studies_of(host: Host, patient: int) -> int:
    with psycopg.connect(host.url("orthanc")) as connection:
        query = """SELECT count(*) FROM dicomidentifiers JOIN resources ON internalid = id
            WHERE resourcetype = 1 AND taggroup = 16 AND tagelement = 32 AND value = %s"""
        found = connection.execute(query, [f"P{patient:03d}"]).fetchone()
    assert found
    return int(found[0])


@runs(("The audit", 1))
def test_the_audit_is_exported_in_parts(host: Host) -> None:
    def export() -> str:
        # by default, what is older than a minute
        host.run(("The audit", 1), replace={"export_audit": "export_audit --until 2999-01-01T00:00:00Z"})
        return (host.folder / "audit.xml").read_text()

    settings = {**NOT_FOLLOWING, "DATABASE_URL": host.url("gateway"), "ORTHANC_USERNAME": "gateway"}
    settings["ORTHANC_PASSWORD_FILE"] = str(host.folder / ".secrets/orthanc-password")
    with serving(host.orthanc_url, host.backups.parent / "gateway", settings=settings) as gateway:
        query = {"query": "{ studies(first: 1) { nodes { orthancId } } }"}
        requests.post(f"{gateway.address}/graphql/", json=query, timeout=30)
        first = export()
        number = int((host.folder / "audit.id").read_text())
        requests.post(f"{gateway.address}/graphql/", json=query, timeout=30)
        both = export()
    assert number > 0
    assert both.startswith(first)
    assert len(both) > len(first) > 0
    assert int((host.folder / "audit.id").read_text()) > number
    assert (host.folder / "audit.xml").stat().st_mode & 0o077 == 0


@runs(("Backup", 1), ("Backup", 2))
def test_a_backup_is_restored_on_another_host(host: Host, tmp_path: Path) -> None:
    host.run(("Backup", 1), replace={"/srv/backups": str(host.backups)})
    [made] = host.backups.iterdir()
    # as if an image had been deleted during it
    lost, *_ = made.glob("files/*/*/*")
    lost.unlink()
    with psycopg.connect(host.url("orthanc")) as connection:
        before = connection.execute("SELECT count(*) FROM resources WHERE resourcetype = 3").fetchone()
    assert before
    with run_postgresql(superuser="postgres") as url, running_orthancs() as start:
        other = Host(tmp_path, url)
        shutil.copy(made / ".env", other.folder)
        shutil.copytree(made / ".secrets", other.folder / ".secrets")
        first, last = COMMANDS["Backup", 2].split("docker compose up -d --wait\n")
        storage = tmp_path / "storage"
        storage.mkdir()
        other.options["storage"] = str(storage)
        other.make_databases()

        def run(text: str) -> None:
            text = text.replace("/srv/backups/2026-11-29T020000Z", str(made))
            subprocess.run(["bash", "-euc", text], cwd=other.folder, env=other.environment(), check=True)

        run(first)
        assert len((other.folder / "repairs").read_text().splitlines()) == 1
        # what `docker compose up` starts
        folder = tmp_path / "orthanc"
        folder.mkdir()
        storage.rename(folder / "storage")
        orthanc = start_orthanc(other, start, folder=folder)
        other.use(orthanc)
        run("docker compose up -d --wait\n" + last)
        found = json.loads(ask(orthanc, "/instances"))
        assert len(found) == before[0] - 1
        assert all(ask(orthanc, f"/instances/{name}/file") for name in found)


@runs(("Backup", 3), ("Backup", 4))
def test_a_backup_without_docker_is_restored(host: Host, tmp_path: Path) -> None:
    """tests/test_backup.py has more of the same scripts."""
    passwords = {
        f"{name}:password@localhost/": f"{name}@{host.postgresql.netloc.partition('@')[2]}/"
        for name in ("orthanc", "gateway")
    }
    variables = {
        "/var/lib/orthanc/db-v6": host.options["storage"],
        "/srv/backups": str(tmp_path / "backups"),
        **passwords,
    }
    host.run(("Backup", 3), replace=variables)
    [made] = (tmp_path / "backups").iterdir()
    (tmp_path / "storage").mkdir()
    with run_postgresql(superuser="postgres") as url, running_orthancs() as start:
        other = Host(tmp_path / "other", url)
        shutil.copytree(host.folder / ".secrets", other.folder / ".secrets")
        other.make_databases()
        restored = {
            "STORAGE": str(tmp_path / "storage"),
            "ORTHANC_DATABASE_URL": other.url("orthanc"),
            "DATABASE_URL": other.url("gateway"),
        }
        exports = "".join(f"export {name}={shlex.quote(value)}\n" for name, value in restored.items())
        restore, starting, repair = COMMANDS["Backup", 4].splitlines()
        # `make drill-systemd` starts services
        assert starting == "systemctl start orthanc orthanc-gateway"
        restore = restore.replace("/srv/backups/2026-11-29T020000Z", str(made))
        subprocess.run(["bash", "-euc", exports + restore], cwd=other.folder, env=other.environment(), check=True)
        folder = tmp_path / "orthanc"
        folder.mkdir()
        (tmp_path / "storage").rename(folder / "storage")
        orthanc = start_orthanc(other, start, folder=folder)
        repair = repair.replace("http://localhost:8042", orthanc.base_url)
        subprocess.run(["bash", "-euc", repair], cwd=other.folder, env=other.environment(), check=True)
        found = json.loads(ask(orthanc, "/instances"))
        assert found
        assert all(ask(orthanc, f"/instances/{name}/file") for name in found)


@runs(("Upgrade", 1))
def test_an_upgrade_takes_the_new_checkout_and_keeps_secrets(host: Host, tmp_path: Path) -> None:
    def git(*arguments: str, folder: Path = host.folder) -> None:
        identity = ["-c", "user.name=x", "-c", "user.email=x@example.org", "-c", "init.defaultBranch=main"]
        subprocess.run(["git", *identity, *arguments], cwd=folder, check=True, capture_output=True)

    (host.folder / ".gitignore").write_text(f"{(CHECKOUT / '.gitignore').read_text()}\naudit.*\nrepairs\n")
    git("init")
    git("add", ".")
    git("commit", "-m", "old")
    git("clone", "--bare", str(host.folder), str(tmp_path / "origin"))
    git("remote", "add", "origin", str(tmp_path / "origin"))
    git("fetch", "origin")
    git("branch", "--set-upstream-to=origin/main", "main")
    git("clone", str(tmp_path / "origin"), str(tmp_path / "new"))
    (tmp_path / "new/RELEASE").write_text("new")
    git("add", ".", folder=tmp_path / "new")
    git("commit", "-m", "new", folder=tmp_path / "new")
    git("push", folder=tmp_path / "new")
    secrets = {path.name: path.read_text() for path in (host.folder / ".secrets").iterdir()}
    host.run(("Upgrade", 1))
    assert (host.folder / "RELEASE").read_text() == "new"
    assert {path.name: path.read_text() for path in (host.folder / ".secrets").iterdir()} == secrets


@runs(("Without Internet", 1), ("Without Internet", 2))
@pytest.mark.parametrize("pinned", [False, True])
def test_images_are_carried_to_a_host_without_internet(host: Host, tmp_path: Path, pinned: bool) -> None:
    here, there = (Host(tmp_path / name, host.postgresql.geturl()) for name in ("here", "there"))
    for machine in (here, there):
        compose = machine.folder / "docker-compose.yml"
        if pinned:
            digest = f"@sha256:{'0' * 64}"
            compose.write_text(
                re.sub(r"(image: (?:&\S+ )?(?!orthanc-graphql)\S+:\S+)", rf"\1{digest}", compose.read_text())
            )
        shutil.copytree(host.folder / ".secrets", machine.folder / ".secrets")
    here.run(("Without Internet", 1))
    shutil.copy(here.folder / "images.tar.gz", there.folder)
    there.run(("Without Internet", 2))
    loaded = {
        path.name.removeprefix("loaded-").replace("%", "/") for path in Path(there.options["state"]).glob("loaded-*")
    }
    services = yaml.safe_load((there.folder / "docker-compose.yml").read_text())["services"]
    assert loaded == {service["image"] for name, service in services.items() if name != "ohif"}


@runs(("Without Docker", 4))
def test_the_server_starts_by_a_command(host: Host) -> None:
    port = free_port()
    text = COMMANDS["Without Docker", 4].replace(
        "gateway:password@localhost/", f"gateway@{host.postgresql.netloc.partition('@')[2]}/"
    )
    text = text.replace(
        "python -m orthancproxy.project.server", f"exec {sys.executable} -m orthancproxy.project.server --port {port}"
    )
    environment = {
        "PATH": os.environ["PATH"],
        "ORTHANC_INDEX": "false",
        "ORTHANC_CHANGES_DAYS": "0",
        "PYTHONPATH": str(CHECKOUT),
    }
    process = ChildProcess(["bash", "-euc", text], log=host.folder / "server.log", environment=environment)
    try:
        wait_until(lambda: parts(port).get("migrations") == "ok")
        assert parts(port)["database"] == "ok"
    finally:
        process.stop()
    assert process.exit_code == 0


def parts(port: int) -> dict[str, str]:
    try:
        found: dict[str, str] = requests.get(f"http://127.0.0.1:{port}/readyz", timeout=5).json()["parts"]
    except requests.ConnectionError:
        return {}
    return found


@runs(("Kubernetes", 1))
def test_kubernetes_gets_files_that_exist(host: Host, tmp_path: Path) -> None:
    """There is no kubectl: a stand-in notes its arguments. tests/test_kubernetes.py checks the manifests."""
    kubectl = tmp_path / "kubectl"
    kubectl.write_text(f'#!/bin/sh\nprintf "%s\\n" "$@" >>{tmp_path}/arguments\n')
    kubectl.chmod(0o755)
    environment = host.environment()
    environment["PATH"] = f"{tmp_path}:{environment['PATH']}"
    subprocess.run(["bash", "-euc", COMMANDS["Kubernetes", 1]], cwd=host.folder, env=environment, check=True)
    arguments = (tmp_path / "arguments").read_text().splitlines()
    files = [one.removeprefix("--from-file=") for one in arguments if one.startswith("--from-file=")]
    assert len(files) == 5
    assert all((host.folder / file).is_file() for file in files)
    assert arguments[-3:-1] == ["apply", "--kustomize"]
    assert (CHECKOUT / arguments[-1] / "kustomization.yaml").exists()


@runs(("Files straight from Orthanc", 1))
def test_nginx_starts_with_the_exported_variables(host: Host, tmp_path: Path) -> None:
    """tests/project/test_nginx.py has what it sends; here are the variables, each of which the script knows."""
    exported = dict(re.findall(r"\b([A-Z_]+)=(\S+)", COMMANDS["Files straight from Orthanc", 1]))
    gateway = {name: exported.pop(name) for name in ("ORTHANC_ACCEL_REDIRECT", "ORTHANC_TRUST_FORWARDED")}
    start = (CHECKOUT / "docker/nginx/start").read_text()
    assert all(f"${{{name}:" in start or f"${name}" in start for name in exported)
    folder = tmp_path / "gateway"
    with serving("http://127.0.0.1:9", folder, settings={**NOT_FOLLOWING, **gateway}) as running:
        credentials = {name: exported[name] for name in ("ORTHANC_USERNAME", "ORTHANC_PASSWORD")}
        with nginx_before(running, exported["ORTHANC_BASE_URL"], credentials) as nginx:
            assert requests.get(f"{nginx.address}/livez", timeout=10).status_code == 200


@runs(("Orthanc over SQLite", 1), ("Orthanc over SQLite", 2))
def test_statistics_of_sqlite_are_the_same_by_both_ways(tmp_path: Path) -> None:
    stop, tune, begin = COMMANDS["Orthanc over SQLite", 1].splitlines()
    assert (stop, begin) == ("systemctl stop orthanc", "systemctl start orthanc")
    found = []
    for number, text in enumerate((tune, COMMANDS["Orthanc over SQLite", 2])):
        with LocalOrthanc(tmp_path / f"orthanc-{number}") as orthanc:
            load(orthanc, [instance()])
            index = orthanc.index_file
        text = text.replace("/var/lib/orthanc/db-v6/index", str(index)).replace("python ", f"{sys.executable} ")
        subprocess.run(["bash", "-euc", text], cwd=CHECKOUT, check=True)
        with closing(sqlite3.connect(index)) as database:
            found.append(sorted(database.execute("SELECT * FROM sqlite_stat1").fetchall()))
    assert found[0] == found[1] != []


@pytest.mark.parametrize("key", blocks("yaml"), ids=str)
def test_an_override_of_the_compose_file_fits(key: Key, tmp_path: Path) -> None:
    override = yaml.safe_load(blocks("yaml")[key])
    base = yaml.safe_load((CHECKOUT / "docker-compose.yml").read_text())
    networks = {*base["networks"], *override.get("networks", {})}
    for name, service in override["services"].items():
        assert name in base["services"]
        assert set(service.get("networks", [])) <= networks
        for port in service.get("ports", []):
            assert re.fullmatch(r"([\d.]+:)?\d+:\d+", port)
        known = set(base["services"][name]["environment"])
        assert all(one in known or one.startswith("ORTHANC__") for one in service.get("environment", {}))


def test_gateways_of_several_hosts_run_the_command_of_the_unit() -> None:
    [text] = [text for text in blocks("text").values() if "ExecStart" in text]
    [_, cleared, command] = text.splitlines()
    unit = (CHECKOUT / "docker/systemd/orthanc-gateway.service").read_text()
    assert cleared == "ExecStart="
    assert command.replace("192.0.2.11", "127.0.0.1") in unit.splitlines()


def test_dicom_is_published_on_one_address_only() -> None:
    [text] = [text for text in blocks("yaml").values() if "DICOM" in text]
    [port] = yaml.safe_load(text)["services"]["orthanc"]["ports"]
    assert re.fullmatch(r"\d+\.\d+\.\d+\.\d+:4242:4242", port)


@pytest.mark.parametrize("key", blocks("ini"), ids=str)
def test_variables_of_env_exist(key: Key) -> None:
    known = {setting.name for setting in (*SETTINGS, *DEPLOYMENT_VARIABLES)} | {"ORTHANC_EVENTS_URL"}
    names = re.findall(r"^([A-Z_]+)=", blocks("ini")[key], re.MULTILINE)
    assert names
    assert set(names) <= known


@pytest.mark.parametrize("key", blocks("json"), ids=str)
def test_json_is_well_formed(key: Key) -> None:
    assert json.loads(blocks("json")[key])


@pytest.mark.parametrize("command", sorted(set(re.findall(r"`(docker compose [^`]+)`", PAGE))))
def test_commands_in_sentences_fit_the_compose_file(host: Host, command: str) -> None:
    if "exec" not in command:
        subprocess.run(["bash", "-euc", command], cwd=host.folder, env=host.environment(), check=True)
