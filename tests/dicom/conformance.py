"""What other programs say of DICOM files: dcmftest (DCMTK) and dciodvfy (dicom3tools)."""

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
    """What dcmftest says of the files that it takes for no DICOM; it says nothing else of a file."""
    answer = subprocess.run(["dcmftest", *paths], capture_output=True, text=True, check=False)
    lines = answer.stdout.splitlines()
    assert len(lines) == len(paths), answer
    return [line for line in lines if not line.startswith("yes: ")]


def error_lines(path: Path) -> Counter[str]:
    """The Error lines of dciodvfy, with UIDs taken out, and how often each comes."""
    answer = subprocess.run(["dciodvfy", path], capture_output=True, check=False, timeout=30)
    lines = (answer.stdout + answer.stderr).decode(errors="replace").splitlines()
    return Counter(_UID.sub("UID", line) for line in lines if line.startswith("Error"))


def gave_up(path: Path) -> bool:
    """Whether dciodvfy could not look at all of a file."""
    answer = subprocess.run(["dciodvfy", path], capture_output=True, check=False, timeout=30)
    output = (answer.stdout + answer.stderr).decode(errors="replace")
    return answer.returncode < 0 or _GIVEN_UP in output
