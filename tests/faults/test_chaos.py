"""Two hundred rotations among faults of every kind, on each database."""

import sys
from pathlib import Path

import pytest

from tests.faults.chaos import repeat, run_chaos
from tests.faults.trials import DATABASES

ROTATIONS, SEED = 200, 20260301


@pytest.mark.timeout(400)
@pytest.mark.parametrize("database", DATABASES)
def test_nothing_is_lost_left_or_broken_in_chaos(
    database: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    server = request.getfixturevalue("postgres") if database == "postgresql" else None
    outcome = run_chaos(rotations=ROTATIONS, seed=SEED, folder=tmp_path, server=server)
    sys.stdout.write(outcome.line(database, SEED) + "\n")  # pytest shows it where it failed
    again = repeat(rotations=ROTATIONS, seed=SEED, database=database, without=())
    assert not outcome.violations, "\n".join([*outcome.violations, f"repeat: {again}"])
    assert not outcome.strange, f"what left a service's call: {dict(outcome.strange)}; repeat: {again}"
    assert outcome.finished >= ROTATIONS
    assert {"done", "rolled-back"} <= set(outcome.ended)
    assert {"worker killed", "message dropped", "message forged", "503, took effect"} <= set(outcome.faults)
