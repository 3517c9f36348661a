"""The corner of every page that shows the caller's jobs while they go on, and tells how they end."""

import json
import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from playwright.sync_api import Locator, Page, Route, expect

from tests.access.archive import Target
from tests.browser.users import User, make
from tests.corpus import ask
from tests.explorer.conftest import CONFINED_TO, LOCAL_AET, VIEWER, Archive, OpenPage, request
from tests.explorer.test_accessibility import CUT_OFF, OVERFLOW, tab_to, violations
from tests.jobs.gate import Gate, gate_to
from tests.jobs.servers import REMOTE_AET, remove
from tests.waiting import wait_until

pytestmark = [pytest.mark.live, pytest.mark.once, pytest.mark.long]

STUDIES = """query ($id: String!) { studies(filter: {patientId: $id}) {
    nodes { orthancId description series { orthancId } } } }"""
SEND = "mutation ($input: SendInput!) { sendToModality(input: $input) { job { id } } }"
UNFINISHED = "{ jobs(filter: {isUnfinished: true}) { nodes { id } } }"
SENDER = User("sender", ["Manager"])
TITLES = {"en-GB": "Jobs in progress", "ko-KR": "진행 중인 작업", "ja-JP": "進行中のジョブ"}
DESCRIPTION = "흉부 CT (조영 증강)"
HIDE = """(isHidden) => {
    const state = isHidden ? "hidden" : "visible";
    Object.defineProperty(document, "visibilityState", { value: state, configurable: true });
    Object.defineProperty(document, "hidden", { value: isHidden, configurable: true });
    document.dispatchEvent(new Event("visibilitychange"));
}"""
ELSEWHERE = Target.at(9)
"""The study that the other server has."""


@pytest.fixture(scope="module", autouse=True)
def _sender(archive: Archive) -> None:
    """A user whose jobs are those of this module."""
    make(archive.folder, SENDER)


@pytest.fixture
def gate(archive: Archive, page_as: OpenPage) -> Iterator[Gate]:
    """A server named SLOW, to which jobs go on until the gate is opened or closed; none goes on after the test."""
    assert archive.remote
    port: Any = archive.remote._configuration["DicomPort"]
    with gate_to(port) as gate:
        # Orthanc gives up after 10 s otherwise, and a test on a busy machine takes longer
        modality = {"AET": REMOTE_AET, "Host": "127.0.0.1", "Port": gate.port, "Timeout": 300}
        ask(archive.orthanc, "/modalities/SLOW", "PUT", json.dumps(modality).encode())
        yield gate
        gate.open()
        page = page_as(SENDER)
        page.goto("/account")
        wait_until(lambda: request(page, UNFINISHED)["jobs"]["nodes"] == [])
        ask(archive.orthanc, "/modalities/SLOW", "DELETE")


@pytest.fixture
def arrivals(archive: Archive) -> Iterator[Gate]:
    """A gate that what is retrieved waits for; it is removed after the test."""
    assert archive.remote
    modality = f"/modalities/{LOCAL_AET}"
    before = ask(archive.remote, f"{modality}/configuration")
    with gate_to(json.loads(before)["Port"]) as gate:
        # it gives up after 10 s otherwise
        waiting = {**json.loads(before), "Port": gate.port, "Timeout": 300}
        ask(archive.remote, modality, "PUT", json.dumps(waiting).encode())
        yield gate
        ask(archive.remote, modality, "PUT", before)
    remove(archive.orthanc, ELSEWHERE.ids["studies"])


def corner(page: Page, locale: str = "en-GB") -> Locator:
    return page.get_by_role("region", name=TITLES[locale])


def messages(page: Page) -> Locator:
    return page.get_by_role("region", name="Messages")


def send(page: Page, count: int = 1) -> None:
    """Send the sample study to the slow server, by the API: not by a dialog of this page."""
    [study] = request(page, STUDIES, id=CONFINED_TO)["studies"]["nodes"]
    for _ in range(count):
        request(page, SEND, input={"modality": "SLOW", "level": "STUDY", "orthancIds": [study["orthancId"]]})


def retrieve(page: Page) -> Locator:
    """Begin to retrieve the study that the other server has; return its row."""
    page.goto(f"/retrieve?source=PACS&patient={ELSEWHERE.patient_id}")
    row = page.locator("tbody tr")
    row.get_by_role("button").click()
    expect(corner(page)).to_contain_text("Retrieve from PACS")
    return row


def asked(page: Page) -> list[str]:
    """The requests for jobs from now on."""
    found: list[str] = []
    page.on("request", lambda one: found.append(one.url) if "UnfinishedJobs" in (one.post_data or "") else None)
    return found


