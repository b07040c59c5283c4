"""A vault behind PgBouncer, whose every transaction may be another server connection's: nothing rests on what a
session keeps.
"""

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from datetime import timedelta
from pathlib import Path
from tempfile import TemporaryDirectory

import psycopg
import pytest
from sqlalchemy import make_url, text

from tests.acceptance.conftest import Nightkey
from tests.forking import PATIENCE, processes
from tests.integration.pgbouncer_server import MISSING, SERVER_CONNECTIONS, start_pgbouncer
from tests.postgres import create_database, drop_database
from vaultcore.database import Database
from vaultcore.engines import is_pooled
from vaultcore.secret import Secret
from worker.bootstrap import Services
from worker.config import load_settings
from worker.domain.policies import build_policy
from worker.domain.saga import State
from worker.rows import rotations as rotation_rows

pytestmark = [
    pytest.mark.long,
    pytest.mark.skipif(bool(MISSING), reason=MISSING),
]
ITEMS, THREADS, REPEATED = 12, 4, 20


@pytest.fixture(scope="module")
def pooled(postgres: str) -> Iterator[str]:
    """The address of an empty database, by way of the pooler."""
    server = create_database(postgres, "pooled")
    with TemporaryDirectory(prefix="nightkey-") as folder:
        Path(folder).chmod(0o755)
        with start_pgbouncer(Path(folder), server) as address:
            yield address
    drop_database(postgres, "pooled")


@pytest.fixture(scope="module")
def nightkey(pooled: str, tmp_path_factory: pytest.TempPathFactory) -> Nightkey:
    """On a vault that was made there."""
    made = Nightkey(tmp_path_factory.mktemp("pooled") / "home", {"NIGHTKEY_DATABASE_URL": pooled})
    made("init")
    return made


@pytest.fixture
def services(nightkey: Nightkey, pooled: str) -> Iterator[Services]:
    made = Services(load_settings(nightkey.home, database_url=pooled))
    yield made
    made.close()


def test_two_workers_rotate_over_fewer_connections_than_they_keep(
    nightkey: Nightkey, services: Services, pooled: str
) -> None:
    opened = [_open_rotation(services, f"prod-password-{number}") for number in range(ITEMS)]
    workers = [processes.Process(target=_work, args=(nightkey.home, pooled, opened)) for _ in range(2)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(PATIENCE)
    assert [worker.exitcode for worker in workers] == [0, 0]
    with services.database.read() as connection:
        stood = [rotation_rows.get_rotation(connection, one) for one in opened]
    assert {one.state for one in stood} == {State.WATCHING}
    assert {one.leases_lost for one in stood} == {0}
    nightkey("night", status=1)  # nobody has an address at which they could hear of it
    nightkey("audit", "verify", "--rows")


def test_doctor_says_what_the_pooler_needs(nightkey: Nightkey) -> None:
    said = nightkey("doctor", status=1).stdout  # the server of the tests does not wait for its disk
    assert "a pooler stands before it" in " ".join(said.split())


def test_no_transaction_is_without_its_time_limits_and_none_leaves_anything_behind(
    nightkey: Nightkey, pooled: str
) -> None:
    database = Database(pooled)
    ask = text("SELECT current_setting('lock_timeout'), current_setting('idle_in_transaction_session_timeout')")
    asked = threading.Barrier(SERVER_CONNECTIONS, timeout=PATIENCE)

    def hold(_: int) -> list[tuple[str, str]]:
        """Each on a server connection of its own, at the same moment."""
        found = []
        for _ in range(REPEATED):
            with database.write() as connection:
                assert is_pooled(connection)
                found.append(tuple(connection.execute(ask).one()))
                asked.wait()
        return found

    with ThreadPoolExecutor(SERVER_CONNECTIONS) as pool:
        found = [one for seen in pool.map(hold, range(SERVER_CONNECTIONS)) for one in seen]
    database.dispose()
    assert set(found) == {("30s", "5min")}
    others = make_url(pooled).set(drivername="postgresql").render_as_string(hide_password=False)
    with ExitStack() as stack:
        all_of_them = [
            stack.enter_context(psycopg.connect(others, prepare_threshold=None))
            for _ in range(SERVER_CONNECTIONS)
        ]
        left = [one.execute("SHOW lock_timeout").fetchone() for one in all_of_them]
        prepared = [
            one.execute("SELECT count(*) FROM pg_prepared_statements").fetchone() for one in all_of_them
        ]
    assert set(left) == {("0",)}
    assert set(prepared) == {(0,)}


def test_what_needs_a_session_of_its_own_is_refused_with_the_way(nightkey: Nightkey, tmp_path: Path) -> None:
    said = nightkey("backup", str(tmp_path / "vault.backup"), status=2).stderr
    assert "a pooler" in said
    assert "NIGHTKEY_DATABASE_URL" in said


def _open_rotation(services: Services, name: str) -> str:
    policy = {"mode": "auto", "rotator": "random", "lead": "14d", "consumers": "none"}
    with services.database.write() as connection:
        services.vault.create(
            connection,
            name=name,
            value=Secret("a-first-value-of-it"),
            expires_at=services.clock() + timedelta(days=3),
            policy=build_policy(None, policy),
            actor="test",
        )
    return services.rotation.opening.request(name, asked_by="test").id


def _work(home: Path, pooled: str, rotations: list[str]) -> None:
    """As a worker does, with several threads beside each other."""
    services = Services(load_settings(home, database_url=pooled))
    drive = services.rotation.rotations.drive
    with ThreadPoolExecutor(THREADS) as pool:
        list(pool.map(drive, rotations))
    services.close()
