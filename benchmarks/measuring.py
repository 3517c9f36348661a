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
class Row:
    """One line of the table: the result, what it was computed from, and what it should not pass, if that is set."""

    name: str
    result: Quantity
    parts: tuple[Quantity, ...] = ()
    goal: float | None = None

    @property
    def cells(self) -> tuple[str, ...]:
        """The texts of its columns, as in `HEADINGS`."""
        return (
            self.name,
            str(self.result),
            self.result.spread,
            "–" if self.goal is None else f"≤ {_digits(self.goal)} {self.result.unit}",
            ", ".join(f"{part.name} {part}" for part in self.parts),
        )

    def as_json(self) -> dict[str, object]:
        """The same for a machine."""
        return {
            "name": self.name,
            "goal": self.goal,
            "result": self.result.as_json(),
            "parts": [part.as_json() for part in self.parts],
        }


HEADINGS = ("benchmark", "median", "min–max", "goal", "made of (medians)")


def compare(name: str, ours: tuple[str, Side], theirs: tuple[str, Side], rounds: int, goal: float) -> Row:
    """How many times as long ours takes as theirs; each side comes with its name.

    Both are measured in every round, one right after the other, so that what slows the machine for a while slows
    both; and each goes first in every other round, so that neither always finds the caches as the other left them.
    """
    seconds: tuple[list[float], list[float]] = ([], [])
    for number in range(rounds):
        for index in (0, 1) if number % 2 == 0 else (1, 0):
            label, side = (ours, theirs)[index]
            seconds[index].append(side())
            tell(f"{name}, round {number + 1} of {rounds}: {label} {seconds[index][-1]:.2f} s")
    ratios = tuple(one / other for one, other in zip(*seconds, strict=True))
    parts = (Quantity(ours[0], "s", tuple(seconds[0])), Quantity(theirs[0], "s", tuple(seconds[1])))
    return Row(name, Quantity("ratio", "×", ratios), parts, goal)


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
