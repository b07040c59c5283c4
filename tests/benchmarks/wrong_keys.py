"""Whether the time to a 401 tells one kind of wrong key from another: `make bench` prints it.

Calls of all kinds in turn, over one connection to a real server, with a key of nobody, one that opens another
workflow, one that was revoked and one that has lapsed. For each pair: how far their medians are apart, and
the noise, which is how far apart the medians of two halves of one kind are. Ends with 1 where a pair is further
apart.
"""

import argparse
import http.client
import statistics
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from datetime import timedelta
from itertools import combinations
from pathlib import Path

from sqlalchemy import Connection

from tests.conftest import Clock
from tests.ingress import PATIENT, Front, define, serve
from tests.services.staging import make_services
from vaultcore.crypto import apikeys
from vaultcore.model import Policy
from worker.bootstrap import Services

ORDERS, OTHER, REVOKED, EXPIRED = (f"api-key:prod-{name}" for name in ("orders", "other", "revoked", "expired"))
ADD = {"id": "sum", "componentId": "data_mapper", "mapping": {"sum": "{{ webhook_payload.amount }}"}}


def build(services: Services, clock: Clock) -> dict[str, str]:
    """Workflows of one form, each with a key of its own; one key of each kind but those of nobody."""
    made = {}
    with services.database.write() as connection:
        owner = services.owners.create(connection, "support", actor="bench")
        for name in (ORDERS, OTHER, REVOKED, EXPIRED):
            made[name] = services.vault.create(
                connection,
                name=name,
                value=None,
                owner_ids=(owner.id,),
                expires_at=clock() + timedelta(days=1) if name == EXPIRED else None,
                policy=Policy(),
                actor="bench",
            )
    services.runs.documents.apply(
        [define(name.rpartition("-")[2], "api_trigger", name, ADD) for name in made], actor="bench"
    )
    clock.advance(timedelta(days=2))
    with services.database.write() as connection:
        revoke(services, connection, made[REVOKED].item.id)
    keys = {"another's": OTHER, "revoked": REVOKED, "expired": EXPIRED}
    given = {kind: made[name].key for kind, name in keys.items()}
    return {kind: key.expose() for kind, key in given.items() if key is not None}


def revoke(services: Services, connection: Connection, item_id: str) -> None:
    """Its first key, as at the end of a rotation."""
    new = services.versions.begin_pending(connection, item_id, actor="bench")
    services.versions.fill_pending(
        connection, item_id, new, apikeys.generate(), expires_at=None, external={}, actor="bench"
    )
    services.versions.activate(connection, item_id, new=new, old=1, actor="bench")
    services.versions.destroy(connection, item_id, 1, actor="bench", reason="a benchmark")


def measure(front: Front, keys: Mapping[str, str], calls: int) -> dict[str, list[float]]:
    """Microseconds of each call. Every key of nobody is another one."""
    taken: dict[str, list[float]] = {kind: [] for kind in ("unknown", *keys)}
    connection = front.connect()
    for _ in range(calls):
        for kind, times in taken.items():
            times.append(_call(connection, keys.get(kind) or apikeys.generate().expose()))
    connection.close()
    return taken


def _call(connection: http.client.HTTPConnection, key: str) -> float:
    began = time.perf_counter()
    connection.request("POST", "/workflows/sync/orders", headers={"X-API-Key": key})
    response = connection.getresponse()
    response.read()
    assert response.status == 401
    return (time.perf_counter() - began) * 1_000_000


def noise_of(times: Sequence[float]) -> float:
    """How far the median of one half of the calls is from that of the other, at most, over ways to halve them.

    The calls in between belong to the other kind, so that both halves saw the same machine.
    """
    ways = (1, 2, 5, 10, 20, 50, 100, 200)
    return max(abs(_difference(times, way)) for way in ways)


def _difference(times: Sequence[float], way: int) -> float:
    halves: tuple[list[float], list[float]] = ([], [])
    for number, one in enumerate(times):
        halves[number // way % 2].append(one)
    return statistics.median(halves[0]) - statistics.median(halves[1])


def judge(taken: Mapping[str, Sequence[float]]) -> list[tuple[str, str, float, float]]:
    """Each pair of kinds, how far their medians are apart, and the noise of the two."""
    noise = {kind: noise_of(times) for kind, times in taken.items()}
    medians = {kind: statistics.median(times) for kind, times in taken.items()}
    return [
        (one, other, abs(medians[one] - medians[other]), max(noise[one], noise[other]))
        for one, other in combinations(taken, 2)
    ]


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("--calls", type=int, default=10_000, help="of each kind")
    calls = parser.parse_args().calls
    clock = Clock()
    with tempfile.TemporaryDirectory() as folder:
        services = make_services(Path(folder) / "home", "", clock)
        keys = build(services, clock)
        with serve(services, PATIENT) as front:
            measure(front, keys, min(calls, 200))  # so that all are warm
            taken = measure(front, keys, calls)
        services.close()
    for kind, times in taken.items():
        median = statistics.median(times)
        print(f"401 for a key that is {kind}: {median:.0f} us (median of {calls})")  # its answer
    told = True
    for one, other, apart, noise in judge(taken):
        told = told and apart <= noise
        verdict = "within noise" if apart <= noise else "MORE THAN NOISE"
        print(f"{one} and {other}: apart by {apart:.1f} us; noise {noise:.1f} us; {verdict}")  # as above
    return 0 if told else 1


if __name__ == "__main__":
    sys.exit(main())
