"""The types of share links: input, payload, and the list with its filter and order."""

import datetime
from enum import Enum
from typing import Annotated, cast

import strawberry
import strawberry_django
from django.db.models import Q
from django.urls import NoReverseMatch, reverse
from django.utils import timezone

from orthancproxy.access.actions import Action
from orthancproxy.access.credentials import credentials_of
from orthancproxy.access.models import Share as Row
from orthancproxy.errors import InvalidRequest
from orthancproxy.resolvers import shares
from orthancproxy.schema.context import Info, gateway
from orthancproxy.schema.descriptions import describe_filter
from orthancproxy.schema.inputs import OrderKey
from orthancproxy.schema.tables import aware

ShareId = Annotated[strawberry.ID, strawberry.argument(description="The `id` of the share link.")]


@strawberry.enum(description="What a share link allows.")
class ShareAction(Enum):
    VIEW = strawberry.enum_value("view", description="See what the study is, without its images.")
    DOWNLOAD = strawberry.enum_value("download", description="See its images too, and download files and ZIPs.")


@strawberry_django.type(Row, name="Share", description="A link to one study for people without an account.")
class Share:
    id: strawberry.ID = strawberry_django.field(
        description="The id. In the audit log, its user is `share:` and this id."
    )
    study_orthanc_id: strawberry.ID = strawberry_django.field(description="Orthanc id of the study.")
    created_by: str = strawberry_django.field(description="The user who shared the study.")
    created_at: datetime.datetime = strawberry_django.field(description="When the link was made.")
    expires_at: datetime.datetime = strawberry_django.field(description="When the link ends.")
    revoked_at: datetime.datetime | None = strawberry_django.field(description="When the link was revoked.")
    opened_at: datetime.datetime | None = strawberry_django.field(description="When the link was last opened.")

    @strawberry.field(description="StudyInstanceUID of the study.", name="studyInstanceUID")
    def study_instance_uid(root: strawberry.Parent[Row]) -> strawberry.ID:
        return strawberry.ID(root.study_instance_uid)

    @strawberry.field(
        description="The URL, for those who may see the study. Only `shareStudy` tells it: later it is null."
    )
    def url(root: strawberry.Parent[Row], info: Info) -> str | None:
        return info.context.request.build_absolute_uri(_path(root.token)) if root.token else None

    @strawberry.field(description="What it allows, if whoever shared the study may do so.")
    def actions(root: strawberry.Parent[Row]) -> list[ShareAction]:
        return [ShareAction[action.name] for action in shares.actions_of(root)]

    @strawberry.field(description="Whether a password is needed to open it.")
    def has_password(root: strawberry.Parent[Row]) -> bool:
        return bool(root.password)


@strawberry.type(description="A share link.")
class SharePayload:
    @strawberry.field(description="The share link.")
    def share(root: strawberry.Parent[Row]) -> Share:
        return cast("Share", root)


@strawberry.input(description="The link to make.")
class ShareStudyInput:
    study_orthanc_id: strawberry.ID = strawberry.field(description="Orthanc id of the study.")
    actions: list[ShareAction] = strawberry.field(
        description="`[VIEW]`, or `[VIEW, DOWNLOAD]`; the caller needs the same permissions."
    )
    expires_at: datetime.datetime = strawberry.field(
        description="When the link ends: at most `ORTHANC_MAX_SHARE_DAYS` from now (30 days by default)."
    )
    password: str | None = strawberry.field(
        default=None, description="A password to open it with; none by default. The database keeps only its hash."
    )


@strawberry_django.filter_type(Row, name="ShareFilter", description="Every given field must match.")
class ShareFilter:
    study_orthanc_id: strawberry.ID | None = strawberry_django.filter_field(description="Orthanc id of the study.")
    created_by: str | None = strawberry_django.filter_field(description="The user who shared the study.")

    @strawberry_django.filter_field(description="True: neither expired nor revoked. False: only others.")
    def is_open(self, value: bool, prefix: str) -> Q:
        is_open = Q(**{f"{prefix}revoked_at": None, f"{prefix}expires_at__gt": timezone.now()})
        return is_open if value else ~is_open


describe_filter(ShareFilter)


@strawberry.enum(description="What to order share links by.")
class ShareOrderField(Enum):
    CREATED_AT = strawberry.enum_value("created_at", description="When the link was made.")
    EXPIRES_AT = strawberry.enum_value("expires_at", description="When the link ends.")
    OPENED_AT = strawberry.enum_value("opened_at", description="When the link was last opened.")


@strawberry.input(description="One key of an order.")
class ShareOrder(OrderKey[ShareOrderField]):
    pass


def share(info: Info, given: ShareStudyInput) -> Row:
    """Make a link. Raises like `shares.share_study`, and InvalidRequest where the project has no pages for it."""
    _path("")
    context = gateway(info)
    request = shares.ShareRequest(
        given.study_orthanc_id,
        [Action[action.name] for action in given.actions],
        aware(given.expires_at),
        given.password,
    )
    sharer = shares.sharer_of(credentials_of(info.context.request, context.caller), context.caller)
    return shares.share_study(context, sharer, request)


def revoke(info: Info, share_id: str) -> Row:
    """End a link. Raises NotFound."""
    return shares.revoke_share(gateway(info), share_id)


def _path(token: str) -> str:
    try:
        return reverse("shares:link", args=[token or "-"])
    except NoReverseMatch as error:
        raise InvalidRequest("This gateway has no pages for share links.") from error
