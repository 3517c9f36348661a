"""An OpenID Connect provider of the drill: its keys, and access tokens that they sign."""

from __future__ import annotations

import json
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import jwt
from cryptography.hazmat.primitives.asymmetric import rsa

from orthancproxy.sandbox.orthanc import free_port

AUDIENCE = "orthanc-gateway"
_KEY_ID = "drill"


class Provider:
    """Serves its discovery document and its keys while it runs; each time on the same port, with the same key."""

    def __init__(self) -> None:
        self._key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
        self.port = free_port()
        self._server: ThreadingHTTPServer | None = None

    @property
    def issuer(self) -> str:
        """Its `iss`."""
        return f"http://127.0.0.1:{self.port}"

    def token(self, username: str, role: str, seconds: float) -> str:
        """Return an access token."""
        now = int(time.time())
        claims = {
            "iss": self.issuer,
            "aud": AUDIENCE,
            "sub": username,
            "preferred_username": username,
            "realm_access": {"roles": [role]},
            "iat": now,
            "exp": now + int(seconds),
        }
        return jwt.encode(claims, self._key, algorithm="RS256", headers={"kid": _KEY_ID, "typ": "at+jwt"})

    def start(self) -> None:
        """Serve."""
        key = json.loads(jwt.algorithms.RSAAlgorithm.to_jwk(self._key.public_key()))
        documents = {
            "/.well-known/openid-configuration": {"issuer": self.issuer, "jwks_uri": f"{self.issuer}/jwks"},
            "/jwks": {"keys": [{**key, "kid": _KEY_ID, "use": "sig", "alg": "RS256"}]},
        }

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                body = json.dumps(documents.get(self.path)).encode()
                self.send_response(200 if self.path in documents else 404)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: object) -> None:
                """Write nothing."""

        self._server = ThreadingHTTPServer(("127.0.0.1", self.port), Handler)
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def stop(self) -> None:
        """Refuse connections."""
        if self._server:
            self._server.shutdown()
            self._server.server_close()
            self._server = None
