"""Why somebody who comes from the provider is not logged in."""

from typing import Any

from orthancproxy.errors import NotAuthenticated


class LoginRejected(NotAuthenticated):
    """Somebody at the provider does not get a session. `text` is for them, the message for the log."""

    def __init__(self, message: str, text: Any, *, username: str = "", status: int = 403) -> None:
        super().__init__(message)
        self.text = text
        self.username = username
        self.status = status
