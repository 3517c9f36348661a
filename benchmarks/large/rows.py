"""The rows of one column of the table."""

from __future__ import annotations

from collections.abc import Callable

from benchmarks.large.servers import Column
from benchmarks.measuring import Goal, Row, Side, duration, in_turn, ratio, steadily
from benchmarks.reading import Reader


def side(address: str, action: Callable[[Reader], object]) -> Side:
    """Return a side that repeats an action over one connection for 0.3 s, or does a slow one once."""

    def repeated() -> float:
        with Reader(address) as reader:
            return steadily(lambda: action(reader))

    return repeated


def compare_in(
    name: str,
    column: Column,
    sides: tuple[Side, Side],
    rounds: int,
    goal: Goal | None = None,
    labels: tuple[str, str] = ("gateway", "Orthanc"),
) -> Row:
    """Return the ratio of the durations of two sides in a column."""
    ours, theirs = in_turn(f"{name}, {column.name}", tuple(zip(labels, sides, strict=True)), rounds)
    parts = (duration(labels[0], ours), duration(labels[1], theirs))
    return Row(name, ratio(ours, theirs), parts, goal, column.name)
