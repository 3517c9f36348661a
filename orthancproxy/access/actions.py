"""What callers may do: each action is a Django permission, `orthancproxy.view` and so on."""

from collections.abc import Mapping
from enum import Enum


class Action(Enum):
    """Something that a caller may be allowed to do."""

    VIEW = "view"
    DOWNLOAD = "download"
    UPLOAD = "upload"
    DELETE = "delete"
    VIEW_AUDIT = "view_audit"

    @property
    def description(self) -> str:
        """What it allows."""
        return _DESCRIPTIONS[self]

    @property
    def permission(self) -> str:
        """Django's name for the permission."""
        return f"orthancproxy.{self.value}"


_DESCRIPTIONS: Mapping[Action, str] = {
    Action.VIEW: "See patients, studies, series and instances, and what was uploaded",
    Action.DOWNLOAD: "Get files, pictures and archives",
    Action.UPLOAD: "Store files",
    Action.DELETE: "Delete patients, studies, series and instances",
    Action.VIEW_AUDIT: "See who did what",
}
