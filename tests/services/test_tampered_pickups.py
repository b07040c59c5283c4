"""Pickups and their notices, led elsewhere behind the vault's back: no value and no token follows."""

from typing import Any

import pytest
from sqlalchemy import select

from tests.organisation import ADMIN
from tests.services.staging import TOKEN, Staged, add_route
from tests.services.test_tampered import edit
from vaultcore.errors import NightkeyError, RefusedError
from vaultcore.model import Policy
from vaultcore.tables import items, versions
from worker.bootstrap import Services
from worker.rows.tables import claims, deliveries, notices

MINE = "api-key:mine"


def open_pickup(services: Services, name: str) -> str:
    """The token of one for a key of an item that was just made."""
    with services.database.write() as connection:
        made = services.vault.create(
            connection, name=name, value=None, owner_ids=(), expires_at=None, policy=Policy(), actor="me"
        )
        kept = services.rotation.pickups.keep_first(connection, made, actor="me")
    assert kept is not None
    return services.rotation.pickups.token(kept.claim_id)


@pytest.mark.parametrize("name", [TOKEN, ADMIN])
def test_a_pickup_shows_no_value_of_another_kind(staged: Staged, name: str) -> None:
    organisation, _ = staged
    services = organisation.services
    organisation.add_token(TOKEN, "support")
    token = open_pickup(services, MINE)
    seen: list[Any] = []
    mine, others = organisation.item(MINE).id, organisation.item(name).id
    edit(services, claims, claims.c.item_id == mine, item_id=others)
    with pytest.raises(RefusedError, match="no key that callers present to us"):
        services.rotation.pickups.collect(token, actor="me", show=seen.append)
    # nor where the item and its version were made to look like one of a key
    edit(services, items, items.c.id == others, kind="api-key")
    edit(services, versions, versions.c.item_id == others, digest=bytes(32))
    with pytest.raises(NightkeyError, match="changed behind the vault's back"):
        services.rotation.pickups.collect(token, actor="me", show=seen.append)
    assert seen == []
    edit(services, claims, claims.c.item_id == others, item_id=mine)
    services.rotation.pickups.collect(token, actor="me", show=seen.append)
    assert len(seen) == 1


@pytest.mark.parametrize("with_notice", [False, True])
def test_the_token_of_a_pickup_goes_to_nobody_else(staged: Staged, *, with_notice: bool) -> None:
    """Nor where the notice was given to them, too."""
    organisation, _ = staged
    services = organisation.services
    organisation.add_owner("mallory")
    add_route(organisation, "operators")
    organisation.add_item(
        "api-key:orders", None, owner="support", days=5, mode="auto", rotator="workflow-api-key",
        lifetime="60d", lead="14d", overlap="12d",
    )  # fmt: skip
    slot = services.clock()
    services.night.nights.begin(slot)
    organisation.drive()
    services.night.nights.close(slot)
    with services.database.read() as connection:
        mallory = services.owners.get(connection, "mallory").id
        (route,) = services.notices.recipients.find_routes(connection, mallory)
        (notice,) = connection.execute(select(notices.c.id).where(notices.c.claim_id.is_not(None))).scalars()
    edit(services, deliveries, deliveries.c.notice_id == notice, route_id=route.id)
    if with_notice:
        edit(services, notices, notices.c.id == notice, owner_id=mallory)
    organisation.deliver()
    posts = organisation.counterparts.sink.requests
    assert [post.path for post in posts if "clm_" in str(post.body) and post.path == "/mallory"] == []
    with services.database.read() as connection:
        said = connection.execute(select(deliveries.c.last_error).where(deliveries.c.route_id == route.id))
        assert "does not answer for its item" in str(said.scalars().first())
    assert any("clm_" in str(post.body) for post in posts), "it goes to who stands in"
