"""A backup made while images are stored and deleted can be restored, and every image of its index can be read."""

import hashlib
import http.client
import json
import os
import shutil
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import psycopg
import pytest

from orthancproxy.sandbox.gateway import CHECKOUT, serving
from orthancproxy.sandbox.orthanc import LocalOrthanc
from tests.corpus import ask, instance, load
from tests.orthancs import NOT_FOLLOWING, StartOrthanc
from tests.postgresql import run_postgresql
from tests.waiting import wait_until

pytestmark = [pytest.mark.live, pytest.mark.once]

PASSWORD = "unused: this PostgreSQL asks for none"


class Databases:
    """A PostgreSQL with the databases of Orthanc and of the gateway, as docker-compose.yml has them."""

    def __init__(self, url: str, folder: Path) -> None:
        server = urlsplit(url)
        self._server = f"{server.hostname}:{server.port}"
        self._settings = {"Host": server.hostname, "Port": server.port, "Username": "orthanc", "Database": "orthanc"}
        files = {}
        for name in ("ORTHANC", "GATEWAY"):
            file = folder / name
            file.write_text(PASSWORD)
            files[f"{name}_DATABASE_PASSWORD_FILE"] = str(file)
        address = {"PGHOST": str(server.hostname), "PGPORT": str(server.port)}
        script = CHECKOUT / "docker/postgres-init.sh"
        subprocess.run(["bash", script], env={**os.environ, **address, **files}, check=True)

    def url(self, name: str) -> str:
        return f"postgres://{name}@{self._server}/{name}"

    def orthanc(self, start: StartOrthanc) -> LocalOrthanc:
        """Start an Orthanc whose index is here."""
        options = {"EnableIndex": True, "EnableStorage": False, "Lock": False, **self._settings}
        plugin = "/usr/share/orthanc/plugins/libOrthancPostgreSQLIndex.so"
        return start(plugins=[plugin], configuration={"PostgreSQL": options})

    def rows(self, database: str, query: str) -> list[tuple[Any, ...]]:
        with psycopg.connect(self.url(database)) as connection:
            return connection.execute(query).fetchall()


@contextmanager
def databases(folder: Path) -> Iterator[Databases]:
    folder.mkdir()
    with run_postgresql(superuser="postgres") as url:
        yield Databases(url, folder)


class Steps:
    """Lets a script run its commands one by one: each waits until the test has done what happens before it."""

    def __init__(self, folder: Path, *commands: str) -> None:
        self._folder = folder
        folder.mkdir()
        for name in commands:
            wrapper = folder / name
            wrapper.write_text(
                f'#!/bin/sh\necho "{name} $$" >>{folder}/reached\n'
                f"while ! grep -qx $$ {folder}/passed 2>/dev/null; do sleep 0.02; done\n"
                f'exec {shutil.which(name)} "$@"\n'
            )
            wrapper.chmod(0o755)

    @property
    def path(self) -> str:
        return f"{self._folder}:{os.environ['PATH']}"

    def wait_for(self, number: int, name: str) -> Callable[[], None]:
        """Wait for the start of the command with a number, from 1, and return what lets it go on."""
        reached = self._folder / "reached"
        wait_until(lambda: reached.exists() and len(reached.read_text().splitlines()) >= number)
        command, process = reached.read_text().splitlines()[number - 1].split()
        assert command == name

        def go_on() -> None:
            with (self._folder / "passed").open("a") as passed:
                passed.write(f"{process}\n")

        return go_on


class Load:
    """Stores and deletes images until the end of the block, with one client each."""

    def __init__(self, orthanc: LocalOrthanc) -> None:
        self.stored = self.deleted = 0
        self._orthanc = orthanc
        self._ending = threading.Event()
        self._threads = [threading.Thread(target=self._run, args=(patient,)) for patient in (800, 900)]

    def __enter__(self) -> "Load":
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ending.set()
        for thread in self._threads:
            thread.join()

    def _run(self, patient: int) -> None:
        number = 0
        while not self._ending.is_set():
            number += 1
            load(self._orthanc, [instance(patient, number, number=one) for one in range(1, 4)])
            self.stored += 3
            if number > 3:
                delete_study(self._orthanc, patient, number - 3)
                self.deleted += 3


def instances_of(orthanc: LocalOrthanc, patient: int, study: int) -> list[str]:
    found = json.loads(ask(orthanc, "/instances?expand"))
    start = f"{instance_uid(patient, study)}."
    return [one["ID"] for one in found if one["MainDicomTags"]["SOPInstanceUID"].startswith(start)]


def instance_uid(patient: int, study: int) -> str:
    return f"1.2.826.0.1.3680043.8.498.1.{patient}.{study}.1"


def delete_study(orthanc: LocalOrthanc, patient: int, study: int) -> None:
    uid = instance_uid(patient, study).rpartition(".")[0]
    # as Orthanc makes its ids
    name = hashlib.sha1(f"P{patient:03d}|{uid}".encode(), usedforsecurity=False).hexdigest()
    ask(orthanc, f"/studies/{'-'.join(name[at : at + 8] for at in range(0, 40, 8))}", "DELETE")


