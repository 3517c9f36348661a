"""Who asks, and what they may do and see."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from django.contrib.auth.models import Group, Permission

from orthancproxy.access.actions import Action
from orthancproxy.access.models import AccessScope
from orthancproxy.access.oidc import Identity
from orthancproxy.archive.scope import EVERYTHING, Scope
from orthancproxy.audit.kinds import Authentication
from orthancproxy.conf import conf

_APP = "orthancproxy"
_ACTIONS = {action.value: action for action in Action}


@dataclass(frozen=True, slots=True)
class Caller:
    """Who asks. Somebody who is not logged in has no username."""

    username: str = ""
    actions: frozenset[Action] = frozenset()
    scope: Scope = EVERYTHING
    authentication: Authentication = Authentication.NONE


def anonymous() -> Caller:
    """Somebody who is not logged in: may do what ORTHANC_ANONYMOUS_ACTIONS lists."""
    return Caller(actions=frozenset(_ACTIONS[name] for name in conf.ORTHANC_ANONYMOUS_ACTIONS))


def caller_of_user(user: Any, authentication: Authentication) -> Caller:
    """A user of Django's, with the permissions and the scopes of the user's groups."""
    permissions = user.get_all_permissions()
    return Caller(
        username=user.get_username(),
        actions=frozenset(action for action in Action if action.permission in permissions),
        scope=_scope(AccessScope.objects.filter(group__user=user)),
        authentication=authentication,
    )


def caller_of_identity(identity: Identity) -> Caller:
    """Somebody whom the OpenID Connect provider knows, with the permissions and scopes of the groups it names."""
    groups = Group.objects.filter(name__in=identity.groups)
    permissions = Permission.objects.filter(
        group__in=groups, content_type__app_label=_APP, content_type__model="archive", codename__in=_ACTIONS
    )
    return Caller(
        username=identity.username,
        actions=frozenset(_ACTIONS[name] for name in permissions.values_list("codename", flat=True)),
        scope=_scope(AccessScope.objects.filter(group__in=groups)),
        authentication=Authentication.OPENID_CONNECT,
    )


def _scope(rules: Iterable[AccessScope]) -> Scope:
    """What any of the rules shows; everything where there is none."""
    rules = list(rules)
    if not rules:
        return EVERYTHING
    patient_ids = {rule.value for rule in rules if rule.kind == AccessScope.Kind.PATIENT_ID}
    labels = {rule.value for rule in rules if rule.kind == AccessScope.Kind.STUDY_LABEL}
    return Scope(tuple(sorted(patient_ids)), frozenset(labels))
