"""Reads settings from the environment. A value that can't be read is a problem to report, not a traceback."""

import os
import secrets
import tempfile
import warnings
import zoneinfo
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar

import environ

from orthancproxy.conf import Kind, Setting

T = TypeVar("T")

TRUE = frozenset({"true", "yes", "on", "1", "y", "t"})
FALSE = frozenset({"false", "no", "off", "0", "n", "f", ""})
SQLITE = "django.db.backends.sqlite3"
POSTGRESQL = "django.db.backends.postgresql"
# Several workers write: they wait for each other, and readers wait for none. Each thread has a connection, which by
# default remembers 128 statements (of an insert there is one for each number of rows) and 2 MB of pages; a record takes
# 0.8 ms with either.
SQLITE_OPTIONS = {
    "timeout": 20,
    "transaction_mode": "IMMEDIATE",
    "cached_statements": 16,
    "init_command": "PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL; PRAGMA cache_size=-128;",
}
# kept as long as its thread (`kept_threads`): whenever the last connection is closed, SQLite writes its log into the
# database, which takes several times as long as a record of the audit
SQLITE_SETTINGS = {"OPTIONS": SQLITE_OPTIONS, "CONN_MAX_AGE": None}
# for each worker process; a transfer or an upload may hold one for its time, and PostgreSQL takes 100 in all
POOL = {"min_size": 1, "max_size": 32}
WANTED: dict[Kind, str] = {"number": "a number", "integer": "a whole number", "flag": "true or false"}


class Environment:
    """The variables of a deployment, and every problem met in reading them.

    A variable `X` may also be given as `X_FILE`, a file that holds it (a container's secret).
    """

    def __init__(self, variables: Mapping[str, str] = os.environ) -> None:
        self._variables = variables
        self._files = environ.FileAwareMapping(variables)
        self.problems: list[str] = []

    def read(self, setting: Setting[T]) -> T:
        """Return a setting's value, or its default when it is unset or can't be read.

        Not django-environ's own casts: they take `$secret` for the name of another variable, `10s` for 10 and
        `yse` for false.
        """
        text = self._text(setting.name)
        if text is None:
            return setting.default
        try:
            return parse(text, setting.kind)  # type: ignore[no-any-return]
        except ValueError:
            self.problems.append(f"{setting.name} must be {WANTED[setting.kind]}, not {text!r}.")
            return setting.default

    def database(self, url: str, folder: Path) -> dict[str, Any]:
        """Return Django's settings for the database at the URL, or for a file in the folder without one."""
        fallback = {"ENGINE": SQLITE, "NAME": str(folder / "gateway.sqlite3"), **SQLITE_SETTINGS}
        if not url:
            return fallback
        try:
            with warnings.catch_warnings():
                # they repeat the URL with its password
                warnings.simplefilter("ignore")
                database: dict[str, Any] = environ.Env.db_url_config(url)
        except Exception:  # noqa: BLE001  the parser raises whatever the URL's parts make it raise
            database = {}
        # of a scheme that it does not know, the parser makes an engine of the same name
        if "." not in database.get("ENGINE", ""):
            self.problems.append("DATABASE_URL is not the URL of a database that Django knows.")
            return fallback
        if database["ENGINE"] == SQLITE and database["NAME"] != ":memory:":
            self.folder(Path(database["NAME"]).parent)
            database = {**SQLITE_SETTINGS, **database}
            database["OPTIONS"] = {**SQLITE_OPTIONS, **database["OPTIONS"]}
        # who sets how long connections are kept wants no pool, which Django does not have with that
        if database["ENGINE"] == POSTGRESQL and not database.get("CONN_MAX_AGE"):
            database = {"CONN_HEALTH_CHECKS": True, **database}
            database["OPTIONS"] = {"pool": POOL, **database.get("OPTIONS", {})}
        return database

    def time_zone(self, name: str) -> str:
        """Return the name of a time zone, or UTC where there is none of that name."""
        try:
            zoneinfo.ZoneInfo(name)
        except (KeyError, OSError, ValueError):
            self.problems.append(f"TZ must be the name of a time zone, such as Asia/Seoul, not {name!r}.")
            return "UTC"
        return name

    def secret_key(self, given: str, folder: Path) -> str:
        """Return the key that was given, or the one kept in the folder, which is made when it is missing."""
        if given:
            return given
        path = folder / "secret-key"
        try:
            return _kept(path) or _keep(path, secrets.token_urlsafe(50))
        except OSError as error:
            self.problems.append(f"DJANGO_SECRET_KEY is not set and none can be kept in {path} ({error.strerror}).")
            return secrets.token_urlsafe(50)

    def folder(self, path: Path) -> Path:
        """Return the folder, made when it is missing."""
        try:
            path.mkdir(mode=0o700, parents=True, exist_ok=True)
        except OSError as error:
            self.problems.append(f"The folder {path} can't be made ({error.strerror}).")
        return path

    def _text(self, name: str) -> str | None:
        try:
            text: str = self._files[name]
        except KeyError:
            return None
        except (OSError, UnicodeDecodeError):
            self.problems.append(f"{name}_FILE names a file that can't be read.")
            return None
        # a secret's file usually ends in a line break that is not part of it
        return text.rstrip("\r\n") if f"{name}_FILE" in self._variables else text


def parse(text: str, kind: Kind) -> Any:
    """Return the value that a variable's text stands for. Raises ValueError."""
    match kind:
        case "number":
            return float(text)
        case "integer":
            return int(text)
        case "flag":
            word = text.strip().lower()
            if word not in TRUE | FALSE:
                raise ValueError(text)
            return word in TRUE
        case "list":
            return [item for part in text.split(",") if (item := part.strip())]
        case _:
            return text


def _kept(path: Path) -> str:
    return path.read_text().strip() if path.exists() else ""


def _keep(path: Path, key: str) -> str:
    # linked into place when complete: of several workers that start at once, one wins and all read its key
    with tempfile.NamedTemporaryFile("w", dir=path.parent, prefix=".secret-key-") as file:
        file.write(key)
        file.flush()
        try:
            os.link(file.name, path)
        except FileExistsError:
            return _kept(path)
    return key
