"""A worker drives a rotation under one lease: what happens to steps that share a transaction when one of them,
the worker, the database or whoever watches fails.
"""

import sqlite3
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

import psycopg
import pytest
from sqlalchemy import Engine, event, make_url, select, update
from sqlalchemy.exc import DataError, IntegrityError

from nightkey_demo.loopback import Answer, Incoming
from tests.faults.vault_copy import let_leases_lapse
from tests.organisation import Organisation
from tests.services.staging import TOKEN, Staged, begin_by_hand, get_rotation
from vaultcore.errors import Cause, TroubleError
from vaultcore.tables import references
from worker.domain.reasons import Code
from worker.domain.rotation import Rotation
from worker.domain.saga import FINISHED, State
from worker.rows.tables import rotations

TRIES = 20
ITEM = "random-password"


class KilledError(BaseException):
    """The worker dies there."""


@contextmanager
def at_statement(engine: Engine, beginning: str, act: Callable[[Any, Any], None]) -> Iterator[None]:
    """Before each statement that begins so, with its connection and what it is given."""

    def see(connection: Any, _cursor: Any, statement: str, given: Any, *_: Any) -> None:
        if statement.startswith(beginning):
            act(connection, given)

    event.listen(engine, "before_cursor_execute", see)
    yield
    event.remove(engine, "before_cursor_execute", see)


def _open(organisation: Organisation, name: str = ITEM) -> str:
    organisation.add_item(name, "a-first-value-of-it", days=3, mode="auto", rotator="random", lead="14d")
    return begin_by_hand(organisation, name)


def _open_in_a_night(organisation: Organisation, clock: Any) -> str:
    organisation.add_item(ITEM, "a-first-value-of-it", days=3, mode="auto", rotator="random", lead="14d")
    opened = organisation.services.night.nights.begin(clock())
    assert opened is not None
    (rotation_id,) = opened
    return rotation_id


def _drive(organisation: Organisation, rotation_id: str, **how: Any) -> Rotation:
    organisation.services.rotation.rotations.drive(rotation_id, **how)
    return get_rotation(organisation, rotation_id)


def test_nobody_is_kept_from_writing_while_a_call_is_under_way(on_file: Staged) -> None:
    """Whoever asks to be called less often, and whoever answers slowly, holds up no other writer."""
    organisation, service = on_file
    path, found = str(organisation.services.database.engine.url.database), list[str]()

    def answer(incoming: Incoming) -> Answer | None:
        with sqlite3.connect(path, timeout=0, isolation_level=None) as other:
            other.execute("BEGIN IMMEDIATE")  # "database is locked", else
            other.execute("ROLLBACK")
        found.append(incoming.path)
        return None

    organisation.add_token(TOKEN, "ticketing")
    organisation.add_workflow("tickets", TOKEN)
    organisation.add_item(ITEM, "a-first-value-of-it", days=3, mode="auto", rotator="random", lead="14d")
    organisation.add_workflow("others", ITEM, path="/v1/health")
    service.script = answer
    for name in (TOKEN, ITEM):
        _drive(organisation, begin_by_hand(organisation, name))
    assert {"/v1/tokens", "/v1/account", "/v1/health"} <= set(found)


@pytest.mark.parametrize("ends", [KilledError(), IntegrityError("insert", {}, Exception("at the same moment"))])
def test_what_keeps_ending_its_worker_is_cut_off(on_file: Staged, clock: Any, ends: BaseException) -> None:
    organisation, _ = on_file
    rotation_id = _open_in_a_night(organisation, clock)

    def end(_connection: Any, _given: Any) -> None:
        raise ends

    with at_statement(organisation.services.database.engine, "INSERT INTO versions", end):
        for _ in range(TRIES):
            try:
                rotation = _drive(organisation, rotation_id)
            except KilledError:
                let_leases_lapse(organisation.services)
            else:
                if rotation.state in FINISHED:
                    break
    rotation = get_rotation(organisation, rotation_id)
    assert rotation.state in FINISHED
    assert rotation.last_cause == Cause.MISTAKE
    assert rotation.last_error is not None
    assert rotation.last_error.code is Code.CUT_OFF
    assert organisation.stages(ITEM) == ["current"]


def test_who_watches_and_goes_away_ends_no_step(on_file: Staged) -> None:
    organisation, service = on_file
    organisation.add_token(TOKEN, "ticketing")
    rotation_id = begin_by_hand(organisation, TOKEN)

    def tell(_: Rotation) -> None:
        raise BrokenPipeError

    with pytest.raises(BrokenPipeError):
        _drive(organisation, rotation_id, tell=tell)
    rotation = get_rotation(organisation, rotation_id)
    assert (rotation.lease_until, rotation.last_error) == (None, None)
    assert _drive(organisation, rotation_id).state is State.WATCHING
    assert service.calls("POST") == 1


