"""Event streams of callers who lose what they had: they get nothing more within five seconds."""

import asyncio
from collections.abc import Callable, Mapping
from contextlib import AsyncExitStack
from typing import Any

import pytest
from asgiref.sync import sync_to_async
from django.contrib.auth.models import Group, User
from django.utils import timezone
from knox.models import get_token_model
from pytest_django import Settings

from orthancproxy.access.actions import Action
from orthancproxy.access.models import AccessScope
from orthancproxy.archive.levels import Level, patient_orthanc_id
from orthancproxy.audit.models import AuditEvent
from orthancproxy.feed.log import Change, Kind, change_log
from orthancproxy.http.event_streams import RECHECK_SECONDS
from tests.access.callers import (
    PASSWORD,
    READING,
    ROLES,
    CallerClient,
    bearer,
    make_user,
    with_api_token,
    with_session,
)
from tests.event_streams import FIELDS, EventStreamClient, event_stream
from tests.identity.provider import IdentityProvider
from tests.proxy import RecordingProxy

MAX_SECONDS = 5.0
QUERY = f"subscription {{ archiveChanges {{ {FIELDS} }} }}"


def change_password(user: User) -> None:
    user.set_password(f"{PASSWORD}!")
    user.save()


Revoke = Callable[[User, CallerClient], object]
REVOCATIONS: Mapping[str, tuple[str, Revoke]] = {
    "token deleted": ("UNAUTHENTICATED", lambda user, _: get_token_model().objects.filter(user=user).delete()),
    "token expired": (
        "UNAUTHENTICATED",
        lambda user, _: get_token_model().objects.filter(user=user).update(expiry=timezone.now()),
    ),
    "user deactivated": ("UNAUTHENTICATED", lambda user, _: User.objects.filter(pk=user.pk).update(is_active=False)),
    "logout": ("UNAUTHENTICATED", lambda _, caller: caller.client.logout()),
    "password changed": ("UNAUTHENTICATED", lambda user, _: change_password(user)),
    "left the group": ("FORBIDDEN", lambda user, _: user.groups.clear()),
    "group without permission": (
        "FORBIDDEN",
        lambda user, _: user.groups.get(name__startswith="stream").permissions.clear(),
    ),
}
STAYING = ("stays", "stays logged in")
IN_SESSIONS = ("logout", "password changed", "stays logged in")


@pytest.fixture(autouse=True)
def _changes_are_logged(settings: Settings) -> None:
    settings.ORTHANC_CHANGES_DAYS = 1


def change(patient_id: str, kind: Kind = Kind.DELETED) -> Change:
    study = patient_orthanc_id(patient_id)
    return Change(kind, Level.STUDY, study, patient_id, "1.2.3", None, study)


def caller_in_own_group(name: str) -> tuple[User, CallerClient]:
    group = Group.objects.create(name=f"stream {name}")
    group.permissions.set(Group.objects.get(name="Viewer").permissions.all())
    user = make_user(f"stream-{name}".replace(" ", "-"), group.name)
    with_credentials = with_session if name in IN_SESSIONS else with_api_token
    return user, with_credentials(name, user, READING)


def codes(data: Mapping[str, Any]) -> str:
    return str(data["errors"][0]["extensions"]["code"] if "errors" in data else data["code"])


@pytest.mark.live
@pytest.mark.once
def test_callers_who_lose_what_they_had_get_nothing_more(groups: None) -> None:
    known = {name: caller_in_own_group(name) for name in (*REVOCATIONS, *STAYING)}

    async def open_streams(stack: AsyncExitStack, name: str) -> list[EventStreamClient]:
        _, caller = known[name]
        return [
            await stack.enter_async_context(
                event_stream(query, headers=dict(caller.headers), cookies=caller.client.cookies)
            )
            for query in (QUERY, None)
        ]

    async def run() -> None:
        async with AsyncExitStack() as stack:
            streams = {name: await open_streams(stack, name) for name in known}
            every = [one for pair in streams.values() for one in pair]
            await sync_to_async(change_log.append)([change("P1")])
            for stream in every:
                event = await stream.event()
                assert event
                assert "P1" in str(event.data)
            for name, (_, revoke) in REVOCATIONS.items():
                await sync_to_async(revoke)(*known[name])
            # also if it takes longer to authenticate all callers again
            assert RECHECK_SECONDS < MAX_SECONDS
            await asyncio.sleep(MAX_SECONDS)
            await sync_to_async(change_log.append)([change("P2", Kind.UPDATED)])
            for name, (code, _) in REVOCATIONS.items():
                of_graphql, of_rest = [await stream.event() for stream in streams[name]]
                assert of_graphql, name
                assert of_rest, name
                assert (of_graphql.name, codes(of_graphql.data)) == ("next", code), name
                assert (of_rest.name, codes(of_rest.data)) == ("error", code), name
                assert (await streams[name][0].event()).name == "complete"  # type: ignore[union-attr]
                assert [await stream.event() for stream in streams[name]] == [None, None]
            for name in STAYING:
                for stream in streams[name]:
                    assert "P2" in str(await stream.event()), name

    asyncio.run(run())
    # once a stream
    assert AuditEvent.objects.filter(username="stream-stays", outcome="SUCCESS", event="ACCESSED").count() == 2


@pytest.mark.live
@pytest.mark.once
def test_an_access_token_expires_while_a_stream_is_open(proxy: RecordingProxy, home_provider: IdentityProvider) -> None:
    # after the 30 seconds for the difference between the clocks
    token = home_provider.token("oidc-stream", [ROLES["Viewer"]], lifetime=-26)

    async def run() -> None:
        async with event_stream(headers=bearer(token)) as stream:
            event = await stream.event(4 + MAX_SECONDS)
            assert event
            assert event.data == {"detail": "The access token has expired.", "code": "UNAUTHENTICATED"}

    asyncio.run(run())


@pytest.mark.live
@pytest.mark.once
def test_a_scope_counts_for_what_is_delivered_after_its_change(groups: None) -> None:
    user, caller = caller_in_own_group("scoped")
    confined = user.groups.get()

    async def run() -> None:
        async with event_stream(QUERY, headers=dict(caller.headers)) as stream:
            await sync_to_async(change_log.append)([change("P3")])
            assert "P3" in str(await stream.event())
            await sync_to_async(AccessScope.objects.create)(
                group=confined, kind=AccessScope.Kind.PATIENT_ID, value="Q*"
            )
            await asyncio.sleep(MAX_SECONDS)
            await sync_to_async(change_log.append)([change("P2", Kind.UPDATED), change("Q1", Kind.UPDATED)])
            event = await stream.event()
            assert event
            assert event.data["data"]["archiveChanges"]["patientId"] == "Q1"

    asyncio.run(run())
    assert Action.VIEW in caller.actions
