"""Sharing studies by links: making, revoking and listing them."""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.contrib.auth.password_validation import validate_password
from django.core.exceptions import ValidationError
from django.db.models import QuerySet
from django.utils import timezone
from knox.models import get_token_model

from orthancproxy.access import oidc, share_links
from orthancproxy.access.actions import Action
from orthancproxy.access.callers import Caller
from orthancproxy.access.credentials import Credentials
from orthancproxy.access.models import Share
from orthancproxy.access.share_links import Sharer
from orthancproxy.archive.levels import Level
from orthancproxy.archive.plan import LevelPlan
from orthancproxy.audit.events import Subject
from orthancproxy.audit.kinds import Authentication
from orthancproxy.audit.reads import subject_of
from orthancproxy.conf import conf
from orthancproxy.database import storable
from orthancproxy.errors import InvalidRequest, NotFound, PermissionDenied
from orthancproxy.resolvers.context import RequestContext
from orthancproxy.resolvers.guard import audited_read, audited_write
from orthancproxy.resolvers.hierarchy import look_up
from orthancproxy.resolvers.operations import READ_SHARES, REVOKE_SHARE, SHARE

SHAREABLE = frozenset({Action.VIEW, Action.DOWNLOAD})
MAX_PASSWORD_CHARACTERS = 128


@dataclass(frozen=True, slots=True)
class ShareRequest:
    """The link that is asked for. Without a `password`, it needs none."""

    study_orthanc_id: str
    actions: Collection[Action]
    expires_at: datetime
    password: str | None = None


def sharer_of(credentials: Credentials, caller: Caller) -> Sharer:
    """Return the sharer for the caller of a request.

    An OpenID Connect identity has no row: what its access token says of its groups now counts until the link ends.
    """
    match credentials.authentication:
        case Authentication.SESSION:
            return Sharer(caller.username, credentials.user)
        case Authentication.API_TOKEN:
            tokens = get_token_model().objects.filter(digest=credentials.secret)
            return Sharer(caller.username, tokens.values_list("user", flat=True).first())
        case Authentication.OPENID_CONNECT:
            return Sharer(caller.username, groups=oidc.verify(credentials.secret).groups)
    return Sharer("")


def share_study(context: RequestContext, sharer: Sharer, request: ShareRequest) -> Share:
    """Return a new link to a study, with its token, which nobody gets again.

    Raises NotFound, InvalidRequest, and PermissionDenied for an action that the caller lacks.
    """
    with audited_write(context, SHARE, request.study_orthanc_id) as event:
        _check(context, request)
        found = look_up(context, LevelPlan(level=Level.STUDY), [request.study_orthanc_id])
        if not found:
            raise NotFound("There is no such study.")
        [study] = found
        event.subjects = [subject_of(study)]
        tags = [storable(study.tags.get(keyword, "")) for keyword in ("StudyInstanceUID", "PatientID")]
        share = share_links.create(
            sharer,
            study.orthanc_id,
            *tags,
            allows_download=Action.DOWNLOAD in request.actions,
            expires_at=request.expires_at,
            password=request.password or "",
        )
        event.details = {"share link created": share.username, **described(share)}
        return share


def revoke_share(context: RequestContext, share_id: str) -> Share:
    """End a link at once, and return it; one that has been revoked stays so. Raises NotFound."""
    with audited_write(context, REVOKE_SHARE) as event:
        is_id = share_id.isascii() and share_id.isdigit() and len(share_id) <= 18
        share = visible_shares(context.caller).filter(pk=share_id).first() if is_id else None
        if share is None:
            raise NotFound("There is no such share link.")
        event.subjects = [Subject(share.patient_id, share.study_instance_uid)]
        event.details = {"share link revoked": share.username}
        Share.objects.filter(pk=share.pk, revoked_at=None).update(revoked_at=timezone.now())
        share.refresh_from_db()
        return share


def get_shares(context: RequestContext) -> QuerySet[Share]:
    """Return the links, the newest first; for a caller with a scope, the caller's own only."""
    with audited_read(context, READ_SHARES):
        return visible_shares(context.caller).order_by("-pk")


def visible_shares(caller: Caller) -> QuerySet[Share]:
    """Return the links that a caller with the permission to share may see and revoke, unordered."""
    if not caller.scope.is_restricted:
        return Share.objects.all()
    is_identity = caller.authentication == Authentication.OPENID_CONNECT
    return Share.objects.filter(created_by=caller.username, user__isnull=is_identity)


def described(share: Share) -> dict[str, object]:
    """Return what the audit log has of a new link."""
    return {
        "actions": [action.name for action in actions_of(share)],
        "expires": share.expires_at,
        "password": bool(share.password),
    }


def actions_of(share: Share) -> list[Action]:
    """Return what a link allows, if its sharer may do so."""
    return [Action.VIEW, Action.DOWNLOAD] if share.allows_download else [Action.VIEW]


def _check(context: RequestContext, request: ShareRequest) -> None:
    actions = frozenset(request.actions)
    if Action.VIEW not in actions or not actions <= SHAREABLE:
        raise InvalidRequest("A link allows VIEW, or VIEW and DOWNLOAD.")
    if not actions <= context.caller.actions:
        raise PermissionDenied("You cannot share what you do not have permission to do.")
    remaining = request.expires_at - timezone.now()
    if not timedelta() < remaining <= timedelta(days=conf.ORTHANC_MAX_SHARE_DAYS):
        raise InvalidRequest(f"expiresAt must be in the future, within {conf.ORTHANC_MAX_SHARE_DAYS} days.")
    if request.password is not None:
        if len(request.password) > MAX_PASSWORD_CHARACTERS:
            raise InvalidRequest(f"The password must have at most {MAX_PASSWORD_CHARACTERS} characters.")
        try:
            validate_password(request.password)
        except ValidationError as error:
            raise InvalidRequest(" ".join(error.messages)) from error
        if not request.password:
            raise InvalidRequest("The password must not be empty.")
