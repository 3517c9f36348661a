"""The command line of the soak."""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from benchmarks.soak.soaking import CLIENTS, SECONDS, SEED, soak


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
    if options.json:
        options.json.write_text(f"{json.dumps(report.as_json(), indent=2, ensure_ascii=False)}\n")
    return 1 if report.failures else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
