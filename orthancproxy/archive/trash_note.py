"""What hides a study as if it were deleted: a label, and a note of when and by whom it was put into the trash."""

from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any, Self

import orjson

from orthancproxy.orthanc.capabilities import TRASH_LABEL


def is_reserved(label: str) -> bool:
    """Whether callers cannot change a label. There are databases of Orthanc that do not tell `a` from `A`."""
    return label.casefold() == TRASH_LABEL


@dataclass(frozen=True, slots=True)
class TrashNote:
    """When and by whom a study was put into the trash, and its LastUpdate then.

    LastUpdate has whole seconds, in which others could have arrived: `instances` tells their number. An unknown `at` is
    None: somebody has set the label in Orthanc.
    """

    at: datetime | None = None
    by: str = ""
    last_update: str = ""
    instances: int | None = None

    @classmethod
    def parse(cls, text: str | None) -> Self:
        """Return the note that a text is of; an empty one if there is none, or it is malformed."""
        try:
            found: Any = orjson.loads(text or "null")
            at = datetime.fromisoformat(found["at"])
            instances = found["instances"]
            if at.tzinfo is None or not isinstance(instances, int | None):
                return cls()
            return cls(at, str(found["by"]), str(found["last_update"]), instances)
        except (ValueError, TypeError, KeyError):
            return cls()

    def as_text(self) -> bytes:
        """Return the text for Orthanc to keep."""
        return orjson.dumps(asdict(self))
