"""What the doctor sees of a vault on each database, and of what cannot be opened."""

import os
import socket
import subprocess
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

from sqlalchemy import text

from tests.conftest import Clock
from tests.services.staging import make_services
from worker.bootstrap import Services
from worker.doctor import Doctor
from worker.domain.diagnosis import Aspect, Diagnosis, Limit, Symptom
from worker.domain.pulses import PulseKind
from worker.domain.signs import SignOfLife
from worker.rows import server_facts
from worker.rows import signs as sign_rows


def see(services: Services, aspect: Aspect) -> dict[str, Diagnosis]:
    return {one.symptom.value: one for one in Doctor(services).look() if one.aspect is aspect}


def test_a_database_is_told_with_what_may_lose_commits(services: Services) -> None:
    found = see(services, Aspect.DATABASE)
    if services.database.is_sqlite:
        assert found.keys() == {"database-kind", "schema", "written-through"}
        assert found["database-kind"].given["name"] == "SQLite"
        return
    with services.database.read() as connection:
        fsync = connection.execute(text("SHOW fsync")).scalar_one()
    assert ("setting-off" in found) == (fsync == "off") == ("written-through" not in found)
    assert {"database-kind", "schema", "connections"} <= found.keys()
    assert found["database-kind"].given["name"] == "PostgreSQL"


def test_a_clock_that_differs_from_the_server_s_is_told(services: Services) -> None:
    if services.database.is_sqlite:
        return
    with services.database.read() as connection:
        server = connection.execute(text("SELECT clock_timestamp()")).scalar_one()
        facts = server_facts.read_facts(connection, revision="", now=server - timedelta(hours=1))
    assert facts.ahead is not None
    assert timedelta(minutes=59) < facts.ahead < timedelta(minutes=61)


def test_the_limits_of_role_and_database_hold_for_who_is_no_superuser(services: Services) -> None:
    if services.database.is_sqlite:
        return
    with services.database.write() as connection:
        own = connection.execute(text("SELECT current_database()")).scalar_one()
        connection.execute(text("CREATE ROLE narrow LOGIN CONNECTION LIMIT 7"))
        connection.execute(text(f'ALTER DATABASE "{own}" CONNECTION LIMIT 8'))
        for role, limits in (("postgres", {Limit.SERVER}), ("narrow", set(Limit))):
            connection.execute(text(f"SET LOCAL SESSION AUTHORIZATION {role}"))
            allowed = server_facts.read_facts(connection, revision="", now=services.clock()).allowed
            assert allowed.keys() == limits
        assert (allowed[Limit.ROLE], allowed[Limit.DATABASE]) == (7, 8)
        connection.rollback()


def test_where_neither_role_nor_database_has_a_limit_the_server_s_counts(services: Services) -> None:
    if services.database.is_sqlite:
        return
    with services.database.write() as connection:
        connection.execute(text("CREATE ROLE wide LOGIN"))
        connection.execute(text("SET LOCAL SESSION AUTHORIZATION wide"))
        allowed = server_facts.read_facts(connection, revision="", now=services.clock()).allowed
        (kept,) = connection.execute(text("SHOW superuser_reserved_connections")).scalars()
        (most,) = connection.execute(text("SHOW max_connections")).scalars()
        connection.rollback()
    assert allowed == {Limit.SERVER: int(most) - int(kept)}


def test_who_is_at_work_is_told_and_who_is_gone(services: Services, clock: Any) -> None:
    assert see(services, Aspect.WORKERS).keys() == {"nobody-yet"}
    for kind in (PulseKind.WORKER, PulseKind.BEAT):
        services.upkeep.signs_of_life.begin(kind)
    (there,) = see(services, Aspect.WORKERS).values()
    assert there.given == {"workers": 1, "beats": 1, "hosts": socket.gethostname()}
    clock.advance(timedelta(hours=1))
    (gone,) = see(services, Aspect.WORKERS).values()
    assert not gone.is_well
    assert "nobody is working" in str(gone.given["why"])


def test_who_has_just_ended_is_not_at_work(services: Services, clock: Any) -> None:
    """Its sign is as fresh as that of one that lives: nobody is said to leave messages lying."""
    ended = subprocess.Popen(["true"])
    ended.wait()
    sign = SignOfLife(
        id="sgn_x", kind=PulseKind.WORKER, host=socket.gethostname(), pid=ended.pid,
        started_at=clock(), seen_at=clock(), every=timedelta(minutes=1),
    )  # fmt: skip
    with services.database.write() as connection:
        sign_rows.save(connection, sign)
    assert services.upkeep.signs_of_life.list_living() == []
    with services.database.write() as connection:
        sign_rows.save(connection, replace(sign, id="sgn_y", pid=os.getpid()))
    (there,) = services.upkeep.signs_of_life.list_living()
    assert there.pid == os.getpid()


def test_an_anchor_is_told_once_there_is_one(services: Services) -> None:
    assert see(services, Aspect.ANCHORS).keys() == {"no-anchor"}
    services.anchors.anchor()
    (anchored,) = see(services, Aspect.ANCHORS).values()
    assert anchored.symptom is Symptom.ANCHORED


def test_what_cannot_be_opened_is_told_and_the_others_are_looked_at(tmp_path: Path, clock: Clock) -> None:
    services = make_services(tmp_path / "home", "", clock)
    services.close()
    keyring = services.settings.keyring_path
    keyring.rename(keyring.with_name("elsewhere.json"))
    blind = Services(services.settings, clock)
    found = Doctor(blind).look()
    blind.close()
    lacks = {one.aspect: str(one.given["why"]) for one in found if not one.is_well}
    assert lacks.keys() == {Aspect.KEYRING, Aspect.DATABASE}
    assert all("does not exist: restore it from its backup" in why for why in lacks.values())
    assert {one.aspect for one in found if one.is_well} >= {Aspect.SETTINGS, Aspect.DATA_FOLDER, Aspect.BROKER}
