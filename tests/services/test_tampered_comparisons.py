"""What a restore left to be compared, and what items change on the other side, edited: nothing follows."""

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import update

from tests.organisation import Organisation
from tests.services.spoiling import find, forge, spoiled, write, wrong
from tests.services.staging import TOKEN, Staged, add_route, begin_by_hand, get_rotation
from tests.services.test_restored import back_up, inventory, outcomes, put_back, rotate, staged
from tests.services.test_sharing import by_role, change, create, made
from tests.services.test_tampered import behind, tampered
from tests.stepping import advance
from vaultcore.errors import TamperedError, sort_out
from vaultcore.row_macs import MAC
from vaultcore.tables import item_accounts
from worker.bootstrap import Services
from worker.domain.drift import Result
from worker.domain.saga import State
from worker.rows.tables import comparisons
from worker.wording.reasons import say

pytestmark = pytest.mark.rules


__all__ = ["made", "staged"]


@pytest.fixture
def differing(staged: Staged, clock: Any, tmp_path: Path) -> Staged:
    """A copy from before a rotation was put back: the value here is refused there, and waits for a person."""
    organisation, _ = staged
    organisation.add_token(TOKEN, "ticketing", overlap="0s", settings=inventory(organisation))
    add_route(organisation, "operators")
    back_up(organisation, tmp_path / "backup")
    rotate(organisation, clock)
    put_back(organisation, tmp_path / "backup")
    organisation.services.rotation.comparison.compare_due()
    assert outcomes(organisation)[TOKEN] == Result.NONE_ACCEPTED
    return staged


def agree(organisation: Organisation, clock: Any) -> dict[str, Any]:
    return {"resolved_at": clock(), "result": Result.AGREES.value}


def test_who_resolves_a_comparison_in_the_database_has_nothing_rotated(differing: Staged, clock: Any) -> None:
    organisation, service = differing
    services, item_id = organisation.services, organisation.item(TOKEN).id
    asked = service.calls("POST"), service.calls("DELETE")
    row = find(services, comparisons, item_id)
    for values in ({"resolved_at": clock()}, agree(organisation, clock)):
        write(services, comparisons, row, **values)
        with pytest.raises(TamperedError, match=f"accept-row comparisons {item_id}"):
            begin_by_hand(organisation, TOKEN)
        for _ in range(2):
            clock.advance(timedelta(days=1))
            assert organisation.night() == []
        assert f"comparisons {item_id}" in tampered(services)
        (listed, (error,)) = sort_out(services.rotation.comparison.list_all())
        assert TOKEN not in [one.item for one in listed]
        assert f"accept-row comparisons {item_id}" in str(error)
        write(services, comparisons, row, **row)
    assert (service.calls("POST"), service.calls("DELETE")) == asked
    clock.advance(timedelta(days=1))
    organisation.night()
    assert tampered(services) == []


def test_a_rotation_that_is_open_stops_at_an_edited_comparison(
    staged: Staged, clock: Any, tmp_path: Path
) -> None:
    organisation, service = staged
    organisation.add_token(TOKEN, "ticketing", overlap="0s", settings=inventory(organisation))
    rotation_id = begin_by_hand(organisation, TOKEN)
    advance(organisation.services, rotation_id)
    back_up(organisation, tmp_path / "backup")
    put_back(organisation, tmp_path / "backup")
    services = organisation.services
    item_id = organisation.item(TOKEN).id
    write(services, comparisons, find(services, comparisons, item_id), **agree(organisation, clock))
    asked = service.calls("POST")
    advance(services, rotation_id)
    rotation = get_rotation(organisation, rotation_id)
    assert (rotation.state, service.calls("POST")) == (State.STUCK, asked)
    assert f"accept-row comparisons {item_id}" in str(say(rotation.last_error))


@pytest.mark.both
def test_a_comparison_that_is_made_again_makes_no_edited_row_ours(differing: Staged, clock: Any) -> None:
    organisation, _ = differing
    services, item_id = organisation.services, organisation.item(TOKEN).id
    write(services, comparisons, find(services, comparisons, item_id), resolved_by="user:eve")
    clock.advance(timedelta(days=1))
    services.rotation.comparison.compare_due()
    services.rotation.comparison.compare_now(None)
    assert wrong(services) == ["comparisons"]
    with pytest.raises(TamperedError):
        services.rotation.comparison.accept(TOKEN, actor="user:ann")
    checking = services.upkeep.row_verification
    shown = checking.show("comparisons", item_id)
    checking.accept("comparisons", item_id, shown=shown.digest, actor="user:ann")
    assert outcomes(organisation)[TOKEN] == Result.NONE_ACCEPTED
    services.rotation.comparison.accept(TOKEN, actor="user:ann")
    assert wrong(services) == []


def test_every_deciding_column_of_a_comparison_is_told(differing: Staged) -> None:
    organisation, _ = differing
    services, item_id = organisation.services, organisation.item(TOKEN).id
    for name in comparisons.info["decides"]:
        if name != "restoration_id":  # leads to a row that must be there
            with spoiled(services, comparisons, item_id, name):
                assert wrong(services) == ["comparisons"], name
    assert wrong(services) == []


def test_what_an_item_changes_is_taken_from_no_row_that_was_put_there(made: Services) -> None:
    role = by_role()
    create(made, "prod-ledger-password", "one", **role)
    other = create(made, "prod-notes-password", "two")
    with made.database.read() as connection:
        key = "".join(f"{row.item_id} {row.name}" for row in connection.execute(item_accounts.select()).all())
    forge(made, item_accounts, key, item_id=other.id)
    assert wrong(made) == ["item_accounts"]
    with pytest.raises(TamperedError, match=f"accept-row item_accounts '{other.id} "):
        change(made, "prod-notes-password", consumers="none", **role)
    with behind(made) as connection:
        connection.execute(item_accounts.delete().where(item_accounts.c.item_id == other.id))
        connection.execute(update(item_accounts).values({MAC: None}))
    with pytest.raises(TamperedError, match="what prod-ledger-password changes"):
        create(made, "prod-third-password", "three", **role)
