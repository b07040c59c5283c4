"""What a rotation costs the database: commits and statements, which are the same on every machine."""

from datetime import timedelta
from typing import Any

from sqlalchemy import event

from tests.counting import Counted, count_on
from tests.organisation import Organisation
from tests.plans import explaining, find_walks
from tests.services.staging import TOKEN, Staged, begin_by_hand, drive_on, get_rotation
from worker.domain.rotation import Rotation
from worker.domain.saga import State
from worker.rows import rotation_steps as step_rows
from worker.rows.judging_runs import runs_with

STEPS = ["create", "install", "verify", "node test", "workflow test", "activate", "watch"]
NOTHING_OUTSIDE = {"sqlite": (2, 15), "postgresql": (2, 16)}
WITH_A_TARGET = {"sqlite": (7, 52), "postgresql": (8, 52)}
"""Commits and statements at most, from its plan until it watches, with its lease. Where writers do not take
turns, the rotation is locked before it is decided about, its users are read anew when it is
activated, and who ends a run is to see that; but its steps and the audit log take a statement less each.
"""
FIRST_OF_AN_ITEM = {"sqlite": (7, 60), "postgresql": (8, 60)}
"""The same, while it is not known yet whether the checks of its value tell a made-up one apart."""


def _drive(organisation: Organisation, name: str) -> tuple[Rotation, Counted, list[State]]:
    rotation_id, told = begin_by_hand(organisation, name), list[State]()
    with count_on(organisation.services.database.engine) as counted:
        organisation.services.rotation.rotations.drive(rotation_id, tell=lambda one: told.append(one.state))
    return get_rotation(organisation, rotation_id), counted, told


def _dialect(organisation: Organisation) -> str:
    return organisation.services.database.engine.dialect.name


def _add(organisation: Organisation, name: str = "random-password", **policy: Any) -> str:
    policy = {"mode": "auto", "rotator": "random", "lead": "14d"} | policy
    organisation.add_item(name, "a-first-value-of-it", days=3, **policy)
    return name


def test_one_with_nothing_outside_is_one_transaction_beside_its_lease(staged: Staged) -> None:
    organisation, _ = staged
    _drive(organisation, _add(organisation, "another"))  # what is read once in a process
    rotation, counted, told = _drive(organisation, _add(organisation))
    assert rotation.state is State.WATCHING
    commits, statements = NOTHING_OUTSIDE[_dialect(organisation)]
    assert counted.commits <= commits
    assert len(counted.statements) <= statements
    assert told[-1] is State.WATCHING
    assert len(told) == len(set(told))


def test_one_with_a_target_and_a_workflow_commits_around_what_leaves(staged: Staged, clock: Any) -> None:
    organisation, _ = staged
    organisation.add_token(TOKEN, "ticketing", overlap="1h")
    organisation.add_workflow("tickets", TOKEN)
    for bars in (FIRST_OF_AN_ITEM, WITH_A_TARGET):
        rotation, counted, _ = _drive(organisation, TOKEN)
        assert rotation.state is State.WATCHING
        commits, statements = bars[_dialect(organisation)]
        assert counted.commits <= commits
        assert len(counted.statements) <= statements
        organisation.services.runs.runs.start("tickets", actor="test")
        drive_on(organisation, clock, until=lambda: all(one.finished_at for one in organisation.rotations()))


def test_a_night_opens_each_rotation_by_two_statements(staged: Staged, clock: Any) -> None:
    """Whether it was compared since a restore, and its row: items and findings of a page are read and written
    together.
    """
    organisation, _ = staged
    spent = []
    for number in (10, 40):
        for one in range(number):
            _add(organisation, f"password-{number}-{one}")
        with count_on(organisation.services.database.engine) as counted:
            opened = organisation.services.night.nights.begin(clock())
        assert len(opened or ()) == number
        spent.append(len(counted.statements))
        clock.advance(timedelta(days=1))
    assert (spent[1] - spent[0]) // 30 == 2


