"""The trash of the settings' Orthanc: bringing back what arrives again, and deleting for good what is old enough."""

import logging
import time
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import replace
from datetime import datetime, timedelta
from functools import cache, partial
from typing import Any

from django.core.signals import setting_changed
from django.utils import timezone

from orthancproxy.archive.records import Resource
from orthancproxy.archive.trash import Trash, due, note_of
from orthancproxy.archive.trash_note import TrashNote
from orthancproxy.audit import events
from orthancproxy.audit.events import Author
from orthancproxy.audit.kinds import CANCELLED, AuditOutcome, EventKind
from orthancproxy.audit.reads import code_of, subject_of
from orthancproxy.conf import conf
from orthancproxy.database import DATABASE_ERRORS, shared_lock
from orthancproxy.errors import ArchiveUnavailable, GatewayError, NotFound
from orthancproxy.feed.identities import patient_identity, study_identity
from orthancproxy.feed.log import Change, Kind
from orthancproxy.orthanc.client import OrthancClient

logger = logging.getLogger(__name__)

SECONDS_BETWEEN_LOOKS = 5.0
SECONDS_BEFORE_EMPTYING, SECONDS_BETWEEN_EMPTYING = 60.0, 3600.0

Report = Callable[[Sequence[Change]], object]


@cache
def trash_of(client: OrthancClient) -> Trash:
    """Return the trash of an Orthanc, one for the process."""

    def lock(orthanc_id: str) -> AbstractContextManager[None]:
        return shared_lock(f"trash {conf.ORTHANC_BASE_URL} {orthanc_id}").hold(exclusive=True)

    return Trash(client, lock, is_on=bool(conf.ORTHANC_TRASH_DAYS))


class TrashKeeper:
    """Brings back what arrives again, and deletes for good what is in the trash for ORTHANC_TRASH_DAYS.

    `report` logs changes of the archive; `holds` tells whether this process still may.
    """

    def __init__(
        self,
        client: OrthancClient,
        report: Report,
        holds: Callable[[], bool] = lambda: True,
        now: Callable[[], datetime] = timezone.now,
    ) -> None:
        self._trash = trash_of(client)
        self._report = report
        self._holds = holds
        self._now = now
        self._look_at = 0.0
        self._empty_at = time.monotonic() + SECONDS_BEFORE_EMPTYING
        self._unchanged: set[tuple[str, TrashNote]] = set()
        self._is_impossible = False

    def is_needed(self) -> bool:
        """Whether there is a trash, or something is left in one that was turned off. It calls nobody."""
        return self._trash.may_have_studies

    def step(self) -> None:
        """Do what is due: about once a second, in one process of the deployment. Raises ArchiveError."""
        moment = time.monotonic()
        if moment < self._look_at:
            return
        self._look_at = moment + SECONDS_BETWEEN_LOOKS
        if not self._trash.is_possible:
            if not self._is_impossible:
                logger.warning("ORTHANC_TRASH_DAYS is set, but Orthanc has no labels: deletions are rejected")
            self._is_impossible = True
            return
        self.look()
        if conf.ORTHANC_TRASH_DAYS and moment >= self._empty_at:
            # what fails is tried again then
            self._empty_at = moment + SECONDS_BETWEEN_EMPTYING
            self.empty(conf.ORTHANC_TRASH_DAYS)

    def look(self) -> None:
        """Restore the studies in which instances have arrived, and note when others were first seen without a note."""
        for study in self._trash.read():
            known = study.orthanc_id, note_of(study)
            if known in self._unchanged and study.facts["LastUpdate"] == known[1].last_update:
                continue
            if known[1].at is None:
                # its days begin now
                note = TrashNote(self._now(), last_update=study.facts["LastUpdate"] or "")
                with suppress(NotFound):
                    self._trash.note(study.orthanc_id, note)
            elif self._trash.has_arrived(study):
                self._report(bring_back(self._trash, [study], Author(), "arrival"))
            elif self._is_settled(known[1]):
                self._unchanged.add(known)

    def _is_settled(self, note: TrashNote) -> bool:
        """Whether what arrives from now on has another LastUpdate than that of the note."""
        return note.at is not None and self._now() - note.at > timedelta(seconds=SECONDS_BETWEEN_LOOKS)

    def empty(self, days: float) -> int:
        """Delete for good what has been in the trash for so many days; return how many studies that were.

        What has changed since it was put there stays. Raises ArchiveError, and what the database raises.
        """
        deleted = 0
        for study in due(self._trash.read(), self._now(), days):
            if not self._holds():
                break
            if self._trash.has_arrived(study):
                # the next look restores it
                continue
            deleted += self._delete(study)
        if deleted:
            logger.info("the trash was emptied", extra={"studies": deleted})
        return deleted

    def _delete(self, study: Resource) -> bool:
        is_deleted = False
        try:
            # what stays has no event, unless it changes within this moment
            if not self._trash.is_unchanged(study):
                return False
            with _audited(EventKind.DELETION, Author(), "empty_trash", study) as done:
                if is_deleted := self._trash.delete(study):
                    done()
        except ArchiveUnavailable:
            raise
        except NotFound:
            return False
        except GatewayError:
            # the others are deleted nevertheless
            logger.warning("a study in the trash cannot be deleted", exc_info=True, extra={"study": study.orthanc_id})
            return False
        if is_deleted:
            self._report([replace(study_identity(study), kind=Kind.DELETED)])
        return is_deleted


