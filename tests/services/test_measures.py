"""What is counted for who watches from outside: items by days left, lost leases, the last good night."""

from datetime import timedelta

import pytest
from sqlalchemy import update

from tests.conftest import Clock
from tests.services.staging import Staged, add_route, begin_by_hand
from tests.stepping import advance
from worker.domain.changes import ItemChange
from worker.rows.tables import rotations

pytestmark = pytest.mark.rules


TOKEN = "prod-ticketing-api-token"


def test_each_item_is_counted_once_by_the_days_that_it_has(staged: Staged, clock: Clock) -> None:
    organisation, _ = staged
    services = organisation.services
    for number, days in enumerate((1, 3, 5, 40, 200)):
        organisation.add_item(f"prod-{number}-token", f"value {number}", days=days)
    organisation.add_item("prod-lasting-token", "value", days=1)
    services.items.updates.update("prod-lasting-token", ItemChange(expires_at=None), actor="test")
    assert services.overview.measures.read().items == {
        "lapsed": 0, "1": 1, "7": 2, "14": 0, "30": 0, "90": 1, "more": 1, "never": 1,
    }  # fmt: skip
    clock.advance(timedelta(days=4))
    found = services.overview.measures.read().items
    assert (found["lapsed"], found["1"], sum(found.values())) == (2, 1, 6)


def test_the_last_good_night_grows_older(staged: Staged, clock: Clock) -> None:
    organisation, _ = staged
    measures = organisation.services.overview.measures
    assert measures.read().last_good is None
    add_route(organisation, "operators")
    result = organisation.services.night.inline_night.run_night(lambda _: None)
    assert result.problems == []
    clock.advance(timedelta(hours=30))
    last = measures.read().last_good
    assert last is not None
    assert timedelta(hours=30) <= last < timedelta(hours=31)


@pytest.mark.both
def test_a_lease_that_lapses_is_counted_once(staged: Staged, clock: Clock) -> None:
    organisation, _ = staged
    services = organisation.services
    organisation.add_token(TOKEN, "support")
    organisation.add_workflow("ticket-sync", TOKEN)
    rotation_id = begin_by_hand(organisation, TOKEN)
    lapsed = clock() - timedelta(hours=1)
    with services.database.write() as connection:
        connection.execute(update(rotations).where(rotations.c.id == rotation_id).values(lease_until=lapsed))
    assert services.overview.measures.read().leases_lost == 0
    for _ in range(2):
        assert advance(services, rotation_id) is not None
        assert services.overview.measures.read().leases_lost == 1
