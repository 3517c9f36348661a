"""Share links: whoever opens one sees one study, as far as its sharer may, and changes nothing."""

import asyncio
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import pytest
from asgiref.sync import sync_to_async
from django.contrib.auth.models import Group, User
from django.test import Client
from django.utils import timezone
from pytest_django import Settings

from orthancproxy.access.actions import Action
from orthancproxy.access.models import AccessScope, Share
from orthancproxy.access.share_links import MAX_WRONG_PASSWORDS
from orthancproxy.archive.levels import Level
from orthancproxy.audit.kinds import AuditOutcome, Authentication
from orthancproxy.audit.models import AuditEvent, Viewing
from orthancproxy.feed.log import Change, Kind, change_log
from orthancproxy.resolvers.operations import REVOKE_SHARE
from tests.access.archive import LABEL, UNKNOWN_TARGET, SmallArchive, Target
from tests.access.callers import (
    CallerClient,
    bearer,
    csrf_client,
    log_in,
    make_user,
    with_api_token,
    with_session,
)
from tests.access.cases import CASES, DEFAULT_TARGET
from tests.access.matrix import assert_access
from tests.access.test_scopes import LISTS_AND_COUNTS, audited_values, files_in, observable_parts
from tests.event_streams import event_stream
from tests.identity.provider import IdentityProvider
from tests.log_capture import logged
from tests.proxy import RecordingProxy

pytestmark = pytest.mark.live

SHARE = """mutation($study: ID!, $actions: [ShareAction!]!, $expires: DateTime!, $password: String) {
  shareStudy(input: {studyOrthancId: $study, actions: $actions, expiresAt: $expires, password: $password})
  { share { id url studyOrthancId actions hasPassword expiresAt createdBy revokedAt openedAt } }
}"""
PASSWORD = "orange bicycle 77"
STUDY = DEFAULT_TARGET.ids["studies"]
OTHERS = (Target.at(1, 2), Target.at(3))  # another study of the patient, and another patient
MAIN_CASES = {name: case for name, case in CASES.items() if not case.is_variant}


@dataclass(frozen=True, slots=True)
class Link:
    """A share link: its id, and its path."""

    id: str
    path: str

    @property
    def username(self) -> str:
        return f"share:{self.id}"


def share(caller: CallerClient, *actions: str, password: str | None = None, **lifetime: float) -> Link:
    """Share the study of the default target: to view and download, for an hour, if nothing else is said."""
    variables = {
        "study": STUDY,
        "actions": actions or ("VIEW", "DOWNLOAD"),
        "expires": (timezone.now() + timedelta(**(lifetime or {"hours": 1}))).isoformat(),
        "password": password,
    }
    made = caller.graphql(SHARE, variables).data["shareStudy"]["share"]
    return Link(made["id"], made["url"].removeprefix("http://testserver"))


def send_password(link: Link, password: str = "", client: Client | None = None) -> Any:
    """Submit the form of a link's page."""
    client = client or csrf_client()
    client.get(link.path)
    form = {"password": password, "csrfmiddlewaretoken": client.cookies["csrftoken"].value}
    return client.post(link.path, form)


def opened(link: Link, password: str = "", *, actions: frozenset[Action] | None = None) -> CallerClient:
    """Open a link, and return whoever has."""
    client = csrf_client()
    response = send_password(link, password, client)
    assert (response.status_code, response["Location"]) == (302, "/share/")
    permitted = frozenset({Action.VIEW, Action.DOWNLOAD}) if actions is None else actions
    return CallerClient("shared", link.username, Authentication.SHARE_LINK, permitted, client=client)


def is_open(caller: CallerClient) -> bool:
    """Whether an opened link still shows the study."""
    answer = caller.graphql("query($id: ID!) { study(orthancId: $id) { id } }", {"id": STUDY})
    if "UNAUTHENTICATED" in answer.codes:
        assert caller.send("GET", "/share/").status == 404
        return False
    return answer.data["study"] is not None


@pytest.fixture
def own_group() -> Iterator[Group]:
    """Yield a group with the permissions of a Manager, which a test may change."""
    group = Group.objects.create(name="sharing")
    group.permissions.set(Group.objects.get(name="Manager").permissions.all())
    yield group
    User.objects.filter(username="sharing").delete()
    AccessScope.objects.filter(group=group).delete()
    group.delete()


