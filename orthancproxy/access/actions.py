"""The actions that need a permission. Each is a Django permission: `orthancproxy.view` and so on."""

from enum import Enum


class Action(Enum):
    """An action that needs a permission: its codename, its description, and the groups that have it from the start.

    If it `needs_a_name`, anonymous callers cannot be given the permission.
    """

    VIEW = ("view", "View patients, studies, series, instances and uploads", ("Viewer", "Uploader", "Manager"))
    DOWNLOAD = ("download", "Download files, rendered images and ZIPs", ("Viewer", "Uploader", "Manager"))
    UPLOAD = ("upload", "Upload files", ("Uploader", "Manager"))
    DELETE = ("delete", "Delete patients, studies, series and instances", ("Manager",))
    SHARE = ("share", "Make links to studies for people without an account", ("Manager",))
    LABEL = ("label", "Add and remove labels", ("Manager",), True)
    # who has it decides who sees what
    LABEL_SCOPES = ("label_scopes", "Add and remove labels that access scopes name", ("Manager",), True)
    SEND = ("send", "Send patients, studies, series and instances to other servers", ("Manager",))
    MODIFY = ("modify", "Correct, merge and split patients, studies and series", ("Manager",), True)
    ANONYMIZE = ("anonymize", "Anonymize studies", ("Manager",))
    # nobody from the start: who has it undoes what pseudonyms are for
    REIDENTIFY = ("reidentify", "Read who is who in a project", (), True)
    # it shows people of whom this archive has nothing
    RETRIEVE = ("retrieve", "Search other servers for studies, and retrieve these", ("Manager",), True)
    MANAGE_JOBS = ("manage_jobs", "View and cancel the jobs of others", ("Manager",))
    VIEW_AUDIT = ("view_audit", "View the audit log", ("Manager",))

    _value_: str
    description: str
    groups: tuple[str, ...]
    needs_a_name: bool

    def __new__(cls, codename: str, description: str, groups: tuple[str, ...], needs_a_name: bool = False) -> "Action":
        """Make the codename the value of the member."""
        action = object.__new__(cls)
        action._value_ = codename
        action.description = description
        action.groups = groups
        action.needs_a_name = needs_a_name
        return action

    @property
    def permission(self) -> str:
        """Django's full name of the permission."""
        return f"orthancproxy.{self.value}"


PERMISSIONS: tuple[tuple[str, str], ...] = tuple((action.value, action.description) for action in Action)
"""The actions in the form of a Django model's `Meta.permissions`."""
FOR_ANYONE = frozenset(action for action in Action if not action.needs_a_name)
"""The actions that ORTHANC_ANONYMOUS_ACTIONS may contain."""
