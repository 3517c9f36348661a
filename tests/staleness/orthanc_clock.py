"""An Orthanc's clock that a test sets."""

import struct
import subprocess
from pathlib import Path

from orthancproxy.sandbox.orthanc import Installation


class OrthancTime:
    """The time of the Orthancs that are started with `variables` in their environment. It stands still between changes.

    Its files are in a folder that Orthanc can access. Needs cc.
    """

    def __init__(self, folder: Path, seconds: int) -> None:
        self.seconds = seconds
        self._file = folder / "clock"
        self._library = folder / "clock.so"
        self._file.write_bytes(struct.pack("q", seconds))
        source = Path(__file__).with_name("clock.c")
        subprocess.run(["cc", "-shared", "-fPIC", "-o", self._library, source], check=True)

    @property
    def variables(self) -> dict[str, str]:
        """The environment variables, with paths as Orthanc sees them."""
        inner_path = Installation.find().inner_path
        return {"CLOCK": inner_path(self._file), "LD_PRELOAD": inner_path(self._library)}

    def set(self, seconds: int) -> None:
        """Set the clock to seconds since 1970."""
        self.seconds = seconds
        with self._file.open("r+b") as file:
            file.write(struct.pack("q", seconds))
