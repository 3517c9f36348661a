"""On whose behalf a resolver works, and the archive that it works on."""

from dataclasses import dataclass, field
from functools import cache
from typing import Any

from django.contrib.auth.base_user import AbstractBaseUser
from django.core.signals import setting_changed

from orthancproxy.conf import conf
from orthancproxy.orthanc.client import Connection, OrthancClient


@cache
def connect() -> OrthancClient:
    """The client for the Orthanc of the settings: one for the process, shared between threads."""
    return OrthancClient(
        Connection(
            base_url=conf.ORTHANC_BASE_URL,
            username=conf.ORTHANC_USERNAME,
            password=conf.ORTHANC_PASSWORD,
            ca_bundle=conf.ORTHANC_CA_BUNDLE,
            connect_timeout=conf.ORTHANC_CONNECT_TIMEOUT,
            read_timeout=conf.ORTHANC_READ_TIMEOUT,
            pool_size=conf.ORTHANC_POOL_SIZE,
            log_calls=conf.ORTHANC_DEBUG_LOG,
        )
    )


@dataclass(frozen=True, slots=True)
class RequestContext:
    """One request of a caller. `request_id` finds it in the log, `username` is empty for one who is not logged in."""

    request_id: str
    username: str = ""
    client: OrthancClient = field(default_factory=connect)


def username_of(user: object) -> str:
    """The name of Django's user; empty for nobody, and for one who is not logged in."""
    return str(user.get_username()) if isinstance(user, AbstractBaseUser) else ""


def _forget_client(*, setting: str, **_: Any) -> None:
    if setting.startswith("ORTHANC_"):
        connect.cache_clear()


setting_changed.connect(_forget_client)
