"""The viewer: images of every format on a canvas, scrolling, windows, measurements, and what has no image."""

import gzip
import json
import re
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Locator, Page, Response, Route, expect
from pydicom import dcmread
from pydicom.data import get_testdata_file
from pydicom.dataset import Dataset
from pydicom.encaps import encapsulate
from pydicom.uid import UID, HTJ2KLossless

from tests.corpus import ROOT, ask, instance
from tests.explorer.conftest import CONFINED, Archive, OpenPage, expect_pictures, further_patients
from tests.waiting import wait_until

pytestmark = [pytest.mark.live, pytest.mark.once, pytest.mark.long]

MAX_VIEWER_SCRIPT_BYTES = 1_600_000
KOREAN, JAPANESE, GERMAN = "KR-0001", "JP-0002", "DE-0003"
FORMATS = {
    "RLE": "MR_small_RLE.dcm",
    "JPEG": "SC_rgb_jpeg_dcmtk.dcm",
    "JPEG of 12 bits": "JPGExtended.dcm",
    "JPEG-LS": "MR_small_jpeg_ls_lossless.dcm",
    "JPEG 2000": "MR_small_jp2klossless.dcm",
    "HTJ2K": "MR_small.dcm",
    "big endian": "MR_small_bigendian.dcm",
    "palette": "examples_palette.dcm",
}
"""Files of pydicom. That of HTJ2K gets pixels that OpenJPH has encoded."""
NO_IMAGE: dict[str, Any] = {"Rows": None, "Columns": None, "PixelData": None}
PDF = b"%PDF-1.4\n1 0 obj<</Type/Catalog>>endobj\ntrailer<</Root 1 0 R>>\n%%EOF\n "
FILE = re.compile(r"/file/?(\?|$)")
UNSUPPORTED = "SC_rgb_rle_32bit.dcm"

AS_IF_HARDWARE = """
    const { getParameter } = WebGL2RenderingContext.prototype;
    WebGL2RenderingContext.prototype.getParameter = function (name) {
        const value = getParameter.call(this, name);
        return typeof value === "string" ? value.replace(/swiftshader|llvmpipe|software/gi, "processor") : value;
    };
"""
"""Makes WebGL in software look like that of a graphics processor, which the viewer then uses."""

KEEP_CONTEXTS = """
    const { getContext } = HTMLCanvasElement.prototype;
    globalThis.contexts = new Set();
    HTMLCanvasElement.prototype.getContext = function (type, ...options) {
        const context = getContext.call(this, type, ...options);
        if (type === "webgl2") globalThis.contexts.add(context);
        return context;
    };
"""
"""Keeps the contexts of WebGL, so that they can be lost."""

PIXELS = """(container) => {
    const canvas = container.querySelector("canvas");
    const copy = new OffscreenCanvas(canvas.width, canvas.height).getContext("2d");
    copy.drawImage(canvas, 0, 0);
    const { data } = copy.getImageData(0, 0, canvas.width, canvas.height);
    let sum = 0;
    const colours = new Set();
    for (let at = 0; at < data.length; at += 4 * 17) {
        sum += data[at] + data[at + 1] + data[at + 2];
        colours.add((data[at] << 16) | (data[at + 1] << 8) | data[at + 2]);
    }
    return { brightness: sum / (3 * data.length / (4 * 17)), colours: colours.size };
}"""


def _of_format(number: int, name: str, file: str) -> bytes:
    dataset = dcmread(str(get_testdata_file(file, download=False)))
    if name == "HTJ2K":
        dataset.PixelData = encapsulate([Path(__file__).with_name("htj2k.j2c").read_bytes()])
        dataset["PixelData"].VR = "OB"
        dataset.file_meta.TransferSyntaxUID = HTJ2KLossless
    study = f"{ROOT}.70.1"
    dataset.PatientID, dataset.PatientName = "P070", "Formats"
    dataset.StudyInstanceUID = UID(study)
    dataset.SeriesInstanceUID = UID(f"{study}.{number}")
    dataset.SeriesNumber, dataset.SeriesDescription = number, name
    dataset.SOPInstanceUID = dataset.file_meta.MediaStorageSOPInstanceUID = UID(f"{study}.{number}.1")
    file_ = BytesIO()
    dataset.save_as(file_, enforce_file_format=True)
    return file_.getvalue()


