"""No page of somebody else changes anything: not with the session of who looks at it, nor where no session is needed.

Cookies know no ports: a page on another port of the gateway's host is the same site, and gets them all. `localhost` is
another site, from where the browser sends none of the session's with what is posted.
"""

import json
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any
from uuid import uuid4

import pytest
from playwright.sync_api import Browser, BrowserContext, Page

from orthancproxy.sandbox.gateway import serving
from orthancproxy.sandbox.orthanc import INDEXED_INSTANCE_TAGS, LocalOrthanc
from tests.browser.graphiql import TIMEOUT
from tests.browser.users import User, enter, make
from tests.corpus import ask, hierarchy, instance, load
from tests.orthancs import StartOrthanc

pytestmark = [pytest.mark.live, pytest.mark.once]

MANAGER = User("manager", ["Manager"])
SITES = {"the same site": "127.0.0.1", "another site": "localhost"}
# what all requests are made of; a page that can read the token sends it, wherever it may
MEANS = """
    const graphql = `${given.gateway}/graphql/`;
    const upload = `${given.gateway}/api/orthanc/upload-patient/`;
    const series = `${given.gateway}/api/orthanc/series/${given.series}/`;
    const deletion = {query: `mutation { deleteSeries(orthancId: "${given.series}") { instancesCount } }`};
    const storing = {
        query: "mutation Store($input: UploadInput!) { uploadPatient(input: $input) { uploaded } }",
        variables: {input: {patientId: given.patient, files: [null]}},
    };
    const file = new File([Uint8Array.from(given.file)], "1.dcm", {type: "application/dicom"});
    const token = /csrftoken=([^;]+)/.exec(document.cookie)?.[1] ?? "";
    const isOwn = location.origin === given.gateway;
    const deletingForm = {csrfmiddlewaretoken: token, operations: JSON.stringify(deletion), map: "{}"};
    const storingForm = {
        csrfmiddlewaretoken: token,
        operations: JSON.stringify(storing),
        map: '{"0": ["variables.input.files.0"]}',
        0: file,
    };
    const restForm = {csrfmiddlewaretoken: token, patient_id: given.patient, files: file};

    const dataOf = (fields) => {
        const data = new FormData();
        for (const [name, value] of Object.entries(fields)) data.append(name, value);
        return data;
    };
    // without asking the gateway first, whose answer is kept from other pages
    const send = (url, body, headers = {}) => fetch(url, {
        method: "POST", body, credentials: "include", mode: isOwn ? "same-origin" : "no-cors",
        headers: isOwn ? {...headers, "X-CSRFToken": token} : headers,
    }).catch((failure) => { if (isOwn) throw failure; });
    // with leave of the gateway only
    const ask = (method, url, body, headers = {}) => fetch(url, {
        method, body, credentials: "include", headers: {...headers, ...(token && {"X-CSRFToken": token})},
    });
    const submit = (url, enctype, fields, method = "POST") => {
        const form = Object.assign(document.createElement("form"), {action: url, enctype, method});
        for (const [name, value] of Object.entries(fields)) {
            const input = Object.assign(document.createElement("input"), {name});
            if (value instanceof File) {
                const files = new DataTransfer();
                files.items.add(value);
                input.type = "file";
                input.files = files.files;
            } else {
                input.type = "hidden";
                input.value = value;
            }
            form.append(input);
        }
        document.body.append(form);
        setTimeout(() => form.submit());
    };
"""
MULTIPART = "multipart/form-data"
TEXT = {"Content-Type": "text/plain"}
EVERYBODY, NOBODY = ("anonymous", "session"), ()
REFUSALS = (400, 403, 405, 415)
NOT_SENT = "TypeError: Failed to fetch"


@dataclass(frozen=True, slots=True)
class Way:
    """How a page may send a request: a statement of JavaScript.

    `leaves` is set where it loads another page; `asks` where the browser has to ask the gateway before. From a page of
    the gateway's own, it works for those whom `works_for` names: a form can't have the header that a session needs.
    """

    does: str
    works_for: Sequence[str]
    leaves: bool = False
    asks: bool = False


def asking(does: str) -> Way:
    return Way(does, EVERYBODY, asks=True)


def form(does: str, works_for: Sequence[str] = ()) -> Way:
    return Way(does, works_for, leaves=True)