def script_seconds(page: Page, milliseconds: float) -> float:
    """For how long scripts run while nobody does anything on the page."""
    devtools = page.context.new_cdp_session(page)
    # it counts from here
    devtools.send("Performance.enable")
    page.wait_for_timeout(milliseconds)
    metrics = devtools.send("Performance.getMetrics")["metrics"]
    return next(float(metric["value"]) for metric in metrics if metric["name"] == "ScriptDuration")


def test_a_job_is_in_the_corner_of_every_page_until_its_end_is_told(page_as: OpenPage, gate: Gate) -> None:
    page = page_as(SENDER)
    page.goto("/account")
    send(page)
    page.goto("/")
    expect(corner(page)).to_contain_text("Send to SLOW")
    expect(corner(page)).to_contain_text(DESCRIPTION)
    expect(corner(page).get_by_role("progressbar", name=f"Progress of Send to SLOW: {DESCRIPTION}")).to_be_attached()
    page.get_by_role("row").filter(has_text="KR-0001").click()
    expect(page.get_by_role("heading", name="Series", exact=True)).to_be_visible()
    expect(corner(page)).to_be_visible()
    page.get_by_role("link", name="Open in viewer").click()
    page.wait_for_url("**/view")
    expect(corner(page)).to_be_visible()
    page.reload()
    expect(corner(page)).to_be_visible()
    page.go_back()
    # the whole list instead
    corner(page).get_by_role("link", name="All jobs").click()
    page.wait_for_url("**/jobs")
    expect(page.get_by_role("cell", name="Send to SLOW").first).to_be_visible()
    expect(corner(page)).to_have_count(0)
    page.get_by_role("link", name="Status").click()
    expect(corner(page)).to_be_visible()
    gate.open()
    expect(messages(page)).to_contain_text(
        re.compile(rf"Send to SLOW \({re.escape(DESCRIPTION)}\): Done\. \d+ instances")
    )
    expect(messages(page)).to_have_attribute("aria-live", "polite")
    expect(corner(page)).to_have_count(0)


def test_a_failure_is_told_with_its_reason_and_stays(page_as: OpenPage, gate: Gate) -> None:
    page = page_as(SENDER)
    page.goto("/account")
    send(page)
    page.reload()
    expect(corner(page)).to_be_visible()
    gate.close()
    expect(messages(page)).to_contain_text("Failed. The server cannot be reached, or rejected an instance.")
    page.get_by_role("link", name="Status").click()
    expect(page.get_by_role("heading", name="Status")).to_be_visible()
    messages(page).get_by_role("button", name="Dismiss").click()
    expect(messages(page)).to_be_empty()


def test_a_job_stays_in_the_corner_while_the_connection_is_lost(page_as: OpenPage, gate: Gate) -> None:
    page = page_as(SENDER, problems="ERR_INTERNET_DISCONNECTED")
    page.goto("/account")
    send(page)
    page.reload()
    expect(corner(page)).to_be_visible()
    page.context.set_offline(True)
    for _ in range(2):
        page.wait_for_event("requestfailed")
        expect(corner(page)).to_contain_text("Send to SLOW")
    page.context.set_offline(False)
    gate.open()
    expect(messages(page)).to_contain_text("Done")


def test_a_job_is_cancelled_in_the_corner_with_the_keyboard(page_as: OpenPage, gate: Gate) -> None:
    page = page_as(SENDER)
    page.goto("/account")
    send(page)
    # one that has not begun is cancelled at once
    gate.wait()
    page.reload()
    tab_to(page, corner(page).get_by_role("button", name=f"Cancel Send to SLOW: {DESCRIPTION}"))
    page.keyboard.press("Enter")
    expect(corner(page).get_by_role("button")).to_have_text("Being cancelled")
    gate.open()
    expect(messages(page)).to_contain_text("Cancelled")
    expect(corner(page)).to_have_count(0)


def begin_sending(page: Page) -> Locator:
    """Send a study of the worklist to the server behind the gate, and return the dialog."""
    page.get_by_role("row").filter(has_text="KR-0001").click()
    page.get_by_role("button", name="Send to…").click()
    dialog = page.get_by_role("dialog", name="Send the study")
    dialog.get_by_role("radio", name="SLOW").check()
    dialog.get_by_role("button", name="Send", exact=True).click()
    expect(dialog).to_contain_text("It continues when you close this.")
    return dialog


def test_a_job_of_a_dialog_goes_on_in_the_corner(page_as: OpenPage, gate: Gate) -> None:
    page = page_as(SENDER)
    page.goto("/")
    dialog = begin_sending(page)
    dialog.get_by_role("button", name="Close").last.click()
    expect(corner(page)).to_contain_text("Send to SLOW")
    gate.open()
    expect(messages(page)).to_contain_text("Done")