@pytest.fixture
def shared(callers: dict[str, CallerClient], archive: SmallArchive) -> CallerClient:
    """Return a caller who has opened a link to view and download."""
    return opened(share(callers["Manager (API token)"]))


class TestMatrix:
    @pytest.mark.parametrize("name", CASES)
    def test_what_a_link_does_not_allow_is_denied(
        self, name: str, callers: dict[str, CallerClient], archive: SmallArchive, proxy: RecordingProxy
    ) -> None:
        manager, case = callers["Manager (API token)"], CASES[name]
        view_only = opened(share(manager, "VIEW"), actions=frozenset({Action.VIEW}))
        for caller in (opened(share(manager)), view_only):
            if not case.is_permitted(caller):
                assert_access(case, caller, archive, proxy, archive.state())

    @pytest.mark.parametrize("name", [name for name, case in MAIN_CASES.items() if case.levels])
    def test_other_studies_look_as_if_they_did_not_exist(
        self, name: str, shared: CallerClient, archive: SmallArchive
    ) -> None:
        case = MAIN_CASES[name]
        if not case.is_permitted(shared):
            return
        unknown = case.send(shared, UNKNOWN_TARGET)
        for target in OTHERS:
            if "patients" in case.levels and target.patient_id == DEFAULT_TARGET.patient_id:
                continue
            hidden = case.send(shared, target)
            assert observable_parts(hidden) == observable_parts(unknown)
            assert audited_values(hidden) == audited_values(unknown)

    @pytest.mark.parametrize("name", [name for name, case in MAIN_CASES.items() if case.levels])
    def test_the_study_looks_as_it_does_for_its_sharer(
        self, name: str, shared: CallerClient, callers: dict[str, CallerClient], archive: SmallArchive
    ) -> None:
        case = MAIN_CASES[name]
        if not case.is_permitted(shared) or "patients" in case.levels:
            return
        Viewing.objects.all().delete()
        answer, expected = case.send(shared), case.send(callers["Manager (session)"])
        assert answer.status == expected.status == 200
        if answer.headers["Content-Type"] == "application/zip":
            assert files_in(answer) == files_in(expected)
        else:
            assert answer.content == expected.content
        assert {(row.username, row.authentication) for row in answer.audit_events} == {(shared.username, "SHARE_LINK")}

    def test_lists_and_counts_have_one_study(self, shared: CallerClient, archive: SmallArchive) -> None:
        data = shared.graphql(LISTS_AND_COUNTS).data
        [patient] = data["patients"]["nodes"]
        assert (patient["patientId"], patient["studiesCount"], patient["instancesCount"]) == ("P001", 1, 4)
        [study] = data["studies"]["nodes"]
        assert study["studyInstanceUID"] == DEFAULT_TARGET.study_uid
        assert study["patient"]["studiesCount"] == 1
        totals = {name: data[name]["totalCount"] for name in ("patients", "studies", "seriesList", "instances")}
        assert totals == {"patients": 1, "studies": 1, "seriesList": 2, "instances": 4}
        server = data["server"]
        assert [server[f"{one}Count"] for one in ("patients", "studies", "series", "instances")] == [1, 1, 2, 4]
        assert server["diskSize"] == archive.disk_size("studies", STUDY)
        viewer = shared.graphql("{ viewer { username actions scopes { kind value } } }").data["viewer"]
        assert viewer == {
            "username": shared.username,
            "actions": ["VIEW", "DOWNLOAD"],
            "scopes": [{"kind": "STUDY", "value": STUDY}],
        }

    def test_searches_and_filters_find_nothing_else(self, shared: CallerClient, archive: SmallArchive) -> None:
        hidden = Target.at(1, 2)
        for criteria, count in (
            ('search: "P00"', 1),
            ('patientId: "P001"', 1),
            ('patientId: "P003"', 0),
            (f'studyInstanceUIDs: ["{DEFAULT_TARGET.study_uid}", "{hidden.study_uid}"]', 1),
            (f'studyInstanceUIDs: ["{hidden.study_uid}"]', 0),
        ):
            page = shared.graphql(f"{{ studies(filter: {{{criteria}}}) {{ totalCount nodes {{ orthancId }} }} }}").data
            assert page["studies"]["totalCount"] == count, criteria
            assert [one["orthancId"] for one in page["studies"]["nodes"]] == [STUDY] * count
        assert files_in(shared.rest(f"patients/{DEFAULT_TARGET.ids['patients']}/archive/")) == files_in(
            shared.rest(f"studies/{STUDY}/archive/")
        )

    def test_dicomweb_finds_one_study(self, shared: CallerClient, archive: SmallArchive) -> None:
        for level, count in (("studies", 1), ("series", 2), ("instances", 4)):
            found = shared.send("GET", f"/dicom-web/{level}").json
            assert {one["0020000D"]["Value"][0] for one in found} == {DEFAULT_TARGET.study_uid}
            assert len(found) == count

    def test_signed_urls_act_as_the_link(self, shared: CallerClient, archive: SmallArchive) -> None:
        query = "query($id: ID!) { study(orthancId: $id) { archiveUrl(signed: true) } }"
        url = shared.graphql(query, {"id": STUDY}).data["study"]["archiveUrl"]
        answer = CallerClient("somebody").send("HEAD", url.removeprefix("http://testserver"))
        assert answer.status == 200
        [event] = answer.audit_events
        assert (event.username, event.authentication) == (shared.username, "SIGNED_URL")
        Share.objects.update(revoked_at=timezone.now())
        assert CallerClient("somebody").send("HEAD", url.removeprefix("http://testserver")).status == 401


