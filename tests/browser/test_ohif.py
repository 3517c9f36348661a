"""The OHIF viewer over the gateway's DICOMweb: beside it with a session, and from another origin with a token."""

import json
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, expect, sync_playwright
from pydicom import dcmread
from pydicom.data import get_testdata_file
from pydicom.uid import generate_uid

from orthancproxy.sandbox.gateway import CHECKOUT, LocalGateway, serving
from orthancproxy.sandbox.orthanc import INDEXED_INSTANCE_TAGS, LocalOrthanc, free_port
from tests.browser.graphiql import ARGUMENTS, CHROMIUM, HEIGHT, WIDTH
from tests.browser.observer import REPORT_VIOLATIONS
from tests.browser.users import User, confine, create_token, enter, make
from tests.corpus import ask, load, sample_studies
from tests.orthancs import StartOrthanc

pytestmark = [pytest.mark.live, pytest.mark.once, pytest.mark.long]

OHIF = CHECKOUT / ".ohif"
# it compiles 20 MB of scripts, and renders with WebGL in software
TIMEOUT = 120_000.0  # milliseconds
WEBGL = ("--use-gl=angle", "--use-angle=swiftshader", "--enable-unsafe-swiftshader", "--ignore-gpu-blocklist")
COMPRESSED = {"JPEG 2000": "MR_small_jp2klossless.dcm", "JPEG-LS": "MR_small_jpeg_ls_lossless.dcm"}
GERMAN_ID = "DE-0003"
KOREAN, JAPANESE, GERMAN = "Hong, Gildong", "Yamada, Tarou", "Müller, Jörg Dr."
VIEWER = User("viewer", ["Viewer"])
CONFINED = User("confined", ["Viewer", "Germans"])
# enough grey levels to be a picture, on any canvas of the viewports
SHOWS_PICTURE = """() => [...document.querySelectorAll("canvas.cornerstone-canvas")].some((canvas) => {
    const { width, height } = canvas;
    if (!width || !height) return false;
    const { data } = canvas.getContext("2d").getImageData(0, 0, width, height);
    const levels = new Set();
    for (let i = 0; i < data.length; i += 4) levels.add(data[i]);
    return levels.size > 16;
})"""
CONFIG_OF_OTHER_ORIGIN = """
window.config.routerBasename = null;
Object.assign(window.config.dataSources[0].configuration, {{
    qidoRoot: "{dicomweb}", wadoRoot: "{dicomweb}", wadoUriRoot: "{dicomweb}/wado",
}});"""


def compressed(name: str, file: str) -> bytes:
    """A compressed picture as a study of its own, with this description."""
    dataset = dcmread(str(get_testdata_file(file, download=False)))
    dataset.StudyDescription, dataset.PatientID = name, "COMPRESSED"
    dataset.StudyInstanceUID, dataset.SeriesInstanceUID = generate_uid(), generate_uid()
    dataset.SOPInstanceUID = dataset.file_meta.MediaStorageSOPInstanceUID = generate_uid()
    buffer = BytesIO()
    dataset.save_as(buffer)
    return buffer.getvalue()


@pytest.fixture(scope="module")
def orthanc(start_orthanc: StartOrthanc) -> LocalOrthanc:
    orthanc = start_orthanc(configuration=INDEXED_INSTANCE_TAGS)
    load(orthanc, sample_studies())
    load(orthanc, [compressed(name, file) for name, file in COMPRESSED.items()])
    return orthanc


@pytest.fixture(scope="module")
def other_origin() -> str:
    return f"http://127.0.0.1:{free_port()}"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("gateway")


@pytest.fixture(scope="module")
def gateway(orthanc: LocalOrthanc, folder: Path, other_origin: str) -> Iterator[LocalGateway]:
    """A gateway without permissions for anonymous callers."""
    assert OHIF.is_dir(), "OHIF is missing: run dev/install-ohif, with Node 20.19 or newer"
    settings = {
        "ORTHANC_ANONYMOUS_ACTIONS": "",
        "ORTHANC_CORS_ORIGINS": other_origin,
        "OHIF_DIR": str(OHIF),
        "ORTHANC_VIEWER_URL": "/ohif/viewer?StudyInstanceUIDs={StudyInstanceUID}",
    }
    with serving(orthanc.base_url, folder, settings=settings) as gateway:
        confine(folder, "Germans", GERMAN_ID)
        make(folder, VIEWER, CONFINED)
        yield gateway


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        arguments = [one for one in ARGUMENTS if one != "--disable-gpu"]
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=[*arguments, *WEBGL])
        yield browser
        browser.close()


@contextmanager
def new_context(browser: Browser) -> Iterator[tuple[BrowserContext, list[str]]]:
    """Yield a profile of its own, and what its pages reported as violations of their policy."""
    context = browser.new_context(viewport={"width": WIDTH, "height": HEIGHT}, locale="en-US")
    context.set_default_timeout(TIMEOUT)
    context.add_init_script(REPORT_VIOLATIONS)
    messages: list[str] = []
    context.on("console", lambda message: messages.append(message.text))
    yield context, messages
    context.close()


