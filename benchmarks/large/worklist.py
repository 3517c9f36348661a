"""The worklist of the page for people, over a large archive: its first rows, and 10,000 of them scrolled."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from benchmarks.browser import browsing
from benchmarks.large.servers import Column
from benchmarks.measuring import BenchmarkError, Quantity, Row, at_most, duration, tell
from benchmarks.options import Options

if TYPE_CHECKING:
    from playwright.sync_api import BrowserContext

ROWS = 10_000
# since the navigation began
_FIRST_ROWS = """async () => {
    const drawn = await seen("[role=rowgroup] [role=row]");
    const answered = performance.getEntriesByType("resource").filter(
        ({ name, responseEnd }) => name.endsWith("/graphql/") && responseEnd <= drawn);
    return [drawn / 1000, answered.length];
}"""
# half a screen with every frame, as a wheel that is turned fast
_SCROLL = """async (rows) => {
    const scroller = document.querySelector("[data-testid=worklist]");
    const frame = () => new Promise(requestAnimationFrame);
    const last = () => Number([...scroller.querySelectorAll("[role=rowgroup] [role=row]")].at(-1)?.ariaRowIndex ?? 0);
    let longest = 0;
    let before = await frame();
    while (last() < rows) {
        scroller.scrollTop += scroller.clientHeight / 2;
        const now = await frame();
        longest = Math.max(longest, now - before);
        before = now;
    }
    return longest / 1000;
}"""


def rows(options: Options) -> Iterator[Row]:
    """Return the rows of each column, in a browser that has loaded the page's code before."""
    for column in options.large.columns:
        with browsing(column.gateway.address) as context:
            _first_rows(context)
            seconds = [_first_rows(context) for _ in range(options.rounds)]
            longest = [_scroll(context) for _ in range(options.rounds)]
        yield _row("worklist: first rows after navigation, one GraphQL request", seconds, 500, column)
        yield _row(f"worklist: longest frame while {ROWS:,} rows are scrolled", longest, 100, column)


def _row(name: str, seconds: list[float], goal: float, column: Column) -> Row:
    shown = duration("", seconds)
    quantity = shown if shown.unit == "ms" else Quantity("", "ms", tuple(1000 * value for value in seconds))
    return Row(name, quantity, (), at_most(goal), column.name)


def _first_rows(context: BrowserContext) -> float:
    page = context.new_page()
    page.goto("/", wait_until="commit")
    seconds, requests = page.evaluate(_FIRST_ROWS)
    page.close()
    # what is loaded ahead of the reader, and the stream of changes, come after
    if requests != 1:
        raise BenchmarkError(f"The worklist's first rows took {requests} GraphQL requests.")
    tell(f"first rows: {seconds * 1000:.0f} ms")
    return float(seconds)


def _scroll(context: BrowserContext) -> float:
    page = context.new_page()
    page.goto("/")
    page.wait_for_selector("[role=rowgroup] [role=row]")
    longest = float(page.evaluate(_SCROLL, ROWS))
    page.close()
    tell(f"longest frame: {longest * 1000:.0f} ms")
    return longest
