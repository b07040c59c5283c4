"""A worker may be killed at any point of a rotation: whoever takes over brings it to the same good end.

The points are not listed anywhere: an undisturbed run passes them all, and counts them.
"""

from pathlib import Path

import pytest

from tests.faults.kill_points import KillPoint, Moment
from tests.faults.kill_runs import DATABASES, enumerate_points, explain, open_lanes, try_points
from tests.faults.scenarios import ON_ONE, SCENARIOS

pytestmark = pytest.mark.timeout(1500)  # hundreds of kills, on two cores that others use as well

CASES = [
    (story, database)
    for story in SCENARIOS
    for database in DATABASES
    if ON_ONE.get(story, database) == database
]


def test_a_worker_killed_at_a_point_of_each_kind_leaves_nothing_behind(tmp_path: Path) -> None:
    """In the middle of the story; `make faults` tries every point."""
    with open_lanes(tmp_path, None, story="good") as lanes:
        undisturbed, points = enumerate_points(lanes[0])
        assert not undisturbed.violations, explain(undisturbed, "good", "sqlite")
        some = [_middle([point for point in points if point.moment is moment]) for moment in Moment]
        results = try_points(lanes, some)
    assert len(results) == len(some)
    assert [explain(result, "good", "sqlite") for result in results if result.violations] == []


def _middle(points: list[KillPoint]) -> KillPoint:
    return points[len(points) // 2]


@pytest.mark.long
@pytest.mark.parametrize(("story", "database"), CASES)
def test_a_worker_killed_at_any_point_leaves_nothing_behind(
    story: str, database: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    server = None if database == "sqlite" else request.getfixturevalue("postgres")
    with open_lanes(tmp_path, server, story=story) as lanes:
        undisturbed, points = enumerate_points(lanes[0])
        assert not undisturbed.violations, explain(undisturbed, story, database)
        assert {point.moment for point in points} == set(Moment)
        if server is not None or story != "good":
            # What is left behind after a commit is what is left before the next one, or before the next call.
            points = [point for point in points if point.moment is not Moment.AFTER_COMMIT]
        results = try_points(lanes, points)
    assert len(results) == len(points)
    failed = [explain(result, story, database) for result in results if result.violations]
    assert not failed, f"{len(failed)} of {len(points)} points:\n" + "\n".join(failed)


@pytest.mark.parametrize(
    ("mutant", "story", "seen"),
    [
        ("forget_to_undo", "rejected by a test", "of which the vault knows nothing"),
        ("revoke_without_proof", "good", "of which the vault knows nothing"),
    ],
)
def test_a_product_that_always_leaves_something_behind_is_caught(
    mutant: str, story: str, seen: str, tmp_path: Path
) -> None:
    with open_lanes(tmp_path, None, story=story, number=1) as (lane,):
        undisturbed, _ = enumerate_points(lane, mutant)
    assert any(seen in violation for violation in undisturbed.violations)


@pytest.mark.long
def test_a_product_that_loses_a_token_only_when_it_is_killed_in_one_place_is_caught_there(
    tmp_path: Path,
) -> None:
    mutant = "label_each_try_anew"
    with open_lanes(tmp_path, None, story="good") as lanes:
        undisturbed, points = enumerate_points(lanes[0], mutant)
        assert not undisturbed.violations
        served = [point for point in points if point.moment is Moment.AFTER_SERVED]
        failed = [result for result in try_points(lanes, served, mutant) if result.violations]
    assert [result.point.about for result in failed if result.point] == ["POST /v1/tokens"]
    assert "of which the vault knows nothing" in explain(failed[0], "good", "sqlite")
