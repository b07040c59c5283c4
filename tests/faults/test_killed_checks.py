"""Whoever checks a credential is killed before and after each commit: the next one makes the check again, and
nothing is left behind.
"""

import itertools
import os
import shutil
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select

from nightkey_demo.target_systems import TargetSystems
from tests.conftest import Clock
from tests.faults.kill_points import KillPoint, Moment, Passing, die, watch_commits
from tests.faults.vault_copy import let_leases_lapse
from tests.forking import processes
from tests.services.staging import TOKEN, stage
from tests.ways_out import LOOPBACK
from vaultcore.tables import audit
from worker.bootstrap import Services
from worker.config import load_settings
from worker.domain.credential_checks import CheckOutcome
from worker.rows import credential_checks as check_rows
from worker.rows.tables import check_turns, credential_checks

PATIENCE = 300


def open_vault(home: Path, now: datetime) -> Services:
    clock = Clock()
    clock.now = now
    return Services(load_settings(home, database_url="", outbound_private=LOOPBACK), clock)


def check(home: Path, now: datetime, point: KillPoint | None) -> None:
    """In a process of its own: one check, which dies at that point."""
    services = open_vault(home, now)
    watch_commits(services.database.engine, Passing(point, die))
    (ready,) = services.rotation.credential_checks.find_ready()
    services.rotation.credential_checks.run(ready)
    os._exit(0)


@pytest.fixture
def vault(tmp_path: Path, clock: Any) -> Iterator[tuple[Path, TargetSystems]]:
    """A vault in which one check waits for its turn."""
    home = tmp_path / "vault"
    with stage(home, "", clock, check_every_days=7) as (organisation, _):
        organisation.add_token(TOKEN, "ticketing", days=300)
        services = organisation.services
        services.rotation.credential_checks.choose(clock())
        with services.database.write() as connection:
            check_rows.wake(connection, organisation.item(TOKEN).id, clock())
        services.rotation.credential_checks.choose(clock())
        services.close()
        yield home, organisation.targets


def test_a_check_that_was_cut_off_anywhere_is_made_again(vault: Any, tmp_path: Path, clock: Any) -> None:
    prepared, _ = vault
    killed = 0
    for moment in (Moment.BEFORE_COMMIT, Moment.AFTER_COMMIT):
        for number in itertools.count(1):
            home = tmp_path / f"{moment.name}-{number}"
            shutil.copytree(prepared, home)
            point = KillPoint(moment=moment, number=number)
            life = processes.Process(target=check, args=(home, clock(), point))
            life.start()
            life.join(PATIENCE)
            services = open_vault(home, clock() + timedelta(hours=1))
            let_leases_lapse(services)
            for ready in services.rotation.credential_checks.find_ready():
                services.rotation.credential_checks.run(ready)
            look(services)
            services.close()
            if life.exitcode == 0:
                break
            killed += 1
    assert killed >= 6, (
        "the turn, the values, what is known of the check and what was said are commits of their own"
    )


def look(services: Services) -> None:
    with services.database.read() as connection:
        row = connection.execute(select(credential_checks)).one()
        turns = connection.execute(select(check_turns)).all()
        recorded = connection.execute(select(audit).where(audit.c.action == "item.check")).all()
    assert (row.outcome, row.waits, row.begun) == (CheckOutcome.ACCEPTED, False, 0)
    assert turns == []
    assert len(recorded) == 1
    assert services.upkeep.row_verification.check_all().wrong == ()