def restore_arriving(
    client: OrthancClient, studies: Collection[str], author: Author, operation: str, report: Report
) -> bool:
    """Restore those studies, by their Orthanc ids, that are in the trash; return whether there was one.

    To be called before instances are stored, so that what Orthanc has already is not deleted meanwhile, and after that,
    for what was put into the trash in between. Raises like `bring_back`.
    """
    trash = trash_of(client)
    trashed = [study for study in trash.studies() if study.orthanc_id in studies]
    changes = bring_back(trash, trashed, author, operation)
    if changes:
        report(changes)
    return bool(changes)


def bring_back(trash: Trash, studies: Iterable[Resource], author: Author, operation: str) -> list[Change]:
    """Restore studies that arrive again, each with audit events of its own; return what changed in the archive.

    Raises ArchiveError, and what the database raises.
    """
    changes: list[Change] = []
    studies = list(studies)
    trashed = {study.orthanc_id for study in trash.studies()} if studies else set()
    for study in studies:
        if not _is_left(trash, study):
            continue
        is_hidden = not trash.shown_studies(study.parent_id or "", trashed)
        with _audited(EventKind.RESTORED, author, operation, study) as done:
            if trash.restore(study.orthanc_id):
                done()
                trashed.discard(study.orthanc_id)
                logger.info("a study in the trash arrives again, and is restored", extra={"study": study.orthanc_id})
                changes += restorations(study, with_patient=is_hidden)
    return changes


def _is_left(trash: Trash, study: Resource) -> bool:
    try:
        return trash.has(study.orthanc_id)
    except NotFound:
        return False


def restorations(study: Resource, *, with_patient: bool) -> list[Change]:
    """Return what the log of changes has of a restored study, and of its patient if that was hidden: they are new."""
    identity = study_identity(study)
    patient = patient_identity(study.parent_id or "", identity.patient_id)
    return [replace(one, kind=Kind.ADDED) for one in ([patient, identity] if with_patient else [identity])]


@contextmanager
def _audited(kind: EventKind, author: Author, operation: str, study: Resource) -> Iterator[Callable[[], None]]:
    """Write what is about to be done with a study, and how that ended; yield what notes that it was done.

    What is not done, as somebody else has changed the study meanwhile, is `CANCELLED`. A study that is gone is
    no error here.
    """
    outcome, code = AuditOutcome.FAILED, CANCELLED
    write = partial(
        events.write,
        author,
        kind,
        operation,
        target=f"{study.level.path}/{study.orthanc_id}",
        subjects=[subject_of(study)],
        counts={study.level.path: 1},
    )
    intention = write(AuditOutcome.INTENDED)

    def done() -> None:
        nonlocal outcome, code
        outcome, code = AuditOutcome.SUCCESS, ""

    try:
        yield done
    except NotFound as error:
        code = error.code
    except Exception as error:
        code = code_of(error)
        raise
    finally:
        try:
            write(outcome, error_code=code, intention=intention)
        except DATABASE_ERRORS:
            # the intention stays without an outcome
            logger.exception("cannot write the outcome to the audit log")


def _forget_trash(*, setting: str, **_: Any) -> None:
    if setting.startswith("ORTHANC_"):
        trash_of.cache_clear()


setting_changed.connect(_forget_trash)
