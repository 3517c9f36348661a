"""Signed URLs: they act as their caller, for one download, as long as the caller may still get it."""

import asyncio
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import AsyncExitStack
from dataclasses import replace
from typing import Any

import pytest
from asgiref.sync import sync_to_async
from django.contrib.auth.models import Group, User
from django.utils import timezone
from knox.models import get_token_model
from pytest_django import Settings

from orthancproxy.access import signed_urls
from orthancproxy.access.actions import Action
from orthancproxy.access.models import AccessScope
from orthancproxy.archive.levels import Level
from orthancproxy.audit.dicom_messages import messages
from orthancproxy.audit.kinds import AuditOutcome, Authentication
from orthancproxy.audit.models import AuditEvent, Viewing
from orthancproxy.feed.log import Change, Kind, change_log
from tests.access.archive import SmallArchive
from tests.access.callers import (
    PASSWORD,
    READING,
    CallerClient,
    GatewayResponse,
    make_user,
    with_api_token,
    with_session,
)
from tests.access.cases import CASES, DEFAULT_TARGET, MOUNT, RouteCase, variable
from tests.access.matrix import assert_access
from tests.event_streams import event_stream
from tests.identity.provider import IdentityProvider
from tests.log_capture import logged
from tests.proxy import RecordingProxy

pytestmark = pytest.mark.live

ORIGIN = "http://testserver"
INVALID = "The signature of the URL is invalid: request the URL again."
EXPIRED = "The signed URL has expired: request it again."
ENDED = "The signed URL has ended with the login that it was made for."
DOWNLOADS: Mapping[str, RouteCase] = {
    name: case
    for name, case in CASES.items()
    if isinstance(case, RouteCase)
    and case.mount == MOUNT
    and case.operation.action is Action.DOWNLOAD
    and case.route.endswith("/")
}
SIGNERS = ("Viewer (session)", "Manager (API token)", "Uploader (access token)")
SIGNING = ("signing", "another")
FILE = "instances/<str:orthanc_id>/file/"


def signed_url(caller: CallerClient, route: str = FILE, arguments: str = "signed: true") -> str:
    """Return the signed URL of the default target for a route, without the origin."""
    level, _, what, _ = route.split("/")
    name = variable(level)
    query = f"query($id: ID!) {{ {name}(orthancId: $id) {{ {what}Url({arguments}) }} }}"
    url: str = caller.graphql(query, {"id": DEFAULT_TARGET.ids[level]}).data[name][f"{what}Url"]
    return url.removeprefix(ORIGIN)


def signature_of(url: str) -> str:
    return url.partition("signature=")[2]


def without_credentials(caller: CallerClient) -> CallerClient:
    """Return whoever has a signed URL of a caller."""
    return CallerClient(caller.name, caller.username, Authentication.SIGNED_URL, caller.actions & {Action.DOWNLOAD})


def get(url: str, method: str = "GET") -> GatewayResponse:
    return CallerClient("somebody").send(method, url)


@pytest.fixture
def own_group() -> Iterator[Group]:
    """Yield a group with the permissions of a Viewer, which a test may change."""
    group = Group.objects.create(name="signing")
    group.permissions.set(Group.objects.get(name="Viewer").permissions.all())
    yield group
    User.objects.filter(username__in=SIGNING).delete()
    AccessScope.objects.filter(group=group).delete()
    group.delete()


@pytest.mark.parametrize("name", DOWNLOADS)
def test_signed_url_acts_as_its_caller(
    name: str, callers: dict[str, CallerClient], archive: SmallArchive, proxy: RecordingProxy
) -> None:
    case = DOWNLOADS[name]
    for caller in (callers[one] for one in SIGNERS):
        url = signed_url(caller, case.route).removeprefix(MOUNT)
        signed = replace(case, address=url)
        assert_access(signed, without_credentials(caller), archive, proxy, archive.state())


def test_response_reveals_the_url_to_no_page_and_is_checked_again(
    callers: dict[str, CallerClient], archive: SmallArchive
) -> None:
    for route in ("instances/<str:orthanc_id>/file/", "instances/<str:orthanc_id>/thumbnail/"):
        url = signed_url(callers["Viewer (session)"], route)
        assert "?v=" in url
        answer = get(url)
        assert answer.headers["Referrer-Policy"] == "no-referrer"
        assert answer.headers["Cache-Control"] == "private, no-cache"
        known = CallerClient("somebody", headers={"If-None-Match": answer.headers["ETag"]}).send("GET", url)
        assert known.status == 304
    assert get(f"{url}x").headers["Referrer-Policy"] == "no-referrer"


