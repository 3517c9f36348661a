"""Conformance checks of DICOM files by dcmftest (DCMTK) and dciodvfy (dicom3tools)."""

import re
import subprocess
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

# dciodvfy quotes values; those of UIDs change
_UID = re.compile(r"\d+(\.\d+){3,}")

# after this dciodvfy looks no further
_GIVEN_UP = "Dicom dataset read failed"


def dcmftest_refuses(paths: Sequence[Path]) -> list[str]:
    """The messages of dcmftest about files that it rejects."""
    answer = subprocess.run(["dcmftest", *paths], capture_output=True, text=True, check=False)
    lines = answer.stdout.splitlines()
    assert len(lines) == len(paths), answer
    return [line for line in lines if not line.startswith("yes: ")]


def error_lines(path: Path) -> Counter[str]:
    """The errors of dciodvfy without UIDs, with their counts."""
    answer = subprocess.run(["dciodvfy", path], capture_output=True, check=False, timeout=30)
    lines = (answer.stdout + answer.stderr).decode(errors="replace").splitlines()
    return Counter(_UID.sub("UID", line) for line in lines if line.startswith("Error"))


def gave_up(path: Path) -> bool:
    """Whether dciodvfy could not check the whole file."""
    answer = subprocess.run(["dciodvfy", path], capture_output=True, check=False, timeout=30)
    output = (answer.stdout + answer.stderr).decode(errors="replace")
    return answer.returncode < 0 or _GIVEN_UP in output