WAYS = {
    "a link": form("setTimeout(() => location.assign(`${graphql}?${new URLSearchParams(deletion)}`))"),
    "a form that gets": form(f"submit(graphql, '{MULTIPART}', deletion, 'GET')"),
    "an image": Way(
        """const image = new Image();
        await new Promise((done) => {
            image.onload = image.onerror = done;
            image.src = `${graphql}?${new URLSearchParams(deletion)}`;
        })""",
        NOBODY,
    ),
    "a URL-encoded form": form("submit(graphql, 'application/x-www-form-urlencoded', deletion)"),
    "a URL-encoded fetch": Way("await send(graphql, new URLSearchParams(deletion))", NOBODY),
    "a form of JSON as text": form(
        """const [start, end] = JSON.stringify({...deletion, rest: "="}).split("=");
        submit(graphql, "text/plain", {[start]: end})"""
    ),
    "a fetch of JSON as text": Way(f"await send(graphql, JSON.stringify(deletion), {json.dumps(TEXT)})", NOBODY),
    "a beacon": Way("navigator.sendBeacon(graphql, JSON.stringify(deletion))", NOBODY),
    "a multipart form that deletes": form(f"submit(graphql, '{MULTIPART}', deletingForm)", ("anonymous",)),
    "a multipart form that stores": form(f"submit(graphql, '{MULTIPART}', storingForm)", ("anonymous",)),
    "a multipart form of REST": form(f"submit(upload, '{MULTIPART}', restForm)", ("anonymous",)),
    "a form without a referrer": form(
        """const meta = Object.assign(document.createElement("meta"), {name: "referrer", content: "no-referrer"});
        document.head.append(meta);
        submit(graphql, "multipart/form-data", storingForm)"""
    ),
    "a form to a route that deletes": form(
        "submit(series, 'multipart/form-data', {_method: 'DELETE', method: 'DELETE'})"
    ),
    "a multipart fetch that deletes": Way("await send(graphql, dataOf(deletingForm))", EVERYBODY),
    "a multipart fetch that stores": Way("await send(graphql, dataOf(storingForm))", EVERYBODY),
    "a multipart fetch of REST": Way("await send(upload, dataOf(restForm))", EVERYBODY),
    "JSON": asking("await ask('POST', graphql, JSON.stringify(deletion), {'Content-Type': 'application/json'})"),
    "a delete of REST": asking("await ask('DELETE', series)"),
} | {
    f"a multipart fetch with {header}": asking(f"await ask('POST', graphql, dataOf(storingForm), {{'{header}': '1'}})")
    for header in ("GraphQL-Require-Preflight", "Apollo-Require-Preflight")
}


class Blank(BaseHTTPRequestHandler):
    """An empty page, at whatever address."""

    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "text/html")
        self.end_headers()
        self.wfile.write(b"<!doctype html><title>Elsewhere</title>")

    def log_message(self, *_: Any) -> None:
        """Keep quiet."""


@dataclass(frozen=True, slots=True)
class Victim:
    """A browser, and the gateway that does what it says."""

    kind: str
    context: BrowserContext
    gateway: str
    log: Path


@pytest.fixture(scope="module")
def elsewhere() -> Iterator[int]:
    """The port of another site."""
    with ThreadingHTTPServer(("127.0.0.1", 0), Blank) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        yield server.server_port
        server.shutdown()


@pytest.fixture(scope="module")
def orthanc(start_orthanc: StartOrthanc) -> LocalOrthanc:
    orthanc = start_orthanc(configuration=INDEXED_INSTANCE_TAGS)
    load(orthanc, hierarchy(series=8, instances=1))
    return orthanc


@contextmanager
def using(browser: Browser) -> Iterator[BrowserContext]:
    # a page of somebody else's has no content security policy
    context = browser.new_context(service_workers="block", bypass_csp=True)
    context.set_default_timeout(TIMEOUT)
    yield context
    context.close()


@pytest.fixture(scope="module")
def session(browser: Browser, orthanc: LocalOrthanc, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Victim]:
    """A manager who is logged in."""
    folder = tmp_path_factory.mktemp("closed")
    with (
        serving(orthanc.base_url, folder, settings={"ORTHANC_ANONYMOUS_ACTIONS": ""}) as gateway,
        using(browser) as context,
    ):
        make(folder, MANAGER)
        page = context.new_page()
        page.goto(f"{gateway.address}/login/")
        enter(page, MANAGER)
        page.wait_for_url(f"{gateway.address}/")
        page.close()
        yield Victim("session", context, gateway.address, gateway.log)


@pytest.fixture(scope="module")
def anonymous(browser: Browser, orthanc: LocalOrthanc, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Victim]:
    """Somebody on the machine of a gateway that lets everybody do everything, as `make run` does."""
    with serving(orthanc.base_url, tmp_path_factory.mktemp("open")) as gateway, using(browser) as context:
        yield Victim("anonymous", context, gateway.address, gateway.log)


@pytest.fixture(params=EVERYBODY)
def victim(request: pytest.FixtureRequest) -> Victim:
    found: Victim = request.getfixturevalue(request.param)
    return found


@pytest.fixture
def page(victim: Victim) -> Iterator[Page]:
    page = victim.context.new_page()
    yield page
    page.close()