def test_part_of_a_file_can_be_requested(callers: dict[str, CallerClient], archive: SmallArchive) -> None:
    url = signed_url(callers["Viewer (session)"])
    part = CallerClient("somebody", headers={"Range": "bytes=128-131"}).send("GET", url)
    assert (part.status, part.content) == (206, b"DICM")
    assert get(f"{url}&transcode=1.2.840.10008.1.2").json["detail"] == INVALID


def test_signature_counts_instead_of_other_credentials(callers: dict[str, CallerClient], archive: SmallArchive) -> None:
    url = signed_url(callers["Viewer (session)"])
    for name in ("no group (session)", "unknown API token", "another scheme"):
        # by HEAD, since the files of one viewing share an event
        answer = callers[name].send("HEAD", url)
        assert answer.status == 200
        assert {row.username for row in answer.audit_events} == {callers["Viewer (session)"].username}
    forged = callers["Manager (session)"].send("GET", f"{url}x")
    assert (forged.status, forged.json["detail"]) == (401, INVALID)


@pytest.mark.parametrize("name", CASES)
def test_signature_authorizes_nothing_else(
    name: str, callers: dict[str, CallerClient], archive: SmallArchive, proxy: RecordingProxy
) -> None:
    signature = signature_of(signed_url(callers["Manager (session)"], "patients/<str:orthanc_id>/archive/"))
    case, nobody = CASES[name], CallerClient("nobody")
    proxy.requests.clear()
    if isinstance(case, RouteCase):
        address = case.address.format_map(DEFAULT_TARGET.variables)
        if address.startswith(f"patients/{DEFAULT_TARGET.ids['patients']}/archive") and case.method in ("GET", "HEAD"):
            return
        path = f"{case.mount}{address}{'&' if '?' in address else '?'}signature={signature}"
        answer = nobody.send(case.method, path)
    else:
        answer = nobody.send("POST", f"/graphql/?signature={signature}", b'{"query": "{ patients { totalCount } }"}')
        assert answer.code == "UNAUTHENTICATED"
    # 400: those without parameters
    assert case.is_graphql or answer.status in (400, 401)
    assert proxy.requests == []


@pytest.mark.parametrize(
    ("changed", "to"),
    [
        ("frame=1", "frame=0"),
        ("window-width=80", "window-width=81"),
        ("v=", "v=0"),
        ("preview/", "thumbnail/"),
        ("preview/", "file/"),
        ("/instances/", "/series/"),
        ("&signature=", "&width=10&signature="),
        ("&signature=", "&signature=&signature="),
    ],
)
def test_signature_is_of_the_whole_url(
    changed: str, to: str, callers: dict[str, CallerClient], archive: SmallArchive, proxy: RecordingProxy
) -> None:
    arguments = "frame: 1, windowCenter: 40, windowWidth: 80, signed: true"
    url = signed_url(callers["Viewer (session)"], "instances/<str:orthanc_id>/preview/", arguments)
    assert get(url).status == 404  # there is no second frame
    proxy.requests.clear()
    assert changed in url
    answer = get(url.replace(changed, to, 1))
    assert answer.status in (401, 404)
    assert answer.json["code"] == ("UNAUTHENTICATED" if answer.status == 401 else "NOT_FOUND")
    assert proxy.requests == []


@pytest.mark.parametrize("end", ["", "x", ".", "..", "...", "a.b.c", "=", "%00", "é", "&v=1", "%", "A" * 3000])
def test_malformed_signature_is_rejected_and_audited(end: str, archive: SmallArchive, proxy: RecordingProxy) -> None:
    answer = get(f"{MOUNT}instances/{DEFAULT_TARGET.ids['instances']}/file/?signature={end}")
    assert (answer.status, answer.json["detail"]) == (401, INVALID)
    [event] = answer.audit_events
    assert (event.event, event.outcome, event.username) == ("LOGIN", AuditOutcome.FAILED, "")
    assert proxy.requests == []


