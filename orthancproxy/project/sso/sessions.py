"""Django's sessions in the database, with what the provider knows them by.

The columns are written with the session, so that they are right when Django gives it another key.
"""

from dataclasses import asdict, dataclass
from typing import Any

from django.contrib.sessions.backends.base import SessionBase
from django.contrib.sessions.backends.db import SessionStore as DatabaseStore

from orthancproxy.project.sso.models import LoginSession

_KEY = "sso"


@dataclass(frozen=True, slots=True)
class ProviderLogin:
    """A login at the provider: issuer, subject and session id of its ID token, and that token."""

    issuer: str
    subject: str
    sid: str
    id_token: str


def remember(session: SessionBase, login: ProviderLogin) -> None:
    """Note in a session how it began."""
    session[_KEY] = asdict(login)


def login_of(session: SessionBase) -> ProviderLogin | None:
    """Return the login at the provider that a session began with, None for one with a password."""
    data = session.get(_KEY)
    return ProviderLogin(**data) if data else None


class SessionStore(DatabaseStore):
    """The store that SESSION_ENGINE names."""

    @classmethod
    def get_model_class(cls) -> Any:
        """Return the table of sessions, which also tells of which login each is."""
        return LoginSession

    def create_model_instance(self, data: dict[str, Any]) -> Any:
        """Return a row with a session."""
        return _marked(super().create_model_instance(data), data)

    async def acreate_model_instance(self, data: dict[str, Any]) -> Any:
        """Return a row with a session."""
        return _marked(await super().acreate_model_instance(data), data)


def _marked(row: Any, data: dict[str, Any]) -> Any:
    login = data.get(_KEY) or {}
    row.issuer, row.subject, row.sid = (login.get(name, "") for name in ("issuer", "subject", "sid"))
    return row
