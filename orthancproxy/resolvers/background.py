"""What a process does besides its requests: it keeps the index and the log of changes current, and follows jobs."""

import logging
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from threading import Lock
from typing import Any

from django.core.signals import setting_changed

from orthancproxy.archive.hierarchy import Hierarchy
from orthancproxy.archive.index import NO_INDEX, IndexStatus, IndexUnavailable
from orthancproxy.archive.index_keeper import IndexKeeper
from orthancproxy.archive.levels import Level
from orthancproxy.archive.plan import LevelPlan
from orthancproxy.archive.records import Resource
from orthancproxy.archive.scope import Scope
from orthancproxy.conf import conf
from orthancproxy.database import DATABASE_ERRORS
from orthancproxy.errors import GatewayError
from orthancproxy.feed.log import Change, Kind, change_log
from orthancproxy.feed.orthanc_changes import Reader
from orthancproxy.follower.follower import Follower, LeaseHolder
from orthancproxy.index.store import DjangoIndex
from orthancproxy.jobs.following import JobFollower
from orthancproxy.jobs.work import WorkContext
from orthancproxy.orthanc.client import OrthancClient
from orthancproxy.resolvers.audit_background import start_audit
from orthancproxy.resolvers.trash import TrashKeeper, trash_of

logger = logging.getLogger(__name__)

_starting = Lock()
_running: "Background | None" = None


@dataclass(frozen=True, slots=True)
class Background:
    """The keeper of the index and the reader of the changes, if there are, and what follows the archive and jobs."""

    keeper: IndexKeeper | None
    changes: Reader | None
    follower: Follower

    def index_status(self, scope: Scope, hidden: Collection[str] = ()) -> IndexStatus:
        """Return the state of the index for a caller with this scope, without hidden studies. Raises ArchiveError."""
        return self.keeper.status(scope, hidden) if self.keeper else NO_INDEX

    def report(self, changes: Sequence[Change]) -> None:
        """Log what an operation has changed, and remove from the index what it deleted.

        Orthanc tells what was added. A failure is logged, for the archive is changed already; the index notices later.
        """
        if self.changes:
            # before the index reports the same without labels
            self.changes.report(changes)
        if self.keeper:
            with _tolerated():
                for one in changes:
                    # the index keeps what can be restored
                    if one.kind is Kind.DELETED and not one.is_in_trash:
                        self.keeper.removed(one.level, [one.orthanc_id])


def background(client: OrthancClient) -> Background:
    """Return what this process does in the background, which the first call starts."""
    global _running
    with _starting:
        if _running is None:
            _running = _start(client)
        return _running


def running() -> Background | None:
    """Return what this process does in the background, None before the first call of `background`."""
    return _running


def new_keeper(client: OrthancClient, report: Callable[[], bool]) -> IndexKeeper:
    """Return a keeper of the index of the settings' Orthanc, which builds while `report` returns True."""
    return IndexKeeper(client, DjangoIndex(conf.ORTHANC_BASE_URL), report, _log_removed)


def check_deleted(client: OrthancClient, level: Level, ids: Sequence[str]) -> None:
    """Remove those of these resources from the index that Orthanc no longer has, and log their deletion.

    A failure is logged: the index finds out later.
    """
    with _tolerated():
        seen_at = change_log.newest()
        left = {one.orthanc_id for one in Hierarchy(client).by_ids(LevelPlan(level=level), ids)}
        gone = [one for one in ids if one not in left]
        if keeper := background(client).keeper:
            keeper.removed(level, gone)
        # what the index had is logged already
        change_log.removed(level, gone, seen_at)


def _start(client: OrthancClient) -> Background:
    lease = LeaseHolder(conf.ORTHANC_BASE_URL)
    keeper = new_keeper(client, lease.take) if conf.ORTHANC_INDEX else None
    changes = None
    if conf.ORTHANC_CHANGES_DAYS:
        changes = Reader(client, change_log, conf.ORTHANC_BASE_URL, hidden_studies=lambda: _in_trash(client))

    def report(found: Sequence[Change]) -> None:
        # not `background`, which waits for whoever waits for the end of this step
        started.report(found)

    jobs, trash = JobFollower(WorkContext(client, report), lease.take), TrashKeeper(client, report, lease.take)
    steps = [*([keeper.look] if keeper else []), *([changes.follow] if changes else []), jobs.step, trash.step]
    follower = Follower(steps, lease, needed={jobs.step: jobs.is_needed, trash.step: trash.is_needed})
    started = Background(keeper, changes, follower)
    follower.start()
    # for projects that embed the gateway
    start_audit()
    return started


def _in_trash(client: OrthancClient) -> dict[str, str]:
    return {study.orthanc_id: study.parent_id or "" for study in trash_of(client).studies()}


def _log_removed(removed: Sequence[Resource]) -> None:
    """Log the deletion of patients and studies that the index had."""
    with _tolerated():
        change_log.append(
            Change(
                Kind.DELETED,
                one.level,
                one.orthanc_id,
                patient_id=one.tags.get("PatientID", ""),
                study_instance_uid=one.tags.get("StudyInstanceUID"),
                patient_orthanc_id=one.parent_id or one.orthanc_id,
                study_orthanc_id=one.orthanc_id if one.level is Level.STUDY else None,
            )
            for one in removed
        )


@contextmanager
def _tolerated() -> Iterator[None]:
    try:
        yield
    except (GatewayError, IndexUnavailable, *DATABASE_ERRORS):
        logger.warning("a change of the archive was not noted", exc_info=True)


def _stop(*, setting: str, **_: Any) -> None:
    global _running
    if setting.startswith("ORTHANC_"):
        with _starting:
            if _running:
                _running.follower.stop()
            _running = None


setting_changed.connect(_stop)
