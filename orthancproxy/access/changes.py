"""Audits changes of access, whichever way they are made: of users, groups, permissions, access scopes and API tokens.

Django announces changes of its models as signals; what bypasses the models (`QuerySet.update`, SQL) is not seen. The
event is written in the transaction of the change, if there is one. Tokens of an OpenID Connect provider change nothing:
their roles count for one request.
"""

import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from django.contrib.auth import get_user_model
from django.contrib.auth.models import Group, Permission
from django.db.models import Model
from django.db.models.signals import m2m_changed, post_delete, post_save, pre_save
from django.http import HttpRequest
from knox.models import get_token_model

from orthancproxy.access.authentication import author
from orthancproxy.access.callers import Caller
from orthancproxy.access.current_request import current_request
from orthancproxy.access.models import AccessScope
from orthancproxy.audit import events
from orthancproxy.audit.events import Author
from orthancproxy.audit.kinds import AuditOutcome, Authentication, EventKind

_User: Any = get_user_model()
_Token: Any = get_token_model()
# by model; of a password, only that it changed
_FIELDS: Mapping[Any, Sequence[str]] = {
    _User: (_User.USERNAME_FIELD, "password", "is_active", "is_staff", "is_superuser"),
    Group: ("name",),
    AccessScope: ("group_id", "kind", "value"),
    _Token: ("expiry",),
}
# the tables of many-to-many fields
_MEMBERS: Mapping[Any, tuple[Any, str]] = {
    _User.groups.through: (_User, "groups"),
    _User.user_permissions.through: (_User, "user_permissions"),
    Group.permissions.through: (Group, "permissions"),
}
_VERBS = {"post_add": "added", "post_remove": "removed", "pre_clear": "removed"}
# Django saves these when a user logs in; the password is the same with a new hash
_SAVED_BY_LOGINS = frozenset({"last_login", "password"})


def _remember(sender: Any, instance: Any, update_fields: Iterable[str] | None = None, **_: Any) -> None:
    if update_fields is None or not _SAVED_BY_LOGINS.issuperset(update_fields):
        instance._before_change = sender._base_manager.filter(pk=instance.pk).values(*_FIELDS[sender]).first()


def _saved(sender: Any, instance: Any, **_: Any) -> None:
    if "_before_change" not in instance.__dict__:
        return
    before = instance.__dict__.pop("_before_change")
    now = {name: getattr(instance, name) for name in _FIELDS[sender]}
    if before is None:
        _write(instance, {"created": _public(now)})
    elif changed := {name: [before[name], now[name]] for name in now if before[name] != now[name]}:
        _write(instance, {"changed": _public(changed) | ({"password": None} if "password" in changed else {})})


def _deleted(sender: Any, instance: Any, **_: Any) -> None:
    _write(instance, {"deleted": _public({name: getattr(instance, name) for name in _FIELDS[sender]})})


def _public(values: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in values.items() if name != "password"}


def _members_changed(
    sender: Any, instance: Model, action: str, reverse: bool, model: Any, pk_set: set[Any] | None, **_: Any
) -> None:
    """Write an event for each user or group whose groups or permissions are changed, from either side."""
    if action not in _VERBS:
        return
    owner, field = _MEMBERS[sender]
    if pk_set is not None:
        others = model._base_manager.filter(pk__in=pk_set)
    else:
        others = owner._base_manager.filter(**{field: instance}) if reverse else getattr(instance, field).all()
    pairs = [(other, [instance]) for other in others] if reverse else [(instance, list(others))]
    for changed, members in pairs:
        if members:
            _write(changed, {f"{field} {_VERBS[action]}": [_name(member) for member in members]})


def _name(member: Any) -> str:
    return f"{member.content_type.app_label}.{member.codename}" if isinstance(member, Permission) else str(member)


def _write(instance: Any, details: Mapping[str, Any]) -> None:
    match instance:
        case Group():
            target = f"groups/{instance.name}"
        case AccessScope():
            target = f"groups/{instance.group.name}"
            details = {f"access scope {verb}": values for verb, values in details.items()}
        case _ if isinstance(instance, _User):
            target = f"users/{instance.get_username()}"
        case _:
            target = f"tokens/{instance.user.get_username()}"
    write_change(target, details)


def write_change(target: str, details: Mapping[str, Any]) -> None:
    """Write an event for a change of access by the current request or command, in the transaction of the change."""
    request = current_request.get()
    # the name of a command of manage.py, but not its arguments
    operation = f"{request.method} {request.path}" if request else " ".join((Path(sys.argv[0]).name, *sys.argv[1:2]))
    events.write(
        _author(request),
        EventKind.ACCESS_CHANGED,
        operation,
        AuditOutcome.SUCCESS,
        target=target,
        details=details,
        durable=False,
    )


def _author(request: HttpRequest | None) -> Author:
    if request is None:
        return Author()
    user: Any = getattr(request, "user", None)
    if user is None or not user.is_authenticated:
        return author(request, Caller())
    return author(request, Caller(user.get_username(), authentication=Authentication.SESSION))


for _model in _FIELDS:
    pre_save.connect(_remember, sender=_model)
    post_save.connect(_saved, sender=_model)
    post_delete.connect(_deleted, sender=_model)
for _table in _MEMBERS:
    m2m_changed.connect(_members_changed, sender=_table)