@pytest.mark.parametrize("has_failed", [False, True], ids=["is ended", "fails"])
def test_a_dialog_follows_its_job_though_the_stream(page_as: OpenPage, gate: Gate, has_failed: bool) -> None:
    streams: list[str] = []

    def break_off_the_first(route: Route) -> None:
        if "subscription JobUpdates" in (route.request.post_data or ""):
            streams.append(route.request.url)
            if len(streams) == 1 and has_failed:
                return route.abort()
            if len(streams) == 1:
                return route.fulfill(content_type="text/event-stream", body="event: complete\ndata:\n\n")
        return route.continue_()

    page = page_as(SENDER, problems="ERR_FAILED")
    page.goto("/")
    page.route("**/graphql/", break_off_the_first)
    dialog = begin_sending(page)
    gate.open()
    expect(dialog.get_by_role("status")).to_have_text("Done")


def test_a_retrieval_goes_on_in_the_corner_when_its_page_is_left(page_as: OpenPage, arrivals: Gate) -> None:
    page = page_as(SENDER)
    retrieve(page)
    page.get_by_role("link", name="Status").click()
    expect(corner(page)).to_contain_text("Retrieve from PACS")
    arrivals.open()
    expect(messages(page)).to_contain_text(re.compile(r"Retrieve from PACS.*: Done"))


def test_the_end_of_a_retrieval_is_told_by_its_row_which_rests_then(page_as: OpenPage, arrivals: Gate) -> None:
    page = page_as(SENDER)
    row = retrieve(page)
    arrivals.open()
    expect(row.get_by_role("status")).to_have_text("Done")
    expect(row.get_by_role("link", name="Open")).to_be_visible()
    expect(corner(page)).to_have_count(0)
    assert script_seconds(page, 1_000) < 0.3
    expect(messages(page)).to_be_empty()


def test_nothing_is_asked_for_where_no_job_goes_on_or_in_the_background(page_as: OpenPage, gate: Gate) -> None:
    page = page_as(SENDER)
    page.clock.install()
    requests = asked(page)
    with page.expect_response(lambda response: "UnfinishedJobs" in (response.request.post_data or "")):
        page.goto("/account")
    # from now on, time passes only where it is let: a machine may need seconds for what follows
    page.clock.pause_at(datetime.now(UTC) + timedelta(hours=1))
    page.clock.run_for(60_000)
    page.wait_for_load_state("networkidle")
    assert len(requests) == 1
    send(page)
    page.evaluate(HIDE, True)
    page.evaluate(HIDE, False)
    expect(corner(page)).to_be_visible()
    assert len(requests) == 2
    for expected in (3, 4):
        waited = 0
        while len(requests) < expected and waited < 60_000:
            page.clock.run_for(200)
            # the next time is set once the answer has been read
            page.wait_for_timeout(20)
            waited += 200
        assert len(requests) == expected
        assert 2_000 <= waited < 60_000
    page.evaluate(HIDE, True)
    page.wait_for_load_state("networkidle")
    page.clock.run_for(60_000)
    page.wait_for_load_state("networkidle")
    assert len(requests) == 4
    gate.open()
    # its end is told when somebody looks
    page.evaluate(HIDE, False)
    for _ in range(30):
        page.clock.run_for(2_000)
        page.wait_for_timeout(200)
        if messages(page).get_by_text("Done").count():
            break
    expect(messages(page)).to_contain_text("Done")


def test_whoever_begins_no_jobs_asks_for_none(page_as: OpenPage) -> None:
    page = page_as(VIEWER)
    requests = asked(page)
    page.goto("/account")
    expect(page.get_by_role("heading", name="Account", exact=True)).to_be_visible()
    page.wait_for_load_state("networkidle")
    assert requests == []


def test_several_jobs_fit_beside_every_page(page_as: OpenPage, gate: Gate) -> None:
    page = page_as(SENDER)
    page.goto("/account")
    send(page, count=5)
    for locale, text in (("en-GB", "2 more jobs"), ("ko-KR", "작업 2개 더 보기"), ("ja-JP", "他 2 件のジョブ")):
        for width in (390, 1400):
            page = page_as(SENDER, locale=locale, viewport={"width": width, "height": 844})
            page.goto("/account")
            more = corner(page, locale).get_by_text(text)
            expect(more).to_be_visible()
            assert page.evaluate(OVERFLOW) == [0, 0]
            # as with a server of a long name
            corner(page, locale).locator("li span").first.evaluate("name => name.prepend('ARCHIVE '.repeat(9))")
            assert page.evaluate(CUT_OFF) == []
            assert violations(page) == []
            # on a small screen, the page ends above the corner
            box, content = more.bounding_box(), page.locator("#content").bounding_box()
            assert box
            assert content
            assert width > 1000 or content["y"] + content["height"] <= box["y"]