def test_other_slash_and_the_prefix_of_a_proxy_do_not_matter(
    callers: dict[str, CallerClient], archive: SmallArchive, settings: Settings
) -> None:
    assert get(signed_url(callers["Viewer (session)"]).replace("/?", "?")).status == 200
    settings.ORTHANC_TRUST_FORWARDED = settings.USE_X_FORWARDED_HOST = True
    settings.ALLOWED_HOSTS = ["testserver", "pacs.example.org"]
    settings.SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")
    headers = {"X-Forwarded-Host": "pacs.example.org", "X-Forwarded-Proto": "https", "X-Forwarded-Prefix": "/gateway"}
    caller = callers["Manager (API token)"]
    behind = replace(caller, headers={**caller.headers, **headers})
    url = signed_url(behind)
    assert url.startswith(f"https://pacs.example.org/gateway{MOUNT}")
    path = url.removeprefix("https://pacs.example.org/gateway")
    assert CallerClient("somebody", headers=headers).send("GET", path).status == 200
    assert get(path).status == 200


def change_password(user: User) -> None:
    user.set_password(f"{PASSWORD}!")
    user.save()


def delete_first_token(user: User) -> None:
    """Delete the token that has signed, not another one of the user."""
    with_api_token("another", user, READING)
    get_token_model().objects.filter(user=user).earliest("created").delete()


Loss = Callable[[User], object]
ENDS: Mapping[str, tuple[Authentication, Loss, int]] = {
    "password changed": (Authentication.SESSION, change_password, 401),
    "user deactivated": (Authentication.SESSION, lambda user: User.objects.filter(pk=user.pk).update(is_active=0), 401),
    "user deleted": (Authentication.SESSION, lambda user: user.delete(), 401),
    "left the group": (Authentication.SESSION, lambda user: user.groups.clear(), 403),
    "group without permission": (
        Authentication.SESSION,
        lambda user: user.groups.get().permissions.clear(),
        403,
    ),
    "patient out of scope": (
        Authentication.SESSION,
        lambda user: AccessScope.objects.create(group=user.groups.get(), kind="PATIENT_ID", value="P002"),
        404,
    ),
    "token deleted": (Authentication.API_TOKEN, delete_first_token, 401),
    "token expired": (
        Authentication.API_TOKEN,
        lambda user: get_token_model().objects.filter(user=user).update(expiry=timezone.now()),
        401,
    ),
    "password of a token's user changed": (Authentication.API_TOKEN, change_password, 401),
    "user of a token deactivated": (
        Authentication.API_TOKEN,
        lambda user: User.objects.filter(pk=user.pk).update(is_active=0),
        401,
    ),
}


@pytest.mark.parametrize("name", ENDS)
def test_signed_url_ends_with_what_its_caller_had(name: str, own_group: Group, archive: SmallArchive) -> None:
    authentication, lose, status = ENDS[name]
    user, other = (make_user(one, own_group.name) for one in SIGNING)
    login = with_session if authentication is Authentication.SESSION else with_api_token
    url, of_another = (signed_url(login(one.username, one, READING)) for one in (user, other))
    assert get(url).status == get(of_another).status == 200
    lose(user)
    answer = get(url)
    assert answer.status == status
    if status == 401:
        assert answer.json["detail"] == ENDED
        assert get(of_another).status == 200
    else:
        assert [row.username for row in answer.audit_events] == ["signing"]


@pytest.fixture
def pass_time(monkeypatch: pytest.MonkeyPatch) -> Callable[[float], None]:
    """Have signed URLs checked as they will be, so many seconds from now."""

    def pass_seconds(seconds: float) -> None:
        monkeypatch.setattr(signed_urls, "time", lambda: time.time() + seconds)

    return pass_seconds


def test_signed_url_of_an_identity_ends_with_its_groups_and_its_access_token(
    own_group: Group,
    home_provider: IdentityProvider,
    archive: SmallArchive,
    settings: Settings,
    pass_time: Callable[[float], None],
) -> None:
    settings.ORTHANC_OIDC_ROLE_GROUPS = ["signer=signing", "reader=Viewer"]
    # for ten seconds more, of the 30 for the difference between the clocks
    token = home_provider.token("oidc-signer", ["signer", "unmapped"], lifetime=-20)
    caller = CallerClient("identity", headers={"Authorization": f"Bearer {token}"})
    lasting = home_provider.token("oidc-signer", ["signer"])
    url, other = signed_url(caller), signed_url(replace(caller, headers={"Authorization": f"Bearer {lasting}"}))
    answer = get(url, "HEAD")
    assert answer.status == 200
    assert answer.audit_events[0].username == "oidc-signer"
    pass_time(11)
    assert get(url).json["detail"] == EXPIRED
    assert get(other).status == 200
    own_group.permissions.clear()
    assert get(other).status == 403
    settings.ORTHANC_OIDC_AUDIENCE = "https://another.example.org"
    assert get(other).json["detail"] == ENDED


