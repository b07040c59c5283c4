"""What it costs to tell: the digests of a night, and a hundred destinations that answer slowly.

A night with ten findings for each of its owners, and one with a tenth of them, each in a process of its own:
CPU of a digest from the closing of the night until it was sent, and the most memory that the process held. Then
100 destinations that answer in 50 ms, by Nightkey's outbox and by apprise alone, in turn. Who answers is
another process.
"""

import argparse
import asyncio
import json
import multiprocessing
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path

import apprise
from sqlalchemy import func, insert, select

from tests.benchmarks.grounds import open_vault
from tests.benchmarks.table import BenchRow, add_options, measure_peak, tell
from tests.ways_out import LOOPBACK
from vaultcore.model import Item, Mode, Policy
from vaultcore.secret import Secret
from vaultcore.tables import references
from worker.bootstrap import Services
from worker.domain.notice_kinds import NoticeKind
from worker.rows.notices import count
from worker.rows.tables import findings

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


def send_alone(port: int, asked: "multiprocessing.Queue[None]", taken: "multiprocessing.Queue[float]") -> None:
    """All destinations by apprise as it comes, whenever that is asked for: milliseconds."""
    alone = apprise.Apprise()
    for n in range(DESTINATIONS):
        alone.add(f"json://127.0.0.1:{port}/{n}")
    while True:
        asked.get()
        began = time.perf_counter()
        assert alone.notify(title="a test", body="a test")
        taken.put((time.perf_counter() - began) * 1000)


@contextmanager
def apprise_alone(port: int) -> Iterator[Callable[[], float]]:
    """In another process, whose plugins call as they do by themselves: those of one that delivers do not."""
    asked: multiprocessing.Queue[None] = multiprocessing.Queue()
    taken: multiprocessing.Queue[float] = multiprocessing.Queue()
    process = multiprocessing.Process(target=send_alone, args=(port, asked, taken), daemon=True)
    process.start()

    def send() -> float:
        asked.put(None)
        return taken.get(timeout=60)

    try:
        send()  # it loads its plugins
        yield send
    finally:
        process.terminate()
        process.join()


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
    policy = Policy(mode=Mode.NOTIFY, stated=True)
    for owner_number, owner_id in enumerate(owners):
        with services.database.write() as connection:
            made = [
                services.vault.create(
                    connection, name=f"prod-billing-{n}-api-token", value=Secret(f"value-{n}"), actor="bench",
                    owner_ids=[owner_id], expires_at=NOW + timedelta(days=5, seconds=n), policy=policy,
                )
                for n in range(owner_number * EACH, (owner_number + 1) * EACH)
            ]  # fmt: skip
            connection.execute(insert(references), [_reference(one.item) for one in made])


def _reference(item: Item) -> dict[str, object]:
    return {
        "consumer": "workflow", "consumer_id": f"fl_{item.id}", "consumer_name": f"workflow of {item.name}",
        "active": True, "node_id": "call", "written": item.name, "item_id": item.id,
        "last_version": 1, "idle_at": NOW + timedelta(days=60),
    }  # fmt: skip


def run_night(owners: int, port: int) -> dict[str, float]:
    """One night in this process: seconds to scan and close it, and to send its digests; CPU of the last two, of
    each digest in ms; memory in MiB.
    """
    with (
        tempfile.TemporaryDirectory(prefix="nightkey-bench-") as name,
        open_vault(Path(name) / "home", clock=lambda: NOW, outbound_private=LOOPBACK) as services,
    ):
        add_findings(services, add_owners(services, owners, port))
        began = time.perf_counter()
        services.night.nights.begin(NOW)
        with services.database.read() as connection:
            found = connection.execute(select(func.count()).select_from(findings)).scalar_one()
        assert found == owners * EACH, found
        scanned, spent = time.perf_counter(), time.process_time()
        services.night.nights.close(NOW)
        services.notices.delivery.deliver()
        sent, spent = time.perf_counter(), time.process_time() - spent
        with services.database.read() as connection:
            states = count(connection)
    assert states["sent"] == owners, states  # the operators have no route
    return {
        "scan": scanned - began, "told": sent - scanned, "cpu": spent / owners * 1000, "memory": measure_peak(),
    }  # fmt: skip


