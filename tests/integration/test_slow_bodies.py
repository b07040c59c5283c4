"""Callers whose bodies do not come, or come slowly: they are sent away, or take their own places alone."""

import select
import socket
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import pytest

from tests.ingress import Front, serve
from tests.open_door import (
    OTHER,
    PATH,
    OpenDoor,
    dial,
    health,
    send,
    status,
    under_way,
    write_head,
)
from vaultcore.crypto import apikeys
from worker.web.connections import ConnectionLimits

MANY = 256
PEERS = ("127.0.0.1", "127.0.0.2")
GOOD_PEER = "127.0.0.3"
BODY = ("Content-Type: application/json", "Content-Length: 1000")
EVER = 1000.0
"""More seconds than a test may take: what is not waited for is not waited for."""
SOON = 0.5


@contextmanager
def bodyless(front: Front, keys: list[str]) -> Iterator[list[socket.socket]]:
    """Callers in turn from two addresses, each of whom has sent a head and announced a body."""
    with ExitStack() as opened:
        callers = []
        for number, key in enumerate(keys):
            callers.append(opened.enter_context(dial(front, PEERS[number % 2])))
            callers[-1].sendall(write_head(key, *BODY))
        yield callers


def read_first(callers: list[socket.socket], number: int) -> list[int]:
    """The first so many answers, whoever is given them."""
    waiting = list(callers)
    answers: list[int] = []
    while len(answers) < number:
        ready = select.select(waiting, [], [], 60)[0]
        assert ready
        answers += [status(caller) for caller in ready]
        waiting = [caller for caller in waiting if caller not in ready]
    return answers


def call_well(front: Front, key: str, path: str = PATH) -> int:
    return send(front, "POST", path, GOOD_PEER, **{"X-API-Key": key})


def test_made_up_keys_are_refused_before_their_bodies_and_keep_nobody_out(door: OpenDoor) -> None:
    made_up = [apikeys.generate().expose() for _ in range(MANY)]
    limits = ConnectionLimits(
        head_seconds=EVER,
        waiting=MANY,
        waiting_per_peer=MANY,
        body_seconds=EVER,
        body_grace=EVER,
        failures=10 * MANY,
    )
    with serve(door.services, limits) as front, bodyless(front, made_up) as callers:
        assert call_well(front, door.key) == 200
        assert health(front, GOOD_PEER) == 200
        assert [status(caller) for caller in callers] == [401] * MANY


def test_they_keep_nobody_out_by_the_limits_that_serve_has(door: OpenDoor) -> None:
    made_up = [apikeys.generate().expose() for _ in range(MANY)]
    with serve(door.services) as front, bodyless(front, made_up):
        assert [call_well(front, door.key) for _ in range(3)] == [200] * 3
        assert [health(front, peer) for peer in (GOOD_PEER, *PEERS)] == [200] * 3


@pytest.mark.parametrize(("path", "expected"), [("/nothing", 404), ("/health", 405), (PATH, 401)])
def test_what_is_refused_is_refused_though_its_body_never_comes(
    door: OpenDoor, path: str, expected: int
) -> None:
    with (
        serve(door.services, ConnectionLimits(head_seconds=SOON, body_seconds=EVER)) as front,
        dial(front) as caller,
    ):
        caller.sendall(write_head("wfk_x", *BODY, path=path))
        assert status(caller) == expected
        assert caller.recv(1) == b"", "and the connection is closed, since the body does not come"


def test_who_is_refused_may_send_the_body_and_ask_again_on_the_same_connection(door: OpenDoor) -> None:
    with serve(door.services) as front, dial(front) as caller:
        for size in (1000, 900_000, 0):
            length = f"Content-Length: {size}"
            caller.sendall(write_head("wfk_x", length) + b"x" * size)
            assert status(caller) == 401
        caller.sendall(write_head(door.key))
        assert status(caller) == 200


def test_who_asks_before_the_body_is_refused_without_it_and_left(door: OpenDoor) -> None:
    with serve(door.services, ConnectionLimits(head_seconds=EVER)) as front, dial(front) as caller:
        caller.sendall(write_head("wfk_x", *BODY, "Expect: 100-continue"))
        assert status(caller) == 401
        assert caller.recv(1) == b""


def test_a_body_without_an_end_that_nobody_asked_for_is_cut_off(door: OpenDoor) -> None:
    with serve(door.services, ConnectionLimits(head_seconds=EVER)) as front, dial(front) as caller:
        caller.sendall(write_head("wfk_x", f"Content-Length: {10**12}"))
        assert status(caller) == 401
        with pytest.raises(ConnectionError):
            caller.sendall(bytes(1_000_000_000))


