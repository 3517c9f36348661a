"""Authorization: the permission for an action, the patient of an upload, labels that scopes name, other archives."""

from collections.abc import Iterable

from orthancproxy.access.actions import Action
from orthancproxy.access.callers import Caller
from orthancproxy.access.models import AccessScope
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


def authorize_labels(caller: Caller, labels: Iterable[str]) -> None:
    """Raise PermissionDenied if an access scope names one of the labels, unless the caller may decide who sees what.

    That are callers who see everything and have the permission `label_scopes`. The scopes are those of now, of all
    groups, and labels of any level count: whoever adds or removes one in another spelling is rejected, too, since there
    are databases of Orthanc that do not tell `a` from `A`.
    """
    if Action.LABEL_SCOPES in caller.actions and not caller.scope.is_restricted:
        return
    rules = AccessScope.objects.filter(kind=AccessScope.Kind.STUDY_LABEL)
    named = {value.casefold() for value in rules.values_list("value", flat=True)}
    if not named.isdisjoint(label.casefold() for label in labels):
        raise PermissionDenied("You do not have permission to change labels that access scopes name.")


def authorize_sources(caller: Caller) -> None:
    """Raise PermissionDenied unless the caller sees everything: other servers know no access scopes.

    A scope of patients could be compared with what they find. One of labels could not, as what is elsewhere has none,
    and a rule for the one and not for the other would be hard to tell people.
    """
    if caller.scope.is_restricted:
        raise PermissionDenied("You see a part of the archive only, and may not search other servers.")
