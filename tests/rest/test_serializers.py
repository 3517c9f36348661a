"""The values of the REST API."""

import pytest

from orthancproxy.archive.records import Study
from orthancproxy.rest.serializers import StudySerializer


@pytest.mark.parametrize(("counted", "shown"), [("12", 12), ("0", 0), ("", 0), (None, 0)])
def test_a_count_that_is_absent_is_zero(counted: str | None, shown: int) -> None:
    tags = {} if counted is None else {"NumberOfStudyRelatedSeries": counted}
    assert StudySerializer.table.read(Study("id", "patient", tags, {}))["seriesCount"] == shown


@pytest.mark.parametrize(
    ("stored", "shown"),
    [("Brain MRI ", "Brain MRI"), (" Brain MRI", "Brain MRI"), ("Brain MRI\0", "Brain MRI"), ("  ", None), ("", None)],
)
def test_text_is_shown_without_padding(stored: str, shown: str | None) -> None:
    values = StudySerializer.table.read(Study("id", "patient", {"StudyDescription": stored}, {}))
    assert shown in values.values()
    assert stored not in values.values()
