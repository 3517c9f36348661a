"""People with a browser, which a gateway in this process and a real provider send back and forth."""

import html
import re
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs, urlsplit

import requests
from django.test import Client

from tests.access.callers import csrf_client

GATEWAY = "http://testserver"


def parameters(url: str) -> dict[str, str]:
    """Return the query parameters of a URL, each once."""
    return {name: value for name, [value] in parse_qs(urlsplit(url).query, strict_parsing=True).items()}


@dataclass
class Person:
    """Somebody who is `sub` at the provider: their cookies here and there."""

    sub: str
    client: Client = field(default_factory=csrf_client)
    provider: requests.Session = field(default_factory=requests.Session)

    def __post_init__(self) -> None:
        # a proxy of the developer's environment must not get local requests
        self.provider.trust_env = False

    def begin(self, path: str = "/sso/") -> str:
        """Return the URL of the provider to which a page of the gateway leads."""
        response: Any = self.client.get(path)
        assert response.status_code == 302, response.content
        return str(response["Location"])

    def go_to_provider(self, url: str) -> str:
        """Log in at the provider where it asks for that, and return the URL of the gateway that it leads to."""
        response = self.provider.get(url, allow_redirects=False, timeout=10)
        while response.status_code in (302, 303):
            url = requests.compat.urljoin(response.url, response.headers["Location"])
            if url.startswith(GATEWAY):
                return url
            response = self.provider.get(url, allow_redirects=False, timeout=10)
            if response.status_code == 200:
                found = re.search(r'action="([^"]+)"', response.text)
                assert found, response.text
                form = {"prompt": "login", "login": self.sub, "password": "any"}
                response = self.provider.post(html.unescape(found[1]), form, allow_redirects=False, timeout=10)
        raise AssertionError(response.text)

    def come_back(self, url: str) -> Any:
        """Return the gateway's response to a URL that the provider leads to."""
        return self.client.get(url.removeprefix(GATEWAY))

    def log_in(self, path: str = "/sso/") -> Any:
        """Log in, and return the gateway's response to the return from the provider."""
        return self.come_back(self.go_to_provider(self.begin(path)))

    def log_out(self, path: str = "/logout/", **headers: str) -> Any:
        """Send the form of a page, and return the response."""
        self.client.get("/tokens/")
        form = {"csrfmiddlewaretoken": self.client.cookies["csrftoken"].value}
        return self.client.post(path, form, headers=headers)

    @property
    def viewer(self) -> Any:
        """What GraphQL tells them about themselves."""
        # pages have the token
        self.client.get("/tokens/")
        headers = {"X-CSRFToken": cookie.value if (cookie := self.client.cookies.get("csrftoken")) else ""}
        query = {"query": "{ viewer { username actions } }"}
        answer: Any = self.client.post("/graphql/", query, content_type="application/json", headers=headers)
        return answer.json()["data"]["viewer"]

    @property
    def username(self) -> str | None:
        """The name of the session's user; None for an anonymous caller."""
        name: str | None = self.viewer["username"]
        return name
