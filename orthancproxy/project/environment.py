"""Reads settings from the environment. An invalid value is a problem to report, not a traceback."""

import os
import secrets
import tempfile
import warnings
import zoneinfo
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, TypeVar, cast

import environ

from orthancproxy.setting import Setting

T = TypeVar("T")

TRUE = frozenset({"true", "yes", "on", "1", "y", "t"})
FALSE = frozenset({"false", "no", "off", "0", "n", "f", ""})
SQLITE = "django.db.backends.sqlite3"
POSTGRESQL = "django.db.backends.postgresql"
# Several workers write: they wait for each other, readers never wait. Each thread has a connection, which by default
# caches 128 statements (an insert has one for each number of rows) and 2 MB of pages; writing an audit event takes
# 0.8 ms with these values as well.
SQLITE_OPTIONS = {
    "timeout": 20,
    "transaction_mode": "IMMEDIATE",
    "cached_statements": 16,
    "init_command": "PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL; PRAGMA cache_size=-128;",
}
# kept as long as its thread: whenever the last connection closes, SQLite writes its log into the database, which takes
# several times as long as writing an audit event
SQLITE_SETTINGS = {"OPTIONS": SQLITE_OPTIONS, "CONN_MAX_AGE": None}
SQLITE_SUFFIXES = ("", "-wal", "-shm", "-journal")  # of the file, and of those that may exist beside it
# A host that vanishes (failure of power or network) closes no connection. By default Linux gives one up after 15
# minutes to two hours, and waits for up to a minute between attempts to connect, although the host may be back.
POSTGRESQL_OPTIONS = {
    "connect_timeout": 8,
    "tcp_user_timeout": 10_000,  # ms, of what was sent and not confirmed
    "keepalives_idle": 10,
    "keepalives_interval": 3,
    "keepalives_count": 3,
}
# A thread gives its connection back before it waits for Orthanc. Every two seconds the pool closes one that was idle
# meanwhile: others need it, such as an Orthanc over the same PostgreSQL when it starts. After a failure the pool tries
# for so long to connect again, and then for the next request: by default its attempts become minutes apart.
POOL = {"min_size": 1, "max_idle": 2.0, "timeout": 10.0, "reconnect_timeout": 3.0}


