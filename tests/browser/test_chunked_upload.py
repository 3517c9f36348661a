"""The page of docs/uploading.md uploads a folder in chunks: in a browser, through the gateway, to a real Orthanc."""

import json
import time
from base64 import b64encode
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Error, Page, Route, expect

from orthancproxy.sandbox.gateway import serving
from orthancproxy.sandbox.orthanc import INDEXED_INSTANCE_TAGS, LocalOrthanc
from tests.corpus import ask, instance
from tests.doc_examples import example
from tests.orthancs import StartOrthanc
from tests.waiting import MAX_SECONDS, wait_until

pytestmark = [pytest.mark.live, pytest.mark.once, pytest.mark.long]

GRAPHQL = "**/graphql/"
SECTION = ("docs/uploading.md", "A large folder, with progress")
SERIES = {"T1": 120, "T2": 80, "FLAIR/axial": 50}
TOTAL = sum(SERIES.values())
TIMEOUT = 90_000.0  # milliseconds
PAGE = f"""<!doctype html>
<meta charset="utf-8">
{example(*SECTION, "html")}
<script>
{example(*SECTION, "js")}
</script>
"""
# what a frontend has that makes its files itself; it remembers what it was told on the way
UPLOAD_OBJECTS = """async ([series, input]) => {
    const files = series.flatMap(([folder, contents]) => contents.map((content, index) => ({
        file: new File([Uint8Array.from(atob(content), (byte) => byte.charCodeAt(0))], `${index}.dcm`),
        folder,
    })));
    const progress = [];
    const total = await uploadFolder(files, input, (done, all) => progress.push([done, all]));
    return { total, progress };
}"""
WATCH_PROGRESS = """() => {
    const bar = document.querySelector("progress");
    window.seen = [];
    new MutationObserver(() => seen.push([bar.value, bar.max])).observe(bar, { attributes: true });
}"""


@pytest.fixture(scope="module")
def orthanc(start_orthanc: StartOrthanc) -> LocalOrthanc:
    return start_orthanc(configuration=INDEXED_INSTANCE_TAGS)


