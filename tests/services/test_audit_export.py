"""The record of a period, as an auditor takes it from a vault at work."""

import json
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import update

from tests.organisation import Organisation
from tests.services.conftest import Moves
from tests.services.staging import TOKEN, begin_by_hand, get_rotation, step_to
from tests.services.test_tampered import edit
from vaultcore.audit_rows import AuditRow
from vaultcore.errors import InvalidInputError
from vaultcore.tables import audit
from worker.domain.paging import PageRequest
from worker.domain.saga import State
from worker.rows.audit_lists import AuditFilter
from worker.rows.tables import rotations

DAY = timedelta(days=1)


@pytest.fixture
def watched(organisation: Organisation, clock: Any) -> str:
    """A rotation that waits for two workflows; the one has run, somebody answers for the other."""
    organisation.add_token(TOKEN, "ticketing", days=80, overlap="1d")
    organisation.add_workflow("ticket-sync", TOKEN, schedule_type="interval", schedule_value="1 hour")
    organisation.add_workflow("old-report", TOKEN)
    rotation = step_to(organisation, clock, begin_by_hand(organisation, TOKEN), State.WATCHING)
    clock.advance(timedelta(minutes=1))
    organisation.services.runs.runs.start("ticket-sync", actor="test")
    organisation.services.rotation.decisions.waive(
        rotation.id, "old-report", why="it is retired", actor="user:bob"
    )
    return rotation.id


def export(organisation: Organisation, begin: Any, end: Any = None) -> tuple[list[str], dict[str, Any]]:
    lines = list(organisation.services.upkeep.audit_export.write(begin, end, actor="user:ann"))
    return lines, json.loads("".join(lines))


def encode(lines: list[str]) -> list[bytes]:
    return [line.encode() for line in lines]


def test_a_rotation_says_when_it_was_proven_by_what_and_answered_for_by_whom(
    organisation: Organisation, clock: Any, watched: str
) -> None:
    began_at = clock() - DAY
    clock.advance(DAY)
    lines, document = export(organisation, began_at)

    (rotation,) = document["rotations"]
    assert (rotation["id"], rotation["item"], rotation["timeliness"]) == (watched, TOKEN, "on-time")
    stored = get_rotation(organisation, watched)
    assert rotation["replaced_at"][:19] == f"{stored.activated_at:%Y-%m-%dT%H:%M:%S}"
    assert [(one["who"], one["run"] is not None) for one in rotation["proofs"]] == [("ticket-sync", True)]
    assert [(one["for"], one["by"], one["why"]) for one in rotation["waivers"]] == [
        ("old-report", "user:bob", "it is retired")
    ]
    assert "activate" in [step["step"] for step in rotation["steps"]]
    assert document["totals"]["timeliness"]["on-time"] == 1
    assert document["totals"]["waived"] == 1
    seqs = [row["seq"] for row in document["record"]]
    assert seqs == list(range(seqs[0], seqs[-1] + 1))
    assert {"rotation.waive", "rotation.watching"} <= {row["action"] for row in document["record"]}
    assert organisation.services.upkeep.audit_export.check(encode(lines)).problems == ()


def test_a_period_has_what_was_open_in_it_and_the_rows_of_its_time(
    organisation: Organisation, clock: Any, watched: str
) -> None:
    begun = clock()
    clock.advance(DAY)
    _, later = export(organisation, begun + timedelta(hours=1))
    assert [one["id"] for one in later["rotations"]] == [watched]
    assert later["record"] == []
    clock.advance(DAY)
    _, before = export(organisation, begun - 400 * DAY, begun - 300 * DAY)
    assert (before["rotations"], before["record"]) == ([], [])
    with pytest.raises(InvalidInputError, match="from"):
        export(organisation, clock(), clock())
    _, whole = export(organisation, begun - DAY, clock() + DAY)
    assert whole["export"]["to"][:19] == f"{clock():%Y-%m-%dT%H:%M:%S}", "nothing is said of what is to come"


def test_that_somebody_took_it_is_recorded(organisation: Organisation, clock: Any, watched: str) -> None:
    export(organisation, clock() - DAY)
    rows, more = organisation.services.lookup.lists.list_audit(
        AuditFilter(action="audit"), PageRequest(), most=10
    )
    done = [(one.action, one.actor) for one in rows if isinstance(one, AuditRow)]
    assert done == [("audit.export", "user:ann")]
    assert not more


def test_rows_that_were_edited_are_told_in_it_and_afterwards(
    organisation: Organisation, clock: Any, watched: str
) -> None:
    moves, begin = Moves(organisation.services), clock() - DAY
    clock.advance(DAY)
    good, document = export(organisation, begin)
    last = document["record"][-1]["seq"]
    moves.sql(update(audit).where(audit.c.seq == last).values(actor="user:eve"))
    asked_by = get_rotation(organisation, watched).asked_by
    edit(organisation.services, rotations, rotations.c.id == watched, asked_by="user:eve")

    lines, edited = export(organisation, begin)

    about_rotation, about_row = edited["totals"]["problems"]
    assert watched in about_rotation
    assert f"row {last} was edited" in about_row
    assert edited["rotations"][0]["edited"] == about_rotation
    assert organisation.services.upkeep.audit_export.check(encode(lines)).problems == (
        about_rotation,
        about_row,
    )
    assert organisation.services.upkeep.audit_export.check(encode(good)).holds, "its hash is still there"
    moves.sql(update(audit).where(audit.c.seq == last).values(hash=bytes(32)))
    (problem,) = organisation.services.upkeep.audit_export.check(encode(good)).problems
    assert problem == f"the log has no such row {last} any more"
    edit(organisation.services, rotations, rotations.c.id == watched, asked_by=asked_by)


def test_the_record_is_found_by_item_by_who_did_it_and_by_what(
    organisation: Organisation, clock: Any, watched: str
) -> None:
    lists = organisation.services.lookup.lists

    def find(**wanted: Any) -> list[Any]:
        return lists.list_audit(AuditFilter(**wanted), PageRequest(), most=500)[0]

    item = organisation.services.lookup.views.get_item(TOKEN)
    of_item = find(item=TOKEN)
    assert [row.seq for row in of_item] == sorted((row.seq for row in of_item), reverse=True)
    assert {row.subject for row in of_item} == {item.id, watched}
    assert of_item == find(item=item.id)
    assert [row.action for row in find(actor="bob")] == ["rotation.waive"]
    assert find(actor="bob") == find(actor="user:bob")
    assert find(actor="carol") == []
    actions = {row.action for row in find(action="rotation")}
    assert all(action.startswith("rotation.") for action in actions)
    assert len(actions) > 3
    assert find(action="rotation.waive", after=clock() + DAY) == []
    first, more = lists.list_audit(AuditFilter(item=TOKEN), PageRequest(), most=2)
    assert (first, more) == (of_item[:2], True)