def readable(orthanc: LocalOrthanc) -> tuple[dict[str, str], list[str]]:
    """Return the hash of each image by its UID, and the ids of those that cannot be read."""
    hashes, unreadable = {}, []
    for one in json.loads(ask(orthanc, "/instances?expand")):
        try:
            file = ask(orthanc, f"/instances/{one['ID']}/file")
        except AssertionError:
            unreadable.append(one["ID"])
        else:
            hashes[one["MainDicomTags"]["SOPInstanceUID"]] = hashlib.sha256(file).hexdigest()
    return hashes, unreadable


def studies(patient: int, numbers: range) -> list[bytes]:
    return [instance(patient, study, number=number) for study in numbers for number in (1, 2)]


def hashes_of(patient: int, numbers: range) -> dict[str, str]:
    return {
        f"{instance_uid(patient, study)}.{number}": hashlib.sha256(file).hexdigest()
        for study in numbers
        for number, file in enumerate(studies(patient, range(study, study + 1)), 1)
    }


def manage(url: str, *arguments: str) -> None:
    subprocess.run(
        [sys.executable, CHECKOUT / "manage.py", *arguments],
        env={**os.environ, "DATABASE_URL": url, "DJANGO_SUPERUSER_PASSWORD": "correct horse"},
        check=True,
        capture_output=True,
    )


def test_backup_under_load_is_restored_completely(tmp_path: Path, start_orthanc: StartOrthanc) -> None:
    steps = Steps(tmp_path / "steps", "rsync", "pg_dump")
    backups, repairs = tmp_path / "backups", tmp_path / "repairs"
    with databases(tmp_path / "old") as old, databases(tmp_path / "new") as new:
        orthanc = old.orthanc(start_orthanc)
        manage(old.url("gateway"), "migrate", "--verbosity=0")
        manage(old.url("gateway"), "createsuperuser", "--noinput", "--username=kim", "--email=kim@example.org")
        load(orthanc, studies(1, range(1, 21)))
        environment = {
            **os.environ,
            "STORAGE": str(orthanc.folder / "storage"),
            "ORTHANC_DATABASE_URL": old.url("orthanc"),
            "DATABASE_URL": old.url("gateway"),
        }
        with (
            Load(orthanc) as under_load,
            serving(
                orthanc.base_url, tmp_path / "gateway", settings={**NOT_FOLLOWING, "DATABASE_URL": old.url("gateway")}
            ),
        ):
            wait_until(lambda: under_load.deleted)
            backup = subprocess.Popen(
                [CHECKOUT / "docker/backup", backups], env={**environment, "PATH": steps.path}, stdout=subprocess.PIPE
            )
            steps.wait_for(1, "rsync")()
            go_on = steps.wait_for(2, "pg_dump")
            # not among the files that were copied, but in the index
            load(orthanc, [*studies(2, range(1, 4)), *studies(3, range(1, 3))])
            # neither in the index, nor lost
            delete_study(orthanc, 1, 1)
            in_index = under_load.stored
            go_on()
            steps.wait_for(3, "pg_dump")()
            go_on = steps.wait_for(4, "rsync")
            wait_until(lambda: under_load.stored > in_index)
            # in the index, and in the files that were copied first
            delete_study(orthanc, 1, 2)
            # in the index, and in no copy
            lost = instances_of(orthanc, 3, 1)
            delete_study(orthanc, 3, 1)
            # in a copy, and not in the index
            load(orthanc, studies(4, range(1, 2)))
            go_on()
            assert backup.wait(120) == 0
            deleted = under_load.deleted
        assert deleted
        # what must be there: everything but what changed meanwhile
        kept = {**hashes_of(1, range(2, 21)), **hashes_of(2, range(1, 4)), **hashes_of(3, range(2, 3))}

        [made] = backups.iterdir()
        restored = new.orthanc(start_orthanc)
        # its tables are in the way; docs/deployment.md starts no Orthanc before
        restored.stop()
        with psycopg.connect(new.url("orthanc")) as connection:
            connection.execute("DROP OWNED BY orthanc")
        with repairs.open("wb") as output:
            subprocess.run(
                [CHECKOUT / "docker/restore", made],
                env={
                    **environment,
                    "STORAGE": str(restored.folder / "storage"),
                    "ORTHANC_DATABASE_URL": new.url("orthanc"),
                    "DATABASE_URL": new.url("gateway"),
                },
                stdout=output,
                check=True,
            )
        counted = new.rows("orthanc", "SELECT count(*) FROM resources WHERE resourcetype = 3")
        users = [database.rows("gateway", "SELECT username, password FROM auth_user") for database in (old, new)]
        assert users[0] == users[1]
        assert users[0][0][0] == "kim"
        manage(new.url("gateway"), "migrate", "--check")

        restored.start()
        assert json.loads(ask(restored, "/statistics"))["CountInstances"] == counted[0][0]
        found, unreadable = readable(restored)
        # those of the load that were stored after the first copy and deleted before the last, too
        named = {line.split("/")[-1] for line in repairs.read_text().splitlines()}
        assert set(lost) <= set(unreadable) == named
        assert kept.items() <= found.items()
        assert not {uid for uid in found if uid.startswith((instance_uid(4, 1), f"{instance_uid(1, 1)}."))}

        subprocess.run(
            [CHECKOUT / "docker/apply-repairs"],
            env={**os.environ, "ORTHANC_BASE_URL": restored.base_url},
            stdin=repairs.open(),
            check=True,
        )
        after, unreadable = readable(restored)
        assert unreadable == []
        assert after == found
        assert json.loads(ask(restored, "/statistics"))["CountInstances"] == counted[0][0] - len(named)


