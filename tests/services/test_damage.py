"""One damaged field of one row: whatever it is, it ends no night and passes for no success."""

import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import groupby
from pathlib import Path
from typing import Any

import pytest

from nightkey_demo.http_sink import HttpSink
from tests.conftest import Clock
from tests.services.damaged import (
    DAMAGED,
    DEEP,
    HEALTHY,
    Damage,
    damaged,
    do_damage,
    every_damage,
    is_still_there,
    make_vault,
    open_vault,
    run_night,
)
from vaultcore.errors import NightkeyError
from worker.bootstrap import Services
from worker.domain.findings import FindingKind

VAULT_WIDE = {"deployment", "audit_head"}
"""What the whole vault hangs on: one clear error, and nothing is done."""

KNOWN_TO_ANCHORS = {("audit", "seq"), ("audit", "hash")}
"""Of the last row of the log: where it is another, the database counts as an older one."""

RECORDS = {"audit", "run_logs", "run_versions", "rotation_steps", "tellings", "waivers", "departure_items"}
"""What was: no decision of a night is made of it. The audit log has a command of its own that looks at it."""


@pytest.fixture(scope="module")
def sink() -> Iterator[str]:
    with HttpSink() as made:
        yield made.url.removeprefix("http://")


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory, sink: str) -> tuple[Path, Clock]:
    clock = Clock()
    home = tmp_path_factory.mktemp("whole") / "home"
    make_vault(home, clock, sink)
    return home, clock


def run_damaged(whole: tuple[Path, Clock], sink: str, folder: Path, damage: Damage | None) -> Any:
    """A whole night on a copy: its outcome, the healthy item's version, and how things stand.

    None: the database refuses the damage, or knows no such row.
    """
    home = folder / "home"
    shutil.copytree(whole[0], home)
    if damage is not None and not do_damage(home / "nightkey.db", damage):
        return None
    services = open_vault(home, whole[1], sink)
    try:
        services.check()
        outcome = run_night(services)
        with services.database.read() as connection:
            return outcome, services.vault.get(connection, HEALTHY).version, services.overview.status.read()
    finally:
        services.close()


def check_night(whole: tuple[Path, Clock], sink: str, folder: Path, damage: Damage) -> None:
    """It ends, replaces the healthy item, and is not good while the damage is there. What it wrote anew
    by the way is not damaged any more.
    """
    if damage.table in VAULT_WIDE or (damage.table, damage.column) in KNOWN_TO_ANCHORS:
        with suppress_one_line(NightkeyError):
            run_damaged(whole, sink, folder, damage)
        return
    ended = run_damaged(whole, sink, folder, damage)
    if ended is None:
        return
    outcome, version, standing = ended
    assert version == 2
    if decides(damage) and is_still_there(folder / "home" / "nightkey.db", damage):
        assert outcome != "good"
        assert standing.problems


@contextmanager
def suppress_one_line(kind: type[Exception]) -> Iterator[None]:
    """Either it is of no matter, or it is told in one line."""
    try:
        yield
    except kind as error:
        told = str(error)
    else:
        return
    assert told
    assert "\n" not in told


def decides(damage: Damage) -> bool:
    """Whether any decision could be made of the damaged field, and it is known to be damaged."""
    return damage.table not in RECORDS | VAULT_WIDE and not damage.plain


def test_a_whole_vault_has_a_good_night(whole: tuple[Path, Clock], sink: str, tmp_path: Path) -> None:
    outcome, version, standing = run_damaged(whole, sink, tmp_path, None)
    assert (outcome, version, standing.problems) == ("good", 2, [])


def by_table() -> dict[str, list[Damage]]:
    found: dict[str, list[Damage]] = {}
    for damage in every_damage():
        if damage.table not in VAULT_WIDE:
            found.setdefault(damage.table, []).append(damage)
    return found


def check_table(home: Path, services: Services, damages: Sequence[Damage]) -> None:
    """One after the other, each put right before the next: what a scan makes of it."""
    wrong = []
    for damage in damages:
        with damaged(home / "nightkey.db", damage) as is_done:
            if not is_done:
                continue
            preview = services.night.nights.preview(services.clock())
            rotates = {seen.name: seen.decision is not None for seen in preview.due}
            unreadable = [one for one in preview.findings if one.kind is FindingKind.UNREADABLE]
            if not rotates.get(HEALTHY) or (decides(damage) and not unreadable):
                wrong.append(str(damage))
            assert len(unreadable) <= 3, (str(damage), unreadable)
    assert wrong == []


def one_of_each_column(damages: Sequence[Damage]) -> list[Damage]:
    """In turn another way of each, beginning with one that shows."""
    found = {}
    for number, (_, of_column) in enumerate(groupby(damages, lambda damage: damage.column)):
        ways = sorted(of_column, key=lambda damage: damage.plain)
        telling = [way for way in ways if not way.plain] or ways
        found[telling[0].column] = telling[number % len(telling)]
    return list(found.values())


@pytest.mark.parametrize("table", by_table())
def test_every_damaged_field_of_a_table_is_seen_and_hides_nothing(
    whole: tuple[Path, Clock], sink: str, tmp_path: Path, table: str
) -> None:
    home = tmp_path / "home"
    shutil.copytree(whole[0], home)
    services = open_vault(home, whole[1], sink)
    due = {seen.name for seen in services.night.nights.preview(services.clock()).due}
    assert due >= {HEALTHY, DAMAGED}
    check_table(home, services, one_of_each_column(by_table()[table]))
    services.close()


TOLD = [
    Damage("items", "updated_at", "garbage", "word"),
    Damage("items", "policy", DEEP, "deep"),
    Damage("items", "expires_at", "0001-01-01 00:00:00.000000", "year-1"),
    Damage("items", "due_at", "garbage", "word"),
    Damage("pickups", "created_at", "garbage", "word"),
    Damage("workflows", "next_run_at", "", "empty"),
    Damage("item_references", "last_run_at", "garbage", "word"),
    Damage("item_references", "held_by", b"garbage", "bytes"),
    Damage("rotations", "waits_for", "garbage", "word"),
    Damage("owners", "zone", "garbage", "word"),
    Damage("audit_head", "seq", "garbage", "word"),
    Damage("deployment", "id", "garbage", "word"),
]
"""Of each kind one; `make faults` runs a night with every other."""


@pytest.mark.parametrize("damage", TOLD, ids=str)
def test_a_night_goes_on_beside_a_damaged_field_and_is_not_good(
    whole: tuple[Path, Clock], sink: str, tmp_path: Path, damage: Damage
) -> None:
    check_night(whole, sink, tmp_path, damage)


@pytest.mark.long
@pytest.mark.parametrize("damage", list(every_damage()), ids=str)
def test_a_night_goes_on_beside_every_damaged_field(
    whole: tuple[Path, Clock], sink: str, tmp_path: Path, damage: Damage
) -> None:
    check_night(whole, sink, tmp_path, damage)
