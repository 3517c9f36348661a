"""The CPU time of another process (Linux only)."""

from __future__ import annotations

import os
from pathlib import Path

from benchmarks.measuring import BenchmarkError


def cpu_seconds(pid: int) -> float:
    """Return the CPU time of all threads of a process in user mode and in the kernel: seconds, in hundredths."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text()
    except OSError as error:
        raise BenchmarkError("CPU time is measured on Linux only, while the process is running.") from error
    # proc(5): the name, in parentheses, may hold anything; utime and stime are fields 14 and 15
    fields = text.rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