def test_signed_url_expires(
    callers: dict[str, CallerClient], archive: SmallArchive, settings: Settings, pass_time: Callable[[float], None]
) -> None:
    settings.ORTHANC_URL_LIFETIME = 60.0
    url = signed_url(callers["Viewer (session)"])
    assert get(url).status == 200
    pass_time(61)
    answer = get(url)
    assert answer.status == 401
    assert answer.json == {"detail": EXPIRED, "code": "UNAUTHENTICATED"}
    assert answer.headers["WWW-Authenticate"] == 'Bearer realm="orthanc"'


def test_new_key_ends_all_signed_urls_even_if_the_old_one_is_a_fallback(
    callers: dict[str, CallerClient], archive: SmallArchive, settings: Settings
) -> None:
    url = signed_url(callers["Manager (API token)"])
    settings.SECRET_KEY_FALLBACKS = [settings.SECRET_KEY]
    settings.SECRET_KEY = "another key"
    assert get(url).json["detail"] == INVALID


def test_signed_urls_of_anonymous_callers_have_their_permissions(archive: SmallArchive, settings: Settings) -> None:
    settings.ORTHANC_ANONYMOUS_ACTIONS = ["view", "download"]
    url = signed_url(CallerClient("anonymous"))
    answer = get(url, "HEAD")
    assert answer.status == 200
    assert {(row.username, row.authentication) for row in answer.audit_events} == {("", "SIGNED_URL")}
    settings.ORTHANC_ANONYMOUS_ACTIONS = ["view"]
    assert get(url).status == 401


def test_signature_is_in_no_log_and_no_message(callers: dict[str, CallerClient], archive: SmallArchive) -> None:
    url = signed_url(callers["Viewer (session)"])
    signature = signature_of(url)
    Viewing.objects.all().delete()
    with logged() as lines:
        answers = [get(url), get(f"{url}x"), get(url, "POST"), get(f"{MOUNT}patients/?signature={signature}")]
        answers.append(get(f"/nowhere/?signature={signature}"))
    assert [answer.status for answer in answers] == [200, 401, 405, 401, 404]
    events = AuditEvent.objects.filter(request_id__in=[answer.request_id for answer in answers])
    shown = [line for event in events for line in messages(event, "gateway")]
    texts = [repr(lines), *map(repr, events.values()), *shown, *(str(answer.headers) for answer in answers)]
    texts += [answer.content.decode("latin-1") for answer in answers]
    assert not any(signature[-20:] in text or signature[:20] in text for text in texts)
    assert any("SIGNED_URL" in text for text in texts)


def test_hidden_resource_has_the_response_of_one_that_is_gone(own_group: Group, archive: SmallArchive) -> None:
    url = signed_url(with_session("signing", make_user("signing", own_group.name), READING))
    rule = AccessScope.objects.create(group=own_group, kind="PATIENT_ID", value="P002")
    hidden = get(url)
    rule.delete()
    archive.ask(f"/instances/{DEFAULT_TARGET.ids['instances']}", "DELETE")
    gone = get(url)
    assert hidden.status == gone.status == 404
    assert hidden.content == gone.content
    assert {**hidden.headers, "X-Request-ID": ""} == {**gone.headers, "X-Request-ID": ""}


def test_subscriptions_share_no_signed_urls(
    callers: dict[str, CallerClient], archive: SmallArchive, settings: Settings, home_provider: IdentityProvider
) -> None:
    settings.ORTHANC_CHANGES_DAYS = 1
    query = "subscription { archiveChanges { study { archiveUrl(signed: true) } } }"
    study, patient = DEFAULT_TARGET.ids["studies"], DEFAULT_TARGET.ids["patients"]
    signers = [callers[name] for name in ("Viewer (API token)", "Viewer (access token)")]
    uid, patient_id = DEFAULT_TARGET.study_uid, DEFAULT_TARGET.patient_id

    async def run() -> list[Any]:
        async with AsyncExitStack() as stack:
            streams = [
                await stack.enter_async_context(event_stream(query, headers=dict(caller.headers))) for caller in signers
            ]
            change = Change(Kind.UPDATED, Level.STUDY, study, patient_id, uid, patient, study)
            await sync_to_async(change_log.append)([change])
            return [await stream.event() for stream in streams]

    for caller, event in zip(signers, asyncio.run(run()), strict=True):
        answer = get(event.data["data"]["archiveChanges"]["study"]["archiveUrl"].removeprefix(ORIGIN), "HEAD")
        assert answer.status == 200
        assert {row.username for row in answer.audit_events} == {caller.username}