@pytest.fixture(scope="module")
def gateway(orthanc: LocalOrthanc, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with serving(orthanc.base_url, tmp_path_factory.mktemp("gateway")) as gateway:
        yield gateway.address


@pytest.fixture
def page(browser: Browser, gateway: str, orthanc: LocalOrthanc) -> Iterator[Page]:
    """The page on the gateway's origin, with an empty Orthanc."""
    for patient in json.loads(ask(orthanc, "/patients")):
        ask(orthanc, f"/patients/{patient}", "DELETE")
    context = browser.new_context(service_workers="block")
    context.set_default_timeout(TIMEOUT)
    page = context.new_page()
    page.route(f"{gateway}/upload.html", lambda route: route.fulfill(body=PAGE, content_type="text/html"))
    page.goto(f"{gateway}/upload.html")
    yield page
    context.close()


@pytest.fixture(scope="module")
def files() -> dict[str, list[bytes]]:
    """The files of a study, by folder."""
    return {
        folder: [instance(series=series, number=number) for number in range(1, count + 1)]
        for series, (folder, count) in enumerate(SERIES.items(), 1)
    }


@pytest.fixture
def folder(files: dict[str, list[bytes]], tmp_path: Path) -> Path:
    """The same on disk."""
    root = tmp_path / "study"
    for name, contents in files.items():
        (root / name).mkdir(parents=True)
        for number, content in enumerate(contents, 1):
            (root / name / f"{number:04}.dcm").write_bytes(content)
    return root


def given(files: dict[str, list[bytes]], **values: str) -> list[Any]:
    """The argument of UPLOAD_OBJECTS."""
    encoded = [[name, [b64encode(content).decode() for content in contents]] for name, contents in files.items()]
    return [encoded, {"patientId": "P2026-0001"} | values]


def size(files: dict[str, list[bytes]]) -> int:
    return sum(len(content) for contents in files.values() for content in contents)


def upload_objects(page: Page, files: dict[str, list[bytes]], **values: str) -> tuple[dict[str, Any], list[list[int]]]:
    """The result, and the progress on the way, of files that have no folder on disk."""
    answer = page.evaluate(UPLOAD_OBJECTS, given(files, **values))
    return answer["total"], answer["progress"]


def assert_grows_to_the_end(progress: list[list[int]], size: int) -> None:
    """The progress is in bytes; `size` is that of all files."""
    sent = [value for value, _ in progress]
    assert len(progress) >= 3
    assert sent == sorted(set(sent))
    assert sent[-1] == size
    assert {whole for _, whole in progress} == {size}


def assert_one_study_with_a_series_for_each_folder(orthanc: LocalOrthanc) -> None:
    statistics = json.loads(ask(orthanc, "/statistics"))
    counts = [statistics[f"Count{level}"] for level in ("Patients", "Studies", "Series", "Instances")]
    assert counts == [1, 1, len(SERIES), TOTAL]
    series = json.loads(ask(orthanc, "/series?expand"))
    assert Counter(len(one["Instances"]) for one in series) == Counter(SERIES.values())
    [patient] = json.loads(ask(orthanc, "/patients?expand"))
    assert patient["MainDicomTags"]["PatientID"] == "P2026-0001"


def test_picked_folder_becomes_one_study(
    page: Page, orthanc: LocalOrthanc, folder: Path, files: dict[str, list[bytes]]
) -> None:
    sent: list[str] = []
    page.on("request", lambda request: sent.append(request.method))
    page.evaluate(WATCH_PROGRESS)
    page.locator("input").set_input_files(folder)
    expect(page.locator("progress")).to_have_js_property("value", size(files), timeout=TIMEOUT)
    assert sent == ["POST"] * 3
    # the progress is that of sending
    wait_until(lambda: json.loads(ask(orthanc, "/statistics"))["CountInstances"] == TOTAL)
    # `value` and `max` are two changes, seen at once
    progress = page.evaluate("seen")
    assert_grows_to_the_end([value for at, value in enumerate(progress) if value not in progress[:at]], size(files))
    assert_one_study_with_a_series_for_each_folder(orthanc)


def test_files_of_a_frontend_become_one_study(page: Page, orthanc: LocalOrthanc, files: dict[str, list[bytes]]) -> None:
    total, progress = upload_objects(page, files)
    assert (total["uploaded"], total["alreadyStored"], total["failed"]) == (TOTAL, 0, [])
    assert json.loads(ask(orthanc, "/studies")) == [total["study"]["orthancId"]]
    assert_grows_to_the_end(progress, size(files))
    assert_one_study_with_a_series_for_each_folder(orthanc)


def test_upload_resumes_with_its_key(page: Page, orthanc: LocalOrthanc, files: dict[str, list[bytes]]) -> None:
    begun, _ = upload_objects(page, {"T1": files["T1"]}, uploadKey="a key")
    assert (begun["uploaded"], begun["alreadyStored"]) == (SERIES["T1"], 0)
    total, progress = upload_objects(page, files, uploadKey="a key")
    assert (total["uploaded"], total["alreadyStored"], total["failed"]) == (TOTAL - SERIES["T1"], SERIES["T1"], [])
    assert_grows_to_the_end(progress, size(files))
    assert_one_study_with_a_series_for_each_folder(orthanc)


def test_large_files_are_sent_in_chunks_of_at_most_50_mb(page: Page) -> None:
    sent: list[str] = []
    page.on("request", lambda request: sent.append(request.method))
    total, progress = page.evaluate(
        """async () => {
            const sizes = [20, 30, 1, 60, 1].map((size) => size * 1_000_000);
            const files = sizes.map((size) => ({ file: new File([new Uint8Array(size)], "zeros"), folder: "" }));
            const progress = [];
            const total = await uploadFolder(files, { patientId: "P" }, (sent, all) => progress.push([sent, all]));
            return [total, progress];
        }"""
    )
    assert (len(total["failed"]), sent) == (5, ["POST"] * 4)
    assert_grows_to_the_end(progress, 112_000_000)


def expect_held(page: Page, held: list[Route], count: int) -> None:
    """Wait for so many requests, and then for as long as another one would take."""
    deadline = time.monotonic() + MAX_SECONDS
    while len(held) < count and time.monotonic() < deadline:
        # the events of the browser come meanwhile
        page.wait_for_timeout(10)
    page.wait_for_timeout(500)
    assert len(held) == count


def test_upload_sends_at_most_two_requests_at_once(
    page: Page, gateway: str, orthanc: LocalOrthanc, files: dict[str, list[bytes]]
) -> None:
    held: list[Route] = []
    page.route(GRAPHQL, lambda route: held.append(route))
    page.evaluate(f"(given) => {{ window.answer = ({UPLOAD_OBJECTS})(given); }}", given(files))
    expect_held(page, held, 2)
    held[1].continue_()
    expect_held(page, held, 3)
    held[0].continue_()
    held[2].continue_()
    assert page.evaluate("answer")["total"]["uploaded"] == TOTAL
    assert_one_study_with_a_series_for_each_folder(orthanc)


def test_upload_sends_a_failed_request_again(page: Page, orthanc: LocalOrthanc, files: dict[str, list[bytes]]) -> None:
    sent: list[Route] = []

    def break_off_the_second(route: Route) -> None:
        sent.append(route)
        if len(sent) == 2:
            route.abort()
        else:
            route.continue_()

    page.route(GRAPHQL, break_off_the_second)
    total, progress = upload_objects(page, files)
    assert len(sent) == 4
    assert (total["uploaded"], total["alreadyStored"], total["failed"]) == (TOTAL, 0, [])
    assert_grows_to_the_end(progress, size(files))
    assert_one_study_with_a_series_for_each_folder(orthanc)


def test_a_chunk_whose_answer_is_lost_is_not_stored_twice(
    page: Page, orthanc: LocalOrthanc, files: dict[str, list[bytes]]
) -> None:
    sent: list[Route] = []
    lost: list[int] = []

    def lose_the_first_answer(route: Route) -> None:
        sent.append(route)
        if len(sent) == 1:
            # others come meanwhile
            lost.append(route.fetch(timeout=TIMEOUT).status)
            route.abort()
        else:
            route.continue_()

    page.route(GRAPHQL, lose_the_first_answer)
    total, progress = upload_objects(page, files)
    assert lost == [200]
    assert (total["uploaded"], total["alreadyStored"], total["failed"]) == (TOTAL - 100, 100, [])
    assert_grows_to_the_end(progress, size(files))
    assert_one_study_with_a_series_for_each_folder(orthanc)


def test_upload_survives_a_restart_of_orthanc(page: Page, orthanc: LocalOrthanc, files: dict[str, list[bytes]]) -> None:
    sent: list[Route] = []

    def restart_orthanc(route: Route) -> None:
        sent.append(route)
        if len(sent) == 1:
            orthanc.stop()
        elif not orthanc.is_running and len(sent) > 3:
            orthanc.start()
        route.continue_()

    page.route(GRAPHQL, restart_orthanc)
    total, progress = upload_objects(page, files)
    assert len(sent) > 3
    assert (total["uploaded"] + total["alreadyStored"], total["failed"]) == (TOTAL, [])
    assert_grows_to_the_end(progress, size(files))
    assert_one_study_with_a_series_for_each_folder(orthanc)


def test_upload_does_not_send_a_rejected_request_again(
    page: Page, orthanc: LocalOrthanc, files: dict[str, list[bytes]]
) -> None:
    sent: list[str] = []
    page.on("request", lambda request: sent.append(request.method))
    with pytest.raises(Error, match="patient ID is empty"):
        page.evaluate(UPLOAD_OBJECTS, given(files, patientId=""))
    page.wait_for_timeout(1000)
    assert sent == ["POST"] * 2
    assert json.loads(ask(orthanc, "/instances")) == []
