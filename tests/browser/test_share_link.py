"""A share link in a browser without JavaScript: its password, the page of the study, and its ZIP."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.request import Request, urlopen

import pytest
from playwright.sync_api import Browser, expect

from orthancproxy.sandbox.gateway import CHECKOUT, serving
from orthancproxy.sandbox.orthanc import LocalOrthanc
from tests.browser.users import PASSWORD, User, make

pytestmark = [pytest.mark.live, pytest.mark.once]

SHARER = User("sharer", ["Manager"])
FIRST_STUDY = "{ studies(first: 1) { nodes { orthancId series { id } } } }"
SHARE = """mutation($study: ID!, $password: String!) { shareStudy(input: {studyOrthancId: $study,
    actions: [VIEW, DOWNLOAD], expiresAt: "EXPIRES", password: $password}) { share { url } } }"""


@pytest.fixture(scope="module")
def gateway(archive: LocalOrthanc, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, str]]:
    """Yield the address of a gateway, and the API token of a user who may share."""
    folder = tmp_path_factory.mktemp("gateway")
    with serving(archive.base_url, folder, settings={"ORTHANC_ANONYMOUS_ACTIONS": ""}) as gateway:
        make(folder, SHARER)
        command = [sys.executable, str(CHECKOUT / "manage.py"), "create_api_token", SHARER.name]
        environment = {**os.environ, "DJANGO_DATA_DIR": str(folder / "data")}
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
        yield gateway.address, done.stdout.strip()


def graphql(gateway: tuple[str, str], query: str, variables: dict[str, str] | None = None) -> Any:
    address, token = gateway
    headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
    body = json.dumps({"query": query, "variables": variables or {}}).encode()
    with urlopen(Request(f"{address}/graphql/", body, headers), timeout=30) as response:  # noqa: S310 - it is HTTP
        return json.load(response)["data"]


def test_link_shows_the_study_without_javascript(browser: Browser, gateway: tuple[str, str], tmp_path: Path) -> None:
    [study] = graphql(gateway, FIRST_STUDY)["studies"]["nodes"]
    expires = (datetime.now(UTC) + timedelta(days=1)).isoformat()
    query = SHARE.replace("EXPIRES", expires)
    variables = {"study": study["orthancId"], "password": PASSWORD}
    url = graphql(gateway, query, variables)["shareStudy"]["share"]["url"]
    context = browser.new_context(java_script_enabled=False)
    page = context.new_page()
    problems: list[str] = []
    page.on("console", lambda line: problems.append(line.text) if line.type in ("error", "warning") else None)
    page.goto(url)
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Open").click()
    page.wait_for_url(f"{gateway[0]}/share/")
    expect(page.locator("li")).to_have_count(len(study["series"]))
    with page.expect_download() as download:
        page.get_by_role("link", name="Download all files (ZIP)").click()
    download.value.save_as(tmp_path / "study.zip")
    assert (tmp_path / "study.zip").read_bytes().startswith(b"PK")
    # whoever has opened it sees this study, and nothing else
    page.goto(f"{gateway[0]}/api/orthanc/patients/")
    assert len(json.loads(page.locator("body").inner_text())) == 1
    if picture := os.environ.get("SHARE_PICTURE"):
        page.goto(f"{gateway[0]}/share/")
        page.screenshot(path=picture, full_page=True)
    assert problems == []
    context.close()
