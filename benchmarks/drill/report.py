"""What the drill found."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

from benchmarks.drill.load import Notes, Success

MAX_OUTAGE_SECONDS = 10.0
"""Beyond the fault."""
_SHOWN = 10


@dataclass(frozen=True, slots=True)
class Struck:
    """A fault that happened: when it began, was over, and when the next began (monotonic)."""

    name: str
    began: float
    over: float
    next: float

    def outage(self, successes: Sequence[Success]) -> tuple[float, str]:
        """Return the longest time beyond the fault in which requests of a kind were not answered, and the kind.

        From the end of the fault, or from the last answer if that was later, to the next answer, or to the next fault
        if there was none before it.
        """
        longest = (0.0, "")
        for kind in sorted({one.kind for one in successes}):
            ends = sorted(one.ended for one in successes if one.kind == kind and one.ended <= self.next)
            points = [self.over, *(end for end in ends if end > self.over), self.next]
            longest = max(longest, (max(after - earlier for earlier, after in pairwise(points)), kind))
        return longest


@dataclass(frozen=True, slots=True)
class Report:
    """The result of a drill with one Orthanc."""

    orthanc: str
    seconds: float
    faults: Sequence[Struck]
    notes: Notes
    lost: Sequence[str]
    doubled: Sequence[str]
    unaudited: Sequence[str]

    @property
    def misreported(self) -> Sequence[str]:
        """What the gateway said, and is not so; the audit too."""
        return [*self.notes.misreported, *self.unaudited]

    def failures(self) -> Iterator[str]:
        """Yield a line for each failure."""
        yield from (f"lost: {one}" for one in self.lost)
        yield from (f"doubled: {one}" for one in self.doubled)
        yield from (f"misreported: {one}" for one in self.misreported)
        yield from (f"unexpected: {one}" for one in self.notes.unexpected)
        for fault in self.faults:
            seconds, kind = fault.outage(self.notes.successes)
            if seconds > MAX_OUTAGE_SECONDS:
                yield f"outage: {fault.name}: no {kind} for {seconds:.1f} s"

    def lines(self) -> Iterator[str]:
        """Yield the report as text."""
        answers = len(self.notes.successes)
        yield f"Orthanc {self.orthanc}: {answers:,} answers in {self.seconds:.0f} s; two hosts of two workers"
        yield f"{'fault':26}{'lasted':>8}{'longest outage beyond it':>26}"
        for fault in self.faults:
            seconds, kind = fault.outage(self.notes.successes)
            yield f"{fault.name:26}{fault.over - fault.began:7.1f}s{seconds:18.1f}s ({kind})"
        yield f"lost {len(self.lost)}, doubled {len(self.doubled)}, misreported {len(self.misreported)}"
        yield f"unexpected codes {len(self.notes.unexpected)}; expected {dict(self.notes.expected)}"
        yield f"responses that broke off {self.notes.broken}; changes in the audit {len(self.notes.acknowledged)}"
        failures = list(self.failures())
        yield from (f"WRONG {one}" for one in failures[:_SHOWN])
        yield f"{len(failures)} failures"


def compare(
    expected: Mapping[str, Mapping[str, int]], found: Mapping[str, Mapping[str, int]]
) -> tuple[list[str], list[str]]:
    """Return what is lost and what is doubled: instances of each study, by patient."""
    lost: list[str] = []
    doubled: list[str] = []
    for patient in expected.keys() | found.keys():
        wanted, there = expected.get(patient, {}), found.get(patient, {})
        for study in wanted.keys() | there.keys():
            difference = there.get(study, 0) - wanted.get(study, 0)
            if difference:
                line = f"{study} of {patient}: {there.get(study, 0)} instances, not {wanted.get(study, 0)}"
                (lost if difference < 0 else doubled).append(line)
    return lost, doubled
