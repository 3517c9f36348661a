"""Sending a study from its page, and the list of jobs."""

import json
from typing import Any

import pytest
from playwright.sync_api import Page, Route, expect

from tests.browser.users import User, make
from tests.corpus import ask
from tests.explorer.conftest import CONFINED_TO, VIEWER, Archive, OpenPage, request
from tests.jobs.modality import SUCCESS, modality
from tests.jobs.servers import count as instances_of
from tests.jobs.servers import remove

pytestmark = [pytest.mark.live, pytest.mark.once, pytest.mark.long]

STUDY = "query ($id: String!) { studies(filter: {patientId: $id}) { nodes { orthancId instancesCount description } } }"
JOBS = "query ($user: String!) { jobs(filter: {createdBy: $user}) { nodes { id target { destination } } } }"
SENDER, OVERSEER = User("pacs-operator", ["Manager"]), User("overseer", is_superuser=True)
DESCRIPTION = "흉부 CT (조영 증강)"


@pytest.fixture(scope="module", autouse=True)
def _sender(archive: Archive) -> None:
    """A user whose jobs are those of this module, and one without any."""
    make(archive.folder, SENDER, OVERSEER)


def open_study(page: Page) -> tuple[str, int]:
    """Open the page of a study, and return its Orthanc id and the number of its instances."""
    page.goto("/account")
    [study] = request(page, STUDY, id=CONFINED_TO)["studies"]["nodes"]
    page.goto(f"/studies/{study['orthancId']}")
    return study["orthancId"], study["instancesCount"]


def test_a_study_is_sent_with_the_keyboard_and_listed_with_its_end(page_as: OpenPage, archive: Archive) -> None:
    assert archive.remote
    page = page_as(SENDER)
    study, count = open_study(page)
    # other tests send it, too
    remove(archive.remote, study)
    there = instances_of(archive.remote)
    page.get_by_role("button", name="Send to…").focus()
    page.keyboard.press("Enter")
    dialog = page.get_by_role("dialog", name="Send the study")
    expect(dialog.get_by_role("radio")).to_have_count(3)
    expect(dialog.get_by_role("button", name="Send", exact=True)).to_be_disabled()
    dialog.get_by_role("radio", name="DEAD").focus()
    page.keyboard.press("ArrowDown")
    expect(dialog.get_by_role("radio", name="PACS")).to_be_checked()
    expect(dialog).to_contain_text("AE title REMOTE")
    dialog.get_by_role("button", name="Send", exact=True).press("Enter")
    # it changes as the job does
    expect(dialog.get_by_role("status")).to_have_text("Done")
    expect(dialog).to_contain_text(f"{count} instances")
    assert instances_of(archive.remote) == there + count
    dialog.get_by_role("link", name="All jobs").click()
    page.wait_for_url("**/jobs")
    expect(dialog).to_have_count(0)
    row = page.locator("tbody tr")
    expect(row).to_have_count(1)
    for text in (DESCRIPTION, "홍 길동", "Send to PACS", "Done", f"{count} instances"):
        expect(row).to_contain_text(text)
    page.get_by_text("In progress", exact=True).click()
    page.wait_for_url("**/jobs?show=unfinished")
    expect(page.get_by_text("There are no such jobs.")).to_be_visible()

    others = page_as(OVERSEER)
    others.goto("/jobs")
    expect(others.get_by_text("There are no such jobs.")).to_be_visible()
    others.get_by_role("switch", name="Jobs of all users").check()
    expect(others.get_by_role("cell", name=SENDER.name, exact=True).first).to_be_visible()


def test_a_server_that_does_not_answer_is_told(page_as: OpenPage) -> None:
    page = page_as(SENDER)
    open_study(page)
    page.get_by_role("button", name="Send to…").click()
    dialog = page.get_by_role("dialog", name="Send the study")
    dialog.get_by_role("radio", name="DEAD").check()
    dialog.get_by_role("button", name="Send", exact=True).click()
    expect(dialog.get_by_role("status")).to_have_text("Failed")
    expect(dialog).to_contain_text("The server cannot be reached")
    assert "127.0.0.1:1" not in page.content()


