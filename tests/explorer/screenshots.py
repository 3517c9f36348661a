"""Take the pictures of the page for people, docs/explorer-*.png, over the sample studies."""

import sys
import tempfile
from io import BytesIO
from pathlib import Path

from playwright.sync_api import Page, expect
from pydicom import dcmread

from orthancproxy.sandbox.gateway import CHECKOUT
from tests.browser.gateway import serving_samples
from tests.browser.graphiql import HEIGHT, WIDTH, chromium
from tests.corpus import sample_studies

STUDY = "頭部MRI 経過観察"
TOPOGRAM = "Topogram"
KOREAN = "洪 吉洞"


def write_study(folder: Path) -> None:
    """Write the files of a study, in a folder for each series, and the topogram of another patient among them."""
    for content in sample_studies():
        file = dcmread(BytesIO(content), stop_before_pixels=True)
        if file.get("StudyDescription") == STUDY:
            path = folder / file.SeriesDescription / f"IM{file.InstanceNumber}.dcm"
        elif file.get("SeriesDescription") == TOPOGRAM:
            path = folder / TOPOGRAM / "IM1.dcm"
        else:
            continue
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)


def show_worklist(page: Page, data: Path) -> None:
    """Show all studies."""
    page.set_viewport_size({"width": 1440, "height": 440})
    page.goto("/")
    expect(page.get_by_role("row").filter(has_text=KOREAN)).to_be_visible()


def show_study(page: Page, data: Path) -> None:
    """Show a study, whose series have their thumbnails."""
    show_worklist(page, data)
    page.set_viewport_size({"width": 1440, "height": 640})
    page.get_by_role("row").filter(has_text=KOREAN).click()
    pictures = page.get_by_role("region", name="Series", exact=True).locator("img")
    expect(pictures).to_have_count(2)
    for picture in pictures.all():
        expect(picture).to_have_js_property("complete", value=True)


def show_upload(page: Page, data: Path) -> None:
    """Show what will happen to a folder, before it is uploaded."""
    folder = data / STUDY
    write_study(folder)
    page.goto("/upload")
    page.locator("input[webkitdirectory]").set_input_files(folder)
    expect(page.get_by_role("button", name="Upload", exact=True)).to_be_enabled()
    expect(page.get_by_text("This patient is in the archive:")).to_be_visible()


PICTURES = {"explorer-worklist": show_worklist, "explorer-study": show_study, "explorer-upload": show_upload}
"""What each picture shows, by its name in docs/."""


def main() -> None:
    """Save them, and say where."""
    with (
        tempfile.TemporaryDirectory() as data,
        serving_samples(Path(data) / "gateway") as address,
        chromium() as browser,
    ):
        for name, show in PICTURES.items():
            page = browser.new_page(base_url=address, locale="en-GB", viewport={"width": WIDTH, "height": HEIGHT})
            show(page, Path(data))
            page.evaluate("document.fonts.ready")
            picture = CHECKOUT / f"docs/{name}.png"
            page.screenshot(path=picture, animations="disabled", caret="hide")
            page.close()
            sys.stdout.write(f"{picture.relative_to(CHECKOUT)}: {picture.stat().st_size / 1000:.0f} kB\n")


if __name__ == "__main__":
    main()
