"""UIDs that lists show, valid or not, can be looked up and filtered by."""

from collections.abc import Callable

import pytest

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