Loss = Callable[[Link, User], object]
ENDS: Mapping[str, Loss] = {
    "revoked": lambda link, _: Share.objects.filter(pk=link.id).update(revoked_at=timezone.now()),
    "expired": lambda link, _: Share.objects.filter(pk=link.id).update(expires_at=timezone.now()),
    "deleted": lambda link, _: Share.objects.filter(pk=link.id).delete(),
    "sharer deactivated": lambda _, user: User.objects.filter(pk=user.pk).update(is_active=False),
    "sharer deleted": lambda _, user: user.delete(),
    "sharer left the group": lambda _, user: user.groups.clear(),
    "sharer may not share": lambda _, user: user.groups.get().permissions.remove(
        user.groups.get().permissions.get(codename="share")
    ),
    "sharer may not see the study": lambda _, user: AccessScope.objects.create(
        group=user.groups.get(), kind="PATIENT_ID", value="P002"
    ),
}


class TestEnds:
    @pytest.mark.parametrize("name", ENDS)
    def test_link_ends_with_what_it_rests_on(self, name: str, own_group: Group, archive: SmallArchive) -> None:
        user = make_user("sharing", own_group.name)
        link = share(with_api_token("sharing", user, frozenset(Action)))
        caller = opened(link)
        assert is_open(caller)
        ENDS[name](link, user)
        assert not is_open(caller)
        # the page of the link says nothing of an end by scope, which the archive tells
        if "see" not in name:
            assert csrf_client().get(link.path).status_code == 404

    @pytest.mark.since("1.12.0")
    def test_link_ends_with_the_label_by_which_its_sharer_sees_the_study(
        self, scoped_callers: dict[str, CallerClient], archive: SmallArchive
    ) -> None:
        caller = opened(share(scoped_callers["Labelled (session)"]))
        assert is_open(caller)
        assert caller.graphql("{ studies { totalCount } }").data["studies"]["totalCount"] == 1
        archive.ask(f"/studies/{STUDY}/labels/{LABEL}", "DELETE")
        assert not is_open(caller)
        assert caller.graphql("{ studies { totalCount } }").data["studies"]["totalCount"] == 0

    def test_sharer_who_may_not_download_shares_no_images(self, own_group: Group, archive: SmallArchive) -> None:
        user = make_user("sharing", own_group.name)
        caller = opened(share(with_session("sharing", user, frozenset(Action))))
        url = f"studies/{STUDY}/archive/"
        assert caller.rest(url, "HEAD").status == 200
        own_group.permissions.remove(own_group.permissions.get(codename="download"))
        assert caller.rest(url, "HEAD").status == 403
        assert is_open(caller)

    def test_link_of_an_identity_ends_with_the_permissions_of_its_groups(
        self, own_group: Group, home_provider: IdentityProvider, archive: SmallArchive, settings: Settings
    ) -> None:
        settings.ORTHANC_OIDC_ROLE_GROUPS = ["sharer=sharing"]
        token = home_provider.token("oidc-sharer", ["sharer"])
        caller = opened(share(CallerClient("identity", headers=bearer(token))))
        assert is_open(caller)
        own_group.permissions.clear()
        assert not is_open(caller)

    def test_revoking_is_for_those_who_may_share(
        self, callers: dict[str, CallerClient], scoped_callers: dict[str, CallerClient], archive: SmallArchive
    ) -> None:
        manager, ward = callers["Manager (session)"], scoped_callers["Ward (API token)"]
        link, own = share(manager), share(ward)
        query = "mutation($id: ID!) { revokeShare(id: $id) { share { revokedAt } } }"
        unknown = ward.graphql(query, {"id": "999999"})
        hidden = ward.graphql(query, {"id": link.id})
        assert hidden.content_without_request_id == unknown.content_without_request_id
        assert hidden.codes == ["NOT_FOUND"]
        for malformed in ("", "x", "1" * 40, "１"):
            assert manager.graphql(query, {"id": malformed}).codes == ["NOT_FOUND"]
        listed = "{ shares { nodes { id createdBy url } } }"
        assert {one["id"] for one in ward.graphql(listed).data["shares"]["nodes"]} == {own.id}
        everyone = manager.graphql(listed).data["shares"]["nodes"]
        assert {link.id, own.id} <= {one["id"] for one in everyone}
        assert {one["url"] for one in everyone} == {None}
        first, second = (manager.graphql(query, {"id": own.id}).data["revokeShare"] for _ in range(2))
        assert first == second
        filtered = f'{{ shares(filter: {{isOpen: true, createdBy: "{ward.username}"}}) {{ totalCount }} }}'
        assert manager.graphql(filtered).data["shares"]["totalCount"] == 0
        event = AuditEvent.objects.filter(operation="revokeShare", event=REVOKE_SHARE.kind, outcome="SUCCESS").last()
        assert event is not None
        assert event.details == {"share link revoked": own.username}

    def test_link_is_revoked_in_the_admin_site(self, callers: dict[str, CallerClient], archive: SmallArchive) -> None:
        link = share(callers["Manager (API token)"])
        caller = opened(link)
        user = make_user("admin-of-links", "Manager", is_staff=True)
        client = Client()
        client.force_login(user, backend="orthancproxy.project.login.PasswordBackend")
        page = client.get("/admin/orthancproxy/share/")
        assert page.status_code == 200
        assert STUDY in page.content.decode()
        form = {"action": "revoke", "_selected_action": [link.id]}
        assert client.post("/admin/orthancproxy/share/", form).status_code == 302
        assert not is_open(caller)
        assert AuditEvent.objects.filter(username=user.username, event="ACCESS_CHANGED", outcome="SUCCESS").exists()
        user.delete()

    def test_stream_ends_with_the_link(self, shared: CallerClient, settings: Settings) -> None:
        settings.ORTHANC_CHANGES_DAYS = 1

        def changed(target: Target, level: Level = Level.STUDY) -> Change:
            patient, study = target.ids["patients"], target.ids["studies"]
            is_patient = level is Level.PATIENT
            return Change(
                Kind.UPDATED,
                level,
                patient if is_patient else study,
                target.patient_id,
                None if is_patient else target.study_uid,
                patient,
                None if is_patient else study,
            )

        async def run() -> None:
            async with event_stream(cookies=shared.client.cookies) as stream:
                others = [changed(one) for one in OTHERS]
                every = [*others, changed(DEFAULT_TARGET, Level.PATIENT), changed(DEFAULT_TARGET)]
                await sync_to_async(change_log.append)(every)
                event = await stream.event()
                assert event
                assert (event.data["level"], event.data["orthancId"]) == ("study", STUDY)
                await sync_to_async(Share.objects.update)(revoked_at=timezone.now())
                event = await stream.event()
                assert event
                assert event.data["code"] == "UNAUTHENTICATED"

        asyncio.run(run())


