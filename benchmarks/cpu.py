"""The CPU time of another process (Linux only)."""

from __future__ import annotations

import os
from pathlib import Path

from benchmarks.measuring import BenchmarkError


def cpu_seconds(pid: int) -> float:
    """What all threads of a process have used so far, in user mode and in the kernel: seconds, to the hundredth."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text()
    except OSError as error:
        raise BenchmarkError("Without Linux' /proc, or the process in it, no CPU time is measured.") from error
    # proc(5): the name, in parentheses, may hold anything; utime and stime are fields 14 and 15
    fields = text.rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
