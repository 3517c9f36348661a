"""What lists show, valid or not, can be looked up and filtered by: UIDs, and values with blanks before them."""

from collections.abc import Callable

import pytest
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian

from orthancproxy.sandbox.orthanc import LocalOrthanc
from tests.conftest import GraphQL, UseOrthanc
from tests.corpus import instance, load

pytestmark = pytest.mark.live

UIDS = [
    "1.2.3",
    " 1.2.4 ",
    "1.2.x",
    "1.2.X",
    "01.002",
    "1." + "9" * 80,
    "1.2.*",
    "1.2.?",
    "1 2",
    "..",
    "a/b",
    "1.%7",
    "_8",
]
LOOK_UPS = {
    "study": ("studies", "studyInstanceUID", "StudyInstanceUID"),
    "series": ("seriesList", "seriesInstanceUID", "SeriesInstanceUID"),
    "instance": ("instances", "sopInstanceUID", "SOPInstanceUID"),
}


@pytest.fixture(scope="module")
def malformed(start_orthanc: Callable[..., LocalOrthanc]) -> LocalOrthanc:
    """An archive of UIDs that no standard allows."""
    orthanc = start_orthanc()
    load(
        orthanc,
        (
            instance(1, number, StudyInstanceUID=uid, SeriesInstanceUID=uid, SOPInstanceUID=uid)
            for number, uid in enumerate([*UIDS, "1.2\\3"])
        ),
    )
    return orthanc


@pytest.mark.parametrize("name", LOOK_UPS)
def test_what_a_list_shows_can_be_looked_up(
    name: str, malformed: LocalOrthanc, use_orthanc: UseOrthanc, graphql: GraphQL
) -> None:
    use_orthanc(malformed)
    plural, argument, keyword = LOOK_UPS[name]
    found = graphql(f"{{ {plural} {{ nodes {{ orthancId {argument} }} }} }}")[plural]["nodes"]
    shown = {node[argument]: node["orthancId"] for node in found}
    assert len(shown) == len(UIDS) + 1
    for uid, orthanc_id in shown.items():
        if "\\" in uid:
            query = f"query($uid: ID!) {{ {name}({argument}: $uid) {{ orthancId }} }}"
            assert "use orthancId" in graphql.error(query, uid=uid)["message"]
            continue
        data = graphql(
            f"""query($uid: ID!) {{
              {name}({argument}: $uid) {{ orthancId }}
              {plural}(filter: {{{argument}s: [$uid]}}) {{ totalCount nodes {{ orthancId }} }}
            }}""",
            uid=uid,
        )
        assert data[name] == {"orthancId": orthanc_id}
        assert data[plural] == {"totalCount": 1, "nodes": [{"orthancId": orthanc_id}]}
        if not set(uid) & set("*?"):
            criteria = f'filter: {{tags: [{{keyword: "{keyword}", value: $uid}}]}}'
            query = f"query($uid: String!) {{ {plural}({criteria}) {{ totalCount }} }}"
            assert graphql(query, uid=uid)[plural] == {"totalCount": 1}


@pytest.fixture(scope="module")
def padded(start_orthanc: Callable[..., LocalOrthanc]) -> LocalOrthanc:
    """An archive of values with blanks before them."""
    orthanc = start_orthanc()
    load(
        orthanc,
        [
            instance(1, 1, StudyDescription=" " * 40 + "Far", InstanceNumber=" " * 9 + "11"),
            instance(1, 2, StudyDescription="Near", InstanceNumber="12 "),
        ],
    )
    return orthanc


@pytest.mark.parametrize(("value", "count"), [("11", 1), ("12", 1), ("11\\12", 2), ("1", 0), ("11\\7", 1)])
def test_numbers_are_found_whatever_their_padding(
    value: str, count: int, padded: LocalOrthanc, use_orthanc: UseOrthanc, graphql: GraphQL
) -> None:
    use_orthanc(padded)
    query = """query($value: String!) {
      instances(filter: {tags: [{keyword: "InstanceNumber", value: $value}]}) { totalCount } }"""
    assert graphql(query, value=value)["instances"]["totalCount"] == count


@pytest.mark.parametrize(("value", "count"), [("far", 1), ("far\\near", 2), ("FAR\\x", 1), ("ar", 0)])
def test_text_is_found_whatever_its_padding(
    value: str, count: int, padded: LocalOrthanc, use_orthanc: UseOrthanc, graphql: GraphQL
) -> None:
    use_orthanc(padded)
    query = "query($value: String!) { studies(filter: {description: $value}) { totalCount } }"
    assert graphql(query, value=value)["studies"]["totalCount"] == count


def test_instances_are_described_whatever_their_uid(
    malformed: LocalOrthanc, use_orthanc: UseOrthanc, graphql: GraphQL
) -> None:
    use_orthanc(malformed)
    fields = 'sopClassUID transferSyntaxUID kvp: tag(keyword: "KVP")'
    nodes = graphql(f"{{ instances {{ nodes {{ {fields} }} }} }}")["instances"]["nodes"]
    assert {(node["sopClassUID"], node["transferSyntaxUID"], node["kvp"]) for node in nodes} == {
        (CTImageStorage, ExplicitVRLittleEndian, "120")
    }
