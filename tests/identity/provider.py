"""Run the provider, get tokens from it, and give it other keys meanwhile."""

import json
import shutil
import ssl
import subprocess
import time
import urllib.parse
import urllib.request
from base64 import b64encode
from collections.abc import Iterable, Mapping
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from types import TracebackType
from typing import Any, Literal, Self

from orthancproxy.sandbox.orthanc import free_port
from orthancproxy.sandbox.process import ChildProcess

CHECKOUT = Path(__file__).resolve().parents[2]
FOLDER = CHECKOUT / "tests/identity"
AUDIENCE = "https://gateway.example.org"
# a start takes less than a second on an idle machine, and some hang for ever (2 of 15 on Node.js 20.20)
START_TIMEOUT, ATTEMPTS = 15.0, 8

CLIENT, SECRET = "gateway", "keep & safe: 100%"
DISCOVERY = "/.well-known/openid-configuration"
JWKS = "/jwks"


@cache
def node() -> str:
    """The executable itself: what is on the PATH, or PyPI's in .node (dev/find-node), may be a script that runs it."""
    command = shutil.which(CHECKOUT / ".node/bin/node") or "node"
    asked = subprocess.run([command, "--print", "process.execPath"], check=True, capture_output=True, text=True)
    return asked.stdout.strip()


class IdentityProvider:
    """A provider on a free port; its issuer is its address, unless another is given.

    Each has keys of its own, so that a second one is a foreign issuer. `tls` are the files of a private key and a
    certificate that names 127.0.0.1; then it speaks https.
    """

    def __init__(self, *, issuer: str = "", tls: tuple[Path, Path] | None = None) -> None:
        self.port = free_port()
        self.base_url = f"{'https' if tls else 'http'}://127.0.0.1:{self.port}"
        self.issuer = issuer or self.base_url
        self._tls = tls
        self._process: ChildProcess | None = None
        self._folder = TemporaryDirectory(prefix="identity-")
        # the tests trust it blindly: whether the gateway does is theirs to find out
        context = ssl._create_unverified_context() if tls else None  # noqa: S323
        # a proxy from the environment has no business between us and a port of this machine
        self._opener = urllib.request.build_opener(
            urllib.request.ProxyHandler({}), urllib.request.HTTPSHandler(context=context)
        )

    @property
    def settings(self) -> dict[str, str]:
        """The gateway's settings for it, which are its variables of the environment too."""
        return {"ORTHANC_OIDC_ISSUER": self.issuer, "ORTHANC_OIDC_AUDIENCE": AUDIENCE}

    @property
    def pid(self) -> int:
        """The process id."""
        assert self._process is not None
        return self._process.pid

    def start(self) -> None:
        """Start it, with new keys, and wait until it answers."""
        tls = [path.read_text() for path in self._tls] if self._tls else None
        arguments = {
            "port": self.port,
            "issuer": self.issuer,
            **({"tls": dict(zip(("key", "cert"), tls, strict=True))} if tls else {}),
        }
        log = Path(self._folder.name, "log")
        command, log = [node(), str(FOLDER / "provider.mjs"), json.dumps(arguments)], Path(self._folder.name, "log")
        for _ in range(ATTEMPTS):
            self._process = ChildProcess(command, log=log)
            if self._answers(self._process):
                return
            code = self._process.exit_code
            self.kill()
            if code is not None:
                break
        raise RuntimeError(f"The identity provider did not start (exit code {code}):\n{log.read_text()}")

    def _answers(self, process: ChildProcess) -> bool:
        """Wait until it answers; return False if it ends, or hangs."""
        deadline = time.monotonic() + START_TIMEOUT
        while process.exit_code is None and time.monotonic() < deadline:
            try:
                self._ask("/-/requests")
            except OSError:
                time.sleep(0.02)
            else:
                return True
        return False

    def kill(self) -> None:
        """End it at once."""
        if self._process:
            self._process.kill()
            self._process = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.kill()
        self._folder.cleanup()

    def token(
        self,
        username: str = "anna",
        roles: Iterable[str] = (),
        *,
        lifetime: int = 86_400,
        audience: str = AUDIENCE,
        claims: Mapping[str, Any] | None = None,
        header: Mapping[str, Any] | None = None,
    ) -> str:
        """Return an access token of its token endpoint, with the claims that Keycloak's have.

        `lifetime` is in seconds; below zero, the token has expired. `claims` and `header` are added, and win; what
        is None in them is left out.
        """
        keycloak = {
            "sub": f"id-of-{username}",
            "typ": "Bearer",
            "preferred_username": username,
            "realm_access": {"roles": list(roles)},
        }
        request = {"lifetime": lifetime, "claims": {**keycloak, **(claims or {})}, "header": dict(header or {})}
        form = {"grant_type": "client_credentials", "resource": audience, "token": json.dumps(request)}
        answer: dict[str, str] = self._ask("/token", form)
        return answer["access_token"]

    def accept_logins(
        self,
        gateway: str,
        *,
        secret: str = SECRET,
        method: Literal["client_secret_basic", "client_secret_post", "none"] = "client_secret_basic",
        back_channel: str = "",
    ) -> None:
        """Register the gateway at this address as the client that people log in to; an empty `secret` for none."""
        client = {
            "gateway": gateway,
            "secret": secret,
            "method": method,
            "backChannel": back_channel or f"{gateway}/sso/back-channel-logout/",
        }
        self._ask(f"/-/client?{urllib.parse.urlencode({'client': json.dumps(client)})}")

    def set_account(self, sub: str, username: str, roles: Iterable[str] = ()) -> None:
        """Give somebody a user name and roles."""
        claims = {"preferred_username": username, "realm_access": {"roles": list(roles)}}
        self._ask(f"/-/account?{urllib.parse.urlencode({'sub': sub, 'claims': json.dumps(claims)})}")

    def rotate(self, alg: Literal["RS256", "PS256", "ES256"] = "RS256", *, withdraw: bool = True) -> None:
        """Sign with a new key from now on, and withdraw the old ones or go on publishing them."""
        self._ask(f"/-/rotate?alg={alg}&withdraw={json.dumps(withdraw)}")

    def requests(self, path: str) -> int:
        """How often it was asked for a path (DISCOVERY, JWKS) since it started."""
        counts: dict[str, int] = self._ask("/-/requests")
        return counts.get(path, 0)

    def public_keys(self) -> list[dict[str, str]]:
        """The keys that it publishes, as JWK; counts as a request."""
        keys: list[dict[str, str]] = self._ask(JWKS)["keys"]
        return keys

    def _ask(self, path: str, form: Mapping[str, str] | None = None) -> Any:
        credentials = b64encode(b"tests:secret").decode()
        request = urllib.request.Request(  # noqa: S310  http or https
            f"{self.base_url}{path}",
            data=urllib.parse.urlencode(form).encode() if form else None,
            headers={"Authorization": f"Basic {credentials}"},
        )
        with self._opener.open(request, timeout=10) as answer:
            return json.load(answer)
