"""Processes of this machine."""

from pathlib import Path


def has_ended(pid: int) -> bool:
    """Whether a process has ended; it may be a zombie."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    # the second, if it ends between opening and reading
    except (FileNotFoundError, ProcessLookupError):
        return True
    return state == "Z"