def _code(meaning: str) -> Dataset:
    code = Dataset()
    code.CodeMeaning = meaning
    return code


def _report() -> bytes:
    finding = Dataset()
    finding.ValueType = "TEXT"
    finding.ConceptNameCodeSequence = [_code("Finding")]
    finding.TextValue = "이상 소견 없음"
    return instance(
        71,
        series=2,
        Modality="SR",
        SOPClassUID="1.2.840.10008.5.1.4.1.1.88.11",
        ValueType="CONTAINER",
        ConceptNameCodeSequence=[_code("Imaging report")],
        ContentSequence=[finding],
        **NO_IMAGE,
    )


@pytest.fixture(scope="module", autouse=True)
def patients(archive: Archive) -> Iterator[None]:
    """Patients beside those of the samples, for as long as this module's tests run."""
    pdf: dict[str, Any] = {"EncapsulatedDocument": PDF, "MIMETypeOfEncapsulatedDocument": "application/pdf"}
    files = [
        *(_of_format(number, name, file) for number, (name, file) in enumerate(FORMATS.items(), 1)),
        _of_format(99, "unsupported", UNSUPPORTED),
        instance(71, series=1, Modality="DOC", SOPClassUID="1.2.840.10008.5.1.4.1.1.104.1", **pdf, **NO_IMAGE),
        _report(),
    ]
    with further_patients(archive, files):
        yield


def study_of(archive: Archive, patient_id: str) -> str:
    """Return the Orthanc id of a patient's newest study."""
    found = [
        study
        for study in json.loads(ask(archive.orthanc, "/studies?expand"))
        if study["PatientMainDicomTags"].get("PatientID") == patient_id
    ]
    newest = max(found, key=lambda study: str(study["MainDicomTags"]["StudyDate"]))
    return str(newest["ID"])


def open_viewer(archive: Archive, page: Page, patient_id: str) -> Locator:
    """Open the newest study of a patient, and return the first pane with images."""
    page.goto(f"/studies/{study_of(archive, patient_id)}/view")
    return images(page).first


def images(page: Page) -> Locator:
    """The canvases that show an image."""
    return page.locator("section [data-ready]")


def show_series(page: Page, description: str) -> None:
    page.get_by_role("navigation", name="List of series").get_by_role(
        "button", name=re.compile(rf" {re.escape(description)}$")
    ).click()


def pixels(pane: Locator) -> dict[str, float]:
    """Return how bright the canvas is on average (0 to 255), and how many colours it has."""
    found: dict[str, float] = pane.evaluate(PIXELS)
    return found


def expect_index(pane: Locator, index: int) -> None:
    expect(pane).to_have_attribute("data-index", str(index))


def drag(page: Page, pane: Locator, *, by: tuple[int, int]) -> None:
    """Press the left button in the middle of a pane, and move the mouse."""
    box = pane.bounding_box()
    assert box
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    page.mouse.move(x, y)
    page.mouse.down()
    page.mouse.move(x + by[0], y + by[1], steps=5)
    page.mouse.up()


def test_series_is_opened_scrolled_and_windowed(archive: Archive, page: Page) -> None:
    page.goto(f"/studies/{study_of(archive, KOREAN)}")
    page.get_by_role("link", name="Open in viewer").click()
    pane = images(page)
    expect(page.get_by_role("heading")).to_contain_text("홍 길동")
    expect(page.get_by_text("Not for primary diagnosis")).to_be_visible()
    # past the topogram, with the directions of an axial slice
    expect(page.get_by_text("Image 1 of 60")).to_be_visible()
    for letter in "APRL":
        expect(page.get_by_text(letter, exact=True)).to_be_visible()
    first = pixels(pane)
    page.keyboard.press("PageDown")
    pane.hover()
    page.mouse.wheel(0, 100)
    expect_index(pane, 11)
    # an image that is not loaded yet is told before it is drawn
    wait_until(lambda: pixels(pane)["brightness"] != first["brightness"])
    page.get_by_role("slider", name="Image").fill("60")
    expect_index(pane, 59)

    page.keyboard.press("Home")
    expect_index(pane, 0)
    expect(page.get_by_text("W 400 C 40")).to_be_visible()
    # the second window of the file, for the lung
    page.keyboard.press("2")
    expect(page.get_by_text("W 1,500 C -500")).to_be_visible()
    lung = pixels(pane)
    assert lung["brightness"] > first["brightness"]
    drag(page, pane, by=(0, 60))
    expect(page.get_by_text("W 1,500 C -500")).to_be_hidden()
    assert pixels(pane)["brightness"] < lung["brightness"]
    page.keyboard.press("i")
    expect(page.get_by_role("button", name="Invert")).to_have_attribute("aria-pressed", "true")
    page.keyboard.press("Escape")
    expect(page.get_by_text("W 400 C 40")).to_be_visible()
    assert pixels(pane) == first


