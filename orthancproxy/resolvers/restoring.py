"""Reading what is in the trash, and restoring it: on request, or since instances of a study are stored again."""

import logging
from collections.abc import Collection
from dataclasses import replace

from orthancproxy.archive.labels import NEEDS, check_support
from orthancproxy.archive.levels import Level
from orthancproxy.archive.plan import Filter, LabelMatch, LevelPlan
from orthancproxy.archive.records import Page
from orthancproxy.audit.reads import subject_of
from orthancproxy.errors import ArchiveError, ArchiveProtocolError, ArchiveUnavailable, NotFound
from orthancproxy.orthanc.capabilities import TRASH_LABEL
from orthancproxy.resolvers.context import RequestContext
from orthancproxy.resolvers.guard import audited_read, audited_write
from orthancproxy.resolvers.hierarchy import look_up
from orthancproxy.resolvers.operations import READ_TRASH, RESTORE
from orthancproxy.resolvers.trash import restorations, restore_arriving, trash_of

logger = logging.getLogger(__name__)

WAS_IN_TRASH = "This study was in the trash. It is restored, with what was in it before."


def get_trash(context: RequestContext, plan: LevelPlan) -> Page:
    """Return a page of the trash, within the caller's scope. Raises InvalidRequest before Orthanc 1.12."""
    with audited_read(context, READ_TRASH) as read:
        in_trash = Filter(labels=LabelMatch(all=frozenset({TRASH_LABEL})))
        page = context.open_hierarchy(in_trash=True).page(replace(plan, filter=in_trash))
        read(page.resources)
        return page


def restore(context: RequestContext, orthanc_id: str) -> str:
    """Take a study out of the trash, and return its Orthanc id; one that is not in it is left as it is.

    Raises NotFound, and InvalidRequest before Orthanc 1.12.
    """
    with audited_write(context, RESTORE, orthanc_id) as event:
        trash = trash_of(context.client)
        found = look_up(context, LevelPlan(level=Level.STUDY, needs=NEEDS), [orthanc_id], in_trash=True)
        if not found:
            raise NotFound("There is no such study.")
        [study] = found
        event.subjects = [subject_of(study)]
        check_support(context.client.capabilities())
        event.counts = {Level.STUDY.path: 0}
        if TRASH_LABEL not in (study.facts.get("Labels") or ()):
            return orthanc_id
        is_patient_hidden = not trash.shown_studies(study.parent_id or "", {one.orthanc_id for one in trash.read()})
        event.counts = {Level.STUDY.path: 1}
        event.write_intent()
        try:
            if trash.restore(orthanc_id):
                event.changes = restorations(study, with_patient=is_patient_hidden)
            else:
                # somebody else has restored it meanwhile
                event.counts = {Level.STUDY.path: 0}
        except NotFound as error:
            # it was deleted for good concurrently
            raise NotFound("There is no such study.") from error
        except (ArchiveUnavailable, ArchiveProtocolError) as error:
            raise type(error)(f"{error.message} The study may have been restored nevertheless.") from error
        return orthanc_id


def restore_stored(context: RequestContext, studies: Collection[str], *, is_stored: bool = False) -> bool:
    """Restore those studies that are in the trash, by their Orthanc ids, since instances of them are stored.

    Return whether there was one. Raises ArchiveError, unless the instances are stored already.
    """
    if not studies:
        return False
    try:
        return restore_arriving(
            context.client, studies, context.author, context.operation_name, context.background.report
        )
    except ArchiveError:
        if not is_stored:
            raise
        logger.warning("cannot see whether what was stored is in the trash", exc_info=True)
        return False
