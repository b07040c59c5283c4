"""Failed attempts to get in, by address: from so many in a minute on each is answered later. An answer that
waits holds no thread, and only so many wait; whoever gets in waits for nothing. Of one event loop.
"""

import asyncio
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from typing import Final

from starlette.requests import Request

from worker.domain.throttle import find_delay, find_recent
from worker.web.answers import HttpProblem
from worker.web.connections import ConnectionLimits, name_peer
from worker.web.places import Places

_PEERS_MAX: Final = 10_000
_KEPT_MAX: Final = 100
"""Failures of a peer that are remembered beyond the first that waits: more change nothing."""
_WAITING_MAX: Final = 128
_WAITING_EACH: Final = 16
"""A part of the requests that one address may have under way: others behind it still get in."""


class Refusals:
    """`wait` and `now` are for tests."""

    def __init__(
        self,
        limits: ConnectionLimits,
        *,
        wait: Callable[[float], Awaitable[None]] = asyncio.sleep,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self._first = limits.failures
        self._wait = wait
        self._now = now
        self._by_peer: OrderedDict[str, list[float]] = OrderedDict()
        self._places = Places(most=_WAITING_MAX, each=_WAITING_EACH)

    async def hold(self, peer: str) -> None:
        """Notes a failed attempt, and waits before its answer. Where too many wait already, 429 at once."""
        now = self._now()
        failures = [*find_recent(self._by_peer.pop(peer, []), now), now][-(self._first + _KEPT_MAX) :]
        self._by_peer[peer] = failures
        if len(self._by_peer) > _PEERS_MAX:
            self._by_peer.popitem(last=False)
        delay = find_delay(len(failures), first=self._first)
        if not delay:
            return
        with self._places.hold(peer) as has_place:
            if not has_place:
                raise HttpProblem(
                    429, "too_many_failures", "too many failed attempts from this address", Retry_After="60"
                )
            await self._wait(delay)


async def hold_refusal(request: Request) -> None:
    """Before a failed attempt of this request is answered."""
    refusals: Refusals = request.app.state.refusals
    await refusals.hold(name_peer(request.scope.get("client")))
