"""Search by words, as people type them."""

import pytest

from orthancproxy.archive.hierarchy import Hierarchy
from orthancproxy.archive.levels import Level
from orthancproxy.archive.plan import Fact, Filter, LevelPlan, Needs, Order
from orthancproxy.archive.scope import Scope
from orthancproxy.archive.search import MAX_LENGTH, searchable, words
from orthancproxy.errors import InvalidRequest
from orthancproxy.orthanc.client import ConnectionOptions, OrthancClient
from tests.corpus import instance, load
from tests.orthancs import StartOrthanc

NAMES = {
    "hangul": "홍^길동",
    "groups": "Hong^Gildong=洪^吉洞=홍^길동",
    "umlaut": "Müller^Jürgen",
    "kana": "=山田^太郎=ﾔﾏﾀﾞ^ﾀﾛｳ",
    "spaced": "Kim^Chul Soo",
}
FOUND = {
    "홍길동": {"hangul", "groups"},
    "길동": {"hangul", "groups"},
    "홍 길동": {"hangul", "groups"},
    "홍^길동": {"hangul", "groups"},
    "洪吉洞": {"groups"},
    "Hong Gildong": {"groups"},
    "gildong HONG": {"groups"},
    "Hong, Gildong": {"groups"},
    "ｈｏｎｇ": {"groups"},
    "muller": {"umlaut"},
    "MU\u0308LLER": {"umlaut"},
    "jürgen müller": {"umlaut"},
    "ヤマダ": {"kana"},
    "ヤマタ": set(),
    "山田　太郎": {"kana"},
    "chulsoo": {"spaced"},
    "chul soo kim": {"spaced"},
    "hong müller": set(),
    "h?ng": set(),
    "hong*": set(),
}


@pytest.mark.parametrize(("typed", "found"), FOUND.items())
def test_names_are_found_as_people_type_them(typed: str, found: set[str]) -> None:
    matching = {
        key for key, name in NAMES.items() if all(word in searchable({"PatientName": name}) for word in words(typed))
    }
    assert matching == found


@pytest.mark.parametrize("typed", ["", "  ", "^", "=", " , "])
def test_a_search_without_words_matches_everything(typed: str) -> None:
    assert words(typed) == ()


def test_a_word_is_found_within_one_value() -> None:
    study = {"PatientID": "A1", "AccessionNumber": "B2", "StudyDescription": "Brain MRI"}
    assert [word in searchable(study) for word in ("a1", "b2", "brain", "a1b2", "brainmri")] == [True] * 3 + [False] * 2


def test_a_search_that_is_too_long_is_rejected() -> None:
    assert words("x" * MAX_LENGTH)
    with pytest.raises(InvalidRequest, match="256 characters"):
        words("x" * (MAX_LENGTH + 1))


@pytest.fixture(scope="module")
def client(start_session_orthanc: StartOrthanc) -> OrthancClient:
    orthanc = start_session_orthanc()
    load(
        orthanc,
        [
            instance(number, study, PatientName=name, StudyDescription=f"Knee {key}" if study == 2 else "Skull")
            for number, (key, name) in enumerate(NAMES.items(), start=1)
            for study in (1, 2)
        ],
    )
    return OrthancClient(ConnectionOptions(orthanc.base_url))


@pytest.mark.live
@pytest.mark.parametrize(
    ("typed", "patients", "studies"),
    [
        ("홍길동", ["P001", "P002"], 4),
        ("muller", ["P003"], 2),
        ("knee 홍길동", ["P001", "P002"], 2),
        ("knee umlaut", ["P003"], 1),
        ("a003-2", ["P003"], 1),
        ("yamada p005", ["P005"], 2),
        ("skull knee", [], 0),
        ("nobody", [], 0),
        ("", ["P001", "P002", "P003", "P004", "P005"], 10),
    ],
)
def test_patients_have_a_study_that_matches(
    client: OrthancClient, typed: str, patients: list[str], studies: int
) -> None:
    criteria = Filter(search=words(typed))
    hierarchy = Hierarchy(client)
    page = hierarchy.page(LevelPlan(level=Level.PATIENT, filter=criteria, first=50, total=True))
    assert [patient.tags["PatientID"] for patient in page.resources] == patients
    assert page.total == len(patients)
    assert hierarchy.page(LevelPlan(level=Level.STUDY, filter=criteria, first=50, total=True)).total == studies


@pytest.mark.live
def test_a_search_goes_with_other_filters_orders_and_pages(client: OrthancClient) -> None:
    criteria = Filter((("StudyDescription", "knee*"),), search=words("kim yamada"))
    plan = LevelPlan(level=Level.STUDY, filter=criteria, order=(Order("PatientID", descending=True),), first=1)
    page = Hierarchy(client).page(plan)
    assert [study.tags["PatientID"] for study in page.resources] == ["P005"]
    both = Filter((("PatientID", "P001"),), search=words("길동"))
    [patient] = Hierarchy(client).page(LevelPlan(level=Level.PATIENT, filter=both, first=50)).resources
    assert patient.tags["PatientID"] == "P001"
    every = Filter(search=words("길동"))
    pages = [
        Hierarchy(client).page(LevelPlan(level=Level.STUDY, filter=every, first=3, offset=offset, total=True))
        for offset in (0, 3)
    ]
    assert [(len(page.resources), page.has_next, page.total) for page in pages] == [(3, True, 4), (1, False, 4)]
    assert len({study.orthanc_id for page in pages for study in page.resources}) == 4


@pytest.mark.live
def test_studies_below_a_patient_are_searched(client: OrthancClient) -> None:
    studies = LevelPlan(level=Level.STUDY, filter=Filter(search=words("knee")))
    page = Hierarchy(client).page(LevelPlan(level=Level.PATIENT, related={"studies": studies}))
    assert [[study.tags["StudyDescription"] for study in one.related["studies"]] for one in page.resources] == [
        [f"Knee {key}"] for key in NAMES
    ]


@pytest.mark.live
@pytest.mark.parametrize("level", [Level.PATIENT, Level.STUDY])
def test_a_restricted_caller_finds_only_what_is_in_scope(client: OrthancClient, level: Level) -> None:
    plan = LevelPlan(level=level, filter=Filter(search=words("길동")), first=50, total=True)
    page = Hierarchy(client, Scope(("P002",))).page(plan)
    assert {one.tags["PatientID"] for one in page.resources} == {"P002"}
    assert page.total == len(page.resources)


@pytest.mark.live
@pytest.mark.parametrize("level", [Level.PATIENT, Level.STUDY])
def test_what_a_restricted_caller_finds_has_its_facts(client: OrthancClient, level: Level) -> None:
    needs = Needs(facts=frozenset({Fact.CHANGES, Fact.LABELS}))
    plan = LevelPlan(level=level, needs=needs, filter=Filter(search=words("길동")), first=50)
    facts, scoped = (
        {one.orthanc_id: (one.last_update, one.is_stable, one.labels) for one in page.resources}
        for page in (Hierarchy(client).page(plan), Hierarchy(client, Scope(("P002",))).page(plan))
    )
    assert scoped
    assert scoped == {orthanc_id: facts[orthanc_id] for orthanc_id in scoped}
