"""What a move finds at its target, and what is said of what stands in its way."""

from datetime import UTC, datetime

import pytest

from vaultcore.errors import RefusedError
from worker.domain.moves import (
    CopyFault,
    FoundTarget,
    Hindrance,
    MoveHead,
    Obstacle,
    RowDifference,
    Stance,
    judge_target,
    refuse_others,
)
from worker.wording.moves import explain_difference, explain_obstacle, explain_obstacles

HEAD = MoveHead(deployment_id="dep_a", revision="0034", begun_at=datetime(2026, 3, 1, tzinfo=UTC))


@pytest.mark.parametrize(
    ("found", "stance"),
    [
        (FoundTarget(tables=(), head=None, vault_id=None), Stance.EMPTY),
        (FoundTarget(tables=("nightkey_moves",), head=HEAD, vault_id=None), Stance.BEGUN),
        (FoundTarget(tables=("items",), head=None, vault_id="dep_a"), Stance.MOVED),
        (FoundTarget(tables=("items",), head=None, vault_id=None), "has the tables of a vault"),
        (FoundTarget(tables=("items",), head=None, vault_id="dep_b"), r"of another vault \(dep_b\)"),
    ],
)
def test_what_a_target_is_follows_from_what_was_found(found: FoundTarget, stance: Stance | str) -> None:
    if isinstance(stance, Stance):
        assert judge_target(found, deployment_id="dep_a", where="the database x") is stance
        return
    with pytest.raises(RefusedError, match=f"the database x .*{stance}"):
        judge_target(found, deployment_id="dep_a", where="the database x")


def test_a_move_of_another_vault_is_not_ours() -> None:
    found = FoundTarget(tables=("nightkey_moves",), head=HEAD, vault_id=None)
    with pytest.raises(RefusedError, match=r"another vault \(dep_a\) is being moved to the database x"):
        judge_target(found, deployment_id="dep_b", where="the database x")


def test_tables_of_others_are_named_some_of_them() -> None:
    refuse_others(["items"], where="the database x", ours=["items", "owners"])
    with pytest.raises(RefusedError, match=r"other tables \(a, b, c and 2 more\)"):
        refuse_others(["items", *"edcba"], where="the database x", ours=["items"])


OBSTACLES = [
    (
        Obstacle(kind=Hindrance.LOG, subject="audit", detail="row 2 was edited"),
        "the audit log is not whole: row 2 was edited (nightkey audit verify)",
    ),
    (
        Obstacle(kind=Hindrance.EDITED, subject="items x", detail="it was changed", command="nightkey x"),
        "it was changed: nightkey x",
    ),
    (
        Obstacle(kind=Hindrance.UNREADABLE, subject="items x", fields=("policy", "name")),
        "items x cannot be read (policy, name): restore it from a backup",
    ),
    (
        Obstacle(kind=Hindrance.UNFIT, subject="items x", fields=("name",)),
        "items x holds what PostgreSQL does not take (name): change or delete it",
    ),
    (
        Obstacle(kind=Hindrance.AT_WORK, subject="worker 12 on far", detail="2026-03-01 02:00:00 UTC"),
        "a process works on the vault (worker 12 on far, last seen 2026-03-01 02:00:00 UTC): stop it first",
    ),
    (Obstacle(kind=Hindrance.LOCKED, subject="/home", detail="stop `nightkey up`"), "stop `nightkey up`"),
]


def test_each_obstacle_has_its_sentence() -> None:
    assert [explain_obstacle(one) for one, _ in OBSTACLES] == [sentence for _, sentence in OBSTACLES]
    assert {one.kind for one, _ in OBSTACLES} == set(Hindrance)


def test_of_several_the_first_is_said_and_the_others_are_counted() -> None:
    one, two = OBSTACLES[2][0], OBSTACLES[3][0]
    assert explain_obstacles([one]) == OBSTACLES[2][1]
    assert explain_obstacles([one, two]).endswith(
        "; and 1 other obstacle: nightkey migrate-to URL --dry-run names them"
    )


def test_a_row_that_differs_is_named_by_table_and_key() -> None:
    said = [
        explain_difference(RowDifference(table="items", key="x", fault=fault, fields=fields))
        for fault, fields in (
            (CopyFault.MISSING, ()),
            (CopyFault.ADDED, ()),
            (CopyFault.DIFFERS, ("name", "mac")),
        )
    ]
    assert said == [
        "items x is not in the copy",
        "items x is in the copy alone",
        "items x differs in the copy (name, mac)",
    ]
