"""What is noted of a request: without duplicates, and only as much as a line should have."""

from orthancproxy.request_record import (
    MAX_NOTES,
    RequestRecord,
    current_record,
    note_caller,
    note_errors,
    note_operation,
)


def test_a_record_has_at_most_twenty_names_of_each_kind_without_duplicates() -> None:
    record = RequestRecord()
    token = current_record.set(record)
    try:
        for number in range(30):
            note_operation("studies")
            note_operation(f"operation {number}")
            note_errors(["NOT_FOUND", f"CODE_{number}"])
        note_caller("kim")
    finally:
        current_record.reset(token)
    assert list(record.operations)[:2] == ["studies", "operation 0"]
    assert list(record.error_codes)[:2] == ["NOT_FOUND", "CODE_0"]
    assert len(record.operations) == len(record.error_codes) == MAX_NOTES
    assert record.username == "kim"


def test_nothing_is_noted_outside_of_requests() -> None:
    note_caller("kim")
    note_operation("studies")
    note_errors(["NOT_FOUND"])
    assert current_record.get() is None
