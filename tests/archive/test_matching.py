"""Filters match by the values that are shown. The oracle compares whole lists; these are the edges."""

import pytest

from orthancproxy.archive.levels import Level
from orthancproxy.archive.matching import MAX_ALTERNATIVES, MAX_VALUE_LENGTH, criteria_of, fold, has_labels, select
from orthancproxy.archive.plan import Filter, LabelMatch
from orthancproxy.archive.records import Resource, Study
from orthancproxy.errors import InvalidRequest


def matching(keyword: str, values: list[str], *wanted: str) -> list[str]:
    """Return which of the stored values match all of the wanted ones, where the gateway decides."""
    studies: list[Resource] = [Study(value, None, {keyword: value}, {}) for value in values]
    criteria = criteria_of(Level.STUDY, Filter(tags=tuple((keyword, one) for one in wanted)))
    assert not any(one.is_exact for one in criteria)
    return [study.orthanc_id for study in select(criteria, studies)]


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("ΟΔΥΣΣΕΥΣ", "οδυσσευς"),
        ("Mu\u0308ller", "MÜLLER"),
        ("ИВАНОВ", "иванов"),
        (" Brain\0", "brain"),
    ],
)
def test_case_composition_and_padding_make_no_difference(one: str, other: str) -> None:
    assert fold(one) == fold(other)
    assert matching("StudyDescription", [one], other) == [one]
    assert matching("StudyDescription", [other], one.strip(" \0")[:3] + "*") == [other]


def test_a_letter_whose_lower_case_has_several_characters_is_one_for_a_wildcard() -> None:
    assert matching("StudyDescription", ["İstanbul"], "?stanbul") == ["İstanbul"]


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [
        ("[abc]", ["[abc]"]),
        ("[*", ["[abc]"]),
        ("a.c", ["a.c"]),
        ("a?c", ["a.c", "abc"]),
        ("50%_", ["50%_"]),
    ],
)
def test_only_asterisk_and_question_mark_are_wildcards(pattern: str, expected: list[str]) -> None:
    assert matching("StudyDescription", ["[abc]", "a.c", "abc", "a", "50%_", "500"], pattern) == expected


def test_a_bound_of_fewer_digits_includes_all_that_begins_with_it() -> None:
    days = ["20251231", "20260101", "2026.12.31", "20270101"]
    assert matching("StudyDate", days, "2026-2026") == days[1:3]
    assert matching("StudyDate", days, "202612-") == days[2:]
    assert matching("StudyTime", ["1159", "12", "12:30:59.5", "1300"], "12-12") == ["12", "12:30:59.5"]


def test_one_attribute_given_twice_must_match_both() -> None:
    assert matching("StudyInstanceUID", ["1.2", "1.3", "1.4"], "1.2\\1.3", "1.3\\1.4") == ["1.3"]
    assert matching("StudyDescription", ["ab", "a", "b"], "a*", "*b") == ["ab"]
    assert matching("ModalitiesInStudy", ["CT", "MR", "CT\\MR"], "CT", "MR") == ["CT\\MR"]


@pytest.mark.parametrize("value", ["a\ud800", "a\0b", "a\nb", "x" * (MAX_VALUE_LENGTH + 1)])
def test_a_value_that_cannot_be_stored_is_invalid(value: str) -> None:
    with pytest.raises(InvalidRequest, match="StudyDescription"):
        criteria_of(Level.STUDY, Filter(tags=(("StudyDescription", value),)))


def test_a_value_has_a_maximum_number_of_alternatives() -> None:
    most = [f"1.{number}" for number in range(MAX_ALTERNATIVES)]
    [criterion] = criteria_of(Level.STUDY, Filter(tags=(("StudyInstanceUID", "\\".join(most)),)))
    assert criterion.matches(most[-1])
    with pytest.raises(InvalidRequest, match="too long"):
        criteria_of(Level.STUDY, Filter(tags=(("StudyInstanceUID", "\\".join([*most, "2"])),)))


@pytest.mark.parametrize(
    ("labels", "expected"),
    [
        ([], "none"),
        (["a"], "any none"),
        (["a", "b"], "all any none"),
        (["b"], "any none"),
        (["a", "b", "c"], "all any"),
    ],
)
def test_labels(labels: list[str], expected: str) -> None:
    wanted = {
        "all": LabelMatch(all=frozenset("ab")),
        "any": LabelMatch(any=frozenset("ab")),
        "none": LabelMatch(none=frozenset("c")),
    }
    assert " ".join(name for name, match in wanted.items() if has_labels(labels, match)) == expected
    assert has_labels(labels, LabelMatch())
    assert has_labels(None, LabelMatch(none=frozenset("a")))
