"""Callers, with their permissions and their access scope."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any

from django.contrib.auth.models import Group, Permission
from django.utils import timezone

from orthancproxy.access.actions import FOR_ANYONE, Action
from orthancproxy.access.models import AccessScope, Share
from orthancproxy.access.oidc import Identity
from orthancproxy.archive.scope import EVERYTHING, Scope
from orthancproxy.audit.kinds import Authentication
from orthancproxy.conf import conf
from orthancproxy.errors import NotAuthenticated

LINK_ENDED = "The link has expired, or was revoked."

_APP = "orthancproxy"
_ACTIONS = {action.value: action for action in Action}


@dataclass(frozen=True, slots=True)
class Caller:
    """The caller of a request. An anonymous caller has an empty username."""

    username: str = ""
    actions: frozenset[Action] = frozenset()
    scope: Scope = EVERYTHING
    authentication: Authentication = Authentication.NONE


def anonymous() -> Caller:
    """Return the anonymous caller, with those actions of ORTHANC_ANONYMOUS_ACTIONS that need no name."""
    return Caller(actions=FOR_ANYONE.intersection(_ACTIONS[name] for name in conf.ORTHANC_ANONYMOUS_ACTIONS))


def caller_of_user(user: Any, authentication: Authentication) -> Caller:
    """Return the caller for a Django user, with the user's permissions and the scopes of their groups."""
    permissions = user.get_all_permissions()
    return Caller(
        username=user.get_username(),
        actions=frozenset(action for action in Action if action.permission in permissions),
        scope=_scope(AccessScope.objects.filter(group__user=user)),
        authentication=authentication,
    )


def caller_of_identity(identity: Identity) -> Caller:
    """Return the caller for an OpenID Connect identity, with the permissions and scopes of its groups."""
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


def caller_of_share(share: Share) -> Caller:
    """Return the caller for whoever has opened a share link: one study, as far as its sharer may see it now.

    Raises NotAuthenticated if the link has ended, or its sharer may no longer share.
    """
    if share.revoked_at is not None or share.expires_at <= timezone.now():
        raise NotAuthenticated(LINK_ENDED)
    if share.user is not None and not share.user.is_active:
        raise NotAuthenticated(LINK_ENDED)
    if share.user is not None:
        sharer = caller_of_user(share.user, Authentication.SESSION)
    elif share.created_by:
        sharer = caller_of_identity(Identity(share.created_by, tuple(share.groups)))
    else:
        sharer = anonymous()
    if Action.SHARE not in sharer.actions:
        raise NotAuthenticated(LINK_ENDED)
    return Caller(
        username=share.username,
        actions=sharer.actions & ({Action.VIEW, Action.DOWNLOAD} if share.allows_download else {Action.VIEW}),
        scope=replace(
            sharer.scope,
            studies=frozenset({share.study_orthanc_id}),
            study_uids=(share.study_instance_uid,),
        ),
        authentication=Authentication.SHARE_LINK,
    )


def _scope(rules: Iterable[AccessScope]) -> Scope:
    """Return the union of the rules; everything if there are none."""
    rules = list(rules)
    if not rules:
        return EVERYTHING
    patient_ids = {rule.value for rule in rules if rule.kind == AccessScope.Kind.PATIENT_ID}
    labels = {rule.value for rule in rules if rule.kind == AccessScope.Kind.STUDY_LABEL}
    return Scope(tuple(sorted(patient_ids)), frozenset(labels))