def state(orthanc: LocalOrthanc) -> tuple[Any, list[Any]]:
    """What there is in Orthanc, and what happened to it; that a series has come to rest is nobody's doing."""
    changes = json.loads(ask(orthanc, "/changes?limit=100000"))
    assert changes["Done"]
    events = [change for change in changes["Changes"] if not change["ChangeType"].startswith("Stable")]
    return json.loads(ask(orthanc, "/statistics")), events


def use(way: Way, page: Page, victim: Victim, orthanc: LocalOrthanc, gateway: str = "") -> int | None:
    """Let the page do it, and wait for what the gateway answers: the status, None when the browser does not ask it."""
    given = {
        "gateway": gateway or victim.gateway,
        "series": json.loads(ask(orthanc, "/series"))[0],
        "patient": f"forged {uuid4().hex[:8]}",
        "file": list(instance(patient=9)),
    }
    script = f"async (given) => {{ {MEANS}; {way.does}; }}"
    seen = len(victim.log.read_bytes())
    if way.asks and not page.url.startswith(given["gateway"]):
        assert page.evaluate(f"(given) => ({script})(given).then(() => 'sent', String)", given) == NOT_SENT
        assert list(answers(victim.log, seen)) == []
        return None
    if way.leaves:
        # else the page would be closed while it is leaving, and Chromium would hang
        with page.expect_navigation():
            page.evaluate(script, given)
    else:
        page.evaluate(script, given)
    deadline = time.monotonic() + TIMEOUT / 1000
    while not (found := list(answers(victim.log, seen))) and time.monotonic() < deadline:
        page.wait_for_timeout(20)
    assert found, "the gateway got no request"
    return found[0]


def answers(log: Path, seen: int) -> Iterator[int]:
    """The statuses of what has been asked for meanwhile, but for questions whether something may be asked for."""
    for line in log.read_bytes()[seen:].splitlines(keepends=True):
        if line.startswith(b"{") and line.endswith(b"\n"):
            entry = json.loads(line)
            # the browser asks for the icon of a page, whenever it likes
            is_asked = entry["event"] == "request" and entry["path"] != "/favicon.ico"
            if is_asked and entry["method"] != "OPTIONS":
                yield entry["status"]


@pytest.mark.parametrize("site", SITES)
@pytest.mark.parametrize("name", WAYS)
def test_page_of_another_site_changes_nothing(
    page: Page, victim: Victim, elsewhere: int, orthanc: LocalOrthanc, name: str, site: str
) -> None:
    page.goto(f"http://{SITES[site]}:{elsewhere}/")
    before = state(orthanc)
    status = use(WAYS[name], page, victim, orthanc)
    assert state(orthanc) == before
    assert status in ((None,) if WAYS[name].asks else REFUSALS)


@pytest.mark.parametrize("name", WAYS)
def test_page_of_the_gateway_changes_what_the_caller_may_change(
    page: Page, victim: Victim, orthanc: LocalOrthanc, name: str
) -> None:
    """The requests rejected above work from the gateway's own page."""
    page.goto(f"{victim.gateway}/livez")
    before = state(orthanc)
    status = use(WAYS[name], page, victim, orthanc)
    works = victim.kind in WAYS[name].works_for
    assert (state(orthanc) != before) == works
    assert status in ((200,) if works else REFUSALS)


def test_dns_rebinding_changes_nothing(page: Page, victim: Victim, orthanc: LocalOrthanc) -> None:
    """The name server of another site can resolve its name to this machine."""
    rebound = victim.gateway.replace("127.0.0.1", "rebound.invalid")
    response = page.goto(f"{rebound}/graphql/")
    before = state(orthanc)
    assert response
    assert response.status == 400
    assert use(WAYS["JSON"], page, victim, orthanc, rebound) == 400
    assert state(orthanc) == before


@pytest.mark.parametrize("site", SITES)
def test_page_of_another_site_logs_nobody_in_or_out(
    session: Victim, elsewhere: int, orthanc: LocalOrthanc, site: str
) -> None:
    page = session.context.new_page()
    # of somebody else's making, and of their own name
    login = form(f"submit(`${{given.gateway}}/login/`, '{MULTIPART}', {{csrfmiddlewaretoken: token, username: 'a'}})")
    logout = form(f"submit(`${{given.gateway}}/logout/`, '{MULTIPART}', {{csrfmiddlewaretoken: token}})")
    for way in (login, logout):
        page.goto(f"http://{SITES[site]}:{elsewhere}/")
        assert use(way, page, session, orthanc) == 403
    page.goto(f"{session.gateway}/graphql/")
    assert page.locator("#graphiql").get_attribute("data-username") == MANAGER.name
    page.close()
