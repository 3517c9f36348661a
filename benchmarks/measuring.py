"""The result of a benchmark: rows of ratios or amounts with their spread over the rounds, and the table of rows."""

from __future__ import annotations

import statistics
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

Side = Callable[[], float]
"""One of two things to compare: does it once, and returns the seconds that count."""


class BenchmarkError(Exception):
    """A measurement is invalid; the message is for the user."""


@dataclass(frozen=True, slots=True)
class Quantity:
    """One number for each round, with its unit."""

    name: str
    unit: str
    values: tuple[float, ...]

    @property
    def median(self) -> float:
        """The median over the rounds."""
        return statistics.median(self.values)

    @property
    def spread(self) -> str:
        """The minimum and the maximum."""
        return f"{_digits(min(self.values))}–{_digits(max(self.values))}"

    def __str__(self) -> str:
        return f"{_digits(self.median)} {self.unit}"

    def as_json(self) -> dict[str, object]:
        """Return the quantity as JSON, with every round."""
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
    """The maximum or minimum for a result, in its unit."""

    limit: float
    is_minimum: bool = False

    def is_met(self, result: Quantity) -> bool:
        """Whether the median meets the goal."""
        return result.median >= self.limit if self.is_minimum else result.median <= self.limit


def at_most(limit: float) -> Goal:
    """Return the goal of a value up to the limit."""
    return Goal(limit)


def at_least(limit: float) -> Goal:
    """Return the goal of a value from the limit up."""
    return Goal(limit, is_minimum=True)


@dataclass(frozen=True, slots=True)
class Row:
    """A line of the table: the result, the amounts it was computed from, and its goal, if any.

    Rows with a `column` share the line of their name.
    """

    name: str
    result: Quantity
    parts: tuple[Quantity, ...] = ()
    goal: Goal | None = None
    column: str = ""

    @property
    def cells(self) -> tuple[str, ...]:
        """Return the text of each column in `HEADINGS`."""
        return (
            self.name,
            str(self.result),
            self.result.spread,
            self.goal_text,
            self.parts_text,
        )

    @property
    def parts_text(self) -> str:
        """The amounts that the result was computed from."""
        return ", ".join(f"{part.name} {part}" for part in self.parts)

    @property
    def goal_text(self) -> str:
        """The goal, and whether it is missed."""
        if self.goal is None:
            return "–"
        sign = "≥" if self.goal.is_minimum else "≤"
        missed = "" if self.goal.is_met(self.result) else ", missed"
        return f"{sign} {_digits(self.goal.limit)} {self.result.unit}{missed}"

    def as_json(self) -> dict[str, object]:
        """Return the row as JSON."""
        return {
            "name": self.name,
            **({"column": self.column} if self.column else {}),
            "goal": self.goal and {"at least" if self.goal.is_minimum else "at most": self.goal.limit},
            "goal met": self.goal and self.goal.is_met(self.result),
            "result": self.result.as_json(),
            "parts": [part.as_json() for part in self.parts],
        }


HEADINGS = ("benchmark", "median", "min–max", "goal", "made of (medians)")


def compare(name: str, one: tuple[str, Side], other: tuple[str, Side], rounds: int, goal: Goal | None = None) -> Row:
    """Return the ratio of the durations of two named actions.

    Every round measures both, one right after the other, so that a temporary slowdown affects both, and in alternating
    order, so that neither always finds the caches as the other left them.
    """
    first, second = in_turn(name, (one, other), rounds)
    return Row(name, ratio(first, second), (duration(one[0], first), duration(other[0], second)), goal)


def in_turn(name: str, sides: Sequence[tuple[str, Side]], rounds: int) -> tuple[tuple[float, ...], ...]:
    """Return the measurements of each side in every round; the order of the sides alternates."""
    measured: tuple[list[float], ...] = tuple([] for _ in sides)
    for number in range(rounds):
        for index in range(len(sides))[:: 1 if number % 2 == 0 else -1]:
            label, side = sides[index]
            measured[index].append(side())
            tell(f"{name}, round {number + 1} of {rounds}: {label} {duration('', measured[index][-1:])}")
    return tuple(map(tuple, measured))


def ratio(one: Sequence[float], other: Sequence[float]) -> Quantity:
    """Return the ratio of two quantities in every round."""
    return Quantity("ratio", "×", tuple(above / below for above, below in zip(one, other, strict=True)))


def duration(name: str, seconds: Sequence[float]) -> Quantity:
    """Return seconds as a quantity in a readable unit."""
    if max(seconds) < 1:
        return Quantity(name, "ms", tuple(value * 1000 for value in seconds))
    return Quantity(name, "s", tuple(seconds))


def repeatedly(times: int, action: Callable[[], object]) -> float:
    """Return the median duration of an action that is repeated, in seconds."""
    return statistics.median(timed(action) for _ in range(times))


def steadily(action: Callable[[], object], seconds: float = 0.3) -> float:
    """Return the median duration of an action that is repeated for some seconds after a first time, in seconds.

    An action that takes as long is done once.
    """
    first = timed(action)
    if first >= seconds:
        return first
    durations: list[float] = []
    while sum(durations) < seconds:
        durations.append(timed(action))
    return statistics.median(durations)


def timed(action: Callable[[], object]) -> float:
    """Return the duration of an action, in seconds."""
    start = time.perf_counter()
    action()
    return time.perf_counter() - start


def tables(rows: Sequence[Row]) -> str:
    """Return the rows as Markdown tables: one of those without a column, one with a line for those of each name."""
    plain = [row for row in rows if not row.column]
    columns = list(dict.fromkeys(row.column for row in rows if row.column))
    texts = [_table([HEADINGS, *(row.cells for row in plain)])] if plain else []
    if columns:
        headings = ["benchmark", *(heading for column in columns for heading in (column, "goal", "made of (medians)"))]
        names = dict.fromkeys(row.name for row in rows if row.column)
        texts.append(_table([headings, *(_line(name, columns, rows) for name in names)]))
    return "\n\n".join(texts)


def _line(name: str, columns: Sequence[str], rows: Sequence[Row]) -> list[str]:
    cells = [name]
    for column in columns:
        row = next((row for row in rows if (row.name, row.column) == (name, column)), None)
        cells += [f"{row.result} ({row.result.spread})", row.goal_text, row.parts_text] if row else ["", "", ""]
    return cells


def _table(lines: Sequence[Sequence[str]]) -> str:
    widths = [max(len(cell) for cell in column) for column in zip(*lines, strict=True)]
    texts = [
        f"| {' | '.join(cell.ljust(width) for cell, width in zip(cells, widths, strict=True))} |" for cells in lines
    ]
    rule = f"| {' | '.join('-' * width for width in widths)} |"
    return "\n".join([texts[0], rule, *texts[1:]])


def tell(text: str) -> None:
    """Report progress on standard error; standard output is for the table."""
    sys.stderr.write(f"{text}\n")
    sys.stderr.flush()


def _digits(value: float) -> str:
    return f"{value:.2f}" if abs(value) < 100 else f"{value:,.0f}"
