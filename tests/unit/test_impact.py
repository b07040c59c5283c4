"""Who is hurt, in the order of harm."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from vaultcore.model import Mode
from worker.domain.impact import HangingItem, Harm, Hurt, Impact, hurt_item, hurt_workflow, rank
from worker.domain.proof import Consumer
from worker.wording.impact import say_harm, say_impact

NOW = datetime(2026, 3, 1, tzinfo=UTC)
DAY = timedelta(days=1)


def consumer(name: str, **given: Any) -> Consumer:
    usual: dict[str, Any] = {
        "id": f"fl_{name}", "name": name, "active": True, "critical": False, "elsewhere": False, "pinned": None,
        "held": False, "proven": None, "last_run_at": None, "next_run_at": None, "waived": False,
    }  # fmt: skip
    return Consumer(**{**usual, **given})


def user(name: str, *, by: tuple[str, ...] = ("a",), runs: int = 0, since: Any = None, **given: Any) -> Hurt:
    return hurt_workflow(consumer(name, **given), by=by, owners=("team",), runs=runs, since=since)


def hanging(name: str, days: int | None = 5, *, mode: Mode = Mode.AUTO) -> HangingItem:
    expires_at = None if days is None else NOW + days * DAY
    return HangingItem(id=f"vlt_{name}", name=name, mode=mode, expires_at=expires_at, owners=("team",))


def item(name: str, days: int | None = 5, since: datetime | None = None) -> Hurt:
    found = hurt_item(hanging(name, days), by=("a",), since=since)
    assert found is not None
    return found


WORST_FIRST = [
    user("critical, by hand", critical=True),
    user("soon", next_run_at=NOW + DAY),
    user("later", next_run_at=NOW + 2 * DAY, runs=900),
    user("by hand, often", runs=30),
    user("by hand, seldom", runs=1),
    user("by hand, seldom, over another", runs=1, by=("a", "b")),
    Hurt(harm=Harm.REFUSED, id="callers", name="api-key:a", by=("a",)),
    Hurt(harm=Harm.DEAD, id="vlt_copy", name="copy", by=("a",)),
    Hurt(harm=Harm.NOT_COLLECTED, id="pck_1", name="api-key:a", by=("a",)),
    item("lapses first", 3),
    item("lapses then", 9),
    item("never lapses", None),
    user("fails later, critical", since=NOW + 9 * DAY, critical=True),
    user("fails in three days", since=NOW + 3 * DAY),
    user("fails in nine", since=NOW + 9 * DAY),
    user("is not active", active=False, critical=True, next_run_at=NOW + DAY),
]


@pytest.mark.parametrize("given", [WORST_FIRST, WORST_FIRST[::-1]], ids=["as it is", "turned round"])
def test_the_worst_comes_first(given: list[Hurt]) -> None:
    assert [one.name for one in rank(given)] == [one.name for one in WORST_FIRST]


def test_whoever_is_hurt_twice_stands_there_with_the_worst() -> None:
    twice = [user("sync", since=NOW + DAY, by=("a", "b")), user("sync"), user("sync", by=("c",))]
    (only,) = rank(twice)
    assert (only.harm, only.by) == (Harm.FAILS, ("a",))


def test_an_item_that_its_owner_replaces_hangs_on_nothing() -> None:
    assert hurt_item(hanging("by hand", mode=Mode.NOTIFY), by=("a",), since=None) is None
    assert hurt_item(hanging("asked", mode=Mode.APPROVE), by=("a",), since=None) is not None


def test_nothing_lapses_before_what_it_hangs_on_does() -> None:
    assert item("sooner", 3, since=NOW + 9 * DAY).since == NOW + 9 * DAY
    assert item("later", 9, since=NOW + 3 * DAY).since == NOW + 9 * DAY
    assert item("never", None, since=NOW + 3 * DAY).since is None


def test_what_is_not_active_does_not_run_next() -> None:
    assert user("asleep", active=False, next_run_at=NOW).next_run_at is None


def test_each_says_what_happens() -> None:
    said = {one.name: say_harm(one) for one in WORST_FIRST}
    assert said["soon"] == "fails with its next run"
    assert said["copy"] == "holds the same credential: works no longer either"
    assert said["lapses first"] == "is not replaced any more: lapses"
    assert said["never lapses"] == "is not replaced any more: never lapses"
    assert said["fails in nine"] == "fails when a lapses"
    assert said["is not active"] == "is not active: fails once it is again"
    assert "version 2" in say_harm(user("held", pinned=2))
    assert say_harm(item("there"), is_target=True) == "is not replaced while that is away: lapses"


def impact(*hurt: Hurt) -> Impact:
    return Impact(name="a", target=None, items=("a",), owners=(), hurt=rank(hurt))


def test_all_of_it_is_one_sentence() -> None:
    assert say_impact(impact(*WORST_FIRST)) == (
        "6 workflows fail, 1 key of callers opens nothing, 1 copy is dead, too, 3 items are not replaced any "
        "more, 3 workflows fail later"
    )
    assert say_impact(impact()) == "nobody that is known here is hurt at once"
    assert impact(*WORST_FIRST).first_run_at == NOW + DAY
