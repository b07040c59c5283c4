"""Failed attempts to get in: which are answered later, how many wait, and who does not."""

import asyncio
from typing import Any

import pytest

from worker.domain.throttle import WINDOW_SECONDS, find_delay, find_recent
from worker.web.answers import HttpProblem
from worker.web.connections import ConnectionLimits
from worker.web.refusals import _PEERS_MAX, _WAITING_EACH, _WAITING_MAX, Refusals

LIMITS = ConnectionLimits()
FREE = LIMITS.failures


@pytest.mark.parametrize(
    ("failures", "seconds"), [(0, 0), (1, 0), (9, 0), (10, 1), (11, 1.5), (28, 10), (29, 10), (10**6, 10)]
)
def test_from_the_tenth_on_an_answer_comes_later(failures: int, seconds: float) -> None:
    assert find_delay(failures, first=FREE) == seconds


def test_a_failure_counts_for_a_minute() -> None:
    assert find_recent([0.0, 0.1, 59.0], 60.0) == [0.1, 59.0]


class Watch:
    """A clock of a test, and what waited by it."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.waited: list[float] = []
        self.let_go = asyncio.Event()
        self.let_go.set()
        self.refusals = Refusals(LIMITS, wait=self._wait, now=lambda: self.now)

    async def _wait(self, seconds: float) -> None:
        self.waited.append(seconds)
        await self.let_go.wait()


def test_one_address_slows_down_itself_alone() -> None:
    async def attempt() -> Watch:
        watch = Watch()
        for _ in range(FREE + 1):
            await watch.refusals.hold("192.0.2.1")
        await watch.refusals.hold("192.0.2.2")
        assert watch.waited == [1.0, 1.5]
        watch.now += WINDOW_SECONDS
        await watch.refusals.hold("192.0.2.1")
        return watch

    assert asyncio.run(attempt()).waited == [1.0, 1.5]


def test_only_so_many_answers_wait() -> None:
    """The others of the address are told so at once: they hold nothing either."""

    async def attempt(peers: list[str], each: int) -> list[Any]:
        watch = Watch()
        for peer in peers:
            for _ in range(FREE - 1):
                await watch.refusals.hold(peer)
        watch.let_go.clear()
        tasks = [asyncio.create_task(watch.refusals.hold(peer)) for peer in peers for _ in range(each)]
        await asyncio.sleep(0)  # each runs until it waits
        waiting = len(watch.waited)
        watch.let_go.set()
        ended = await asyncio.gather(*tasks, return_exceptions=True)
        told = [one.status for one in ended if isinstance(one, HttpProblem)]
        return [waiting, told]

    one = asyncio.run(attempt(["192.0.2.1"], _WAITING_EACH + 3))
    assert one == [_WAITING_EACH, [429] * 3]
    many = asyncio.run(attempt([f"192.0.2.{number}" for number in range(20)], 10))
    assert many == [_WAITING_MAX, [429] * (200 - _WAITING_MAX)]


def test_only_so_many_addresses_are_remembered() -> None:
    async def attempt() -> Refusals:
        refusals = Refusals(LIMITS)
        for number in range(_PEERS_MAX + 5):
            await refusals.hold(str(number))
        return refusals

    assert len(asyncio.run(attempt())._by_peer) == _PEERS_MAX
