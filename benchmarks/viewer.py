"""The viewer of the page for people: the first image of a series, scrolling through it, a series of 500 slices."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

from benchmarks.browser import browser_bytes, browsing
from benchmarks.measuring import Quantity, Row, at_least, at_most, duration, ratio, tell, timed
from benchmarks.options import Options
from benchmarks.reading import Reader
from benchmarks.servers import Archive, gateway_before
from benchmarks.slices import ct_slices
from orthancproxy.sandbox.orthanc import LocalOrthanc

if TYPE_CHECKING:
    from playwright.sync_api import BrowserContext, Page

SHORT, LONG = 60, 500
CONNECTIONS = 6  # of a browser to one server
_OPEN = """() => {
    const start = performance.now();
    document.querySelector("main a[href$='/view']").click();
    return seen("section [data-ready]").then((end) => (end - start) / 1000);
}"""
_LOAD = """() => {
    const start = performance.now();
    document.querySelector("main a[href$='/view']").click();
    return seen("section progress").then(() => gone("section progress")).then((end) => (end - start) / 1000);
}"""
# every key waits until its image is drawn, and the number beside it is changed
_SCROLL = """async () => {
    const pane = document.querySelector("section [data-ready]");
    const changed = () => new Promise((resolve) => {
        const observer = new MutationObserver(() => { observer.disconnect(); resolve(); });
        observer.observe(pane, { attributes: true, attributeFilter: ["data-index"] });
    });
    const total = Number(document.querySelector("section input[type=range]").max);
    const start = performance.now();
    for (const key of ["ArrowDown", "ArrowUp"]) {
        for (let count = 1; count < total; count++) {
            const next = changed();
            document.body.dispatchEvent(new KeyboardEvent("keydown", { key, bubbles: true }));
            await next;
        }
    }
    return 2 * (total - 1) * 1000 / (performance.now() - start);
}"""


def rows(options: Options) -> Iterator[Row]:
    """Return the rows on both series, in a browser that has loaded the page's code before."""
    files = [b"".join(file.chunks()) for file in ct_slices(LONG)]
    with LocalOrthanc() as orthanc, gateway_before(orthanc) as gateway, browsing(gateway.address) as context:
        archive = Archive(orthanc)
        archive.post(files[:SHORT], CONNECTIONS)
        with Reader(orthanc.base_url) as reader:
            [study] = reader.get("/studies")
        path = f"/studies/{study}"
        _measure(context, path, _LOAD)
        firsts = [_measure(context, path, _OPEN) for _ in range(options.rounds)]
        yield Row(f"first image of a series of {SHORT}", duration("", firsts), (), at_most(700))
        rates = [_measure(context, path, _LOAD, _SCROLL) for _ in range(options.rounds)]
        yield Row(f"scrolling through the {SHORT}", Quantity("", "images/s", tuple(rates)), (), at_least(30))

        archive.post(files[SHORT:], CONNECTIONS)
        loads, sends = [], []
        for _ in range(options.rounds):
            page = context.new_page()
            loads.append(_on(page, path, _LOAD))
            of_page, of_all = (size / 1e6 for size in browser_bytes(context))
            page.close()
            sends.append(timed(lambda: _fetch_all(orthanc)))
            tell(f"{LONG} slices: {loads[-1]:.2f} s, Orthanc {sends[-1]:.2f} s, {of_page:.0f} MB")
        yield Row(
            f"a series of {LONG} slices, until all are loaded / Orthanc sends the files, {CONNECTIONS} at a time",
            ratio(loads, sends),
            (duration("viewer", loads), duration("Orthanc", sends)),
            at_most(1.5),
        )
        whole = Quantity("all of the browser", "MB", (of_all,))
        yield Row("memory of the page with them", Quantity("", "MB", (of_page,)), (whole,), at_most(1000))


def _measure(context: BrowserContext, path: str, *scripts: str) -> float:
    """Run scripts on a new page of a study; return what the last one returns."""
    page = context.new_page()
    measured = _on(page, path, *scripts)
    page.close()
    return measured


def _on(page: Page, path: str, *scripts: str) -> float:
    page.goto(path)
    page.wait_for_selector("main a[href$='/view']")
    # the page itself is there: thumbnails and what it loads ahead
    page.wait_for_timeout(1000)
    for script in scripts:
        measured = float(page.evaluate(script))
        tell(f"{path}: {measured:.2f}")
    return measured


def _fetch_all(orthanc: LocalOrthanc) -> None:
    with Reader(orthanc.base_url) as reader:
        ids = reader.get("/instances")

    def fetch(some: list[str]) -> None:
        with Reader(orthanc.base_url) as reader:
            for one in some:
                reader.size(f"/instances/{one}/file")

    with ThreadPoolExecutor(CONNECTIONS) as pool:
        list(pool.map(fetch, (ids[start::CONNECTIONS] for start in range(CONNECTIONS))))
