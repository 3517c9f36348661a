"""What goes wrong in a browser that can reach nothing but the gateway, as on a network without Internet."""

from playwright.sync_api import (
    BrowserContext,
    ConsoleMessage,
    Request,
    Response,
    Route,
    WebError,
    WebSocketRoute,
)

REPORT_VIOLATIONS = """
    document.addEventListener("securitypolicyviolation", (event) =>
        console.error(`securitypolicyviolation: ${event.effectiveDirective} ${event.blockedURI}`));
"""


BROWSERS_OWN = ("chrome://", "chrome-extension://")
"""What Chromium asks itself for, such as the parts of its viewer of PDFs."""


class Observer:
    """Refuses what pages ask of others than the gateway, and notes what goes wrong on them.

    `refused` has the URLs outside of the gateway that were asked for, `problems` the errors in the console, breaches
    of the content security policy, failed requests and errors that nothing caught.
    """

    def __init__(self, context: BrowserContext, gateway: str) -> None:
        self.refused: list[str] = []
        self.problems: list[str] = []
        self._gateway = gateway
        context.route("**/*", self._pass_to_gateway)
        context.route_web_socket("**/*", self._refuse_web_socket)
        context.on("console", self._note_console)
        context.on("weberror", self._note_uncaught)
        context.on("response", self._note_status)
        context.on("requestfailed", self._note_failure)
        context.add_init_script(REPORT_VIOLATIONS)

    def _pass_to_gateway(self, route: Route) -> None:
        if self._is_gateway(route.request) or route.request.url.startswith(BROWSERS_OWN):
            route.continue_()
        else:
            self.refused.append(route.request.url)
            route.abort()

    def _is_gateway(self, request: Request) -> bool:
        # what a page makes of its own bytes
        return request.url.startswith((f"{self._gateway}/", f"blob:{self._gateway}/"))

    def _refuse_web_socket(self, socket: WebSocketRoute) -> None:
        self.refused.append(socket.url)
        socket.close()

    def _note_console(self, message: ConsoleMessage) -> None:
        if message.type == "error":
            self.problems.append(message.text)

    def _note_uncaught(self, failure: WebError) -> None:
        self.problems.append(f"uncaught: {failure.error}")

    def _note_status(self, response: Response) -> None:
        if response.status >= 400:
            self.problems.append(f"{response.status} {response.url}")

    def _note_failure(self, request: Request) -> None:
        # what the page itself breaks off, such as by leading to another one, is no failure
        if self._is_gateway(request) and request.failure != "net::ERR_ABORTED":
            self.problems.append(f"{request.failure} {request.url}")
