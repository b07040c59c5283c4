"""What the resume sweep costs while rotations watch and none of them is due: it is to follow what moves.

Statements are counted on SQLite and PostgreSQL, with so many watching and with none.
"""

import argparse
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

from sqlalchemy import insert

from tests.benchmarks.grounds import open_on_both
from tests.benchmarks.table import BenchRow, add_options, take_in_turn, tell
from tests.counting import count_on
from vaultcore.model import Mode, Policy
from vaultcore.rows import policy_to_json
from vaultcore.tables import items
from worker.bootstrap import Services
from worker.domain.reasons import Code, Reason, store_reason
from worker.rows.tables import rotations

NOW = datetime(2026, 3, 1, 2, 0, tzinfo=UTC)
_AT_ONCE = 2_000


def add_watching(services: Services, number: int, now: datetime = NOW) -> None:
    """Rotations that look again in an hour."""
    policy = policy_to_json(Policy(mode=Mode.AUTO, rotator="random", stated=True))
    for start in range(0, number, _AT_ONCE):
        some = range(start, min(start + _AT_ONCE, number))
        with services.database.write() as connection:
            connection.execute(insert(items), [_item(n, policy) for n in some])
            connection.execute(insert(rotations), [_rotation(n, now + timedelta(hours=1)) for n in some])


def _item(n: int, policy: dict[str, object]) -> dict[str, object]:
    return {
        "id": f"vlt_{n:026d}", "name": f"prod-service-{n}", "kind": "secret", "policy": policy,
        "overlap_seconds": 86400, "idle_seconds": 7776000, "hygiene": "", "created_at": NOW, "updated_at": NOW,
    }  # fmt: skip


def _rotation(n: int, next_at: datetime) -> dict[str, object]:
    return {
        "id": f"rot_{n:026d}", "item_id": f"vlt_{n:026d}", "item": f"prod-service-{n}", "rotator": "random",
        "state": "watching", "reason": store_reason(Reason.of(Code.BY_OWNER)), "asked_by": "bench",
        "old_number": 1, "attempts": 0, "waits_for": [], "fence": 0, "created_at": NOW, "emergency": False,
        "one_way": False, "old_dead": False,
        "gated": False, "issuing": False, "next_at": next_at,
    }  # fmt: skip


def measure(name: str, services: Services, number: int, runs: int) -> Iterator[BenchRow]:
    sweep = services.night.resume_sweep.find_work
    sweep()  # so that statements are built
    with count_on(services.database.engine) as counted:
        sweep()
    empty, without = len(counted.statements), take_in_turn({"sweep": sweep}, runs=runs)["sweep"]
    add_watching(services, number)
    sweep()
    with count_on(services.database.engine) as counted:
        assert sweep() == []
    taken = take_in_turn({"sweep": sweep}, runs=runs)["sweep"]
    work = f"{name}: resume sweep, {number:,} rotations at rest"
    yield BenchRow(
        work=f"{work}: statements", measure=len(counted.statements), beside=empty, beside_what="none there",
        unit="", at_most=1,
    )  # fmt: skip
    yield BenchRow(work=f"{work}: commits", measure=counted.commits, unit="")
    yield BenchRow(work=work, measure=taken, beside=without, beside_what="none there", profile=sweep)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rotations", type=int, default=10_000)
    parser.add_argument("--runs", type=int, default=9)
    add_options(parser)
    given = parser.parse_args()
    with open_on_both(lambda: NOW) as vaults:
        rows = [
            row
            for name, services in vaults.items()
            for row in measure(name, services, given.rotations, given.runs)
        ]
        tell("sweeps", rows, write=given.write)


if __name__ == "__main__":
    main()