def test_the_next_backup_shares_the_files_and_one_without_its_end_is_none(
    tmp_path: Path, start_orthanc: StartOrthanc
) -> None:
    backups = tmp_path / "backups"
    gateway, restored_gateway = tmp_path / "gateway.sqlite3", tmp_path / "restored/gateway.sqlite3"
    with databases(tmp_path / "old") as old, databases(tmp_path / "new") as new:
        orthanc = old.orthanc(start_orthanc)
        manage(f"sqlite:///{gateway}", "migrate", "--verbosity=0")
        load(orthanc, studies(1, range(1, 4)))
        [series, *_] = json.loads(ask(orthanc, "/series"))
        attachment = http.client.HTTPConnection("127.0.0.1", orthanc.port, timeout=60)
        # as the DICOMweb plugin keeps one
        attachment.request("PUT", f"/series/{series}/attachments/4301", b"metadata")
        assert attachment.getresponse().status == 200
        environment = {
            **os.environ,
            "STORAGE": str(orthanc.folder / "storage"),
            "ORTHANC_DATABASE_URL": old.url("orthanc"),
            "DATABASE_URL": f"sqlite:///{gateway}",
        }

        def back_up(**variables: str) -> int:
            done = subprocess.run([CHECKOUT / "docker/backup", backups], env={**environment, **variables}, check=False)
            return done.returncode

        assert back_up() == 0
        [first] = backups.iterdir()
        first = first.rename(backups / "2000-01-01T000000Z")
        # PostgreSQL is away
        assert back_up(ORTHANC_DATABASE_URL="postgres://orthanc@127.0.0.1:1/orthanc") != 0
        [failed] = set(backups.iterdir()) - {first}
        failed = failed.rename(backups / "2000-01-02T000000Z")
        assert not (failed / "complete").exists()
        load(orthanc, studies(2, range(1, 2)))
        assert back_up() == 0
        [second] = set(backups.iterdir()) - {first, failed}

        copies = [{path.name: path for path in one.glob("files/*/*/*")} for one in (first, second)]
        assert len(copies[1]) == len(copies[0]) + 2 == 9
        assert all(copies[1][name].samefile(path) for name, path in copies[0].items())
        assert {oct(path.stat().st_mode & 0o077) for path in (second, second / "orthanc.dump")} == {"0o0"}

        moved = tmp_path / "moved"
        subprocess.run(["rsync", "--archive", "--hard-links", f"{backups}/", str(moved)], check=True)
        there = [{path.name: path for path in (moved / one.name).glob("files/*/*/*")} for one in (first, second)]
        assert len(there[0]) == len(copies[0])
        assert all(there[1][name].samefile(path) for name, path in there[0].items())

        # as if the plugin had written it again during the backup
        [(name,)] = old.rows("orthanc", "SELECT uuid FROM attachedfiles WHERE filetype = 4301")
        copies[1][name].unlink()
        restored_gateway.parent.mkdir()
        (tmp_path / "storage").mkdir()
        variables = {
            **environment,
            "STORAGE": str(tmp_path / "storage"),
            "ORTHANC_DATABASE_URL": new.url("orthanc"),
            "DATABASE_URL": f"sqlite:///{restored_gateway}",
        }
        command = [str(CHECKOUT / "docker/restore")]
        rejected = subprocess.run([*command, failed], env=variables, capture_output=True, text=True, check=False)
        assert (rejected.returncode, rejected.stdout) == (1, "")
        assert "is not a complete backup" in rejected.stderr
        restored = subprocess.run([*command, second], env=variables, capture_output=True, text=True, check=True)
        assert restored.stdout == f"DELETE /series/{series}/attachments/4301\n"
        assert len(list((tmp_path / "storage").glob("*/*/*"))) == 8
        manage(f"sqlite:///{restored_gateway}", "migrate", "--check")
        # Orthanc does that without losing the series
        url = {"ORTHANC_BASE_URL": orthanc.base_url}
        for _ in range(2):
            repair = [str(CHECKOUT / "docker/apply-repairs")]
            subprocess.run(repair, env={**os.environ, **url}, input=restored.stdout.encode(), check=True)
        assert len(json.loads(ask(orthanc, f"/series/{series}"))["Instances"]) == 2
        assert json.loads(ask(orthanc, f"/series/{series}/attachments")) == []
