"""The folder with the values of all workers.

This module imports no prometheus_client, which decides at its import whether values are kept in such a folder.
"""

import os
import re
import shutil
import tempfile
from atexit import register
from contextlib import suppress
from pathlib import Path

FOLDER_VARIABLE = "PROMETHEUS_MULTIPROC_DIR"
PREFIX = "orthanc-gateway-metrics-"
_FOLDER = re.compile(PREFIX + r"(\d+)-")


def make_folder() -> Path:
    """Return a new folder for the values of this process and its workers, which is removed when the process ends.

    Folders that a killed process has left are removed, too.
    """
    for left in Path(tempfile.gettempdir()).glob(f"{PREFIX}*"):
        found = _FOLDER.match(left.name)
        # a container's processes have the same ids at each start
        if found and (int(found[1]) == os.getpid() or not lives(int(found[1]))):
            shutil.rmtree(left, ignore_errors=True)
    folder = Path(tempfile.mkdtemp(prefix=f"{PREFIX}{os.getpid()}-"))

    def remove() -> None:
        shutil.rmtree(folder, ignore_errors=True)

    register(remove)
    return folder


def lives(pid: int) -> bool:
    """Return whether there is a process with this id."""
    with suppress(PermissionError):
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            return False
    return True
