"""Whether the time to a 401 tells a key of nobody from one that opens another workflow: `make bench` prints it.

Calls of the two kinds in turn, over one connection to a real server: their medians, how far these are apart,
and the noise, which is how far apart the medians of two halves of one kind are.
"""

import argparse
import http.client
import statistics
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from tests.ingress import Front, define, serve
from tests.services.staging import make_services
from vaultcore.crypto import apikeys
from vaultcore.model import Policy
from worker.bootstrap import Services, utc_now

ORDERS, OTHER = "api-key:prod-orders", "api-key:prod-other"
ADD = {"id": "sum", "componentId": "data_mapper", "mapping": {"sum": "{{ webhook_payload.amount }}"}}


def build(services: Services) -> str:
    """Two workflows, each with a key of its own: that of the other one."""
    keys = []
    with services.database.write() as connection:
        owner = services.owners.create(connection, "support", actor="bench")
        for name in (ORDERS, OTHER):
            created = services.vault.create(
                connection, name=name, value=None, owner_ids=(owner.id,), policy=Policy(), actor="bench"
            )
            keys.append(created.key)
    services.runs.documents.apply(
        [define("orders", "api_trigger", ORDERS, ADD), define("other", "api_trigger", OTHER, ADD)],
        actor="bench",
    )
    assert keys[1] is not None
    return keys[1].expose()


def measure(front: Front, other: str, calls: int) -> dict[str, list[float]]:
    """Microseconds of each call. Every key of nobody is another one."""
    taken: dict[str, list[float]] = {"unknown": [], "another's": []}
    connection = front.connect()
    for _ in range(calls):
        taken["unknown"].append(_call(connection, apikeys.generate().expose()))
        taken["another's"].append(_call(connection, other))
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


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--calls", type=int, default=10_000, help="of each kind")
    calls = parser.parse_args().calls
    with tempfile.TemporaryDirectory() as folder:
        services = make_services(Path(folder) / "home", "", utc_now)
        other = build(services)
        with serve(services) as front:
            measure(front, other, min(calls, 200))  # so that both are warm
            taken = measure(front, other, calls)
        services.close()
    medians = {kind: statistics.median(times) for kind, times in taken.items()}
    noise = max(map(noise_of, taken.values()))
    apart = abs(medians["unknown"] - medians["another's"])
    for kind, median in medians.items():
        print(f"401 for a key that is {kind}: {median:.0f} us (median of {calls})")  # its answer
    print(  # its answer
        f"apart by {apart:.1f} us; noise {noise:.1f} us; "
        f"{'as much as noise' if apart < noise else 'MORE THAN NOISE'}"
    )


if __name__ == "__main__":
    main()