@pytest.mark.parametrize("drawing", ["without WebGL", "with WebGL"])
def test_view_turns_with_its_directions(archive: Archive, page: Page, drawing: str) -> None:
    if drawing == "with WebGL":
        page.add_init_script(AS_IF_HARDWARE)
    pane = open_viewer(archive, page, KOREAN)
    right = page.locator("section span[class*=_right_]")
    expect(right).to_have_text("L")
    before = pixels(pane)["brightness"]
    assert 10 < before < 100
    for key, letter in (("r", "A"), ("m", "P"), ("Escape", "L")):
        page.keyboard.press(key)
        expect(right).to_have_text(letter)
    page.keyboard.press("2")
    expect(page.get_by_text("W 1,500 C -500")).to_be_visible()
    assert pixels(pane)["brightness"] > before


def test_volume_is_shown_in_three_planes(archive: Archive, page: Page) -> None:
    page.add_init_script(AS_IF_HARDWARE)
    files: list[str] = []
    page.on("request", lambda request: files.append(request.url) if FILE.search(request.url) else None)
    stack = open_viewer(archive, page, KOREAN)
    expect(stack).to_be_visible()
    page.keyboard.press("PageDown")
    expect_index(stack, 10)
    page.keyboard.press("t")
    planes = [page.get_by_role("region", name=f"{name} plane of") for name in ("Axial", "Sagittal", "Coronal")]
    canvases = [plane.locator("[data-ready]") for plane in planes]
    for plane, canvas, letters in zip(planes, canvases, ("ALPR", "HPFA", "HLFR"), strict=True):
        expect(canvas).to_be_visible(timeout=60_000)
        for edge, letter in zip(("top", "right", "bottom", "left"), letters, strict=True):
            expect(plane.locator(f"span[class*=_{edge}_]")).to_have_text(letter)
        assert pixels(canvas)["brightness"] > 5
    # each file once, and the axial plane where the stack was
    assert len(files) == len(set(files))
    expect(planes[0]).to_contain_text("Axial 11 of 60")
    assert "planes=" in page.url

    sagittal = canvases[1]
    before, index = pixels(sagittal), int(str(sagittal.get_attribute("data-index")))
    sagittal.hover()
    page.mouse.wheel(0, 100)
    expect_index(sagittal, index + 1)
    page.keyboard.press("n")
    page.keyboard.press("PageDown")
    expect_index(sagittal, index + 11)
    assert pixels(sagittal) != before
    before = pixels(canvases[2])
    page.keyboard.press("2")
    for plane in planes:
        expect(plane).to_contain_text("W 1,500 C -500")
    assert pixels(canvases[2])["brightness"] > before["brightness"]
    # a place in one plane is that of the others
    page.keyboard.press("c")
    drag(page, sagittal, by=(30, 40))
    expect(canvases[0]).not_to_have_attribute("data-index", "10")

    page.keyboard.press("t")
    expect(planes[0]).to_have_count(0)
    expect(stack).to_be_visible()
    expect_index(stack, 10)
    page.go_back()
    expect(canvases[1]).to_be_visible(timeout=60_000)