def test_a_stolen_key_takes_its_own_places_and_no_others(door: OpenDoor) -> None:
    """Two addresses with a good key may not take all places that wait for bodies, nor those of requests."""
    limits = ConnectionLimits(waiting=MANY, waiting_per_peer=MANY, body_seconds=EVER, body_grace=EVER)
    with serve(door.services, limits) as front, bodyless(front, [door.key] * MANY) as callers:
        assert read_first(callers, MANY - limits.bodies_each) == [503] * (MANY - limits.bodies_each)
        assert health(front, GOOD_PEER) == 200
        assert call_well(front, door.other_key, f"/workflows/sync/{OTHER}") == 200
        with under_way(front, door.other_key, GOOD_PEER, path=f"/workflows/sync/{OTHER}"):
            pass


@pytest.mark.parametrize(
    ("limits", "second_peer", "second_key"),
    [
        (ConnectionLimits(bodies_each=1), "127.0.0.1", "other_key"),
        (ConnectionLimits(bodies_each=1), "127.0.0.2", "key"),
        (ConnectionLimits(bodies=1), "127.0.0.2", "other_key"),
    ],
)
def test_so_many_bodies_are_waited_for_of_one_address_of_one_key_and_of_all(
    door: OpenDoor, limits: ConnectionLimits, second_peer: str, second_key: str
) -> None:
    with serve(door.services, limits) as front, under_way(front, door.key) as first:
        with dial(front, second_peer) as second:
            path = PATH if second_key == "key" else f"/workflows/sync/{OTHER}"
            second.sendall(write_head(getattr(door, second_key), *BODY, path=path))
            assert status(second) == 503
        first.sendall(b"{}")
        assert status(first) == 200
        with under_way(front, door.key):
            pass


def test_health_is_answered_while_every_other_place_is_taken(door: OpenDoor) -> None:
    with serve(door.services, ConnectionLimits(requests=1)) as front, under_way(front, door.key) as one:
        assert send(front, "POST", PATH, GOOD_PEER) == 503
        assert send(front, "GET", "/workflows/vault/nothing/jwks.json", GOOD_PEER) == 503
        assert [health(front), health(front, GOOD_PEER)] == [200, 200]
        assert [send(front, "GET", path) for path in ("/healthz", "/readyz")] == [200, 401], "nobody is busy"
        one.sendall(b"{}")
        assert status(one) == 200


def test_a_body_that_does_not_come_is_given_up_before_its_time(door: OpenDoor) -> None:
    with (
        serve(door.services, ConnectionLimits(body_seconds=EVER, body_grace=SOON)) as front,
        dial(front) as caller,
    ):
        caller.sendall(write_head(door.key, *BODY))
        assert status(caller) == 408
        assert caller.recv(1) == b""


def test_a_body_that_drips_is_given_up_however_long_it_goes_on(door: OpenDoor) -> None:
    limits = ConnectionLimits(body_seconds=EVER, body_grace=SOON, body_rate=1_000_000.0)
    with serve(door.services, limits) as front, dial(front) as caller:
        caller.sendall(write_head(door.key, "Content-Type: application/json", "Content-Length: 1000000"))
        _drip(caller)
        assert status(caller) == 408


def test_a_body_that_comes_at_the_rate_has_its_time_and_no_more(door: OpenDoor) -> None:
    limits = ConnectionLimits(body_seconds=SOON * 3, body_grace=EVER)
    with serve(door.services, limits) as front, dial(front) as caller:
        caller.sendall(write_head(door.key, "Content-Type: application/json", "Content-Length: 1000000"))
        _drip(caller)
        assert status(caller) == 408


def test_a_body_in_pieces_that_come_in_time_is_taken(door: OpenDoor) -> None:
    limits = ConnectionLimits(body_seconds=EVER, body_grace=EVER)
    with serve(door.services, limits) as front, under_way(front, door.key) as caller:
        for piece in (b"{", b"}"):
            caller.sendall(piece)
            assert health(front) == 200
        assert status(caller) == 200


def _drip(caller: socket.socket) -> None:
    """Sends a blank again and again until there is an answer."""
    caller.settimeout(SOON / 10)
    for _ in range(10_000):
        caller.sendall(b" ")
        try:
            caller.recv(1, socket.MSG_PEEK)
        except TimeoutError:
            continue
        break
    caller.settimeout(120)
