"""Several items at once: which a pattern means, and what changes in few lines."""

from datetime import UTC, datetime, timedelta

import pytest

from worker.domain.at_once import ItemOutcome, choose, group_changes, group_refused, is_pattern
from worker.domain.changes import Change
from worker.wording.changes import describe_group, say_outcomes, show_plain

NAMES = {"a": "prod-one", "b": "prod-two", "c": "stage-one", "d": "odd-[x]"}


@pytest.mark.parametrize(
    ("pattern", "meant"),
    [
        ("prod-*", ["a", "b"]),
        ("*-one", ["a", "c"]),
        ("?tage-*", ["c"]),
        ("[ps]*-one", ["a", "c"]),
        ("*", ["a", "b", "c", "d"]),
        ("PROD-*", []),
        ("odd-[x]", ["d"]),
        ("odd-[xy]", []),
    ],
)
def test_a_pattern_means_items_as_a_shell_has_it(pattern: str, meant: list[str]) -> None:
    assert choose(NAMES, [pattern]) == {pattern: meant}
    assert is_pattern(pattern)


def test_a_name_is_no_pattern() -> None:
    assert not any(map(is_pattern, ("prod-one", "vlt_01k0000000", "api-key:partner", "prod.a_b@c+d")))


def outcome(number: int, *changes: tuple[str, object, object], why: str | None = None) -> ItemOutcome:
    made = tuple(Change(field=field, before=before, after=after) for field, before, after in changes)
    return ItemOutcome(id=f"vlt_{number}", name=f"item-{number:04d}", changes=made, why=why)


def rows(outcomes: list[ItemOutcome]) -> list[tuple[str, str, str, int]]:
    described = [describe_group(group, show=show_plain) for group in group_changes(outcomes)]
    return [(row["change"], row["before"], row["after"], row["items"]) for row in described]


def test_alike_changes_are_one_line_and_the_most_come_first() -> None:
    lead = ("lead", timedelta(days=7), timedelta(days=14))
    found = [outcome(0, lead), outcome(1, lead, ("owners", ("a",), ("b",))), outcome(2, lead), outcome(3)]
    assert rows(found) == [("lead", "7d", "14d", 3), ("owners", "a", "b", 1)]


def test_what_differs_everywhere_still_fits_a_screen() -> None:
    now = datetime(2026, 3, 1, tzinfo=UTC)
    found = [
        outcome(
            number,
            ("expires_at", now + timedelta(days=number), now),
            ("labels.team", f"team-{number % 40}", None),
            ("settings.url", [f"old {number}"], [f"new {number}"]),
            ("mode", "auto", "approve") if number % 2 else ("mode", "notify", "approve"),
        )
        for number in range(1_000)
    ]
    assert rows(found) == [
        ("expires at", "1,000 different", "2026-03-01 00:00 UTC", 1_000),
        ("label team", "40 different", "none", 1_000),
        ("settings.url", "1,000 different", "1,000 different", 1_000),
        ("mode", "notify", "approve", 500),
        ("mode", "auto", "approve", 500),
    ]


def test_reasons_are_told_once_for_all_of_whom_they_are_true() -> None:
    found = [
        outcome(0, why="item-0000: no rotator"),
        outcome(1, why="item-0001: no rotator"),
        outcome(2, why="a lead of item-0002 is too long"),
    ]
    assert group_refused((one.name, one.why) for one in found) == [
        ("no rotator", ("item-0000", "item-0001")),
        ("a lead of item-0002 is too long", ("item-0002",)),
    ]


def test_what_comes_of_them_is_counted() -> None:
    changing = outcome(0, ("mode", "auto", "approve"))
    assert say_outcomes([changing]) == "1 item changes"
    assert say_outcomes([outcome(0)]) == "no item changes, 1 is so already"
    assert (
        say_outcomes([changing] * 1_000 + [outcome(1)] * 2 + [outcome(2, why="x")])
        == "1,000 items change, 2 are so already, 1 is refused"
    )
