"""Take the README's picture: GraphiQL with the nested example and what it answers, over the sample studies."""

import os
import socket
import sys
import tempfile
from pathlib import Path

from playwright.sync_api import expect

from orthancproxy.sandbox.gateway import CHECKOUT
from tests.browser.gateway import serving_samples
from tests.browser.graphiql import chromium, graphiql_page

PICTURE = CHECKOUT / "docs/graphiql.png"
JAPANESE_NAME, KOREAN_NAME = "Yamada^Tarou", "Hong^Gildong"
FOLD_SERIES_BETWEEN = """async ([first, last]) => {
    const editor = __MONACO.editor.getEditors()
        .find((editor) => editor.getModel().uri.path.endsWith("response.json"));
    const lines = editor.getModel().getLinesContent();
    const [from, to] = [first, last].map((text) => lines.findIndex((line) => line.includes(text)));
    const numbers = lines.flatMap((line, index) =>
        from < index && index < to && line.includes('"series"') ? [index + 1] : []);
    const folding = await editor.getContribution("editor.contrib.folding").getFoldingModel();
    const regions = numbers.map((number) => folding?.getRegionAtLine(number));
    if (!regions.every((region, index) => region?.startLineNumber === numbers[index])) return false;
    folding.toggleCollapseState(regions);
    return true;
}"""


def main() -> None:
    """Save it, and say where."""
    port = int(os.environ.get("PORT", "8000"))
    # fails now when the port is taken, rather than take a picture of another gateway
    socket.create_server(("127.0.0.1", port)).close()
    with (
        tempfile.TemporaryDirectory() as data,
        serving_samples(Path(data), port) as address,
        chromium() as browser,
        graphiql_page(browser, address) as graphiql,
    ):
        graphiql.open()
        graphiql.execute("Hierarchy")
        # the Japanese patient's series folded away, both patients fit
        graphiql.page.wait_for_function(FOLD_SERIES_BETWEEN, arg=[JAPANESE_NAME, KOREAN_NAME])
        graphiql.scroll_result_to(JAPANESE_NAME)
        expect(graphiql.result.filter(has_text=KOREAN_NAME)).to_be_in_viewport()
        graphiql.page.evaluate("document.fonts.ready")
        graphiql.page.screenshot(path=PICTURE, animations="disabled", caret="hide")
    sys.stdout.write(f"{PICTURE.relative_to(CHECKOUT)}: {PICTURE.stat().st_size / 1000:.0f} kB\n")


if __name__ == "__main__":
    main()
