"""Reading who is who in a project."""

from collections.abc import Sequence

from orthancproxy.anonymization.models import Pseudonym
from orthancproxy.audit.events import Subject
from orthancproxy.database import storable
from orthancproxy.errors import LimitExceeded
from orthancproxy.resolvers.context import RequestContext
from orthancproxy.resolvers.guard import audited_write
from orthancproxy.resolvers.operations import REIDENTIFY

MAX_PSEUDONYMS = 1000
# SQLite before 3.32 has at most 999 parameters in a statement
NAMES_PER_STATEMENT = 500


def reidentify(context: RequestContext, project: str, pseudonyms: Sequence[str] | None) -> list[Pseudonym]:
    """Return the patients behind pseudonyms of a project, or behind the newest MAX_PSEUDONYMS of it.

    A caller with an access scope gets only patients of whom the scope shows all studies. Each call has an audit event,
    with the PatientIDs. Raises LimitExceeded.
    """
    with audited_write(context, REIDENTIFY) as event:
        event.details = {"project": project, "pseudonyms": None if pseudonyms is None else len(pseudonyms)}
        if pseudonyms is not None and len(pseudonyms) > MAX_PSEUDONYMS:
            raise LimitExceeded(f"At most {MAX_PSEUDONYMS} pseudonyms can be asked for.")
        rows = _rows(storable(project), pseudonyms)
        visible = [row for row in rows if context.caller.scope.admits_patient(row.patient_id)]
        event.subjects = [Subject(row.patient_id) for row in visible]
        return visible


def _rows(project: str, pseudonyms: Sequence[str] | None) -> list[Pseudonym]:
    of_project = Pseudonym.objects.filter(project=project).order_by("-pk")
    if pseudonyms is None:
        return list(of_project[:MAX_PSEUDONYMS])
    wanted = sorted({storable(one) for one in pseudonyms})
    parts = [wanted[start : start + NAMES_PER_STATEMENT] for start in range(0, len(wanted), NAMES_PER_STATEMENT)]
    return [row for part in parts for row in of_project.filter(pseudonym__in=part)]
