"""The values of the REST API."""

import pytest

from orthancproxy.archive.records import Study
from orthancproxy.rest.serializers import StudySerializer


@pytest.mark.parametrize(
    ("stored", "shown"),
    [("Brain MRI ", "Brain MRI"), (" Brain MRI", "Brain MRI"), ("Brain MRI\0", "Brain MRI"), ("  ", None), ("", None)],
)
def test_text_is_shown_without_padding(stored: str, shown: str | None) -> None:
    values = StudySerializer.table.read(Study("id", "patient", {"StudyDescription": stored}, {}))
    assert shown in values.values()
    assert stored not in values.values()
