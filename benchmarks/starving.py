"""A light caller's small query, alone and while another caller sends finds that read every file."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

from benchmarks.measuring import Quantity, Row, at_most, tell
from benchmarks.options import WHOLE, Options
from benchmarks.soak.attacks import FINDS, attack, percentile_95
from benchmarks.stored import holding


def rows(options: Options) -> Iterator[Row]:
    """Return the row on the 95th percentile of the light caller's query."""
    name = f"small query beside {FINDS.name}, {WHOLE.instances:,}: 95th percentile"
    with holding(WHOLE, options.archives) as orthanc, tempfile.TemporaryDirectory(prefix="gateway-") as folder:
        outcomes = []
        for number in range(options.rounds):
            outcomes += attack(orthanc, Path(folder) / str(number), [FINDS])
            tell(f"round {number + 1} of {options.rounds}: {outcomes[-1]}")
    beside, alone = (
        Quantity(label, "ms", tuple(1000 * percentile_95(one) for one in durations))
        for label, durations in (
            ("", [outcome.beside for outcome in outcomes]),
            ("alone", [outcome.alone for outcome in outcomes]),
        )
    )
    yield Row(name, beside, (alone,), at_most(1000))