@pytest.fixture(scope="module")
def session(browser: Browser, gateway: LocalGateway) -> Iterator[Page]:
    """The list of studies, which a user opened and logged in for."""
    with new_context(browser) as (context, messages):
        page = context.new_page()
        page.goto(f"{gateway.address}/ohif/", wait_until="commit")
        enter(page, VIEWER)
        yield page
        assert not [message for message in messages if message.startswith("securitypolicyviolation")]


def rows(page: Page) -> Any:
    return page.get_by_role("row")


def open_study(page: Page, address: str, uid: str) -> None:
    page.goto(f"{address}/viewer?StudyInstanceUIDs={uid}", wait_until="commit")


@pytest.fixture(scope="module")
def studies(orthanc: LocalOrthanc) -> Mapping[str, str]:
    """The StudyInstanceUIDs by modality of a series, or by description where they are compressed."""
    found = {}
    for series in json.loads(ask(orthanc, "/series?expand")):
        tags = json.loads(ask(orthanc, f"/studies/{series['ParentStudy']}"))["MainDicomTags"]
        description = tags.get("StudyDescription")
        key = description if description in COMPRESSED else series["MainDicomTags"]["Modality"]
        found[key] = tags["StudyInstanceUID"]
    return found


def test_a_user_logs_in_and_sees_the_list(session: Page) -> None:
    for name in (KOREAN, JAPANESE, GERMAN):
        expect(rows(session).filter(has_text=name).first).to_be_visible(timeout=TIMEOUT)


@pytest.mark.parametrize("study", ["CT", "MR", "US", *COMPRESSED])
def test_a_study_shows_its_pictures(
    session: Page, gateway: LocalGateway, studies: Mapping[str, str], study: str
) -> None:
    open_study(session, f"{gateway.address}/ohif", studies[study])
    session.wait_for_function(SHOWS_PICTURE, timeout=TIMEOUT)


def test_the_study_of_a_treatment_plan_opens(session: Page, gateway: LocalGateway, studies: Mapping[str, str]) -> None:
    open_study(session, f"{gateway.address}/ohif", studies["RTPLAN"])
    expect(session.get_by_text("RTPLAN").first).to_be_visible(timeout=TIMEOUT)


def test_graphql_has_the_url_at_which_a_study_opens(
    session: Page, gateway: LocalGateway, studies: Mapping[str, str]
) -> None:
    query = f'{{ studies(filter: {{patientId: "{GERMAN_ID}"}}) {{ nodes {{ viewerUrl }} }} }}'
    answer = session.request.get(f"{gateway.address}/graphql/", params={"query": query})
    [study] = answer.json()["data"]["studies"]["nodes"]
    assert study["viewerUrl"] == f"{gateway.address}/ohif/viewer?StudyInstanceUIDs={studies['US']}"


def test_a_confined_user_sees_and_opens_nothing_else(
    browser: Browser, gateway: LocalGateway, studies: Mapping[str, str]
) -> None:
    with new_context(browser) as (context, _):
        page = context.new_page()
        page.goto(f"{gateway.address}/ohif/", wait_until="commit")
        enter(page, CONFINED)
        expect(rows(page).filter(has_text=GERMAN).first).to_be_visible(timeout=TIMEOUT)
        assert KOREAN not in page.content()
        open_study(page, f"{gateway.address}/ohif", studies["CT"])
        page.wait_for_url("**/notfoundstudy**", timeout=TIMEOUT)
        open_study(page, f"{gateway.address}/ohif", studies["US"])
        page.wait_for_function(SHOWS_PICTURE, timeout=TIMEOUT)


def test_a_viewer_of_another_origin_shows_a_study_with_a_token(
    browser: Browser, gateway: LocalGateway, folder: Path, other_origin: str, studies: Mapping[str, str]
) -> None:
    dicomweb = f"{gateway.address}/dicom-web"
    config = (OHIF / "app-config.js").read_text() + CONFIG_OF_OTHER_ORIGIN.format(dicomweb=dicomweb)
    with serving_ohif(other_origin, config), new_context(browser) as (context, _):
        page = context.new_page()
        open_study(page, other_origin, f"{studies['US']}&token={create_token(folder, VIEWER)}")
        page.wait_for_function(SHOWS_PICTURE, timeout=TIMEOUT)


class _OhifHandler(SimpleHTTPRequestHandler):
    """OHIF at the root of a site, as any web server has it."""

    config = ""

    def do_GET(self) -> None:
        if self.path == "/app-config.js":
            self.send_response(200)
            self.send_header("Content-Type", "text/javascript")
            self.end_headers()
            self.wfile.write(self.config.encode())
            return
        if "." not in self.path.partition("?")[0]:
            self.path = "/index.html"
        super().do_GET()

    def log_message(self, *args: Any) -> None:
        """Keep the log of the tests readable."""


@contextmanager
def serving_ohif(origin: str, config: str) -> Iterator[None]:
    handler = type("Handler", (_OhifHandler,), {"config": config})
    server = ThreadingHTTPServer(("127.0.0.1", int(origin.rpartition(":")[2])), partial(handler, directory=str(OHIF)))
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield
    server.shutdown()
    thread.join()
    server.server_close()
