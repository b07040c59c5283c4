"""That a soak would find what it looks for; `make soak` is the soak itself."""

import random
from argparse import ArgumentTypeError
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import update

from nightkey_demo.target_systems import TargetSystems, start_target_systems
from tests.faults.soak.__main__ import read_minutes
from tests.faults.soak.looking import find_log_violations, find_night_violations, find_values
from tests.faults.soak.troubles import TROUBLES, Part, choose_trouble
from tests.organisation import Organisation
from worker.bootstrap import Services
from worker.rows.tables import rotations, sweeps

VALUE = "ab12" * 10


@pytest.fixture
def targets() -> Iterator[TargetSystems]:
    with start_target_systems() as started:
        yield started


@pytest.mark.parametrize("text", ["0", "-1", "nan", "inf", "abc", ""])
def test_a_soak_without_a_time_is_none(text: str) -> None:
    """It would disturb nothing, and end well; or never."""
    with pytest.raises(ArgumentTypeError, match="write a number above 0"):
        read_minutes(text)


@pytest.mark.parametrize(
    ("content", "found"),
    [
        (VALUE.encode(), True),
        (b"\x00\xff" + VALUE.encode() + b'"', True),
        (b"x" * 70 + VALUE.encode() + b"y" * 70, True),
        (VALUE.encode()[:-1], False),
        (VALUE.encode()[:20] + b"-" + VALUE.encode()[20:], False),
    ],
)
def test_a_value_is_found_wherever_it_stands_and_not_shown(
    tmp_path: Path, content: bytes, *, found: bool
) -> None:
    file = tmp_path / "in" / "a-file"
    file.parent.mkdir()
    file.write_bytes(content)
    assert find_values([VALUE, "cd34" * 10], [tmp_path]) == ([f"a value stands in {file}"] if found else [])


def test_a_traceback_is_found_by_how_it_ends(tmp_path: Path) -> None:
    log = tmp_path / "first.log"
    log.write_text(
        "up\nTraceback (most recent call last):\n  File one\n    code\nOSError: gone\ndown\n" * 2
        + "KeyError: no\n"
    )
    assert find_log_violations([log]) == ["2 times in first.log: a traceback, which ends 'OSError: gone'"]


@pytest.mark.parametrize(
    ("line", "found"),
    [
        ('{"event": "task.failed", "error": "FileNotFoundError"}', True),
        ('{"event": "task.failed", "error": "TroubleError"}', False),
        ('{"event": "beat.not-rung", "error": "SchedulingError"}', False),
        ('{"event": "night.begun"}', False),
        ("nightkey is down", False),
    ],
)
def test_an_error_that_nobody_thought_of_is_found(tmp_path: Path, line: str, *, found: bool) -> None:
    log = tmp_path / "first.log"
    log.write_text(f"{line}\n")
    expected = ["1 times in first.log: task.failed, by FileNotFoundError"] if found else []
    assert find_log_violations([log]) == expected


@pytest.mark.rules
def test_a_night_that_rotates_twice_or_stays_open_is_found(services: Services, targets: TargetSystems) -> None:
    organisation = Organisation(services, targets)
    organisation.add_owner("support")
    for name in ("crm", "mail"):
        organisation.add_token(f"prod-{name}-api-token", name)
    (first, *_) = organisation.night()
    assert find_night_violations(services) == []
    night = services.clock()
    with services.database.write() as connection:
        connection.execute(update(rotations).values(item=first.item))
        connection.execute(update(sweeps).values(done_at=None))
    assert find_night_violations(services) == [
        f"the night of {night} rotated {first.item} 2 times",
        f"the night of {night} was not closed",
    ]


def test_the_same_seed_brings_the_same_troubles() -> None:
    def bring(seed: int) -> list[str]:
        dice = random.Random(seed)
        made = (choose_trouble(dice, set(), has_server=True) for _ in range(200))
        return [one.name for one in made if one is not None]

    assert bring(1) == bring(1) != bring(2)
    assert set(bring(1)) == {one.name for one in TROUBLES}


def test_nothing_is_troubled_twice_at_a_time_nor_what_is_not_there() -> None:
    dice = random.Random(1)
    assert choose_trouble(dice, set(Part), has_server=True) is None
    assert choose_trouble(dice, set(Part) - {Part.DATABASE}, has_server=False) is None
    named = choose_trouble(dice, set(Part) - {Part.BEAT}, has_server=False)
    assert named is not None
    assert named.part is Part.BEAT
