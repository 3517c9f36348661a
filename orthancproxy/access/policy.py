"""Authorization: the permission for an action, and the patient of an upload."""

from orthancproxy.access.actions import Action
from orthancproxy.access.callers import Caller
from orthancproxy.errors import NotAuthenticated, PermissionDenied


def authorize(caller: Caller, action: Action | None, patient_id: str | None = None) -> None:
    """Raise unless the caller may perform the action, if there is one, and, for an upload, for this PatientID.

    Resources of the archive need no check here: a caller only ever sees those in scope. Raises NotAuthenticated for an
    anonymous caller, else PermissionDenied.
    """
    if action is not None and action not in caller.actions:
        if not caller.username:
            raise NotAuthenticated("Log in or send a token to do this.")
        raise PermissionDenied("You do not have permission to do this.")
    if patient_id is not None and not caller.scope.admits_patient(patient_id):
        raise PermissionDenied("You do not have permission to do this for this patient.")
