"""On whose behalf a resolver works, and the archive that it works on."""

from dataclasses import dataclass, field
from functools import cache
from typing import Any

from django.core.signals import setting_changed

from orthancproxy.access.callers import Caller
from orthancproxy.archive.hierarchy import Hierarchy
from orthancproxy.archive.object_budget import ObjectBudget
from orthancproxy.audit.events import Author
from orthancproxy.audit.trail import Trail
from orthancproxy.conf import conf
from orthancproxy.orthanc.client import ConnectionOptions, OrthancClient
from orthancproxy.orthanc.deadline import Deadline


@cache
def connect() -> OrthancClient:
    """The client for the Orthanc of the settings: one for the process, shared between threads."""
    return OrthancClient(
        ConnectionOptions(
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
    """One request of a caller.

    `author` is who is written down for it, `operation` what is: a root field, or a method and route. `trail` is what
    was read so far, and `budget` how much, of all operations of the request. What reads is to end before the
    `deadline`.
    """

    caller: Caller
    author: Author
    operation: str = ""
    client: OrthancClient = field(default_factory=connect)
    trail: Trail = field(default_factory=Trail)
    budget: ObjectBudget = field(default_factory=lambda: ObjectBudget(conf.ORTHANC_MAX_OBJECTS))
    deadline: Deadline = field(default_factory=lambda: Deadline(conf.ORTHANC_MAX_SECONDS))

    @property
    def hierarchy(self) -> Hierarchy:
        """The archive as far as the caller may see it."""
        return Hierarchy(self.client, self.caller.scope, self.budget)


def _forget_client(*, setting: str, **_: Any) -> None:
    if setting.startswith("ORTHANC_"):
        connect.cache_clear()


setting_changed.connect(_forget_client)
