"""Callers with scopes."""

from collections.abc import Iterable

from django.contrib.auth.models import Group, Permission, User
from knox.models import get_token_model

from orthancproxy.access.actions import Action
from orthancproxy.access.models import AccessScope
from tests.archive.oracle_archive import Scope


def make_tokens(scopes: Iterable[Scope | None]) -> dict[Scope | None, str]:
    """Make a caller for each scope, with all permissions, and return their tokens."""
    permissions = Permission.objects.filter(codename__in=[action.value for action in Action])
    found: dict[Scope | None, str] = {}
    for number, one in enumerate(dict.fromkeys(scopes)):
        group = Group.objects.create(name=f"oracle {number}")
        group.permissions.set(permissions)
        rules = [(AccessScope.Kind.PATIENT_ID, pattern) for pattern in (one.patterns if one else ())]
        rules += [(AccessScope.Kind.STUDY_LABEL, label) for label in (one.labels if one else ())]
        AccessScope.objects.bulk_create(AccessScope(group=group, kind=kind, value=value) for kind, value in rules)
        user = User.objects.create_user(f"oracle {number}")
        user.groups.add(group)
        found[one] = get_token_model().objects.create(user)[1]
    return found
