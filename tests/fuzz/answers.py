"""What the services that are called answer: whole answers of HTTP, to a rotator that asks for a new token."""

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from functools import partial
from pathlib import Path

from hypothesis import strategies as st

from tests.fuzz.mutating import SEEDS, json_texts, texts
from tests.fuzz.surfaces import Surface
from tests.http_rotator import ROTATOR, make_job
from tests.ways_out import NETWORK
from vaultcore.secret import Secret
from worker.outbound import HttpClient

_STEPS = ("issue", "find", "verify", "revoke")
_PATIENCE = 60
_SECONDS = 3.0
"""Of a call: what is accepted, to be done later, is asked after for so long."""


class _Teller:
    """Answers each connection with what it was told to, and hangs up."""

    admin_token = "the-admin-token-of-the-test"

    def __init__(self) -> None:
        self.answer = b""
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def close(self) -> None:
        self._listener.close()

    def _serve(self) -> None:
        with suppress(OSError):
            while True:
                line, _ = self._listener.accept()
                line.settimeout(_PATIENCE)
                with line, suppress(OSError):
                    _read_request(line)
                    line.sendall(self.answer)
                    line.shutdown(socket.SHUT_WR)
                    line.recv(1)


def _read_request(line: socket.socket) -> None:
    received = b""
    while b"\r\n\r\n" not in received and (piece := line.recv(65_536)):
        received += piece
    head, _, body = received.partition(b"\r\n\r\n")
    announced = [part for part in head.lower().split(b"\r\n") if part.startswith(b"content-length:")]
    missing = int(announced[0].split(b":")[1]) - len(body) if announced else 0
    while missing > 0 and (piece := line.recv(65_536)):
        missing -= len(piece)


@contextmanager
def open_answers(_folder: Path) -> Iterator[Surface]:
    teller = _Teller()
    given = SEEDS["answers"]
    try:
        yield Surface(
            inputs=st.tuples(texts(**given["heads"]), json_texts(**given["bodies"]), st.sampled_from(_STEPS)),
            take=partial(_ask, teller),
        )
    finally:
        teller.close()


def _ask(teller: _Teller, given: tuple[str, str, str]) -> object:
    head, body, step = given
    content = body.encode("utf-8", "surrogatepass")
    announced = "" if "chunked" in head else f"Content-Length: {len(content)}\r\n"
    teller.answer = f"{head}{announced}Connection: close\r\n\r\n".encode("utf-8", "replace") + content
    value = Secret("the-new-value-of-a-token")
    job = replace(
        make_job(teller, old=value, external={"id": "tok_0"}), http=HttpClient(NETWORK, timeout=_SECONDS)
    )
    match step:
        case "issue":
            return ROTATOR.create(job)
        case "find":
            return ROTATOR.undo(job)
        case "verify":
            return ROTATOR.verify(job, value)
    return ROTATOR.revoke(job)