class TestOpening:
    def test_page_of_a_link_says_nothing_of_the_study(
        self, callers: dict[str, CallerClient], archive: SmallArchive, proxy: RecordingProxy
    ) -> None:
        link = share(callers["Manager (API token)"], password=PASSWORD)
        proxy.requests.clear()
        client = csrf_client()
        response = client.get(link.path)
        page = response.content.decode()
        assert response.status_code == 200
        assert 'type="password"' in page
        assert "P001" not in page
        assert "<script" not in page
        assert response["Referrer-Policy"] == "same-origin"
        assert "script-src" not in response["Content-Security-Policy"]
        assert response["Content-Security-Policy"].startswith("default-src 'none'")
        assert client.get("/share/").status_code == 404
        assert proxy.requests == []

    def test_password_is_needed_and_limited(self, callers: dict[str, CallerClient], archive: SmallArchive) -> None:
        link = share(callers["Manager (API token)"], password=PASSWORD)
        assert is_open(opened(link, PASSWORD))
        for _ in range(MAX_WRONG_PASSWORDS):
            client = csrf_client()
            response = send_password(link, "wrong", client)
            assert (response.status_code, "orthanc_share" in client.cookies) == (403, False)
            assert "The password is wrong." in response.content.decode()
        response = send_password(link, PASSWORD)
        assert response.status_code == 429
        assert "15 minutes" in response.content.decode()
        events = AuditEvent.objects.filter(username=link.username, event="LOGIN").values_list("outcome", "error_code")
        assert list(events).count((AuditOutcome.FAILED, "UNAUTHENTICATED")) == MAX_WRONG_PASSWORDS
        assert (AuditOutcome.FAILED, "LIMIT_EXCEEDED") in list(events)
        # a link that is open stays open
        Share.objects.filter(pk=link.id).update(last_wrong_at=timezone.now() - timedelta(minutes=16))
        assert is_open(opened(link, PASSWORD))
        assert Share.objects.get(pk=link.id).opened_at is not None
        assert PASSWORD not in str(Share.objects.filter(pk=link.id).values())

    @pytest.mark.parametrize("token", ["x", "A" * 43, "..", "%00", "é", "a/b", "-"])
    def test_unknown_link_has_the_page_of_one_that_has_ended(
        self, token: str, callers: dict[str, CallerClient], archive: SmallArchive
    ) -> None:
        link = share(callers["Manager (API token)"])
        Share.objects.filter(pk=link.id).update(revoked_at=timezone.now())
        ended, unknown = csrf_client().get(link.path), csrf_client().get(f"/share/{token}")
        assert ended.status_code == unknown.status_code == 404
        if token != "a/b" and token != "..":
            nonces = re.compile(rb'nonce="[^"]*"')
            assert nonces.sub(b"", ended.content) == nonces.sub(b"", unknown.content)

    def test_opening_needs_a_form_of_the_page(self, callers: dict[str, CallerClient], archive: SmallArchive) -> None:
        link = share(callers["Manager (API token)"])
        client = csrf_client()
        assert client.get(link.path).status_code == 200
        assert client.post(link.path, {}).status_code == 403
        assert "orthanc_share" not in client.cookies

    def test_cookie_is_like_that_of_a_session_and_is_signed(self, shared: CallerClient, settings: Settings) -> None:
        cookie = shared.client.cookies["orthanc_share"]
        assert (cookie["httponly"], cookie["samesite"], cookie["path"]) == (True, "Lax", "/")
        assert bool(cookie["secure"]) == settings.SESSION_COOKIE_SECURE
        assert 3500 < int(cookie["max-age"]) <= 3600
        for forged in (Share.objects.latest("pk").token_hash, f"{cookie.value}x", "", "a:b:c"):
            shared.client.cookies["orthanc_share"] = forged
            assert not is_open(shared)

    def test_link_takes_no_login_from_a_browser(self, callers: dict[str, CallerClient], archive: SmallArchive) -> None:
        link = share(callers["Manager (API token)"])
        user = make_user("visitor", "Uploader")
        client = csrf_client()
        log_in(client, user.username)
        session = client.cookies["sessionid"].value
        assert send_password(link, client=client).status_code == 302
        assert client.cookies["sessionid"].value == session
        visitor = CallerClient("visitor", headers={"X-CSRFToken": client.cookies["csrftoken"].value}, client=client)
        assert visitor.graphql("{ viewer { username } }").data["viewer"]["username"] == "visitor"
        page = client.get("/share/")
        assert page.status_code == 200
        for url in re.findall(r'(?:src|href)="(/api[^"]*)"', page.content.decode()):
            answer = visitor.send("HEAD", url.replace("&amp;", "&"))
            assert {row.username for row in answer.audit_events} == {link.username}
        user.delete()

    def test_token_is_in_no_log(self, callers: dict[str, CallerClient], archive: SmallArchive) -> None:
        with logged() as lines:
            link = share(callers["Manager (API token)"])
            opened(link)
            csrf_client().get(f"{link.path}/nowhere")
            csrf_client().post(link.path, {})
        token = link.path.rpartition("/")[2]
        assert len(token) == 43
        assert any("/share/…" in str(line.get("path")) for line in lines)
        assert [text for text in map(str, [*lines, *AuditEvent.objects.values()]) if token in text] == []
        assert not Share.objects.filter(token_hash=token).exists()


