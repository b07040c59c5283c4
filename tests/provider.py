"""An identity provider for tests: a real one, in a thread, whose users and keys the test says."""

import base64
import hashlib
import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

import flask
import httpx
import oidc_provider_mock
from joserfc import jwk
from werkzeug.serving import WSGIRequestHandler, make_server


@dataclass
class Provider:
    """Where it is, and how its users stand. It demands PKCE. `spoil`: what it does with a code's challenge."""

    url: str = ""
    spoil: Callable[[str], str] = str
    challenges: dict[str, str] = field(default_factory=dict)

    def set_user(self, subject: str, **claims: Any) -> None:
        httpx.put(f"{self.url}/users/{subject}", json=claims, timeout=120).raise_for_status()

    def authorize(self, address: str, subject: str) -> str:
        """Somebody signs in there, where a browser was sent to: the address to which it is sent back."""
        answer = httpx.post(address, data={"sub": subject}, timeout=120)
        assert answer.status_code == 302, answer.text
        return answer.headers["Location"]

    def deny(self, address: str) -> str:
        return httpx.post(address, data={"action": "deny"}, timeout=120).headers["Location"]

    def keep_challenge(self, response: flask.Response) -> flask.Response:
        """Of each code that it gives."""
        code = parse_qs(urlsplit(response.headers.get("Location", "")).query).get("code")
        if code is not None:
            assert flask.request.args["code_challenge_method"] == "S256"
            self.challenges[code[0]] = self.spoil(flask.request.args["code_challenge"])
        return response

    def check_verifier(self) -> flask.Response | None:
        """Where a code is redeemed (RFC 7636, section 4.6)."""
        if flask.request.path != "/oauth2/token":
            return None
        digest = hashlib.sha256(flask.request.form["code_verifier"].encode()).digest()
        proof = base64.urlsafe_b64encode(digest).decode().rstrip("=")
        if self.challenges.pop(flask.request.form["code"], None) == proof:
            return None
        return flask.make_response({"error": "invalid_grant"}, 400)


@contextmanager
def start_provider() -> Iterator[Provider]:
    provider, app = Provider(), oidc_provider_mock.app(require_nonce=True)
    app.before_request(provider.check_verifier)
    app.after_request(provider.keep_challenge)
    server = make_server("localhost", 0, app, threaded=True, request_handler=_Quiet)
    provider.url = f"http://localhost:{server.server_port}"
    with _serving(server):
        yield provider


class _Quiet(WSGIRequestHandler):
    def log(self, *_: object) -> None:
        pass


@contextmanager
def _serving(server: Any) -> Iterator[None]:
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


@dataclass
class Issuer:
    """Publishes what a provider says of itself, and its keys, and counts how often each is asked for."""

    keys: list[dict[str, Any]] = field(default_factory=list)
    asked: list[str] = field(default_factory=list)
    fails: bool = False
    url: str = ""

    def publish(self, *keys: jwk.Key) -> None:
        self.keys = [dict(key.as_dict(private=False)) for key in keys]

    def answer(self, path: str) -> dict[str, Any]:
        if path == "/keys":
            return {"keys": self.keys}
        return {
            "issuer": self.url,
            "authorization_endpoint": f"{self.url}/authorize",
            "token_endpoint": f"{self.url}/token",
            "jwks_uri": f"{self.url}/keys",
        }


@contextmanager
def start_issuer() -> Iterator[Issuer]:
    issuer = Issuer()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            issuer.asked.append(self.path)
            body = json.dumps(issuer.answer(self.path)).encode()
            self.send_response(503 if issuer.fails else 200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    issuer.url = f"http://127.0.0.1:{server.server_port}"
    with _serving(server):
        yield issuer
