"""The context of a request: its caller, and the archive as that caller sees it."""

import logging
from dataclasses import dataclass, field, replace
from functools import cache
from types import TracebackType
from typing import Any, Self

from django.core.signals import setting_changed

from orthancproxy.access.callers import Caller
from orthancproxy.archive.hierarchy import Hierarchy
from orthancproxy.archive.kept_metadata import MetadataCache
from orthancproxy.archive.object_budget import ObjectBudget
from orthancproxy.archive.revisions import RevisionCache
from orthancproxy.audit.events import Author
from orthancproxy.audit.reads import RequestReads
from orthancproxy.conf import conf
from orthancproxy.database import DATABASE_ERRORS, lend_connections, shared_lock
from orthancproxy.orthanc.client import ConnectionOptions, OrthancClient
from orthancproxy.orthanc.deadline import Deadline
from orthancproxy.resolvers.background import Background, background
from orthancproxy.resolvers.trash import trash_of

logger = logging.getLogger(__name__)


@cache
def connect() -> OrthancClient:
    """Return the client for the Orthanc of the settings: one for the process, shared between threads."""
    return OrthancClient(
        ConnectionOptions(
            base_url=conf.ORTHANC_BASE_URL,
            username=conf.ORTHANC_USERNAME,
            password=conf.ORTHANC_PASSWORD,
            ca_bundle=conf.ORTHANC_CA_BUNDLE,
            connect_timeout=conf.ORTHANC_CONNECT_TIMEOUT,
            read_timeout=conf.ORTHANC_READ_TIMEOUT,
            pool_size=conf.ORTHANC_POOL_SIZE,
            max_calls=conf.ORTHANC_MAX_CALLS,
            max_downloads=conf.ORTHANC_MAX_DOWNLOADS,
            processes=conf.WEB_CONCURRENCY,
            log_calls=conf.ORTHANC_DEBUG_LOG,
        ),
        shared_lock(conf.ORTHANC_BASE_URL),
        lend_connections,
    )


@cache
def revision_cache(client: OrthancClient) -> RevisionCache | None:
    """Return what is kept of the studies of an Orthanc, shared between threads; None if that is turned off."""
    max_bytes = conf.ORTHANC_CACHE_BYTES
    return RevisionCache(client.clock, max_bytes=max_bytes, min_age=conf.ORTHANC_CACHE_MIN_AGE) if max_bytes else None


@cache
def metadata_cache(client: OrthancClient) -> MetadataCache:
    """Return what is kept of the DICOM JSON of an Orthanc's series, shared between threads."""
    return MetadataCache(conf.ORTHANC_CACHE_BYTES // 4)


@dataclass(frozen=True, slots=True)
class RequestContext:
    """One request of a caller. Its transport enters it as a context manager, whose exit writes the audit log.

    The audit log has its `author` and `operation_name` (a root field, or a method and route). All operations of the
    request share the `reads` of what they have read, the `budget` of objects that they may read, and the `deadline` for
    reading. Operations cannot read before the context is entered.
    """

    caller: Caller
    author: Author
    operation_name: str = ""
    client: OrthancClient = field(default_factory=connect)
    reads: RequestReads = field(default_factory=RequestReads)
    budget: ObjectBudget = field(default_factory=lambda: ObjectBudget(conf.ORTHANC_MAX_OBJECTS))
    deadline: Deadline = field(default_factory=lambda: Deadline(conf.ORTHANC_MAX_SECONDS))

    def __enter__(self) -> Self:
        self.reads.is_open = True
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if isinstance(error, Exception):
            self.fail(error)
        self.reads.is_open = False
        try:
            self.reads.write(self.author)
        except Exception:
            if self.reads.has_reads:
                raise
            # nothing was read, and changes of the archive have events of their own
            logger.exception("cannot write a failure to the audit log")

    def fail(self, error: Exception, operation_name: str = "") -> None:
        """Audit an error of the request, unless the operation that raised it has done so."""
        # a failed database cannot store its own failure: the caller would only wait twice
        if error not in self.reads.audited_errors and not isinstance(error, DATABASE_ERRORS):
            self.reads.fail_early(operation_name or self.operation_name, error)

    @property
    def background(self) -> Background:
        """What the process does besides its requests."""
        return background(self.client)

    def for_delivery(self, caller: Caller) -> Self:
        """Return a context for a part of a stream, which nothing audits: the stream was audited when it began."""
        return replace(
            self,
            caller=caller,
            reads=RequestReads(is_open=True),
            budget=ObjectBudget(conf.ORTHANC_MAX_OBJECTS),
            deadline=Deadline(conf.ORTHANC_MAX_SECONDS),
        )

    def open_hierarchy(self, *, in_trash: bool = False) -> Hierarchy:
        """Return the archive within the caller's scope, without cached results of earlier operations.

        What is in the trash does not exist, unless `in_trash`. Raises ArchiveError.
        """
        keeper, kept = self.background.keeper, revision_cache(self.client)
        hidden = () if in_trash else trash_of(self.client).studies()
        return Hierarchy(self.client, self.caller.scope, self.budget, keeper, kept, hidden)


def _forget_client(*, setting: str, **_: Any) -> None:
    if setting.startswith("ORTHANC_"):
        connect.cache_clear()
        revision_cache.cache_clear()
        metadata_cache.cache_clear()


setting_changed.connect(_forget_client)
