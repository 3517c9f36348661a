"""The command line of the soak."""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

from benchmarks import stored
from benchmarks.options import WHOLE
from benchmarks.soak.attacks import FINDS, OTHERS, Outcome, attack, load
from benchmarks.soak.soaking import CLIENTS, SECONDS, SEED, soak
from orthancproxy.sandbox.orthanc import LocalOrthanc


def main(arguments: Sequence[str]) -> int:
    """Soak and return the exit status: 1 if anything is wrong."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.soak", description="Soak the gateway.")
    parser.add_argument("--seconds", type=float, default=SECONDS, help=f"duration ({SECONDS:.0f})")
    parser.add_argument("--seed", type=int, default=SEED, help="seed of the clients' random choices")
    parser.add_argument("--clients", type=int, default=CLIENTS, help=f"concurrent clients ({CLIENTS})")
    parser.add_argument("--json", type=Path, metavar="FILE", help="also write the report as JSON, with every sample")
    options = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory(prefix="soak-") as folder:
        report = soak(options.seconds, options.seed, Path(folder), options.clients)
    sys.stdout.write("\n".join([*report.lines(), ""]))
    outcomes = []
    for outcome in _attack(report.orthanc):
        outcomes.append(outcome)
        sys.stdout.write("\n".join([str(outcome), *(f"WRONG {failure}" for failure in outcome.failures), ""]))
    if options.json:
        result = report.as_json() | {"attacks": [outcome.as_json() for outcome in outcomes]}
        options.json.write_text(f"{json.dumps(result, indent=2, ensure_ascii=False)}\n")
    return 1 if report.failures or any(list(outcome.failures) for outcome in outcomes) else 0


def _attack(version: str) -> Iterator[Outcome]:
    """Yield the outcomes of the attacks: finds in a large archive, which is kept, the others in one of a patient."""
    with tempfile.TemporaryDirectory(prefix="soak-") as folder:
        with stored.holding(WHOLE, stored.default_cache() / version) as orthanc:
            yield from attack(orthanc, Path(folder) / "finds", [FINDS])
        with LocalOrthanc() as orthanc:
            load(orthanc)
            yield from attack(orthanc, Path(folder) / "others", OTHERS)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
