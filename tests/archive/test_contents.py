"""Contents that are read one after the other: the next one is opened when the last bytes of one are there."""

from collections.abc import Callable

import pytest

from orthancproxy.archive.contents import Contents
from orthancproxy.archive.storage import Content
from orthancproxy.errors import ArchiveUnavailable, NotFound
from orthancproxy.orthanc.call_slots import caller_scope, current_caller
from tests.waiting import wait_until


class Source:
    """Contents of two chunks each, and what happened to them."""

    def __init__(self, *missing: str) -> None:
        self.missing = missing
        self.opened: list[str] = []
        self.closed: list[str] = []

    def opener(self, name: str) -> tuple[str, Callable[[], Content]]:
        def open_content() -> Content:
            if name in self.missing:
                raise NotFound("It was deleted.")
            self.opened.append(name)
            chunks = iter([name.encode(), b"."])
            return Content(chunks, "text/plain", len(name) + 1, lambda: self.closed.append(name))

        return name, open_content

    def contents(self, names: str) -> Contents:
        return Contents(map(self.opener, names))


def test_next_is_opened_with_the_last_chunk_of_one() -> None:
    source = Source()
    contents = source.contents("abc")

    chunks = iter(next(contents).content)

    assert next(chunks) == b"a"
    assert source.opened == ["a"]
    assert next(chunks) == b"."
    wait_until(lambda: source.opened == ["a", "b"])
    assert list(chunks) == []
    assert source.closed == ["a"]
    assert [b"".join(one.content) for one in contents] == [b"b.", b"c."]
    assert source.closed == ["a", "b", "c"]


def test_what_is_deleted_meanwhile_is_left_out() -> None:
    contents = Source("b", "d").contents("abcd")

    assert [(one.path, b"".join(one.content)) for one in contents] == [("a", b"a."), ("c", b"c.")]


def test_errors_of_the_first_are_raised_when_it_is_opened() -> None:
    with pytest.raises(NotFound):
        Source("a").contents("ab").open_first()


def test_errors_of_the_next_end_the_reading() -> None:
    def fail() -> Content:
        raise ArchiveUnavailable("Orthanc cannot be reached.")

    contents = Contents([Source().opener("a"), ("b", fail)])

    assert b"".join(next(contents).content) == b"a."
    with pytest.raises(ArchiveUnavailable):
        next(contents)


def test_closing_ends_what_is_open_and_opens_nothing_more() -> None:
    source = Source()
    contents = source.contents("abc")
    next(contents)

    contents.close()

    assert source.closed == ["a"]
    assert list(contents) == []
    assert source.opened == ["a"]


def test_calls_are_those_of_the_caller_that_made_it() -> None:
    callers = []

    def open_content() -> Content:
        callers.append(current_caller())
        return Content.of(b"", "text/plain")

    with caller_scope("Kim"):
        contents = Contents([("a", open_content), ("b", open_content)])

    for one in contents:
        list(one.content)
    assert callers == ["Kim", "Kim"]
