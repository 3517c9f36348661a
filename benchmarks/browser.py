"""A headless Chromium, and what happens on a page of it, measured by the page itself."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.measuring import BenchmarkError

if TYPE_CHECKING:
    from playwright.sync_api import BrowserContext

TIMEOUT_SECONDS = 120.0
# `seen(selector)` is when an element was first there, drawn, and `gone(selector)` when there was none any more, both in
# milliseconds since the page was opened
_OBSERVE = """
    const until = (holds) => new Promise((resolve) => {
        const look = () => holds() && (observer.disconnect(), resolve());
        const observer = new MutationObserver(look);
        observer.observe(document, { subtree: true, childList: true, attributes: true });
        look();
    });
    const drawn = () => new Promise((resolve) => requestAnimationFrame(() => setTimeout(resolve)));
    window.seen = (selector) => until(() => document.querySelector(selector)).then(drawn).then(() => performance.now());
    window.gone = (selector) => until(() => !document.querySelector(selector)).then(() => performance.now());
"""


@contextmanager
def browsing(address: str) -> Iterator[BrowserContext]:
    """Yield a profile with an empty cache; the gateway at this address serves anonymous callers."""
    # which takes a second to import, and is not installed in production
    from tests.browser.graphiql import HEIGHT, WIDTH, chromium

    with chromium() as browser:
        context = browser.new_context(
            base_url=address, locale="en-GB", viewport={"width": WIDTH, "height": HEIGHT}, service_workers="block"
        )
        context.set_default_timeout(1000 * TIMEOUT_SECONDS)
        context.add_init_script(_OBSERVE)
        yield context


def browser_bytes(context: BrowserContext) -> tuple[int, int]:
    """Return the memory in bytes of the process with the page, and of all of the browser's (PSS: shared pages once)."""
    if context.browser is None:
        raise BenchmarkError("The browser has ended.")
    session = context.browser.new_browser_cdp_session()
    processes = session.send("SystemInfo.getProcessInfo")["processInfo"]
    session.detach()
    sizes = [(process["type"], _proportional_bytes(int(process["id"]))) for process in processes]
    return max(size for kind, size in sizes if kind == "renderer"), sum(size for _, size in sizes)


def _proportional_bytes(pid: int) -> int:
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    except OSError:
        return 0
    found = [int(line.split()[1]) for line in lines if line.startswith("Pss:")]
    if not found:
        raise BenchmarkError("The kernel does not tell the memory of a process.")
    return 1024 * found[0]
