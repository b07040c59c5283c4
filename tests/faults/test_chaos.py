"""A hundred rotations among faults of every kind, on both databases; `make chaos` has any number."""

import sys
from argparse import ArgumentTypeError
from pathlib import Path

import pytest

from nightkey_demo.faces import Face
from tests.faults.chaos import read_rotations, repeat, run_chaos
from tests.faults.kill_runs import DATABASES

ROTATIONS, SEED = {"sqlite": 60, "postgresql": 40}, 20260301


@pytest.mark.parametrize("text", ["0", "-3", "1.5", "abc", ""])
def test_chaos_without_a_number_of_rotations_is_none(text: str) -> None:
    with pytest.raises(ArgumentTypeError, match="write a whole number above 0"):
        read_rotations(text)


@pytest.mark.long
@pytest.mark.timeout(900)
@pytest.mark.parametrize("database", DATABASES)
def test_nothing_is_lost_left_or_broken_in_chaos(
    database: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    rotations = ROTATIONS[database]
    server = request.getfixturevalue("postgres") if database == "postgresql" else None
    outcome = run_chaos(rotations=rotations, seed=SEED, folder=tmp_path, server=server)
    sys.stdout.write(outcome.line(database, SEED) + "\n")  # pytest shows it where it failed
    again = repeat(rotations=rotations, seed=SEED, database=database, without=())
    assert not outcome.violations, "\n".join([*outcome.violations, f"repeat: {again}"])
    assert not outcome.strange, f"what left a service's call: {dict(outcome.strange)}; repeat: {again}"
    assert outcome.finished >= rotations
    assert {"done", "rolled-back"} <= set(outcome.ended)
    assert {f"face: {face}" for face in Face} <= set(outcome.faults)
    assert {"worker killed", "message dropped", "message forged", "503, took effect"} <= set(outcome.faults)