def test_one_that_retires_commits_its_lease_its_look_and_its_end(staged: Staged, clock: Any) -> None:
    organisation, _ = staged
    organisation.add_token(TOKEN, "ticketing", overlap="1h")
    organisation.add_workflow("tickets", TOKEN)
    rotation, _, _ = _drive(organisation, TOKEN)
    organisation.services.runs.runs.start("tickets", actor="test")
    organisation.drive()
    clock.advance(timedelta(hours=2))
    with count_on(organisation.services.database.engine) as counted:
        organisation.services.rotation.rotations.drive(rotation.id)
    ended = get_rotation(organisation, rotation.id)
    assert (ended.state, ended.lease_until) == (State.DONE, None)
    assert counted.commits == 3


def test_every_statement_of_a_rotation_is_made_once_for_all_of_them(staged: Staged, clock: Any) -> None:
    """From its plan to its end, with the runs that prove it."""
    organisation, _ = staged
    organisation.add_token(TOKEN, "ticketing", overlap="1h")
    organisation.add_workflow("tickets", TOKEN)
    before = list[Counted]()
    for is_first in (True, True, False):
        with count_on(organisation.services.database.engine) as counted:
            begin_by_hand(organisation, TOKEN)
            organisation.drive()
            organisation.services.runs.runs.start("tickets", actor="test")
            drive_on(
                organisation, clock, until=lambda: all(one.finished_at for one in organisation.rotations())
            )
        assert is_first or counted.made_beside(before) == []
        before.append(counted)


def test_each_step_is_recorded_and_audited_although_they_share_a_transaction(staged: Staged) -> None:
    organisation, _ = staged
    rotation, _, _ = _drive(organisation, _add(organisation))
    with organisation.services.database.read() as connection:
        steps = step_rows.steps_of(connection, rotation.id)
    assert [step.number for step in steps] == list(range(1, len(steps) + 1))
    assert [step.step for step in steps] == STEPS
    assert organisation.services.upkeep.anchors.verify().whole


def test_steps_that_one_after_them_undid_are_done_again_one_by_one(on_file: Staged, clock: Any) -> None:
    """The new value lapses on the way: its activation fails, and with it what came before. What was
    never stored is made again, with a value of its own.
    """
    organisation, _ = on_file
    engine, filled, turned = organisation.services.database.engine, list[str](), list[str]()

    def let_it_lapse(_connection: Any, _cursor: Any, statement: str, *_: Any) -> None:
        if "INSERT INTO versions" in statement:
            filled.append(statement)
        if filled and not turned and "FROM item_references" in statement:
            turned.append(statement)
            clock.now += timedelta(seconds=25)

    name = _add(organisation, lifetime="20s", lead="1s", overlap="1s")
    organisation.add_workflow("stands-still", name, is_active=False)  # is read between the two
    event.listen(engine, "before_cursor_execute", let_it_lapse)
    rotation, counted, told = _drive(organisation, name)
    event.remove(engine, "before_cursor_execute", let_it_lapse)
    assert (len(filled), len(turned)) == (2, 1)
    assert counted.commits > 2
    assert rotation.state is State.WATCHING
    assert len(told) == len(set(told))
    with organisation.services.database.read() as connection:
        steps = step_rows.steps_of(connection, rotation.id)
    assert [step.step for step in steps] == STEPS
    assert organisation.stages("random-password") == ["previous", "current"]
    assert organisation.services.upkeep.anchors.verify().whole


def test_no_statement_of_a_rotation_walks_a_table(staged: Staged, clock: Any) -> None:
    """From its plan to its end, with the runs that prove it. One table has one row."""
    organisation, _ = staged
    organisation.add_token(TOKEN, "ticketing", overlap="1h")
    organisation.add_workflow("tickets", TOKEN)
    for is_first in (True, False):
        with explaining(organisation.services.database.engine) as plans:
            rotation_id = begin_by_hand(organisation, TOKEN)
            organisation.drive()
            organisation.services.runs.runs.start("tickets", actor="test")
            clock.advance(timedelta(hours=2))
            organisation.drive()
        assert get_rotation(organisation, rotation_id).state is State.DONE, is_first
        assert find_walks(plans, but={"audit_head"}) == []


def test_runs_that_used_a_version_are_found_by_index(staged: Staged) -> None:
    organisation, _ = staged
    database = organisation.services.database
    with explaining(database.engine) as plans, database.read() as connection:
        assert runs_with(connection, item_id="vlt_1", number=2, since=organisation.services.clock()) == []
    (plan,) = plans.values()
    assert "ix_run_versions_item" in str(plan)
    assert find_walks(plans) == []