def test_a_study_that_could_not_be_sent_is_sent_again_and_once(page_as: OpenPage, archive: Archive) -> None:
    page = page_as(SENDER, problems="ERR_FAILED")
    open_study(page)
    sent: list[tuple[str, str]] = []
    lost: list[str] = []

    def lose_first_answer(route: Route) -> None:
        body: Any = route.request.post_data_json
        if body["operationName"] == "Send":
            sent.append((body["variables"]["input"]["modality"], body["variables"]["input"]["clientMutationId"]))
            if len(sent) == 1:
                lost.append(route.fetch().json()["data"]["sendToModality"]["job"]["id"])
                route.abort()
                return
        route.fallback()

    page.route("**/graphql/", lose_first_answer)
    page.get_by_role("button", name="Send to…").click()
    dialog = page.get_by_role("dialog", name="Send the study")
    dialog.get_by_role("radio", name="DEAD").check()
    send = dialog.get_by_role("button", name="Send", exact=True)
    send.click()
    expect(dialog.get_by_role("alert")).to_contain_text("The gateway cannot be reached.")
    # the job that was begun, without its answer
    send.click()
    expect(dialog.get_by_role("status")).to_have_text("Failed")
    # another job
    dialog.get_by_role("button", name="Try again").click()
    expect(dialog.get_by_role("radio", name="DEAD")).to_be_checked()
    expect(dialog.get_by_role("radio", name="DEAD")).to_be_focused()
    send.click()
    expect(dialog.get_by_role("status")).to_have_text("Failed")
    dialog.get_by_role("button", name="Try again").click()
    dialog.get_by_role("radio", name="PACS").check()
    send.click()
    expect(dialog.get_by_role("status")).to_have_text("Done")
    expect(dialog.get_by_role("button", name="Try again")).to_have_count(0)
    assert [modality for modality, _ in sent] == ["DEAD", "DEAD", "DEAD", "PACS"]
    assert sent[0] == sent[1]
    assert len({key for _, key in sent}) == 3
    jobs = request(page, JOBS, user=SENDER.name)["jobs"]["nodes"]
    assert lost[0] in [job["id"] for job in jobs[:3]]
    assert [job["target"]["destination"] for job in jobs[:3]] == ["PACS", "DEAD", "DEAD"]


def test_what_a_modality_rejects_is_counted(page_as: OpenPage, archive: Archive) -> None:
    rejected: set[str] = set()

    def judge(dataset: Any) -> int:
        if len(rejected) < 2:
            rejected.add(dataset.SOPInstanceUID)
        return 0xA700 if dataset.SOPInstanceUID in rejected else SUCCESS

    with modality() as picky:
        picky.judge = judge
        known = {"AET": "PICKY", "Host": "127.0.0.1", "Port": picky.port}
        ask(archive.orthanc, "/modalities/SLOW", "PUT", json.dumps(known).encode())
        page = page_as(SENDER)
        _, count = open_study(page)
        page.get_by_role("button", name="Send to…").click()
        dialog = page.get_by_role("dialog", name="Send the study")
        dialog.get_by_role("radio", name="SLOW").check()
        dialog.get_by_role("button", name="Send", exact=True).click()
        expect(dialog.get_by_role("status")).to_have_text("Failed", timeout=60_000)
        expect(dialog).to_contain_text("The server rejected 2 instances.")
        expect(dialog).to_contain_text("DICOM status: A700")
        assert len(set(picky.taken)) == count - 2
    ask(archive.orthanc, "/modalities/SLOW", "DELETE")


def test_sending_is_not_offered_without_the_permission(page_as: OpenPage) -> None:
    page = page_as(VIEWER)
    open_study(page)
    expect(
        page.get_by_role("button", name="Open in viewer").or_(page.get_by_role("link", name="Open in viewer"))
    ).to_be_visible()
    expect(page.get_by_role("button", name="Send to…")).to_have_count(0)
    expect(page.get_by_role("link", name="Jobs")).to_have_count(0)
