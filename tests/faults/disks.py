"""Disks that are small, and get full."""

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path


@contextmanager
def small_disk(folder: Path, megabytes: int) -> Iterator[Path]:
    """Mount a disk of its own at a folder, in memory. It takes root."""
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={megabytes}m,mode=0777", "tmpfs", folder], check=True)
    try:
        yield folder
    finally:
        # lazily: whoever has a file open there is ended by others
        subprocess.run(["umount", "--lazy", folder], check=True)


@contextmanager
def filled(folder: Path, leaving: int = 0) -> Iterator[None]:
    """Leave no room on the disk of a folder, or so many bytes."""
    filling = folder / "filling"
    with filling.open("wb", buffering=0) as file, suppress(OSError):
        while True:
            file.write(bytes(64 * 1024))
    if leaving:
        os.truncate(filling, filling.stat().st_size - leaving)
    try:
        yield
    finally:
        filling.unlink()
