"""References that were edited or taken away: the old value stays, since somebody may need it still."""

from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import delete, select, update

from tests.organisation import ADMIN
from tests.services.staging import TOKEN, Staged, begin_by_hand, get_rotation, step_to
from tests.services.test_tampered import behind
from vaultcore.secret import Secret
from vaultcore.tables import items, references
from worker.domain.findings import FindingKind
from worker.domain.saga import State
from worker.rows.tables import workflows
from worker.wording.reasons import say, say_each

pytestmark = pytest.mark.rules


SECOND = (
    references.c.consumer_id == select(workflows.c.id).where(workflows.c.name == "second").scalar_subquery()
)
OTHER = select(items.c.id).where(items.c.name == ADMIN).scalar_subquery()
EDITS: dict[str, Any] = {
    "leads nowhere": update(references).where(SECOND).values(item_id=None),
    "leads elsewhere": update(references).where(SECOND).values(item_id=OTHER),
    "under another name": update(references).where(SECOND).values(written="x", item_id=None),
    "gone": delete(references).where(SECOND),
}


# The whole rotation, with two of them; what the others are is told apart by the smaller test below.
@pytest.mark.parametrize(
    "how",
    [how if how in ("leads nowhere", "gone") else pytest.param(how, marks=pytest.mark.long) for how in EDITS],
)
def test_nothing_is_revoked_while_a_use_is_lost(staged: Staged, clock: Any, how: str) -> None:
    organisation, service = staged
    services = organisation.services
    organisation.add_token(TOKEN, "support")
    organisation.add_workflow("ticket-sync", TOKEN)
    organisation.add_workflow("second", TOKEN)
    rotation_id = begin_by_hand(organisation, TOKEN)
    step_to(organisation, clock, rotation_id, State.WATCHING)
    services.runs.runs.start("ticket-sync", actor="test")
    with behind(services) as connection:
        connection.execute(EDITS[how])
    clock.advance(timedelta(days=2))
    organisation.drive()
    found = get_rotation(organisation, rotation_id)
    assert found.state is State.WATCHING
    assert any("workflow second, whose use of" in str(why) for why in say_each(found.waits_for))
    assert service.calls("DELETE") == 0
    with behind(services) as connection:
        connection.execute(delete(references).where(SECOND))
    organisation.add_workflow("second", TOKEN)
    services.runs.runs.start("second", actor="test")
    clock.advance(timedelta(days=2))
    organisation.drive()
    assert get_rotation(organisation, rotation_id).state is State.DONE
    assert service.calls("DELETE") == 1


def test_a_second_rotation_waits_for_a_workflow_whose_document_and_use_were_changed_after_the_first(
    staged: Staged, clock: Any
) -> None:
    organisation, service = staged
    services = organisation.services
    organisation.add_token(TOKEN, "support")
    organisation.add_workflow("ticket-sync", TOKEN)
    organisation.add_workflow("second", TOKEN)
    for is_first in (True, False):
        rotation_id = begin_by_hand(organisation, TOKEN)
        step_to(organisation, clock, rotation_id, State.WATCHING)
        services.runs.runs.start("ticket-sync", actor="test")
        services.runs.runs.start("second", actor="test")
        if not is_first:
            with behind(services) as connection:
                connection.execute(delete(references).where(SECOND))
                connection.execute(update(workflows).where(workflows.c.name == "second").values(document="{}"))
        clock.advance(timedelta(days=2))
        organisation.drive()
        assert (get_rotation(organisation, rotation_id).state is State.DONE) is is_first
    waits_for = say_each(get_rotation(organisation, rotation_id).waits_for)
    assert any("workflow second, which was changed behind the vault's back" in str(why) for why in waits_for)
    assert service.calls("DELETE") == 1


@pytest.mark.parametrize("how", EDITS)
def test_what_an_owner_replaced_is_kept_while_a_use_is_lost(staged: Staged, clock: Any, how: str) -> None:
    organisation, _ = staged
    services = organisation.services
    organisation.add_item(TOKEN, "first", owner="support", days=60, mode="notify", overlap="1d")
    organisation.add_workflow("ticket-sync", TOKEN)
    organisation.add_workflow("second", TOKEN)
    with services.database.write() as connection:
        services.vault.update(connection, TOKEN, value=Secret("second"), actor="test")
        item_id = services.vault.get(connection, TOKEN).id
        for workflow_id in connection.execute(select(workflows.c.id).where(workflows.c.name == "ticket-sync")):
            services.references.note_run(
                connection,
                workflow_id=workflow_id.id,
                used={item_id: 2},
                good=True,
                began_at=clock(),
                at=clock(),
            )
    with behind(services) as connection:
        connection.execute(EDITS[how])
    clock.advance(timedelta(days=3))
    retired, unreadable = services.rotation.replaced_versions.retire(actor="test", page_size=50)
    assert retired == 0
    assert [one.kind for one in unreadable] == [FindingKind.UNREADABLE]
    assert "workflow second, whose use of" in say(unreadable[0].detail)
    assert organisation.stages(TOKEN) == ["previous", "current"]
