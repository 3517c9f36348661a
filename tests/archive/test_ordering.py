"""Resources are sorted by the values that are shown."""

import pytest

from orthancproxy.archive.levels import Level
from orthancproxy.archive.ordering import POSITION, sort
from orthancproxy.archive.plan import LevelPlan, Order
from orthancproxy.archive.records import Instance, Patient


@pytest.mark.parametrize("keyword", ["PatientName", "PatientID"])
def test_text_is_sorted_without_padding(keyword: str) -> None:
    first, second, third = (
        Patient(orthanc_id, None, {keyword: text}, {}) for orthanc_id, text in [("0", "A"), ("1", " B "), ("2", "C")]
    )
    assert sort([third, first, second], [Order(keyword)]) == [first, second, third]


@pytest.mark.parametrize(
    ("orientation", "positions"),
    [
        pytest.param("1\\0\\0\\0\\1\\0", ["9\\9\\-1", "5\\5\\0", "0\\0\\2"], id="axial"),
        pytest.param("1\\0\\0\\0\\0\\-1", ["9\\-1\\9", "5\\0\\5", "0\\2\\0"], id="coronal"),
        pytest.param("0\\1\\0\\0\\0\\-1", ["2\\9\\9", "0\\5\\5", "-1\\0\\0"], id="sagittal"),
        pytest.param("1\\0\\0\\0\\0.6\\0.8", ["0\\8\\0", "0\\0\\5", "0\\-8\\9"], id="oblique"),
        pytest.param("", ["9\\9\\-1", "5\\5\\0", "0\\0\\2"], id="unknown"),
    ],
)
def test_slices_are_sorted_along_their_normal(orientation: str, positions: list[str]) -> None:
    slices = [
        Instance(str(number), None, {POSITION: position, "ImageOrientationPatient": orientation}, {})
        for number, position in enumerate(positions)
    ]
    assert sort(reversed(slices), [Order(POSITION)]) == slices
    assert sort(slices, [Order(POSITION, descending=True)]) == slices[::-1]


def test_equal_values_are_sorted_by_the_next_key_and_missing_ones_are_the_smallest() -> None:
    values = [(None, "2"), ("0", "1"), ("0", "3"), ("5", None), ("5", "1")]
    instances = [
        Instance(f"{9 - number}", None, {"InstanceNumber": number_ or "", "SliceLocation": location or ""}, {})
        for number, (number_, location) in enumerate(values)
    ]
    order = [Order("InstanceNumber"), Order("SliceLocation")]
    assert sort(reversed(instances), order) == instances
    assert sort(instances, [Order(key.by, descending=True) for key in order]) == instances[::-1]


@pytest.mark.parametrize(
    ("level", "order", "expected"),
    [
        (Level.STUDY, (), "-StudyDate -StudyTime StudyInstanceUID"),
        (Level.STUDY, (Order("StudyDate"),), "StudyDate StudyTime StudyInstanceUID"),
        (Level.STUDY, (Order("StudyTime"), Order("StudyDate", True)), "StudyTime -StudyDate StudyInstanceUID"),
        (Level.STUDY, (Order("StudyInstanceUID", True),), "-StudyInstanceUID"),
        (Level.INSTANCE, (), "InstanceNumber ImagePositionPatient SOPInstanceUID"),
        (
            Level.INSTANCE,
            (Order("InstanceNumber", True), Order("SliceLocation")),
            "-InstanceNumber SliceLocation -ImagePositionPatient SOPInstanceUID",
        ),
        (Level.PATIENT, (Order("PatientName", True),), "-PatientName PatientID"),
    ],
)
def test_ties_are_broken_by_time_or_position_in_the_same_direction_and_then_by_the_identifier(
    level: Level, order: tuple[Order, ...], expected: str
) -> None:
    keys = LevelPlan(level=level, order=order).full_order
    assert " ".join(f"-{key.by}" if key.descending else key.by for key in keys) == expected
