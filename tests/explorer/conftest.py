"""The page for people in a headless Chromium, over the sample studies."""

import json
import re
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from django.contrib.staticfiles import finders
from playwright.sync_api import Browser, BrowserContext, Locator, Page, Route, StorageState, expect

from orthancproxy.explorer.views import BUNDLE
from orthancproxy.sandbox.gateway import serving
from orthancproxy.sandbox.orthanc import INDEXED_INSTANCE_TAGS, LocalOrthanc, free_port
from tests.browser.graphiql import HEIGHT, TIMEOUT, WIDTH, chromium
from tests.browser.observer import Observer
from tests.browser.users import User, confine, enter, make
from tests.corpus import ask, instance, load, sample_studies
from tests.jobs.servers import start_remote, start_source
from tests.orthancs import running_orthancs

CONFINED_TO = "KR-0001"
"""The PatientID of 홍길동, who is the only patient that the user CONFINED sees."""
VIEWER = User("김민수", ["Viewer"])
MANAGER = User("manager", ["Manager"])
ADMINISTRATOR = User("root", is_superuser=True)
CONFINED = User("confined", ["Viewer", "Of one patient"])
NOBODY = User("nobody", ["Viewer", "Of no patient"])
"""A user who sees an empty archive."""
POWERLESS = User("powerless")
LOCAL_AET = "LOCAL"
REMOTE_PATIENT = "Namgung^Gildong=南宮^吉洞=남궁^길동"


@dataclass(frozen=True)
class Archive:
    """An Orthanc with the sample studies, and a gateway that permits nothing to anonymous callers."""

    orthanc: LocalOrthanc
    address: str
    folder: Path
    sessions: dict[str, StorageState] = field(default_factory=dict)
    remote: LocalOrthanc | None = None  # to which it can send, and that has a study to retrieve


@pytest.fixture(scope="session")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Archive]:
    """The archive that the tests share: what one of them changes must not matter to the others."""
    assert finders.find(BUNDLE), "The page is not built: run `make web`, with Node 20.19 or newer"
    folder = tmp_path_factory.mktemp("gateway")
    with running_orthancs() as start_orthanc:
        port = free_port()
        remote = start_remote(
            start_orthanc, DicomModalities={LOCAL_AET: [LOCAL_AET, "127.0.0.1", port]}, DefaultEncoding="Utf8"
        )
        retrieving = {"DicomServerEnabled": True, "DicomPort": port, "DicomAet": LOCAL_AET, "DefaultEncoding": "Utf8"}
        orthanc = start_source(start_orthanc, remote, configuration={**INDEXED_INSTANCE_TAGS, **retrieving})
        load(remote, [instance(9, number=number, PatientName=REMOTE_PATIENT) for number in (1, 2)])
        load(orthanc, sample_studies())
        settings = {"ORTHANC_ANONYMOUS_ACTIONS": "", "ORTHANC_DESTINATIONS": "PACS,DEAD,SLOW,peer:ARCHIVE"}
        settings["ORTHANC_PSEUDONYM_KEY"] = "k" * 32
        settings["ORTHANC_SOURCES"] = "PACS,DEAD"
        with serving(orthanc.base_url, folder, settings=settings) as gateway:
            confine(folder, "Of one patient", CONFINED_TO)
            confine(folder, "Of no patient", "there is none")
            make(folder, VIEWER, MANAGER, ADMINISTRATOR, CONFINED, NOBODY, POWERLESS)
            yield Archive(orthanc, gateway.address, folder, remote=remote)


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """A browser that ends with the module: other modules' tests need a thread without its event loop."""
    with chromium() as browser:
        yield browser


OpenPage = Callable[..., Page]


@pytest.fixture
def page_as(browser: Browser, archive: Archive) -> Iterator[OpenPage]:
    """Return a function that opens a page as a user (None: anonymous), in a browser profile of its own.

    The test fails if a page asks for anything outside of the gateway, breaks its content security policy, or reports an
    error. `problems` is a pattern of those that the test expects; further options are Playwright's of the profile.
    """
    opened: list[tuple[BrowserContext, Observer, str]] = []

    def open_page(user: User | None = ADMINISTRATOR, *, problems: str = r"(?!)", **options: object) -> Page:
        context = browser.new_context(
            **{  # type: ignore[arg-type]
                "base_url": archive.address,
                "locale": "en-GB",
                "viewport": {"width": WIDTH, "height": HEIGHT},
                "storage_state": _session(browser, archive, user) if user else None,
                **options,
            }
        )
        context.set_default_timeout(TIMEOUT)
        opened.append((context, Observer(context, archive.address), problems))
        return context.new_page()

    yield open_page
    unexpected = []
    for context, observer, expected in opened:
        context.close()
        unexpected += observer.refused + [one for one in observer.problems if not re.search(expected, one)]
    assert unexpected == []


@pytest.fixture
def page(page_as: OpenPage) -> Page:
    """A page of the administrator's, with nothing loaded."""
    return page_as()


@contextmanager
def further_patients(archive: Archive, files: Iterable[bytes]) -> Iterator[None]:
    """Add patients to those of the samples, and delete them afterwards."""
    before = set(json.loads(ask(archive.orthanc, "/patients")))
    load(archive.orthanc, files)
    try:
        yield
    finally:
        for patient in set(json.loads(ask(archive.orthanc, "/patients"))) - before:
            ask(archive.orthanc, f"/patients/{patient}", "DELETE")


def cards(page: Page) -> Locator:
    """The series of a study; the links to the viewer have no text."""
    return page.get_by_role("region", name="Series", exact=True).get_by_role("link").filter(has_text=re.compile(r"\S"))


def expect_pictures(place: Page | Locator, count: int) -> None:
    """Wait until so many pictures are there and loaded: one that is asked for after its series is gone is an error."""
    pictures = place.locator("img")
    expect(pictures).to_have_count(count)
    for picture in pictures.all():
        expect(picture).to_have_js_property("complete", value=True)


@contextmanager
def holding(page: Page, pattern: str) -> Iterator[None]:
    """Hold the requests to the API whose body matches a pattern, and let them go on at the end.

    To end a route instead would handle a request twice that comes in the same moment.
    """
    held: list[Route] = []
    is_over = False

    def hold(route: Route) -> None:
        if not is_over and re.search(pattern, route.request.post_data or ""):
            held.append(route)
        else:
            route.fallback()

    page.route("**/graphql/", hold)
    yield
    is_over = True
    for route in held:
        route.fallback()


def request(page: Page, query: str, **variables: object) -> Any:
    """Return the data of a GraphQL request that the user of a page makes beside it; the page has been opened."""
    csrf = {cookie["name"]: cookie["value"] for cookie in page.context.cookies()}["csrftoken"]
    body = {"query": query, "variables": variables}
    return page.request.post("/graphql/", data=body, headers={"X-CSRFToken": csrf}).json()["data"]


def _session(browser: Browser, archive: Archive, user: User) -> StorageState:
    """Return the cookies of a user, who logs in once: checking a password takes 0.3 s."""
    if user.name not in archive.sessions:
        context = browser.new_context(base_url=archive.address, locale="en-GB")
        page = context.new_page()
        page.goto("/login/?next=/livez")
        enter(page, user)
        page.wait_for_url("**/livez")
        archive.sessions[user.name] = context.storage_state()
        context.close()
    return archive.sessions[user.name]