def test_a_worker_whose_share_of_time_is_over_gives_the_rotation_back_between_two_steps(
    on_file: Staged, clock: Any
) -> None:
    """Whoever comes next goes on from there, at once."""
    organisation, service = on_file
    organisation.add_token(TOKEN, "ticketing")
    rotation_id = begin_by_hand(organisation, TOKEN)

    def issue_late(incoming: Incoming) -> Answer | None:
        if incoming.method == "POST":
            clock.advance(timedelta(seconds=31))
        return None

    service.script = issue_late
    rotation = _drive(organisation, rotation_id)
    assert (rotation.state, rotation.lease_until, rotation.last_error) == (State.CREATED, None, None)
    assert rotation.next_at is not None
    assert rotation.next_at <= clock()
    assert _drive(organisation, rotation_id).state is State.WATCHING
    assert service.calls("POST") == 1


def test_what_the_database_does_not_take_at_the_end_costs_its_step_alone(on_file: Staged) -> None:
    """The record of the last step is written with the last commit, which all before it share."""
    organisation, _ = on_file
    rotation_id, refused = _open(organisation), list[Any]()

    def refuse_once(_connection: Any, given: Any) -> None:
        if not refused and "watch" in str(given):
            refused.append(given)
            raise DataError("insert", {}, Exception("a text that none can store"))

    with at_statement(organisation.services.database.engine, "INSERT INTO rotation_steps", refuse_once):
        rotation = _drive(organisation, rotation_id)
    assert refused
    assert (rotation.state, rotation.lease_until) == (State.WATCHING, None)
    assert organisation.stages(ITEM) == ["previous", "current"]
    assert organisation.services.upkeep.anchors.verify().whole


def test_a_server_that_cuts_off_a_worker_leaves_what_was_committed(staged: Staged, clock: Any) -> None:
    """In the middle of the transaction that activates: row and versions are of one time; it goes on later."""
    organisation, _ = staged
    engine = organisation.services.database.engine
    if engine.dialect.name == "sqlite":
        pytest.skip("no server is there to cut anybody off")
    rotation_id, cut = _open(organisation), list[int]()
    address = make_url(engine.url).set(drivername="postgresql").render_as_string(hide_password=False)

    def cut_off(connection: Any, _given: Any) -> None:
        if not cut:
            cut.append(connection.connection.dbapi_connection.info.backend_pid)
            with psycopg.connect(address, autocommit=True) as other:
                other.execute("SELECT pg_terminate_backend(%s)", (cut[0],))

    with at_statement(engine, "UPDATE items", cut_off), pytest.raises(TroubleError):
        _drive(organisation, rotation_id)
    rotation = get_rotation(organisation, rotation_id)
    assert (rotation.state, rotation.activated_at) == (State.PLANNED, None)  # all steps had shared it
    assert organisation.stages(ITEM) == ["current"]
    let_leases_lapse(organisation.services)
    clock.advance(timedelta(minutes=2))
    assert _drive(organisation, rotation_id).state is State.WATCHING
    assert organisation.stages(ITEM) == ["previous", "current"]


def test_a_use_that_is_stored_while_a_value_is_activated_is_of_the_new_one(staged: Staged) -> None:
    organisation, _ = staged
    engine = organisation.services.database.engine
    if engine.dialect.name == "sqlite":
        pytest.skip("a writer is alone there from its beginning")
    rotation_id, moved = _open(organisation), list[int]()

    def use(_connection: Any, _given: Any) -> None:
        moved.append(1)
        if len(moved) == 2:  # the first fills the new version, this one ends the old
            with ThreadPoolExecutor(1) as pool:
                pool.submit(organisation.add_workflow, "late", ITEM).result()

    with at_statement(engine, "UPDATE versions", use):
        assert _drive(organisation, rotation_id).state is State.WATCHING
    with organisation.services.database.read() as connection:
        assert connection.execute(select(references.c.current_version)).scalars().all() == [2]


def test_one_whose_reason_is_of_another_release_is_driven_all_the_same(staged: Staged) -> None:
    organisation, _ = staged
    rotation_id = _open(organisation)
    reason = {"code": "code-of-the-next-release", "steps": [1, 2], "by": None}
    with organisation.services.database.write() as connection:
        connection.execute(update(rotations).where(rotations.c.id == rotation_id).values(reason=reason))
    assert _drive(organisation, rotation_id).state is State.WATCHING
    with organisation.services.database.read() as connection:
        assert connection.execute(select(rotations.c.reason)).scalar_one() == reason