@pytest.mark.parametrize("drawing", ["without WebGL", "with WebGL"])
def test_planes_that_cannot_be_shown_say_why(archive: Archive, page: Page, drawing: str) -> None:
    if drawing == "with WebGL":
        page.add_init_script(AS_IF_HARDWARE)
    expect(open_viewer(archive, page, KOREAN if drawing == "without WebGL" else GERMAN)).to_be_visible()
    reason = "needs WebGL 2 and a graphics processor." if drawing == "without WebGL" else "frames of one file."
    button = page.get_by_role("button", name="Three planes (MPR)")
    expect(button).to_be_disabled()
    expect(button).to_have_accessible_name(re.compile(re.escape(reason)))
    page.keyboard.press("t")
    expect(images(page)).to_have_count(1)


def test_planes_say_what_is_missing(archive: Archive, page_as: OpenPage) -> None:
    page = page_as(problems="Failed to (load|fetch)|net::ERR_CONNECTION_RESET")
    page.add_init_script(AS_IF_HARDWARE + KEEP_CONTEXTS)
    # the first files only, so that the stack is there
    files: list[str] = []
    is_down = True

    def answer(route: Route) -> None:
        files.append(route.request.url)
        if is_down and len(files) > 20:
            route.abort("connectionreset")
        else:
            route.fallback()

    page.route(FILE, answer)
    expect(open_viewer(archive, page, KOREAN)).to_be_visible()
    page.keyboard.press("t")
    alert = page.get_by_role("alert")
    expect(alert).to_contain_text("The image cannot be loaded.")
    is_down = False
    alert.get_by_role("button", name="Try again").click()
    expect(page.get_by_role("region", name="Axial plane of").locator("[data-ready]")).to_be_visible(timeout=60_000)
    page.evaluate("[...contexts].forEach((one) => one.getExtension('WEBGL_lose_context')?.loseContext())")
    expect(alert).to_have_text([re.compile("^The graphics processor has stopped")] * 3)


def test_length_and_region_are_measured(archive: Archive, page: Page) -> None:
    pane = open_viewer(archive, page, KOREAN)
    expect(pane).to_be_visible()
    labels = page.locator(".svg-layer text")
    page.keyboard.press("l")
    drag(page, pane, by=(140, 0))
    expect(labels).to_have_text(re.compile(r"^\d+(\.\d+)? mm$"))
    page.keyboard.press("Delete")
    page.get_by_role("button", name="Delete measurements").click()
    expect(labels).to_have_count(0)
    page.keyboard.press("e")
    drag(page, pane, by=(40, 60))
    expect(labels).to_have_text(
        re.compile(r"^Area [\d,.]+ mm²Mean -?[\d,.]+ ± [\d,.]+ HURange -?[\d,.]+ – -?[\d,.]+ HU$")
    )


def test_angle_is_measured(archive: Archive, page: Page) -> None:
    pane = open_viewer(archive, page, KOREAN)
    expect(pane).to_be_visible()
    labels = page.locator(".svg-layer text")
    page.keyboard.press("a")
    drag(page, pane, by=(100, 0))
    # the other leg, which ends with a click
    box = pane.bounding_box()
    assert box
    page.mouse.move(box["x"] + box["width"] / 2 + 100, box["y"] + box["height"] / 2 + 80, steps=5)
    page.mouse.down()
    page.mouse.up()
    expect(labels).to_have_text(re.compile(r"^\d+(\.\d+)? °$"))


def test_value_is_measured(archive: Archive, page: Page) -> None:
    pane = open_viewer(archive, page, KOREAN)
    expect(pane).to_be_visible()
    page.keyboard.press("v")
    # no hand is faster
    pane.click(delay=100)
    expect(page.locator(".svg-layer text")).to_have_text(re.compile(r"^-?[\d,.]+ HU$"))


def test_loop_of_frames_is_played(archive: Archive, page: Page) -> None:
    pane = open_viewer(archive, page, GERMAN)
    expect(page.get_by_text("Image 1 of 20")).to_be_visible()
    page.get_by_role("button", name="Play").click()
    expect(pane).not_to_have_attribute("data-index", "0")
    page.get_by_role("button", name="Pause").click()


def test_series_are_compared_side_by_side(archive: Archive, page: Page) -> None:
    open_viewer(archive, page, JAPANESE)
    page.get_by_role("button", name="Four series").click()
    expect(images(page)).to_have_count(3)
    page.keyboard.press("PageDown")
    for pane in images(page).all():
        expect_index(pane, 10)
    # each for itself
    page.keyboard.press("x")
    page.keyboard.press("Home")
    expect_index(images(page).first, 0)
    expect_index(images(page).last, 10)
    # the URL has the layout
    page.reload()
    expect(images(page)).to_have_count(3)


