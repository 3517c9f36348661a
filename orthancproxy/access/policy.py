"""Whether a caller may do something."""

from orthancproxy.access.actions import Action
from orthancproxy.access.callers import Caller
from orthancproxy.errors import NotAuthenticated, PermissionDenied


def authorize(caller: Caller, action: Action, patient_id: str | None = None) -> None:
    """Let a caller go on who may do this; what is to be stored names the patient whom it is to be stored for.

    What is in the archive already, a caller meets within their scope only, so that there is no need to name it here.
    Raises NotAuthenticated for somebody who might after logging in, else PermissionDenied.
    """
    if action not in caller.actions:
        if not caller.username:
            raise NotAuthenticated("Log in, or send a token, to do this.")
        raise PermissionDenied("You may not do this.")
    if patient_id is not None and not caller.scope.admits_patient(patient_id):
        raise PermissionDenied("You may not do this for this patient.")
