"""A name that is a page's source is shown as text."""

from pathlib import Path

import pytest
from playwright.sync_api import Browser

from orthancproxy.sandbox.gateway import serving
from tests.browser.graphiql import graphiql_page
from tests.corpus import instance, load
from tests.orthancs import StartOrthanc

pytestmark = [pytest.mark.live, pytest.mark.once]

NAME = '<img src=x onerror="window.hit=1"><script>window.hit=1</script>'
QUERY = "query Names { patients { nodes { patientName studies { description } } } }"


def test_graphiql_shows_a_name_that_is_html_as_text(
    browser: Browser, start_orthanc: StartOrthanc, tmp_path: Path
) -> None:
    orthanc = start_orthanc()
    load(orthanc, [instance(PatientName=NAME, StudyDescription=NAME)])
    with serving(orthanc.base_url, tmp_path) as gateway, graphiql_page(browser, gateway.address) as graphiql:
        graphiql.open()
        graphiql.write(QUERY)
        answer = graphiql.execute("Names")
        [patient] = answer["data"]["patients"]["nodes"]
        assert patient == {"patientName": NAME, "studies": [{"description": NAME}]}
        graphiql.page.wait_for_timeout(500)
        assert graphiql.page.evaluate("window.hit") is None
        assert graphiql.refused == []
        assert graphiql.problems == []