def test_formats_are_shown(archive: Archive, page: Page) -> None:
    page.route("**/thumbnail/*", lambda route: route.fulfill(status=204))
    pane = open_viewer(archive, page, "P070")
    shown = {}
    for number, name in enumerate(FORMATS, 1):
        show_series(page, name)
        expect(page.get_by_role("region", name=f"Images of {name}", exact=True)).to_contain_text(f"{number} · {name}")
        expect(pane).to_be_visible()
        shown[name] = pixels(pane)
        assert shown[name]["colours"] > 50, name
    # the same pixels, without loss
    assert shown["RLE"] == shown["JPEG-LS"] == shown["JPEG 2000"] == shown["HTJ2K"] == shown["big endian"]


def test_what_cannot_be_shown_can_be_downloaded(archive: Archive, page_as: OpenPage) -> None:
    page = page_as(problems="unsupported pixel format|415")
    page.goto(f"/studies/{study_of(archive, 'P070')}/view")
    show_series(page, "unsupported")
    alert = page.get_by_role("alert")
    expect(alert).to_contain_text("This image cannot be shown.")
    with page.expect_download() as download:
        alert.get_by_role("link", name="Download the file").click()
    assert dcmread(download.value.path()).SeriesDescription == "unsupported"


def test_documents_and_reports_have_panels(archive: Archive, page: Page) -> None:
    page.goto(f"/studies/{study_of(archive, 'P071')}/view")
    show_series(page, "Series 1")
    expect(page.get_by_role("heading", name="PDF document")).to_be_visible()
    document = page.get_by_title("PDF document").or_(page.get_by_role("link", name="Save the PDF"))
    expect(document).to_be_visible()
    show_series(page, "Series 2")
    expect(page.get_by_role("heading", name="Imaging report")).to_be_visible()
    expect(page.get_by_text("이상 소견 없음")).to_be_visible()


def test_viewer_works_on_a_small_screen(archive: Archive, page_as: OpenPage) -> None:
    page = page_as(viewport={"width": 390, "height": 844}, has_touch=True, is_mobile=True, locale="ko-KR")
    pane = open_viewer(archive, page, KOREAN)
    expect(page.get_by_text("영상 1 / 60")).to_be_visible()
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    show = page.get_by_role("navigation", name="시리즈 목록").get_by_role("button", name="Topogram")
    show.tap()
    expect(page.get_by_text("영상 1 / 1")).to_be_visible()
    assert pixels(pane)["colours"] > 50


def test_series_that_is_gone_is_missing(archive: Archive, page: Page) -> None:
    with further_patients(archive, [instance(72, series=series) for series in (1, 2)]):
        expect(open_viewer(archive, page, "P072")).to_be_visible()
        expect_pictures(page.get_by_role("navigation", name="List of series"), 2)
    show_series(page, "Series 2")
    expect(page.get_by_text("The series no longer exists, or you may not see it.")).to_be_visible()


def test_study_that_the_caller_may_not_see_is_missing(archive: Archive, page_as: OpenPage) -> None:
    page = page_as(CONFINED)
    page.goto(f"/studies/{study_of(archive, JAPANESE)}/view")
    expect(page.get_by_role("heading", name="There is no such study")).to_be_visible()


def test_viewer_is_small_enough(archive: Archive, page: Page) -> None:
    scripts: list[Response] = []
    page.on("response", lambda response: scripts.append(response) if ".js" in response.url else None)
    open_viewer(archive, page, KOREAN)
    expect(images(page)).to_be_visible()
    assert sum(len(gzip.compress(script.body())) for script in scripts) <= MAX_VIEWER_SCRIPT_BYTES


def test_keys_are_listed(archive: Archive, page: Page) -> None:
    open_viewer(archive, page, KOREAN)
    expect(images(page)).to_be_visible()
    page.keyboard.press("?")
    expect(page.get_by_role("dialog", name="Keys and gestures")).to_contain_text("Three planes, crosshair")
    page.keyboard.press("Escape")
    expect(page.get_by_role("dialog")).to_be_hidden()
