"""Replicas that learn of a value one after the other: one good answer is not all of them."""

from datetime import datetime, timedelta
from typing import Any

import pytest

from nightkey_demo.loopback import Answer, Incoming
from tests.services.staging import REFUSED, TOKEN, ScriptedService, Staged, bearer_of, drive_on
from worker.domain.saga import State

pytestmark = pytest.mark.rules

LEARN_AFTER = (timedelta(0), timedelta(seconds=4), timedelta(seconds=8))


def spread_slowly(service: ScriptedService, known: set[str], clock: Any, *, turn: int) -> None:
    """Each call meets the next of three replicas, the first of them number `turn`."""
    calls = iter(range(turn, 10_000))
    seen: dict[str, datetime] = {}

    def script(incoming: Incoming) -> Answer | None:
        value = bearer_of(incoming)
        if incoming.path.startswith("/v1/tokens") or value in known or not service.is_known(value):
            return None
        issued_at = seen.setdefault(value, clock())
        return REFUSED if clock() - issued_at < LEARN_AFTER[next(calls) % 3] else None

    service.script = script


@pytest.mark.parametrize("turn", range(3))
@pytest.mark.parametrize("answers", [1, 3])
def test_a_value_that_spreads_slowly_costs_no_candidate(
    staged: Staged, clock: Any, turn: int, answers: int
) -> None:
    organisation, service = staged
    old = organisation.add_token(TOKEN, "ticketing", propagation="20s", answers=answers)
    organisation.add_workflow("ticket-sync", TOKEN)
    organisation.add_workflow("ticket-report", TOKEN)
    spread_slowly(service, {old}, clock, turn=turn)
    organisation.services.night.nights.begin(clock())
    drive_on(organisation, clock)
    (rotation,) = organisation.rotations()
    assert (rotation.state, rotation.candidates) == (State.WATCHING, 0)
    assert service.calls("POST") == 1


def test_how_long_a_fresh_value_is_asked_again_counts_over_all_its_tests(staged: Staged, clock: Any) -> None:
    organisation, service = staged
    organisation.add_token(TOKEN, "ticketing", propagation="20s")
    organisation.add_workflow("invoice-export", TOKEN, path="/v1/invoices")
    service.default_scopes["ticketing"] = ["tickets"]
    began = clock()
    organisation.services.night.nights.begin(began)
    drive_on(organisation, clock)
    (rotation,) = organisation.rotations()
    assert (rotation.state, rotation.candidates) == (State.ROLLED_BACK, 2)
    assert clock() - began < 3 * timedelta(seconds=20 + 10)
