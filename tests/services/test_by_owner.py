"""A value that its owner replaced by hand: what the other side had issued before is taken away there, too."""

from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import update

from nightkey_demo.loopback import Answer
from tests.organisation import Organisation
from tests.services.staging import TOKEN, Staged, drive_on, get_rotation, told
from vaultcore.errors import RefusedError
from vaultcore.secret import Secret
from vaultcore.tables import items
from worker.domain.rotation import Rotation
from worker.domain.saga import State
from worker.wording.reasons import say_each

DAY = timedelta(days=1)


def give(on_file: Staged, value: str | None = None) -> str:
    """The owner gives another value: a token of their own making, unless another one is said."""
    organisation, service = on_file
    given = value or service.issue("ticketing", label=f"by hand {organisation.stages(TOKEN)}")[1]
    with organisation.services.database.write() as connection:
        item = organisation.services.vault.get(connection, TOKEN)
        organisation.services.vault.update(connection, item.id, value=Secret(given), actor="test")
    return given


def take_away(organisation: Organisation, clock: Any) -> list[Rotation]:
    """A night after the overlap: the rotations that take away what was replaced."""
    clock.advance(8 * DAY)
    organisation.night()
    drive_on(organisation, clock)
    return [one for one in organisation.rotations() if one.by_owner]


def test_it_is_revoked_outside_once_the_overlap_is_over_and_everybody_has_moved(
    on_file: Staged, clock: Any
) -> None:
    organisation, service = on_file
    first = organisation.add_token(TOKEN, "ticketing", days=60)
    organisation.add_workflow("ticket-sync", TOKEN)
    theirs = give(on_file)
    assert take_away(organisation, clock) == [], "the workflow has not run with it yet"
    assert service.is_live(first)
    assert organisation.services.runs.runs.start("ticket-sync", actor="test").status == "completed"
    (over,) = take_away(organisation, clock)
    assert over.state is State.DONE
    assert not service.is_live(first)
    assert service.is_live(theirs)
    assert organisation.stages(TOKEN) == ["destroyed", "current"]


def test_each_of_several_is_taken_away_in_its_turn(on_file: Staged, clock: Any) -> None:
    organisation, service = on_file
    first = organisation.add_token(TOKEN, "ticketing", days=60)
    second, third = give(on_file), give(on_file)
    take_away(organisation, clock)
    assert {one.state for one in take_away(organisation, clock)} == {State.DONE}
    assert [service.is_live(token) for token in (first, second, third)] == [False, False, True]
    assert organisation.stages(TOKEN) == ["destroyed", "destroyed", "current"]


def test_the_same_value_given_again_is_revoked_by_nobody(on_file: Staged, clock: Any) -> None:
    organisation, service = on_file
    token = organisation.add_token(TOKEN, "ticketing", days=60)
    give(on_file, token)
    (over,) = take_away(organisation, clock)
    assert over.state is State.DONE
    assert service.is_live(token)
    assert organisation.stages(TOKEN) == ["destroyed", "current"]


def test_a_value_of_the_owner_that_is_refused_keeps_both_and_asks_a_person(on_file: Staged, clock: Any) -> None:
    organisation, service = on_file
    first = organisation.add_token(TOKEN, "ticketing", days=60)
    give(on_file, "this opens nothing there")
    (stuck,) = take_away(organisation, clock)
    assert (stuck.state, stuck.stuck_in) == (State.STUCK, State.RETIRING)
    assert service.is_live(first)
    assert organisation.stages(TOKEN) == ["previous", "current"]
    assert told(organisation, "rotation-stuck")
    with pytest.raises(RefusedError, match="there is no way back to that"):
        organisation.services.rotation.decisions.roll_back(stuck.id, actor="test")
    organisation.services.rotation.decisions.accept(stuck.id, actor="test")
    assert organisation.stages(TOKEN) == ["destroyed", "current"]


def test_where_only_the_owner_may_touch_it_nothing_is_revoked_outside(on_file: Staged, clock: Any) -> None:
    organisation, service = on_file
    first = organisation.add_token(TOKEN, "ticketing", days=60, mode="notify")
    give(on_file)
    assert take_away(organisation, clock) == []
    assert service.is_live(first)
    assert organisation.stages(TOKEN) == ["destroyed", "current"]


def test_an_item_that_cannot_be_read_keeps_its_versions(on_file: Staged, clock: Any) -> None:
    organisation, service = on_file
    first = organisation.add_token(TOKEN, "ticketing", days=60)
    give(on_file)
    with organisation.services.database.write() as connection:
        connection.execute(update(items).where(items.c.name == TOKEN).values(policy={"mode": "nonsense"}))
    assert take_away(organisation, clock) == []
    assert service.is_live(first)


def test_a_check_that_takes_everything_takes_no_value_away_for_its_owner_either(
    on_file: Staged, clock: Any
) -> None:
    organisation, service = on_file
    settings = organisation.token_policy("ticketing")["settings"]
    settings = {key: value for key, value in settings.items() if key not in ("verify_id", "find")}
    first = organisation.add_token(TOKEN, "ticketing", days=60, settings=settings)
    give(on_file, "this opens nothing there")
    service.script = lambda asked: Answer(status=200, body={}) if asked.path == "/v1/account" else None
    (waits,) = take_away(organisation, clock)
    assert waits.state is State.RETIRING
    assert "nothing has shown that the new value works" in say_each(waits.waits_for)[0]
    assert service.is_live(first)
    assert ("unproven", TOKEN) in organisation.findings()
    with organisation.services.database.read() as connection:
        (consumer_proof,) = organisation.services.rotation.proofs.consumer_proofs(connection, waits)
    assert consumer_proof.check

    service.script = lambda _: None
    clock.advance(2 * DAY)
    drive_on(organisation, clock)
    assert get_rotation(organisation, waits.id).state is State.STUCK, "now it is seen that it opens nothing"
    assert service.is_live(first)
