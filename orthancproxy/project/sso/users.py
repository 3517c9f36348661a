"""The users of the gateway whom people at the provider are.

Only issuer and subject say who somebody is. A new person gets a new user, never one that exists: at many providers,
people choose their names.
"""

import logging
from collections.abc import Mapping
from typing import Any

from django.contrib.auth import get_user_model
from django.contrib.auth.models import Group
from django.db import IntegrityError
from django.utils.translation import gettext, gettext_lazy

from orthancproxy.access import oidc
from orthancproxy.conf import conf
from orthancproxy.database import exclusive_transaction
from orthancproxy.project.sso.errors import LoginRejected
from orthancproxy.project.sso.models import ProviderIdentity
from orthancproxy.project.variables import deployment

logger = logging.getLogger(__name__)
_User: Any = get_user_model()


def user_of(claims: Mapping[str, Any]) -> Any:
    """Return the user whom verified claims name, with the name and the groups of the claims.

    Raises LoginRejected for an inactive user, and for somebody new whose name is another user's; NotAuthenticated for
    claims without a valid name.
    """
    try:
        return _updated(claims)
    except IntegrityError:
        # somebody else took the name meanwhile
        return _updated(claims)


def _updated(claims: Mapping[str, Any]) -> Any:
    # of two logins of one person at once, the second one knows the user and the groups that the first one gave
    with exclusive_transaction(f"log in {claims['sub']}"):
        return _found(claims)


def _found(claims: Mapping[str, Any]) -> Any:
    name = _User.normalize_username(oidc.username(claims))
    known = {"issuer": conf.ORTHANC_OIDC_ISSUER, "subject": claims["sub"]}
    identity = ProviderIdentity.objects.select_related("user").filter(**known).first()
    if identity is None:
        identity = ProviderIdentity.objects.create(user=_new_user(name), **known)
    user = identity.user
    if not user.is_active:
        text = gettext_lazy("Your user is deactivated here. Ask an administrator.")
        raise LoginRejected("the user is inactive", text, username=user.get_username())
    _rename(user, name)
    roles = oidc.roles(claims)
    _set_groups(identity, oidc.groups(roles))
    if deployment.ORTHANC_OIDC_STAFF_ROLE:
        is_staff = deployment.ORTHANC_OIDC_STAFF_ROLE in roles
        if user.is_staff != is_staff:
            user.is_staff = is_staff
            user.save(update_fields=["is_staff"])
    return user


def _new_user(name: str) -> Any:
    """Return a new user without a password, or one of this name that may be given away."""
    namesake = _namesake(name)
    if namesake is None:
        return _User.objects.create_user(name)
    is_free = not (namesake.is_staff or namesake.is_superuser or hasattr(namesake, "provider_identity"))
    if deployment.ORTHANC_OIDC_LINK_USERS and is_free and namesake.get_username() == name:
        return namesake
    text = gettext("There already is a user named %(name)s here. Ask an administrator.") % {"name": name}
    raise LoginRejected("another user has the name", text, username=name)


def _namesake(name: str) -> Any:
    """Return a user whose name could be taken for this one."""
    return _User.objects.filter(**{f"{_User.USERNAME_FIELD}__iexact": name}).first()


def _rename(user: Any, name: str) -> None:
    """Give a user the name that they have at the provider now, unless it is another's."""
    if user.get_username() == name:
        return
    namesake = _namesake(name)
    if namesake is not None and namesake.pk != user.pk:
        logger.warning("a user keeps a former name: another user has the new one", extra={"user_id": user.pk})
        return
    setattr(user, _User.USERNAME_FIELD, name)
    user.save(update_fields=[_User.USERNAME_FIELD])


def _set_groups(identity: ProviderIdentity, names: list[str]) -> None:
    """Set the groups that come from roles. Those that an administrator assigned stay, unless a role could give them."""
    groups = identity.user.groups
    lost = {*identity.groups, *oidc.mapped_groups()}.difference(names)
    # only what changes, since each change is an event of the audit log
    groups.remove(*groups.filter(name__in=lost))
    groups.add(*Group.objects.filter(name__in=names).exclude(pk__in=groups.values("pk")))
    found = sorted(Group.objects.filter(name__in=names).values_list("name", flat=True))
    if identity.groups != found:
        identity.groups = found
        identity.save(update_fields=["groups"])
