"""How fast notices leave, and in how much memory. `make bench` prints it.

A night with 10,000 findings of 1,000 owners, and one with a tenth of both, each in a process of its own: how
long it takes to close it, to send its digests, and the most memory that the process held. Then 100 destinations
that answer in 50 ms, by Nightkey's outbox and by apprise alone, in turn. The sink is another process.
"""

import argparse
import asyncio
import json
import multiprocessing
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import apprise
from sqlalchemy import insert

from tests.ways_out import LOOPBACK
from vaultcore.model import Mode, Policy
from vaultcore.rows import policy_to_json
from vaultcore.secret import Secret
from vaultcore.tables import item_owners, items, references, versions
from worker.bootstrap import Services
from worker.config import load_settings
from worker.installation import initialise
from worker.rows.notices import count

NOW = datetime(2026, 3, 1, 2, 0, tzinfo=UTC)
EACH = 10
"""Findings of one owner."""
DESTINATIONS = 100
ANSWER_SECONDS = 0.05


def serve(delay: float, ready: "multiprocessing.Queue[int]") -> None:
    """Answers every POST with 200 after a time."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                length = next(
                    int(line.partition(b":")[2])
                    for line in head.split(b"\r\n")
                    if line.lower().startswith(b"content-length:")
                )
                await reader.readexactly(length)
                await asyncio.sleep(delay)
                writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            writer.close()

    async def run() -> None:
        server = await asyncio.start_server(answer, "127.0.0.1", 0, backlog=1024)
        ready.put(server.sockets[0].getsockname()[1])
        async with server:
            await server.serve_forever()

    asyncio.run(run())


@contextmanager
def sink(delay: float) -> Iterator[int]:
    """The port of a sink that answers after so many seconds."""
    ready: multiprocessing.Queue[int] = multiprocessing.Queue()
    process = multiprocessing.Process(target=serve, args=(delay, ready), daemon=True)
    process.start()
    try:
        yield ready.get(timeout=30)
    finally:
        process.terminate()
        process.join()


def make_services(home: Path) -> Services:
    settings = load_settings(home, outbound_private=LOOPBACK)
    initialise(settings, lambda: NOW)
    return Services(settings, lambda: NOW)


def add_owners(services: Services, number: int, port: int) -> list[str]:
    ids = []
    with services.database.write() as connection:
        for n in range(number):
            owner = services.owners.create(connection, f"owner-{n}", actor="bench")
            url = Secret(f"json://127.0.0.1:{port}/{n}")
            services.owners.add_route(
                connection, owner, url, shown="json://127.0.0.1", recipients=[""], actor="bench"
            )
            ids.append(owner.id)
    return ids


def add_findings(services: Services, owners: list[str]) -> None:
    """Ten items for each owner that lapse soon, each used by a workflow."""
    policy = policy_to_json(Policy(mode=Mode.NOTIFY, stated=True))
    for owner_number, owner_id in enumerate(owners):
        rows = range(owner_number * EACH, (owner_number + 1) * EACH)
        with services.database.write() as connection:
            connection.execute(insert(items), [_item(n, policy) for n in rows])
            connection.execute(
                insert(item_owners), [{"item_id": f"vlt_{n:026d}", "owner_id": owner_id} for n in rows]
            )
            connection.execute(insert(versions), [_version(n) for n in rows])
            connection.execute(insert(references), [_reference(n) for n in rows])


def _item(n: int, policy: dict[str, object]) -> dict[str, object]:
    expires_at = NOW + timedelta(days=5, seconds=n)
    return {
        "id": f"vlt_{n:026d}", "name": f"prod-service-{n}", "kind": "secret", "policy": policy,
        "overlap_seconds": 86400, "idle_seconds": 7776000, "hygiene": "", "expires_at": expires_at,
        "due_at": expires_at - timedelta(days=30), "created_at": NOW, "updated_at": NOW,
    }  # fmt: skip


def _version(n: int) -> dict[str, object]:
    return {
        "item_id": f"vlt_{n:026d}", "number": 1, "stage": "current", "created_at": NOW, "activated_at": NOW,
        "external": {},
    }  # fmt: skip


def _reference(n: int) -> dict[str, object]:
    return {
        "consumer": "workflow", "consumer_id": f"fl_{n:026d}", "consumer_name": f"workflow {n}",
        "active": True, "node_id": "call", "written": f"prod-service-{n}", "item_id": f"vlt_{n:026d}",
        "last_version": 1, "idle_at": NOW + timedelta(days=60),
    }  # fmt: skip


def run_night(owners: int, port: int) -> dict[str, float]:
    """One night in this process: seconds to scan and close it, to send its digests; memory in MB."""
    with tempfile.TemporaryDirectory(prefix="nightkey-bench-") as name:
        services = make_services(Path(name) / "home")
        add_findings(services, add_owners(services, owners, port))
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        began = time.perf_counter()
        services.night.nights.begin(NOW)
        scanned = time.perf_counter()
        services.night.nights.close(NOW)
        closed = time.perf_counter()
        services.notices.delivery.deliver()
        sent = time.perf_counter()
        with services.database.read() as connection:
            states = count(connection)
        services.close()
    assert states == {"sent": owners}, states
    return {
        "digests": owners,
        "scan": scanned - began,
        "close": closed - scanned,
        "send": sent - closed,
        "memory before": before / 1024,
        "memory": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
    }


def measure_night(owners: int, port: int) -> dict[str, float]:
    """The same in a process of its own."""
    command = [sys.executable, "-m", "tests.benchmarks.notices", "--night", str(owners), "--port", str(port)]
    found: dict[str, float] = json.loads(subprocess.run(command, check=True, capture_output=True).stdout)
    return found


def measure_destinations(port: int, runs: int) -> dict[str, float]:
    """Median milliseconds to reach all destinations, by the outbox and by apprise alone, in turn."""
    alone = apprise.Apprise()
    for n in range(DESTINATIONS):
        alone.add(f"json://127.0.0.1:{port}/{n}")
    with tempfile.TemporaryDirectory(prefix="nightkey-bench-") as name:
        services = make_services(Path(name) / "home")
        owners = add_owners(services, DESTINATIONS, port)

        def outbox(run: int) -> None:
            with services.database.write() as connection:
                for owner_id in owners:
                    services.notices.outbox.post(
                        connection, owner_id, kind="test", dedupe_key=f"{owner_id}:{run}", data={}
                    )

        taken: dict[str, list[float]] = {"outbox": [], "apprise": []}
        works: dict[str, Callable[[], object]] = {
            "outbox": services.notices.delivery.deliver,
            "apprise": lambda: alone.notify(title="a test", body="a test"),
        }
        for run in range(runs):
            outbox(run)
            for name_of, work in works.items():
                began = time.perf_counter()
                work()
                taken[name_of].append((time.perf_counter() - began) * 1000)
        services.close()
    return {name: statistics.median(times) for name, times in taken.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--owners", type=int, default=1_000, help="owners in the larger night")
    parser.add_argument("--runs", type=int, default=7)
    parser.add_argument("--night", type=int, help=argparse.SUPPRESS)
    parser.add_argument("--port", type=int, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.night is not None:
        print(json.dumps(run_night(given.night, given.port)))
        return
    with sink(0) as port:
        small, large = measure_night(given.owners // 10, port), measure_night(given.owners, port)
    with sink(ANSWER_SECONDS) as port:
        reached = measure_destinations(port, given.runs)
    for night in (small, large):
        number = int(night["digests"])
        each = night["send"] / number * 1000
        print(
            f"{number * EACH:>6} findings, {number:>5} digests: scanned in {night['scan']:.2f} s, closed in "
            f"{night['close']:.2f} s, sent in {night['send']:.2f} s ({each:.2f} ms each), "
            f"{night['memory']:.0f} MB, {night['memory'] - night['memory before']:.0f} MB of it for this"
        )
    outbox, alone = reached["outbox"], reached["apprise"]
    print(
        f"{DESTINATIONS} destinations of {ANSWER_SECONDS * 1000:.0f} ms: {outbox:.0f} ms by the outbox, "
        f"{alone:.0f} ms by apprise alone, {alone / outbox:.1f} times as long"
    )


if __name__ == "__main__":
    main()