def measure_night(owners: int, port: int) -> dict[str, float]:
    """The same in a process of its own."""
    command = [sys.executable, "-m", "tests.benchmarks.notices", "--night", str(owners), "--port", str(port)]
    found: dict[str, float] = json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout)
    return found


def profile_night(owners: int) -> None:
    """The same once more, when what the measured one was sent to is gone."""
    with sink(0) as port:
        run_night(owners, port)


def measure_destinations(
    services: Services, port: int, runs: int
) -> tuple[dict[str, float], Callable[[], object]]:
    """Median milliseconds to reach all destinations, by the outbox and by apprise alone, in turn; and what
    reaches them by the outbox once more.
    """
    owners = add_owners(services, DESTINATIONS, port)
    posted = iter(range(1_000_000))

    def post() -> None:
        run = next(posted)
        with services.database.write() as connection:
            for owner_id in owners:
                services.notices.outbox.post(
                    connection, owner_id, kind=NoticeKind.TEST, dedupe_key=f"{owner_id}:{run}", data={}
                )

    def send_again() -> None:
        post()
        services.notices.delivery.deliver()

    taken: dict[str, list[float]] = {"outbox": [], "apprise": []}
    with apprise_alone(port) as send_alone_again:
        for _ in range(runs):
            post()
            began = time.perf_counter()
            services.notices.delivery.deliver()
            taken["outbox"].append((time.perf_counter() - began) * 1000)
            taken["apprise"].append(send_alone_again())
    return {name: statistics.median(times) for name, times in taken.items()}, send_again


def measure(services: Services, port: int, owners: int, runs: int) -> Iterator[BenchRow]:
    """`port` is that of the slow sink."""
    with sink(0) as quick:
        small, large = measure_night(owners // 10, quick), measure_night(owners, quick)
        work = f"{owners:,} digests of {EACH} findings"
        yield BenchRow(
            work=f"{work}: CPU of each", measure=large["cpu"], at_most=3,
            profile=partial(profile_night, owners // 10),
        )  # fmt: skip
        yield BenchRow(work=f"{work}: closed and sent", measure=large["told"], unit="s")
        yield BenchRow(work=f"{work}: the scan before", measure=large["scan"], unit="s")
        yield BenchRow(
            work=f"{work}: memory, beyond that of a tenth",
            measure=large["memory"] - small["memory"],
            unit="MiB",
        )
        reached, send_again = measure_destinations(services, port, runs)
        work = f"{DESTINATIONS} destinations of {ANSWER_SECONDS * 1000:.0f} ms"
        yield BenchRow(work=work, measure=reached["outbox"], at_most=350, profile=send_again)
        yield BenchRow(
            work=f"{work}, beside apprise", measure=reached["outbox"], beside=reached["apprise"],
            beside_what="apprise alone",
        )  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--owners", type=int, default=1_000, help="owners in the larger night")
    parser.add_argument("--runs", type=int, default=7)
    parser.add_argument("--night", type=int, help=argparse.SUPPRESS)
    parser.add_argument("--port", type=int, help=argparse.SUPPRESS)
    add_options(parser)
    given = parser.parse_args()
    if given.night is not None:
        print(json.dumps(run_night(given.night, given.port)))
        return
    with (
        tempfile.TemporaryDirectory(prefix="nightkey-bench-") as name,
        open_vault(Path(name) / "home", clock=lambda: NOW, outbound_private=LOOPBACK) as services,
        sink(ANSWER_SECONDS) as port,
    ):
        tell("notices", list(measure(services, port, given.owners, given.runs)), write=given.write)


if __name__ == "__main__":
    main()
