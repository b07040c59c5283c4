"""A pin to a version that an owner has replaced, while a night takes that away: one of the two comes first."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from tests.interleaving import act_at
from tests.services.staging import TOKEN, Staged
from tests.services.test_by_owner import give
from vaultcore.errors import NightkeyError

pytestmark = pytest.mark.both

WORKFLOW = "ticket-sync"
ENDS = {"revoked at the other side": "INSERT INTO rotations", "destroyed here": "UPDATE versions SET"}
"""What the night does to it, and the statement by which it begins to."""


@pytest.mark.parametrize("end", ENDS)
@pytest.mark.parametrize("pins_first", [False, True])
def test_a_run_never_finds_itself_without_a_value(
    staged: Staged, clock: Any, end: str, *, pins_first: bool
) -> None:
    organisation, service = staged
    services = organisation.services
    if services.database.is_sqlite:
        pytest.skip("a writer is alone there from its beginning")
    if end == "destroyed here":
        organisation.add_item(TOKEN, service.issue("ticketing")[1], days=60, mode="notify")
    else:
        organisation.add_token(TOKEN, "ticketing", days=60)
    organisation.add_workflow(WORKFLOW, TOKEN)
    give(staged)
    assert services.runs.runs.start(WORKFLOW, actor="test").status == "completed"
    clock.advance(timedelta(days=8))

    def pin() -> bool:
        try:
            services.runs.pins.pin(WORKFLOW, TOKEN, 1, actor="test")
        except NightkeyError:
            return False
        return True

    def pass_night() -> None:
        services.night.nights.begin(clock())

    acts: list[Callable[[], object]] = [pass_night, pin]
    first, other = reversed(acts) if pins_first else acts
    mark = "UPDATE item_references SET pinned" if pins_first else ENDS[end]
    with act_at(services.database.engine, other, mark) as begun:
        came = first()
    is_pinned = came if pins_first else begun[0].result()
    organisation.drive()
    assert is_pinned is pins_first
    assert (organisation.stages(TOKEN)[0] == "destroyed") is not pins_first
    assert services.runs.runs.start(WORKFLOW, actor="test").status == "completed"
