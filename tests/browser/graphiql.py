"""GraphiQL in a headless Chromium that can reach nothing but the gateway, as on a network without Internet."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Literal

from playwright.sync_api import Browser, Locator, Page, Response, expect, sync_playwright

from tests.browser.observer import Observer
from tests.browser.users import User, enter

CHROMIUM = "/usr/bin/chromium"
ARGUMENTS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-proxy-server",
    # what the routes below don't see would not find its host
    "--host-resolver-rules=MAP rebound.invalid 127.0.0.1, MAP * ~NOTFOUND, EXCLUDE 127.0.0.1, EXCLUDE localhost",
)
TIMEOUT = 30_000.0  # milliseconds
expect.set_options(timeout=TIMEOUT)
WIDTH, HEIGHT = 1400, 900
MODEL = "(name) => __MONACO.editor.getModels().find((model) => model.uri.path.endsWith(name))"
SHOWS_ANSWER = f"""(answer) => {{
    const text = ({MODEL})("response.json").getValue();
    return text.startsWith("{{") && JSON.stringify(JSON.parse(text)) === JSON.stringify(answer);
}}"""
# GraphiQL looks at a query 100 ms after a change: until then it would send the former operation's name with it.
# It keeps what it looked at in its storage.
HAS_READ = f"""(query) => {{
    const text = ({MODEL})("operation.graphql").getValue();
    return text.includes(query) && sessionStorage.getItem("graphiql:query") === text;
}}"""

Editor = Literal["operation.graphql", "variables.json", "response.json"]


class GraphiQL(Observer):
    """A page with GraphiQL, and what went wrong on it."""

    def __init__(self, page: Page, gateway: str) -> None:
        super().__init__(page.context, gateway)
        self.page = page

    def open(self, path: str = "/graphql/") -> None:
        """Load the page, and wait until it has the schema."""
        with self._loading():
            self.page.goto(self._gateway + path)
        expect(self._query).to_contain_text("query Hierarchy")

    def log_in(self, user: User) -> None:
        """Follow the link to the login page, and come back as this user."""
        self.page.get_by_role("link", name="Log in").click()
        with self._loading():
            enter(self.page, user)
        expect(self._query).to_contain_text("{")

    def log_out(self) -> None:
        """Press the button, and wait until the page is as it was in the beginning."""
        with self._loading():
            self.page.get_by_role("button", name="Log out").click()
        expect(self._query).to_contain_text("query Hierarchy")

    def account(self) -> list[str]:
        """Who is logged in, and what one can do about it."""
        return self.page.locator(".graphiql-logo :is(.username, a, button)").all_inner_texts()

    def choose(self, operation: str) -> None:
        """Open the tab of an example."""
        self.tabs.get_by_role("button", name=operation, exact=True).click()
        self._wait_until_read(f"query {operation}")

    def write(self, query: str) -> None:
        """Put another query into the editor."""
        self.page.evaluate(f"(query) => ({MODEL})('operation.graphql').setValue(query)", query)
        self._wait_until_read(query)

    def execute(self, operation: str) -> dict[str, Any]:
        """Press the button, wait until the result pane shows the whole answer, and return it."""
        with self.page.expect_response(lambda answer: _asks_for(answer, operation)) as response:
            self.page.get_by_role("button", name="Execute query").click()
        answer: dict[str, Any] = response.value.json()
        self.page.wait_for_function(SHOWS_ANSWER, arg=answer)
        return answer

    def subscribe(self, operation: str) -> None:
        """Press the button, and wait until the stream of results begins."""
        with self.page.expect_response(lambda answer: _asks_for(answer, operation)):
            self.page.get_by_role("button", name="Execute query").click()

    def stop(self) -> None:
        """Press the button that ends a stream of results."""
        self.page.get_by_role("button", name="Stop query").click()
        expect(self.page.get_by_role("button", name="Execute query")).to_be_visible()

    def text(self, editor: Editor) -> str:
        """The whole text of an editor; the page itself has only the lines that are in view."""
        text: str = self.page.evaluate(f"(name) => ({MODEL})(name).getValue()", editor)
        return text

    @property
    def tabs(self) -> Locator:
        """The tabs above the editor."""
        return self.page.get_by_role("tab")

    @property
    def result(self) -> Locator:
        """The lines of the result that are in view."""
        return self.page.locator(".result-window .view-line")

    def scroll_result_to(self, text: str) -> None:
        """Bring the first line of the result that has this text to the top of the pane."""
        self.page.evaluate(
            """(text) => {
                const editor = __MONACO.editor.getEditors()
                    .find((editor) => editor.getModel().uri.path.endsWith("response.json"));
                const index = editor.getModel().getLinesContent().findIndex((line) => line.includes(text));
                editor.setScrollTop(editor.getTopForLineNumber(index + 1));
            }""",
            text,
        )
        expect(self.result.filter(has_text=text)).to_be_in_viewport()

    @property
    def _query(self) -> Locator:
        return self.page.locator(".graphiql-query-editor .view-lines")

    @contextmanager
    def _loading(self) -> Iterator[None]:
        """Wait until the page has the schema."""
        with self.page.expect_response(lambda answer: _asks_for(answer, "IntrospectionQuery")):
            yield

    def _wait_until_read(self, query: str) -> None:
        self.page.wait_for_function(HAS_READ, arg=query)


@contextmanager
def chromium() -> Iterator[Browser]:
    """Start the browser. Until it ends, this thread has a running event loop: Django's test client won't work."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        yield browser
        browser.close()


@contextmanager
def graphiql_page(browser: Browser, gateway: str) -> Iterator[GraphiQL]:
    """Yield a page in a profile of its own, with nothing loaded."""
    context = browser.new_context(viewport={"width": WIDTH, "height": HEIGHT}, locale="en-US", service_workers="block")
    context.set_default_timeout(TIMEOUT)
    yield GraphiQL(context.new_page(), gateway)
    context.close()


def _asks_for(response: Response, operation: str) -> bool:
    """Whether a response answers an operation of this name."""
    request = response.request
    body = request.post_data_json if request.method == "POST" else None
    return isinstance(body, dict) and body.get("operationName") == operation
