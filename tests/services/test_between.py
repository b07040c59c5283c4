"""What happens between two steps of a rotation: answers of no use, and people who act meanwhile."""

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest

from tests.organisation import Organisation
from tests.services.staging import (
    TOKEN,
    Staged,
    begin_by_hand,
    drive_on,
    get_rotation,
    start_organisation,
    step_to,
)
from vaultcore.secret import Secret
from worker.bootstrap import Services
from worker.domain.saga import State

DAY = timedelta(days=1)
OFTEN = {"schedule_type": "interval", "schedule_value": "1 hours"}


@pytest.fixture
def staged(services: Services) -> Iterator[Staged]:
    with start_organisation(services) as made:
        yield made


def run(organisation: Organisation, name: str) -> str:
    return str(organisation.services.running.start(name, actor="test").status)


def test_a_token_that_was_issued_in_an_answer_that_cannot_be_used_is_taken_away(
    staged: Staged, clock: Any
) -> None:
    organisation, service = staged
    settings = organisation.token_policy("ticketing")["settings"] | {"value": "nothing.there"}
    organisation.add_token(TOKEN, "ticketing", settings=settings)
    (old_id,) = service.live_tokens("ticketing")
    rotation_id = begin_by_hand(organisation, TOKEN)
    step_to(organisation, clock, rotation_id, State.ROLLED_BACK)
    assert service.calls("POST") == 1
    assert service.live_tokens("ticketing") == [old_id]


@pytest.mark.parametrize("begun", [False, True])
def test_a_value_that_the_owner_gives_before_anything_was_made_wins(
    staged: Staged, clock: Any, begun: bool
) -> None:
    organisation, service = staged
    organisation.add_token(TOKEN, "ticketing")
    organisation.add_workflow("ticket-sync", TOKEN)
    services = organisation.services
    rotation_id = begin_by_hand(organisation, TOKEN) if begun else (services.nights.begin(clock()) or [])[0]
    _, theirs = service.issue("ticketing", label="by hand")
    with services.database.write() as connection:
        item = services.vault.get(connection, TOKEN)
        services.vault.update(connection, item.id, value=Secret(theirs), actor="test")
    drive_on(organisation, clock)
    ended = get_rotation(organisation, rotation_id)
    assert ended.state is (State.ROLLED_BACK if begun else State.CANCELLED)
    assert ended.last_error == "its owner gave it another value meanwhile"
    assert service.is_live(theirs)
    assert service.calls("POST") == 0
    assert run(organisation, "ticket-sync") == "completed"


def test_a_hurry_lets_go_of_those_who_were_held_back(staged: Staged, clock: Any) -> None:
    organisation, service = staged
    organisation.add_token(TOKEN, "ticketing", canary="auto")
    for name in ("a", "b"):
        organisation.add_workflow(name, TOKEN, **OFTEN)
    rotation_id = begin_by_hand(organisation, TOKEN)
    step_to(organisation, clock, rotation_id, State.CANARY)
    organisation.services.opening.request_hurried(TOKEN, asked_by="test")
    step_to(organisation, clock, rotation_id, State.RETIRING)
    service.fail_next("/v1/tokens", times=3)  # it takes a while
    organisation.services.rotations.advance(rotation_id)
    assert {run(organisation, name) for name in ("a", "b")} == {"completed"}
    service._failures.clear()
    drive_on(organisation, clock)
    assert {run(organisation, name) for name in ("a", "b")} == {"completed"}


@pytest.mark.parametrize("days", [0.5, 3])
def test_nobody_is_held_back_on_a_value_that_lapses(staged: Staged, clock: Any, days: float) -> None:
    organisation, _ = staged
    organisation.add_token(TOKEN, "ticketing", days=days, canary="auto", overlap="1h", lead="14d")
    for name in ("a", "b"):
        organisation.add_workflow(name, TOKEN, **OFTEN)
    rotation_id = begin_by_hand(organisation, TOKEN)
    drive_on(organisation, clock)
    first = get_rotation(organisation, rotation_id)
    assert first.state is (State.WATCHING if days < 1 else State.CANARY)
    for _ in range(10):
        clock.advance(DAY / 2)
        organisation.drive()
    assert {run(organisation, name) for name in ("a", "b")} == {"completed"}


def test_who_was_pinned_to_a_value_that_is_taken_back_follows_again(staged: Staged, clock: Any) -> None:
    organisation, _ = staged
    organisation.add_token(TOKEN, "ticketing")
    organisation.add_workflow("ticket-sync", TOKEN)
    rotation_id = begin_by_hand(organisation, TOKEN)
    step_to(organisation, clock, rotation_id, State.WATCHING)
    organisation.services.pinning.pin("ticket-sync", TOKEN, 2, actor="test")
    organisation.services.deciding.roll_back(rotation_id, actor="test")
    drive_on(organisation, clock)
    assert get_rotation(organisation, rotation_id).state is State.ROLLED_BACK
    assert run(organisation, "ticket-sync") == "completed"


def test_the_pause_after_a_failure_goes_by_the_value_that_is_in_use(staged: Staged, clock: Any) -> None:
    organisation, service = staged
    organisation.add_token(TOKEN, "ticketing", days=4)
    organisation.add_workflow("ticket-sync", TOKEN)
    for _ in range(4):
        rotation_id = begin_by_hand(organisation, TOKEN)
        step_to(organisation, clock, rotation_id, State.WATCHING)
        organisation.services.deciding.roll_back(rotation_id, actor="test")
        drive_on(organisation, clock)
    hold_until = organisation.item(TOKEN).hold_until
    expires_at = organisation.item(TOKEN).expires_at
    assert hold_until is not None
    assert expires_at is not None
    assert hold_until <= clock() + (expires_at - clock()) / 2
    assert service.calls("POST") == 4
