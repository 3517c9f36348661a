"""What a benchmark gives: rows of ratios or amounts, with the spread over their rounds, and the table of them."""

from __future__ import annotations

import statistics
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

Side = Callable[[], float]
"""One of two things to compare: does it once, and returns the seconds that count."""


class BenchmarkError(Exception):
    """A measurement that would mean nothing, since something went wrong in it; the message is for the user."""


@dataclass(frozen=True, slots=True)
class Quantity:
    """One number in every round, in the unit that is named."""

    name: str
    unit: str
    values: tuple[float, ...]

    @property
    def median(self) -> float:
        """The median over the rounds."""
        return statistics.median(self.values)

    @property
    def spread(self) -> str:
        """The least and the greatest value."""
        return f"{_digits(min(self.values))}–{_digits(max(self.values))}"

    def __str__(self) -> str:
        return f"{_digits(self.median)} {self.unit}"

    def as_json(self) -> dict[str, object]:
        """The same for a machine, with every round."""
        return {
            "name": self.name,
            "unit": self.unit,
            "median": self.median,
            "min": min(self.values),
            "max": max(self.values),
            "rounds": list(self.values),
        }


@dataclass(frozen=True, slots=True)
class Goal:
    """What a result should be at most, or at least, in its unit."""

    limit: float
    is_minimum: bool = False

    def is_met(self, result: Quantity) -> bool:
        """Whether the median keeps it."""
        return result.median >= self.limit if self.is_minimum else result.median <= self.limit


def at_most(limit: float) -> Goal:
    """The goal not to pass the limit."""
    return Goal(limit)


def at_least(limit: float) -> Goal:
    """The goal to reach the limit."""
    return Goal(limit, is_minimum=True)


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the table: the result, what it was computed from, and its goal, if one is set."""

    name: str
    result: Quantity
    parts: tuple[Quantity, ...] = ()
    goal: Goal | None = None

    @property
    def cells(self) -> tuple[str, ...]:
        """The texts of its columns, as in `HEADINGS`."""
        return (
            self.name,
            str(self.result),
            self.result.spread,
            self._goal,
            ", ".join(f"{part.name} {part}" for part in self.parts),
        )

    @property
    def _goal(self) -> str:
        if self.goal is None:
            return "–"
        sign = "≥" if self.goal.is_minimum else "≤"
        missed = "" if self.goal.is_met(self.result) else ", missed"
        return f"{sign} {_digits(self.goal.limit)} {self.result.unit}{missed}"

    def as_json(self) -> dict[str, object]:
        """The same for a machine."""
        return {
            "name": self.name,
            "goal": self.goal and {"at least" if self.goal.is_minimum else "at most": self.goal.limit},
            "goal met": self.goal and self.goal.is_met(self.result),
            "result": self.result.as_json(),
            "parts": [part.as_json() for part in self.parts],
        }


HEADINGS = ("benchmark", "median", "min–max", "goal", "made of (medians)")


def compare(name: str, one: tuple[str, Side], other: tuple[str, Side], rounds: int, goal: Goal | None = None) -> Row:
    """How many times as long the one takes as the other; each comes with its name.

    Both are measured in every round, one right after the other, so that what slows the machine for a while slows
    both; and each goes first in every other round, so that neither always finds the caches as the other left them.
    """
    first, second = in_turn(name, (one, other), rounds)
    return Row(name, ratio(first, second), (duration(one[0], first), duration(other[0], second)), goal)


def in_turn(name: str, sides: Sequence[tuple[str, Side]], rounds: int) -> tuple[tuple[float, ...], ...]:
    """What each side measured in every round, all of them in each, in the opposite order in every other one."""
    measured: tuple[list[float], ...] = tuple([] for _ in sides)
    for number in range(rounds):
        for index in range(len(sides))[:: 1 if number % 2 == 0 else -1]:
            label, side = sides[index]
            measured[index].append(side())
            tell(f"{name}, round {number + 1} of {rounds}: {label} {duration('', measured[index][-1:])}")
    return tuple(map(tuple, measured))


def ratio(one: Sequence[float], other: Sequence[float]) -> Quantity:
    """How many times the one is the other, in every round."""
    return Quantity("ratio", "×", tuple(above / below for above, below in zip(one, other, strict=True)))


def duration(name: str, seconds: Sequence[float]) -> Quantity:
    """Seconds as a quantity, in a unit that shows them well."""
    if max(seconds) < 1:
        return Quantity(name, "ms", tuple(value * 1000 for value in seconds))
    return Quantity(name, "s", tuple(seconds))


def repeatedly(times: int, action: Callable[[], object]) -> float:
    """How long the action takes when it is done so many times: the median, in seconds."""
    return statistics.median(timed(action) for _ in range(times))


def timed(action: Callable[[], object]) -> float:
    """How long the action takes, in seconds."""
    start = time.perf_counter()
    action()
    return time.perf_counter() - start


def table(rows: Sequence[Row]) -> str:
    """The rows under their headings, in Markdown."""
    lines = [HEADINGS, *(row.cells for row in rows)]
    widths = [max(len(cell) for cell in column) for column in zip(*lines, strict=True)]
    texts = [
        f"| {' | '.join(cell.ljust(width) for cell, width in zip(cells, widths, strict=True))} |" for cells in lines
    ]
    rule = f"| {' | '.join('-' * width for width in widths)} |"
    return "\n".join([texts[0], rule, *texts[1:]])


def tell(text: str) -> None:
    """Say how far the run is, on the standard error: the standard output is the table's."""
    sys.stderr.write(f"{text}\n")
    sys.stderr.flush()


def _digits(value: float) -> str:
    return f"{value:.2f}" if abs(value) < 100 else f"{value:,.0f}"