class Environment:
    """The environment variables of a deployment, and the problems found while reading them.

    A variable `X` can also be given as `X_FILE`, the path of a file with its value (a container's secret).
    """

    def __init__(self, variables: Mapping[str, str] = os.environ) -> None:
        self._variables = variables
        self._files = environ.FileAwareMapping(variables)
        self.problems: list[str] = []

    def read(self, setting: Setting[T]) -> T:
        """Return a setting's value, or its default if it is unset or invalid.

        django-environ's casts would read `$secret` as the name of another variable, `10s` as 10 and `yse` as false.
        """
        text = self._text(setting.name)
        if text is None:
            return setting.default
        with suppress(ValueError):
            value = parse(text, type(setting.default))
            if setting.is_within_bounds(value):
                return value
        self.problems.append(f"{setting.name} must be {setting.expected}, not {setting.display(text)}.")
        return setting.default

    def database(self, url: str, folder: Path, pool_size: int = 8) -> dict[str, Any]:
        """Return Django's settings for the database at the URL, or for a SQLite file in the folder if it is empty."""
        file = folder / "gateway.sqlite3"
        fallback = {"ENGINE": SQLITE, "NAME": str(file), **SQLITE_SETTINGS}
        if not url:
            self._close_to_others(file)
            return fallback
        try:
            with warnings.catch_warnings():
                # the warnings contain the URL with its password
                warnings.simplefilter("ignore")
                database: dict[str, Any] = environ.Env.db_url_config(url)
        except Exception:  # noqa: BLE001  the parser lets exceptions of any type through
            database = {}
        # for an unknown scheme, the parser returns the scheme as the engine
        if "." not in database.get("ENGINE", ""):
            self.problems.append("DATABASE_URL is not the URL of a database that Django supports.")
            return fallback
        if database["ENGINE"] == SQLITE and database["NAME"] != ":memory:":
            self.folder(Path(database["NAME"]).parent)
            self._close_to_others(Path(database["NAME"]))
            database = {**SQLITE_SETTINGS, **database}
            database["OPTIONS"] = {**SQLITE_OPTIONS, **database["OPTIONS"]}
        if database["ENGINE"] == POSTGRESQL:
            database["OPTIONS"] = {**POSTGRESQL_OPTIONS, **database.get("OPTIONS", {})}
        # Django supports no pool together with CONN_MAX_AGE, which a URL may set
        if database["ENGINE"] == POSTGRESQL and not database.get("CONN_MAX_AGE"):
            database = {"CONN_HEALTH_CHECKS": True, **database}
            database["OPTIONS"] = {"pool": {**POOL, "max_size": pool_size}, **database["OPTIONS"]}
        return database

    def time_zone(self, name: str) -> str:
        """Return the name if it is that of a time zone, else UTC."""
        try:
            zoneinfo.ZoneInfo(name)
        except (KeyError, OSError, ValueError):
            self.problems.append(f"TZ must be the name of a time zone, such as Asia/Seoul, not {name!r}.")
            return "UTC"
        return name

    def address(self, text: str) -> tuple[str, int] | None:
        """Return the host and port of an address such as 127.0.0.1:9464 or [::1]:9464; None if it is empty."""
        host, _, port = text.rpartition(":")
        if not text:
            return None
        if host and port.isdecimal() and 0 < int(port[:6]) < 65_536:
            return host.removeprefix("[").removesuffix("]"), int(port)
        self.problems.append(f"ORTHANC_METRICS_ADDRESS must be an address and a port, not {text!r}.")
        return None

    def secret_key(self, given: str, folder: Path) -> str:
        """Return the given key, or the one in the folder, which is generated if it is missing."""
        if given:
            return given
        path = folder / "secret-key"
        try:
            return _kept(path) or _keep(path, secrets.token_urlsafe(50))
        except OSError as error:
            self.problems.append(f"DJANGO_SECRET_KEY is not set, and {path} cannot be written ({error.strerror}).")
            return secrets.token_urlsafe(50)

    def folder(self, path: Path) -> Path:
        """Return the folder, after creating it if it is missing."""
        try:
            path.mkdir(mode=0o700, parents=True, exist_ok=True)
        except OSError as error:
            self.problems.append(f"The folder {path} cannot be created ({error.strerror}).")
        return path

    def _close_to_others(self, path: Path) -> None:
        """Make a file if it is missing; let only its owner read it and its journals, which SQLite makes as it is."""
        # where it belongs to another user, or cannot be written, the database reports it
        with suppress(OSError):
            path.touch(mode=0o600)
        for suffix in SQLITE_SUFFIXES:
            with suppress(OSError):
                path.with_name(path.name + suffix).chmod(0o600)

    def _text(self, name: str) -> str | None:
        try:
            text: str = self._files[name]
        except KeyError:
            return None
        except (OSError, UnicodeDecodeError):
            self.problems.append(f"{name}_FILE names a file that cannot be read.")
            return None
        # such a file usually ends with a line break that is not part of the value
        return text.rstrip("\r\n") if f"{name}_FILE" in self._variables else text


def parse(text: str, type_: type[T]) -> T:
    """Return the value that a variable's text stands for, a list for a tuple. Raises ValueError."""
    value: object = text
    if type_ is bool:
        word = text.strip().lower()
        if word not in TRUE | FALSE:
            raise ValueError(text)
        value = word in TRUE
    elif type_ is tuple:
        value = [item for part in text.split(",") if (item := part.strip())]
    elif type_ is float:
        value = float(text)
    elif type_ is int:
        value = int(text)
    return cast("T", value)


def _kept(path: Path) -> str:
    return path.read_text().strip() if path.exists() else ""


def _keep(path: Path, key: str) -> str:
    # linked into place once complete: of several workers that start together, one wins and all read its key
    with tempfile.NamedTemporaryFile("w", dir=path.parent, prefix=".secret-key-") as file:
        file.write(key)
        file.flush()
        try:
            os.link(file.name, path)
        except FileExistsError:
            return _kept(path)
    return key
