"""Callers that connect and say nothing, or too little, or too much at once: they shut nobody else out."""

import socket
import threading
from contextlib import ExitStack, suppress

import pytest
from starlette.types import Receive, Scope, Send

from tests.ingress import Front, serve, serve_app
from tests.open_door import PATH, OpenDoor, dial, health, send, status, under_way
from worker.web.app import build_app
from worker.web.connections import ConnectionLimits, name_peer

MANY = 400
"""More than may wait, and more than may be under way, by the limits that `nightkey serve` has."""
SOON = 1.0
SEND_MB = 50
"""More than what all buffers between hold."""
HEAD = b"POST /workflows/sync/nobody HTTP/1.1\r\nHost: x\r\n"
WHOLE = b"GET /health HTTP/1.1\r\nHost: x\r\n\r\n"


def is_closed(caller: socket.socket) -> bool:
    """Waits for what comes: nothing more, ever, or something."""
    try:
        return caller.recv(1) == b""
    except ConnectionError:
        return True


def count_rest(caller: socket.socket) -> int:
    """The bytes that still come, until the connection ends or breaks."""
    total = 0
    with suppress(ConnectionError):
        while piece := caller.recv(1_000_000):
            total += len(piece)
    return total


def drip(caller: socket.socket, text: bytes) -> None:
    """Sends it again and again, a little at a time, until nobody takes it; not for ever."""
    caller.settimeout(SOON / 10)
    for _ in range(1000):
        try:
            caller.sendall(text)
            if caller.recv(1) == b"":
                return
        except TimeoutError:
            continue
        except ConnectionError:
            return
    raise AssertionError("still open")


@pytest.mark.parametrize("peers", [1, MANY])
def test_many_silent_connections_shut_nobody_out(door: OpenDoor, peers: int) -> None:
    with serve(door.services) as front, ExitStack() as silent:
        for number in range(MANY):
            silent.enter_context(dial(front, f"127.0.{number % peers // 250}.{number % peers % 250 + 1}"))
        assert [health(front) for _ in range(3)] == [200] * 3
        assert health(front, "127.0.9.9") == 200


def test_a_connection_that_says_nothing_is_closed(door: OpenDoor) -> None:
    with serve(door.services, ConnectionLimits(head_seconds=SOON)) as front, ExitStack() as silent:
        callers = [silent.enter_context(dial(front)) for _ in range(20)]
        callers[0].sendall(HEAD)
        assert all(is_closed(caller) for caller in callers)


def test_a_head_that_drips_is_not_waited_for_however_long_it_goes_on(door: OpenDoor) -> None:
    with serve(door.services, ConnectionLimits(head_seconds=SOON)) as front, dial(front) as caller:
        caller.sendall(HEAD)
        drip(caller, b"X-Drip: x\r\n")


def test_the_next_head_has_no_more_time_than_the_first(door: OpenDoor) -> None:
    with serve(door.services, ConnectionLimits(head_seconds=SOON)) as front, dial(front) as caller:
        caller.sendall(WHOLE)
        assert status(caller) == 200
        drip(caller, b"G")


def test_a_body_that_nobody_asked_for_is_not_read_for_ever(door: OpenDoor) -> None:
    with serve(door.services, ConnectionLimits(head_seconds=SOON)) as front, dial(front) as caller:
        caller.sendall(WHOLE[:-2] + b"Content-Length: 1000000\r\n\r\n")
        assert status(caller) == 200
        drip(caller, b"x")


def test_a_connection_is_used_again_and_again_within_its_time(door: OpenDoor) -> None:
    with serve(door.services, ConnectionLimits(waiting=1, waiting_per_peer=1)) as front, dial(front) as caller:
        for _ in range(5):
            caller.sendall(WHOLE)
            assert status(caller) == 200


def test_a_request_under_way_is_never_put_out(door: OpenDoor) -> None:
    limits = ConnectionLimits(head_seconds=SOON, waiting=1, waiting_per_peer=1)
    with serve(door.services, limits) as front, under_way(front, door.key) as caller, dial(front) as silent:
        assert is_closed(silent), "the time of both is over"
        with dial(front) as first, dial(front) as second:
            assert is_closed(first)
            assert is_closed(second)
        caller.sendall(b"{}")
        assert status(caller) == 200


def test_a_peer_that_waits_too_often_loses_its_own_first_place_and_nobody_elses(door: OpenDoor) -> None:
    with (
        serve(door.services, ConnectionLimits(waiting_per_peer=2)) as front,
        dial(front, "127.0.0.2") as other,
        dial(front) as first,
        dial(front) as second,
        dial(front) as third,
    ):
        assert is_closed(first)
        for caller in (other, second, third):
            caller.sendall(WHOLE)
            assert status(caller) == 200


def test_many_who_come_at_once_with_their_requests_are_all_answered(door: OpenDoor) -> None:
    with ExitStack() as together:
        callers = []

        def come(front: Front) -> None:
            for _ in range(100):
                callers.append(together.enter_context(dial(front)))
                callers[-1].sendall(WHOLE)

        with serve_app(build_app(door.services), ConnectionLimits(waiting=2, waiting_per_peer=2), before=come):
            assert [status(caller) for caller in callers] == [200] * 100


def test_beyond_so_many_requests_of_one_peer_it_is_told_to_come_later(door: OpenDoor) -> None:
    with (
        serve(door.services, ConnectionLimits(requests_per_peer=2)) as front,
        under_way(front, door.key) as one,
    ):
        with under_way(front, door.key):
            refused = front.send("POST", PATH)
            assert (refused.status, refused.body["code"]) == (503, "busy")
            assert (refused.headers["retry-after"], refused.headers["connection"]) == ("5", "close")
            assert send(front, "POST", PATH, "127.0.0.2") == 401
        one.sendall(b"{}")
        assert status(one) == 200
        assert send(front, "POST", PATH) == 401


def test_beyond_so_many_requests_of_all_everybody_is_told_to_come_later(door: OpenDoor) -> None:
    with serve(door.services, ConnectionLimits(requests=1)) as front, under_way(front, door.key) as one:
        assert send(front, "POST", PATH, "127.0.0.2") == 503
        one.sendall(b"{}")
        assert status(one) == 200
        assert send(front, "POST", PATH, "127.0.0.2") == 401


def test_an_answer_that_its_caller_does_not_take_is_given_up() -> None:
    given_up = threading.Event()

    async def pour(_: Scope, __: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200})
        for _number in range(SEND_MB):
            await send({"type": "http.response.body", "body": bytes(1_000_000), "more_body": True})
        given_up.set()

    with serve_app(pour, ConnectionLimits(send_seconds=SOON)) as front, dial(front) as caller:
        caller.sendall(WHOLE)
        assert given_up.wait(120)
        assert count_rest(caller) < SEND_MB * 1_000_000


@pytest.mark.parametrize(
    ("client", "peer"),
    [
        (("192.0.2.7", 1), "192.0.2.7"),
        (("::ffff:192.0.2.7", 1), "192.0.2.7"),
        (("2001:db8:1:2:3:4:5:6", 1), "2001:db8:1:2::/64"),
        (("2001:db8:1:2::9", 1), "2001:db8:1:2::/64"),
        (("fe80::1%eth0", 1), "fe80::/64"),
        (("", 1), ""),
        (None, ""),
    ],
)
def test_a_peer_is_known_by_what_it_cannot_choose(client: tuple[str, int] | None, peer: str) -> None:
    assert name_peer(client) == peer
