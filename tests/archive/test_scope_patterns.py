"""The patterns of a scope: the PatientIDs that they match, and the searches in Orthanc."""

import time

import pytest

from orthancproxy.archive.plan import Filter, LabelMatch
from orthancproxy.archive.scope import EVERYTHING, MAX_WILDCARD_SEARCHES, Scope, searches


@pytest.mark.parametrize(
    ("pattern", "matching", "others"),
    [
        ("P1", ["P1", "P1 ", "P1\0"], [" P1", "p1", "P10", "xP1", "P 1", "", "P1\nP1"]),
        ("P*", ["P", "P1", "P*", "P\n1"], ["p1", "xP", ""]),
        ("P?", ["P1", "P?", "P홍", "P\N{GRINNING FACE}"], ["P", "P12", "p1", "P "]),
        ("*", ["", "anything", "山田"], []),
        ("**", ["", "anything"], []),
        ("?*", ["a", "ab"], [""]),
        ("*1*2*", ["12", "0102", "1*2"], ["21", "1"]),
        ("홍*", ["홍", "홍길동-1"], ["H", "-1", ""]),
        ("É", ["É"], ["E", "é", "E\N{COMBINING ACUTE ACCENT}"]),
        ("A[B]", ["A[B]"], ["AB", "A[B", "A[b]"]),
        ("[!a]*", ["[!a]", "[!a]b"], ["b", "a"]),
        ("a.b", ["a.b"], ["axb"]),
        ("(a|b)+", ["(a|b)+"], ["a", "ab"]),
        ("a\\*", ["a\\", "a\\b"], ["a*", "a"]),
        ("^a$", ["^a$"], ["a"]),
        ("", [""], ["a"]),
    ],
)
def test_patterns_match_patient_ids(pattern: str, matching: list[str], others: list[str]) -> None:
    scope = Scope((pattern,))
    assert [patient_id for patient_id in matching + others if scope.admits_patient(patient_id)] == matching


def test_any_pattern_is_enough() -> None:
    scope = Scope(("A", "B*"))
    assert [patient_id for patient_id in ("A", "AB", "B", "BA", "C") if scope.admits_patient(patient_id)] == [
        "A",
        "B",
        "BA",
    ]


def test_a_scope_without_rules_shows_nothing() -> None:
    assert Scope().is_restricted
    assert not Scope().admits_patient("")
    assert not Scope(labels=frozenset({"a"})).admits_patient("a")
    assert searches(Scope(), Filter()) == []


def test_everything_is_not_restricted() -> None:
    assert not EVERYTHING.is_restricted
    assert not Scope(("A", "*"), frozenset({"a"})).is_restricted
    assert Scope(("A*",)).is_restricted


@pytest.mark.parametrize("pattern", ["a*" * 31 + "b", "*a" * 31 + "?", "*?" * 31 + "b"])
def test_pattern_matching_does_not_backtrack(pattern: str) -> None:
    # others may have the processor meanwhile
    started = time.thread_time()
    Scope((pattern,)).admits_patient("a" * 64)
    assert time.thread_time() - started < 0.5


def test_searches_contain_the_patterns_that_orthanc_can_match() -> None:
    scope = Scope(("B", "A", "C?D", "É 1*", "x..", "a\\b"), frozenset({"l"}))
    wanted = [dict(search.tags)["PatientID"] for search in searches(scope, Filter())[:-1]]
    assert wanted == ["B\\A", "*1*", "C*D", "a*b", "x*"]
    assert searches(scope, Filter())[-1] == Filter(labels=LabelMatch(any=frozenset({"l"})))


@pytest.mark.parametrize(
    "criteria", [Filter(tags=(("PatientID", "A*"),)), Filter(labels=LabelMatch(any=frozenset({"m"})))]
)
def test_searches_keep_the_criteria_of_the_caller(criteria: Filter) -> None:
    assert searches(Scope(("A",), frozenset({"l"})), criteria) == [criteria]


def test_the_number_of_searches_is_limited() -> None:
    wild = tuple(f"P{number}*" for number in range(MAX_WILDCARD_SEARCHES))
    assert len(searches(Scope(wild), Filter())) == MAX_WILDCARD_SEARCHES
    assert searches(Scope((*wild, "Q*")), Filter()) == [Filter()]
    assert len(searches(Scope(tuple(f"P{number}" for number in range(600))), Filter())) == 2
