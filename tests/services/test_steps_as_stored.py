"""What steps came to is stored with their rotation: all of it or nothing, in their order, whatever was said."""

from collections.abc import Sequence
from datetime import timedelta
from typing import Any

import pytest

from tests.faults.vault_copy import let_leases_lapse
from tests.services.conftest import Moves
from vaultcore.errors import ConflictError
from worker.domain.reasons import Code, Reason
from worker.domain.rotation import Rotation
from worker.domain.saga import Step
from worker.domain.tracks import NewStep
from worker.rows import rotation_leases as lease_rows
from worker.rows import rotation_steps as step_rows

LEASE = timedelta(minutes=15)
ODD = ["a\x00b", "half \ud800", "\\u0000", 'a "quoted" one', "{a,b}", "NULL", "", "\N{KEY} \u2028 ünd\n"]


@pytest.fixture
def leased(moves: Moves, clock: Any) -> Rotation:
    opened = moves.insert_due(clock(), "crm.example.org")
    with moves.services.database.write() as connection:
        found = lease_rows.lease_rotation(connection, opened, now=clock(), lease=LEASE, at_once=1)
    assert found is not None
    return found


def test_whatever_was_said_comes_back_as_it_was(moves: Moves, leased: Rotation) -> None:
    """A rotator says what the other side said: no text of it may keep the step from being stored."""
    _store(moves, leased, _say(moves, ODD[:3]))
    _store(moves, leased, _say(moves, ODD[3:]))
    stored = _read(moves, leased)
    assert [one.said for one in stored] == [(Reason.of(Code.SAID, text=odd),) for odd in ODD]
    assert [one.number for one in stored] == list(range(1, len(ODD) + 1))


def test_who_lost_the_rotation_stores_no_step(moves: Moves, leased: Rotation, clock: Any) -> None:
    let_leases_lapse(moves.services)
    with moves.services.database.write() as connection:
        lease_rows.take_rotation(connection, leased.id, now=clock())
    with pytest.raises(ConflictError):
        _store(moves, leased, _say(moves, ["late"]))
    assert _read(moves, leased) == []


def _say(moves: Moves, texts: Sequence[str]) -> list[NewStep]:
    return [
        NewStep(
            step=Step.INSTALL.value,
            result="done",
            cause=None,
            said=(Reason.of(Code.SAID, text=one),),
            at=moves.services.clock(),
        )
        for one in texts
    ]


def _store(moves: Moves, leased: Rotation, steps: Sequence[NewStep]) -> None:
    with moves.services.database.write() as connection:
        lease_rows.store_rotation(connection, leased, leased, steps, now=moves.services.clock(), lease=LEASE)


def _read(moves: Moves, leased: Rotation) -> list[Any]:
    with moves.services.database.read() as connection:
        return step_rows.steps_of(connection, leased.id)
