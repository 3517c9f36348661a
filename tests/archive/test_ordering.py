"""Resources are sorted by the values that are shown."""

import pytest

from orthancproxy.archive.ordering import sort
from orthancproxy.archive.plan import Order
from orthancproxy.archive.records import Patient


@pytest.mark.parametrize("keyword", ["PatientName", "PatientID"])
def test_text_is_sorted_without_padding(keyword: str) -> None:
    first, second, third = (
        Patient(orthanc_id, None, {keyword: text}, {}) for orthanc_id, text in [("0", "A"), ("1", " B "), ("2", "C")]
    )
    assert sort([third, first, second], [Order(keyword)]) == [first, second, third]