class TestPage:
    def test_page_shows_the_study_with_what_may_be_downloaded(
        self, callers: dict[str, CallerClient], archive: SmallArchive
    ) -> None:
        manager = callers["Manager (API token)"]
        page = opened(share(manager)).client.get("/share/")
        text = page.content.decode()
        assert page.status_code == 200
        assert "img-src data: 'self'" in page["Content-Security-Policy"]
        images = re.findall(r'<img src="([^"]*)"', text)
        [zip_url] = re.findall(r'href="(/api[^"]*archive[^"]*)"', text)
        assert len(images) == 2
        somebody = CallerClient("somebody")
        assert all(somebody.send("GET", url).headers["Content-Type"] == "image/png" for url in images)
        assert len(files_in(somebody.send("GET", zip_url))) == 4
        without = opened(share(manager, "VIEW")).client.get("/share/").content.decode()
        assert "<img" not in without
        assert "archive" not in without

    @pytest.mark.parametrize(
        ("language", "text"), [("ko", "공유된 검사"), ("ja", "共有された検査"), ("fr", "Shared study")]
    )
    def test_pages_are_in_the_language_of_the_browser(
        self, language: str, text: str, callers: dict[str, CallerClient], archive: SmallArchive
    ) -> None:
        link = share(callers["Manager (API token)"])
        response = csrf_client().get(link.path, headers={"Accept-Language": language})
        assert text in response.content.decode()
        client = opened(link).client
        assert text in client.get("/share/", headers={"Accept-Language": language}).content.decode()

    def test_page_without_orthanc_says_so(self, shared: CallerClient, settings: Settings) -> None:
        settings.ORTHANC_BASE_URL = "http://127.0.0.1:9"
        response = shared.client.get("/share/")
        assert response.status_code == 503
        assert response["Retry-After"]
        assert "not available at the moment" in response.content.decode()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"actions": []}, "A link allows VIEW, or VIEW and DOWNLOAD."),
        ({"actions": ["DOWNLOAD"]}, "A link allows VIEW, or VIEW and DOWNLOAD."),
        ({"expires": "2001-01-01T00:00:00Z"}, "expiresAt must be in the future, within 30 days."),
        ({"expires": "2101-01-01T00:00:00Z"}, "expiresAt must be in the future, within 30 days."),
        ({"password": "secret"}, "This password is too short"),
        ({"password": "password123"}, "This password is too common."),
        ({"password": ""}, "This password is too short"),
        ({"password": "long " * 40}, "The password must have at most 128 characters."),
        ({"study": "x"}, "id"),
    ],
)
def test_invalid_link_is_rejected(
    change: Mapping[str, Any], message: str, callers: dict[str, CallerClient], archive: SmallArchive
) -> None:
    variables = {
        "study": STUDY,
        "actions": ["VIEW"],
        "expires": (timezone.now() + timedelta(days=1)).isoformat(),
        **change,
    }
    before = Share.objects.count()
    answer = callers["Manager (session)"].graphql(SHARE, variables)
    assert answer.codes == ["BAD_USER_INPUT"]
    assert message in answer.json["errors"][0]["message"]
    assert Share.objects.count() == before


def test_nobody_shares_what_they_may_not_do(own_group: Group, archive: SmallArchive) -> None:
    own_group.permissions.remove(own_group.permissions.get(codename="download"))
    caller = with_api_token("sharing", make_user("sharing", own_group.name), frozenset(Action))
    variables = {"study": STUDY, "expires": (timezone.now() + timedelta(days=1)).isoformat()}
    assert caller.graphql(SHARE, {**variables, "actions": ["VIEW", "DOWNLOAD"]}).codes == ["FORBIDDEN"]
    assert is_open(opened(share(caller, "VIEW")))


def test_new_link_is_audited(callers: dict[str, CallerClient], archive: SmallArchive) -> None:
    manager = callers["Manager (API token)"]
    link = share(manager, "VIEW", password=PASSWORD)
    event = AuditEvent.objects.filter(operation="shareStudy").latest("pk")
    assert (event.event, event.outcome, event.target) == ("ACCESS_CHANGED", "SUCCESS", f"studies/{STUDY}")
    assert event.details == {
        "share link created": link.username,
        "actions": ["VIEW"],
        "expires": event.details["expires"],
        "password": True,
    }
    assert event.username == manager.username
