"""Which attachments of the DICOMweb plugin the log of changes proves to be current."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any
from urllib.parse import parse_qsl

import msgspec
import pytest
from msgspec.json import Decoder

from orthancproxy.errors import ArchiveRejected
from orthancproxy.orthanc.endpoints import Endpoint
from orthancproxy.orthanc.metadata_attachments import MAX_CALLS, MIN_QUIET_SECONDS, MetadataAttachments, SeriesState

QUIET = int(MIN_QUIET_SECONDS)
Entry = tuple[int, str, str]  # time, type, id
STABLE, WRITTEN = "StableSeries", "UpdatedAttachment"


def date(seconds: float) -> str:
    return datetime.fromtimestamp(1_800_000_000 + seconds, UTC).strftime("%Y%m%dT%H%M%S")


def state(changed: float, instances: int = 20) -> SeriesState:
    return SeriesState(date(changed), instances, "uuid")


class Log:
    """Orthanc's log of changes."""

    def __init__(self, entries: Sequence[Entry]) -> None:
        self.entries: list[dict[str, Any]] = [
            {"Seq": number, "Date": date(time), "ChangeType": kind, "ResourceType": "Series", "ID": one}
            for number, (time, kind, one) in enumerate(entries, 1)
        ]
        self.calls = 0

    def __call__(
        self, endpoint: Endpoint, *, body: Mapping[str, Any] | None = None, query: str = "", decoder: Decoder[Any]
    ) -> Any:
        self.calls += 1
        asked = dict(parse_qsl(query))
        types = asked["type"].split(";") if "type" in asked else None
        left = [one for one in self.entries if types is None or one["ChangeType"] in types]
        left = left[-1:] if query == "last" else [one for one in left if one["Seq"] > int(asked.get("since", 0))]
        page = left[: int(asked.get("limit", 100))]
        last = page[-1]["Seq"] if page else 0
        return decoder.decode(msgspec.json.encode({"Changes": page, "Last": last, "Done": len(page) == len(left)}))


@pytest.mark.parametrize(
    ("entries", "is_current"),
    [
        ([(9, STABLE, "a"), (9, WRITTEN, "a")], True),
        ([(QUIET, STABLE, "a"), (90, WRITTEN, "a")], True),
        ([(QUIET - 1, STABLE, "a"), (90, WRITTEN, "a")], False),
        ([(9, WRITTEN, "a"), (9, STABLE, "a")], False),
        ([(9, STABLE, "a"), (9, WRITTEN, "b")], False),
        ([(9, STABLE, "b"), (9, WRITTEN, "a")], False),
        ([(-9, STABLE, "a"), (9, WRITTEN, "a")], False),
        ([(9, STABLE, "a"), (9, "UpdatedMetadata", "a")], False),
        ([], False),
    ],
)
def test_an_attachment_is_current_if_it_was_written_after_its_series_became_stable(
    entries: Sequence[Entry], is_current: bool
) -> None:
    assert MetadataAttachments(Log(entries)).current({"a": state(0)}) == ({"a"} if is_current else set())


def test_a_large_series_must_have_been_stable_for_longer() -> None:
    log = Log([(30, STABLE, "a"), (30, WRITTEN, "a")])

    assert MetadataAttachments(log).current({"a": state(0, 3000)})
    assert not MetadataAttachments(log).current({"a": state(0, 3001)})


def test_an_unknown_date_proves_nothing() -> None:
    log = Log([(30, STABLE, "a"), (30, WRITTEN, "a")])

    assert not MetadataAttachments(log).current({"a": SeriesState("", 1, "uuid")})
    log.entries[0]["Date"] = "x"
    assert not MetadataAttachments(log).current({"a": state(0)})


def test_events_are_found_in_a_long_log_with_few_calls_and_once() -> None:
    series = {str(number): state(10 * number) for number in range(0, 10_000, 2_500)}
    entries = [
        entry
        for number in range(10_000)
        for entry in (
            *((10 * number, "NewInstance", f"i{number}") for _ in range(5)),
            (10 * number + 9, STABLE, str(number)),
            (10 * number + 9, WRITTEN, str(number)),
        )
    ]
    log = Log(entries)
    attachments = MetadataAttachments(log)

    assert attachments.current(series) == set(series)
    assert log.calls < MAX_CALLS
    calls = log.calls
    assert attachments.current(series) == set(series)
    assert log.calls == calls
    # a change, or another attachment
    assert attachments.current({"0": state(1)}) == {"0"}
    assert attachments.current({"0": replace(state(0), attachment="other")}) == {"0"}
    assert log.calls > calls


def test_what_is_not_reached_with_the_calls_of_one_request_is_looked_for_in_the_next() -> None:
    series = {str(number): state(1000 * number) for number in range(30)}
    entries = [
        entry
        for number in range(30)
        for entry in (
            *((1000 * number, STABLE, "other") for _ in range(1000)),
            (1000 * number + 9, STABLE, str(number)),
            (1000 * number + 9, WRITTEN, str(number)),
        )
    ]
    log = Log(entries)
    attachments = MetadataAttachments(log)

    found = attachments.current(series)
    assert found < set(series)
    assert log.calls <= MAX_CALLS + 3
    for _ in range(10):
        found = attachments.current(series)
    assert found == set(series)


def test_a_rejected_attachment_is_not_used_again() -> None:
    attachments = MetadataAttachments(Log([(9, STABLE, "a"), (9, WRITTEN, "a")]))
    assert attachments.current({"a": state(0)})

    attachments.reject("a", state(0))

    assert not attachments.current({"a": state(0)})
    assert attachments.current({"a": replace(state(0), attachment="other")})


def test_a_log_that_the_gateway_may_not_read_proves_nothing() -> None:
    def call(*_: Any, **__: Any) -> Any:
        raise ArchiveRejected("forbidden")

    assert MetadataAttachments(call).current({"a": state(0)}) == set()
