"""Connections that stay open from one call to the next: whose, how long, and what comes of one that breaks."""

import os
import socket
import socketserver
import ssl
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, nullcontext
from pathlib import Path
from typing import Any, Self

import pytest

from tests.certificates import make_certificate
from tests.integration.http_server import serve
from tests.ways_out import HTTP, LOOPBACK, NETWORK
from vaultcore.errors import Cause, ConflictError, TargetError
from vaultcore.secret import Secret
from worker.domain.guard import build_guard
from worker.outbound import HttpClient, Network, open_store, permitted_by, sessions, sessions_kept
from worker.outbound.sessions import AT_ONE_TARGET_MAX, MAX, SessionKey, forget_sessions_of, share
from worker.outbound.transport import HttpLine
from worker.rotators.base import Job
from worker.rotators.discreet import make_discreet
from worker.rotators.http import HttpRotator

PATIENCE = 120.0
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}"
HANG_UP = b""
Say = Callable[[int], bytes]


class KeepAlive(socketserver.ThreadingTCPServer):
    """Answers requests without a body, the first with `say(1)`, and stays on the line unless it says nothing.

    `lines` has for each connection how many requests came on it, `open` those that are not over.
    """

    daemon_threads = True

    def __init__(self, say: Say = lambda _: OK) -> None:
        self.lines: list[int] = []
        self.open: set[int] = set()
        self._sockets: list[socket.socket] = []
        self.changed = threading.Condition()
        server = self

        class Handler(socketserver.StreamRequestHandler):
            def handle(self) -> None:
                with server.changed:
                    number = len(server.lines)
                    server.lines.append(0)
                    server.open.add(number)
                    server._sockets.append(self.connection)
                try:
                    while self.rfile.readline():
                        while self.rfile.readline().strip():
                            pass
                        with server.changed:
                            server.lines[number] += 1
                            said = say(sum(server.lines))
                        if said == HANG_UP:
                            return
                        self.wfile.write(said)
                finally:
                    with server.changed:
                        server.open.discard(number)
                        server.changed.notify_all()

        super().__init__(("127.0.0.1", 0), Handler)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}/"

    def hang_up(self) -> None:
        for each in self._sockets:
            each.shutdown(socket.SHUT_RDWR)

    def wait_until(self, is_so: Callable[[], bool]) -> bool:
        with self.changed:
            return self.changed.wait_for(is_so, PATIENCE)

    def __enter__(self) -> Self:
        threading.Thread(target=self.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self.shutdown()
        self.server_close()


@pytest.fixture
def server() -> Iterator[KeepAlive]:
    with KeepAlive() as started:
        yield started


@pytest.fixture
def unhurried(monkeypatch: pytest.MonkeyPatch) -> None:
    """However slow this machine is, nothing is idle for too long."""
    monkeypatch.setattr(HttpLine, "idle_seconds", 10 * PATIENCE)
    monkeypatch.setattr(sessions, "AGE_MAX_SECONDS", 10 * PATIENCE)


def ask(url: str, who: str = "a", *, http: HttpClient = HTTP, method: str = "GET", **given: Any) -> int:
    return http.request(method, url, headers={"Authorization": f"Bearer {who}"}, **given).status


def fail(url: str, **given: Any) -> TargetError:
    with pytest.raises(TargetError) as caught:
        ask(url, **given)
    return caught.value


# For whom


@pytest.mark.usefixtures("unhurried")
def test_one_connection_serves_all_calls_of_one_principal_and_is_closed_at_the_end(server: KeepAlive) -> None:
    with sessions_kept():
        for _ in range(2):
            with sessions_kept():  # each of several drives
                assert [ask(server.url) for _ in range(2)] == [200, 200]
        assert server.lines == [4]
        assert server.open
    assert server.wait_until(lambda: not server.open)


def test_without_anybody_who_keeps_them_each_call_has_a_connection_of_its_own(server: KeepAlive) -> None:
    assert [ask(server.url) for _ in range(3)] == [200] * 3
    assert server.lines == [1, 1, 1]


@pytest.mark.usefixtures("unhurried")
@pytest.mark.parametrize(
    "other",
    [{"Authorization": "Bearer b"}, {"Cookie": "b"}, {"X-Api-Key": "b"}, {}, {"Host": "b.example.org"}],
    ids=lambda other: "-".join(other) or "nobody",
)
def test_no_principal_uses_the_connection_of_another(server: KeepAlive, other: dict[str, str]) -> None:
    with sessions_kept():
        for headers in ({"Authorization": "Bearer a"}, other) * 2:
            HTTP.request("GET", server.url, headers=headers)
    assert server.lines == [2, 2]


@pytest.mark.usefixtures("unhurried")
def test_a_login_in_the_url_is_a_principal_and_what_is_accepted_is_none(server: KeepAlive) -> None:
    with sessions_kept():
        for login in ("a:b@", "a:c@", "a:b@"):
            HTTP.request("GET", server.url.replace("127", f"{login}127"), headers={"Accept": login})
    assert server.lines == [2, 1]


@pytest.mark.usefixtures("unhurried")
def test_what_another_way_out_let_pass_is_not_used(server: KeepAlive) -> None:
    """A guard that forbids the address is asked, though a connection to it is open."""
    with sessions_kept():
        ask(server.url)
        assert fail(server.url, http=HttpClient(Network())).cause is Cause.MISTAKE
        ask(server.url, http=HttpClient(Network(build_guard((), LOOPBACK))))
    assert server.lines == [1, 1]


@pytest.mark.usefixtures("unhurried")
def test_permission_is_asked_for_before_each_call_also_on_an_open_connection(server: KeepAlive) -> None:
    asked = []

    def permit() -> None:
        asked.append(sum(server.lines))
        if len(asked) > 2:
            raise ConflictError("taken over")

    with sessions_kept(), permitted_by(permit):
        assert [ask(server.url) for _ in range(2)] == [200, 200]
        with pytest.raises(ConflictError, match="taken over"):
            ask(server.url)
    assert asked == [0, 1, 2]
    assert server.lines == [2]


class OwnRotator(HttpRotator):
    """Somebody's, who knows nothing of sessions."""

    def verify(self, job: Job, value: Secret) -> str:  # the contract's
        return self.install(job)

    def install(self, job: Job) -> str:
        return str([job.http.request("GET", job.item).status for _ in range(2)])


@pytest.mark.usefixtures("unhurried")
def test_no_rotator_proves_a_value_on_a_connection_that_was_kept(server: KeepAlive) -> None:
    rotator = make_discreet(OwnRotator(), apart=nullcontext)
    job = Job(
        label="nightkey-rot_1",
        item=server.url,
        settings=OwnRotator.Settings.model_validate(OwnRotator.example),
        old=Secret("old-value"),
        new=Secret("new-value"),
        old_external={},
        new_external={},
        values={},
        http=HTTP,
        network=NETWORK,
    )
    with sessions_kept():
        rotator.install(job)
        rotator.verify(job, Secret("new-value"))
        rotator.install(job)
    assert server.lines == [4, 1, 1]


@pytest.mark.usefixtures("unhurried")
def test_over_tls_one_handshake_serves_them_all(tmp_path: Path) -> None:
    certificate = tmp_path / "certificate.pem"
    make_certificate(certificate, tmp_path / "key.pem")
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(certificate, tmp_path / "key.pem")
    http = HttpClient(Network(build_guard((), LOOPBACK), ca_file=certificate))
    with serve(tls) as server, sessions_kept():
        url = f"https://{server.host}/echo"
        assert {ask(url, http=http) for _ in range(3)} == {200}
        assert len({port for *_, port in server.seen}) == 1


# How long, how many


def test_what_nobody_uses_is_closed_before_long_by_itself(server: KeepAlive) -> None:
    with sessions_kept():
        ask(server.url)
        assert server.wait_until(lambda: not server.open)
        ask(server.url)
    assert server.lines == [1, 1]


def test_none_lives_longer_than_its_age(server: KeepAlive, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(HttpLine, "idle_seconds", 10 * PATIENCE)
    monkeypatch.setattr(sessions, "AGE_MAX_SECONDS", 0.0)
    with sessions_kept():
        assert [ask(server.url) for _ in range(2)] == [200, 200]
        assert server.wait_until(lambda: not server.open)
    assert server.lines == [1, 1]


@pytest.mark.usefixtures("unhurried")
def test_few_are_kept_for_each_target_and_in_all(server: KeepAlive) -> None:
    with sessions_kept():
        for number in range(AT_ONE_TARGET_MAX + 3):
            ask(server.url, str(number))
        assert server.wait_until(lambda: len(server.open) == AT_ONE_TARGET_MAX)
        assert server.open == set(range(3, AT_ONE_TARGET_MAX + 3))  # who was there last
        targets = [KeepAlive().__enter__() for _ in range(MAX)]
        for target in targets:
            ask(target.url)
        assert server.wait_until(lambda: not server.open)
        assert all(target.open for target in targets)
    for target in targets:
        target.__exit__()


@pytest.mark.usefixtures("unhurried")
def test_who_makes_more_calls_at_once_keeps_more_and_none_beyond_that(server: KeepAlive) -> None:
    most = MAX + 4
    with closing(open_store(at_one_target=most, in_all=most)) as store:
        with sessions_kept(store):
            for number in range(most + 2):
                ask(server.url, str(number))
        assert server.wait_until(lambda: len(server.open) == most)
        assert server.open == set(range(2, most + 2))
    assert server.wait_until(lambda: not server.open)


class KeptDouble:
    """A session that says whether it is closed."""

    idle_seconds = 600.0

    def __init__(self) -> None:
        self.opened_at = time.monotonic()
        self.is_closed = False

    def begin(self) -> None:
        """Nothing is to be made ready."""

    def is_usable(self) -> bool:
        return not self.is_closed

    def close(self) -> None:
        self.is_closed = True


@pytest.mark.parametrize(("forgotten", "ends"), [("admin", True), ("orders", False)])
def test_one_that_is_at_work_while_its_principal_is_forgotten_is_not_kept(
    forgotten: str, *, ends: bool
) -> None:
    key = SessionKey(kind="ssh", way=NETWORK, host="a", port=22, principal="admin", credential=b"")
    with sessions_kept():
        with share(key, KeptDouble, KeptDouble.begin) as session:
            forget_sessions_of("ssh", forgotten)
        assert session.is_closed is ends
        with share(key, KeptDouble, KeptDouble.begin) as again:
            pass
        assert (again is session, again.is_closed) == (not ends, False)
    assert again.is_closed


def test_who_was_forgotten_long_ago_is_not_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    """A worker replaces more credentials in its life than it could keep names of."""
    monkeypatch.setattr(sessions, "AGE_MAX_SECONDS", 0.0)
    store = sessions.open_store()
    for number in range(100):
        store.forget("ssh", f"user-{number}")
    assert len(store._forgotten) <= 2
    store.close()


# What breaks


@pytest.mark.usefixtures("unhurried")
def test_a_connection_that_the_server_has_closed_meanwhile_is_not_used_again(server: KeepAlive) -> None:
    with sessions_kept():
        assert ask(server.url) == 200
        server.hang_up()
        assert server.wait_until(lambda: not server.open)
        assert ask(server.url, method="POST") == 200
    assert server.lines == [1, 1]


@pytest.mark.usefixtures("unhurried")
def test_a_connection_is_left_where_the_server_says_that_it_ends() -> None:
    closing = OK.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n")
    with KeepAlive(lambda _: closing) as server, sessions_kept():
        assert [ask(server.url) for _ in range(2)] == [200, 200]
        assert server.lines == [1, 1]


@pytest.mark.usefixtures("unhurried")
@pytest.mark.parametrize("method", ["GET", "POST"])
def test_a_call_without_an_answer_on_an_open_connection_may_have_arrived_and_is_not_sent_twice(
    method: str,
) -> None:
    with KeepAlive(lambda number: HANG_UP if number == 2 else OK) as server, sessions_kept():
        ask(server.url)
        error = fail(server.url, method=method)
        assert (error.cause, error.acted) == (Cause.OUTAGE, True)
        assert server.lines == [2]
        assert ask(server.url, method=method) == 200
    assert server.lines == [2, 1]


REPEATING = HttpClient(NETWORK, may_repeat=True)


@pytest.mark.usefixtures("unhurried")
def test_what_may_arrive_twice_is_sent_anew_where_an_open_connection_breaks_off() -> None:
    with KeepAlive(lambda number: HANG_UP if number == 2 else OK) as server, sessions_kept():
        assert [ask(server.url, http=REPEATING, method="POST") for _ in range(2)] == [200, 200]
        assert server.lines == [2, 1]


@pytest.mark.usefixtures("unhurried")
def test_it_is_sent_anew_once_and_on_a_new_connection_never() -> None:
    with KeepAlive(lambda number: OK if number == 1 else HANG_UP) as server, sessions_kept():
        ask(server.url, http=REPEATING)
        for lines in ([2, 1], [2, 1, 1]):
            assert fail(server.url, http=REPEATING, method="POST").cause is Cause.OUTAGE
            assert server.lines == lines


@pytest.mark.usefixtures("unhurried")
def test_what_comes_after_an_answer_is_not_taken_for_the_next_one() -> None:
    forged = b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n"
    with KeepAlive(lambda number: OK + (forged if number == 1 else b"")) as server, sessions_kept():
        assert [ask(server.url) for _ in range(3)] == [200] * 3
    assert server.lines == [1, 2]


@pytest.mark.usefixtures("unhurried")
def test_an_answer_that_is_not_read_to_its_end_ends_the_connection() -> None:
    long = b"HTTP/1.1 200 OK\r\nContent-Length: 20\r\n\r\n" + b"x" * 20
    http = HttpClient(NETWORK, max_bytes=10)
    with KeepAlive(lambda number: long if number == 2 else OK) as server, sessions_kept():
        ask(server.url, http=http)
        assert fail(server.url, http=http).cause is Cause.MISTAKE
        assert ask(server.url, http=http) == 200
        assert server.lines == [2, 1]


@pytest.mark.usefixtures("unhurried")
def test_each_call_on_a_connection_has_its_own_deadline() -> None:
    with serve() as server, sessions_kept():
        ask(f"{server.url}/echo", timeout=PATIENCE)
        begun = time.monotonic()
        error = fail(f"{server.url}/silence", timeout=0.2)
        assert time.monotonic() - begun < PATIENCE
        assert "did not answer in 0.2 seconds" in str(error)
        assert ask(f"{server.url}/echo", timeout=PATIENCE) == 200
        assert len({port for *_, port in server.seen}) == 2


# A fork

_FORKING = """
import os, sys
from tests.ways_out import HTTP
from worker.outbound import sessions_kept
from worker.outbound.transport import HttpLine
HttpLine.idle_seconds, url = 600.0, sys.argv[1]
ask = lambda: HTTP.request("GET", url).status
with sessions_kept():
    ask()
    child = os.fork()
    if child == 0:
        with sessions_kept():
            ask()
    else:
        assert os.waitpid(child, 0)[1] == 0
        ask()
"""


def test_a_forked_process_uses_none_of_its_parents_and_closes_none(server: KeepAlive) -> None:
    root = Path(__file__).parents[2]
    begun = [sys.executable, "-c", _FORKING, server.url]
    subprocess.run(begun, check=True, cwd=root, timeout=PATIENCE, env=os.environ | {"PYTHONPATH": str(root)})
    assert server.lines == [2, 1]
