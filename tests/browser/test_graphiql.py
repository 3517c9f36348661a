"""GraphiQL works in a browser that can reach nothing but the gateway."""

from io import BytesIO
from urllib.request import Request, urlopen

import pytest
from django.test.client import BOUNDARY, MULTIPART_CONTENT, encode_multipart
from playwright.sync_api import Error, expect

from orthancproxy.sandbox.gateway import CHECKOUT
from tests.browser.graphiql import GraphiQL
from tests.corpus import instance

pytestmark = [pytest.mark.live, pytest.mark.once, pytest.mark.long]

EXAMPLES = sorted(path.stem.capitalize() for path in CHECKOUT.glob("orthancproxy/web/examples/*.graphql"))
KOREAN_NAME = "Hong^Gildong=洪^吉洞=홍^길동"
JAPANESE_NAME = "Yamada^Tarou=山田^太郎=やまだ^たろう"


def assert_nothing_amiss(graphiql: GraphiQL) -> None:
    assert graphiql.refused == []
    assert graphiql.problems == []


def test_graphiql_opens_with_a_tab_for_each_example(graphiql: GraphiQL) -> None:
    graphiql.open()
    tabs = graphiql.tabs.all_inner_texts()
    assert tabs[0] == "Hierarchy"
    assert sorted(tabs) == EXAMPLES
    assert_nothing_amiss(graphiql)


@pytest.mark.parametrize("path", ["/graphql/", "/graphql"])
def test_the_nested_example_shows_the_sample_studies(path: str, graphiql: GraphiQL) -> None:
    graphiql.open(path)
    answer = graphiql.execute("Hierarchy")
    assert "errors" not in answer
    names = [patient["patientName"] for patient in answer["data"]["patients"]["nodes"]]
    assert KOREAN_NAME in names
    assert JAPANESE_NAME in names
    for name in (KOREAN_NAME, JAPANESE_NAME):
        graphiql.scroll_result_to(name)
        expect(graphiql.result.filter(has_text=f'"patientName": "{name}"')).to_be_visible()
    assert_nothing_amiss(graphiql)


def test_on_a_phone_the_result_is_below_the_query(graphiql: GraphiQL) -> None:
    graphiql.page.set_viewport_size({"width": 390, "height": 844})
    graphiql.open()
    graphiql.execute("Hierarchy")
    query, result = (graphiql.page.locator(pane).bounding_box() for pane in (".graphiql-editors", ".graphiql-response"))
    assert query
    assert result
    assert result["y"] >= query["y"] + query["height"]
    assert min(query["width"], result["width"]) > 250
    assert_nothing_amiss(graphiql)


@pytest.mark.parametrize("operation", [name for name in EXAMPLES if name != "Hierarchy"])
def test_the_other_examples_run_as_they_are(operation: str, graphiql: GraphiQL) -> None:
    graphiql.open()
    graphiql.choose(operation)
    answer = graphiql.execute(operation)
    assert "errors" not in answer
    assert all(answer["data"].values())
    expect(graphiql.result.filter(has_text='"data"')).to_be_visible()
    assert_nothing_amiss(graphiql)


def test_the_search_example_sends_its_variables(graphiql: GraphiQL) -> None:
    graphiql.open()
    graphiql.choose("Search")
    assert '"modalities"' in graphiql.text("variables.json")
    found = graphiql.execute("Search")["data"]["studies"]
    assert found["totalCount"] == len(found["nodes"]) > 0
    assert {modality for study in found["nodes"] for modality in study["modalities"]} == {"CT", "MR"}
    assert_nothing_amiss(graphiql)


def test_the_documentation_explorer_shows_the_schema(graphiql: GraphiQL) -> None:
    graphiql.open()
    graphiql.page.get_by_role("button", name="Show Documentation Explorer").click()
    documentation = graphiql.page.locator(".graphiql-doc-explorer")
    documentation.get_by_role("link", name="Query", exact=True).click()
    expect(documentation).to_contain_text("All patients, by PatientID")
    documentation.get_by_role("link", name="PatientConnection").click()
    expect(documentation).to_contain_text("totalCount")
    assert_nothing_amiss(graphiql)


def test_an_error_in_a_query_is_shown(graphiql: GraphiQL) -> None:
    graphiql.open()
    graphiql.write("query Wrong { patients(first: -1) { totalCount } }")
    answer = graphiql.execute("Wrong")
    assert answer["errors"][0]["extensions"]["code"] == "BAD_USER_INPUT"
    expect(graphiql.result.filter(has_text="BAD_USER_INPUT")).to_be_visible()
    assert_nothing_amiss(graphiql)


def test_violation_of_the_content_security_policy_is_noticed(graphiql: GraphiQL) -> None:
    """And what the policy allows would be refused: the tests above can fail."""
    graphiql.open()
    violation = graphiql.page.expect_console_message(lambda line: "securitypolicyviolation" in line.text)
    with violation, pytest.raises(Error, match="Failed to fetch"):
        graphiql.page.evaluate("fetch('http://elsewhere.invalid/data')")
    assert "securitypolicyviolation: connect-src http://elsewhere.invalid/data" in graphiql.problems
    assert graphiql.refused == []
    with pytest.raises(Error, match="ERR_FAILED"):
        graphiql.page.goto("http://elsewhere.invalid/page")
    assert graphiql.refused == ["http://elsewhere.invalid/page"]


def test_a_subscription_shows_a_change_when_it_happens(graphiql: GraphiQL, gateway: str) -> None:
    graphiql.open()
    graphiql.write("subscription Changes { archiveChanges(levels: [STUDY]) { kind patientId } }")
    graphiql.subscribe("Changes")
    form = {"patient_id": "W9-subscribed", "files": BytesIO(instance())}
    body = encode_multipart(BOUNDARY, form)
    url = f"{gateway}/api/orthanc/upload-patient/"
    request = Request(url, body, {"Content-Type": MULTIPART_CONTENT})  # noqa: S310 - http
    with urlopen(request, timeout=30) as answer:  # noqa: S310
        assert answer.status == 200
    for text in ("ADDED", "W9-subscribed"):
        expect(graphiql.result.filter(has_text=text)).to_be_visible()
    graphiql.stop()
    assert_nothing_amiss(graphiql)
