"""Pickups and their notices, led elsewhere behind the vault's back: no value and no token follows."""

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select, update

from tests.organisation import ADMIN
from tests.services.spoiling import find, forge, spoiled, write, wrong
from tests.services.staging import TOKEN, Staged, add_route, stage
from tests.services.test_tampered import behind, edit
from vaultcore.errors import NightkeyError, TamperedError
from vaultcore.model import Policy
from vaultcore.tables import items, versions
from worker.bootstrap import Services
from worker.rows.tables import deliveries, notices, pickups

pytestmark = pytest.mark.rules


MINE = "api-key:mine"


def open_pickup(services: Services, name: str) -> str:
    """The token of one for a key of an item that was just made."""
    with services.database.write() as connection:
        made = services.vault.create(
            connection, name=name, value=None, owner_ids=(), expires_at=None, policy=Policy(), actor="me"
        )
        kept = services.rotation.pickups.keep_first(connection, made, actor="me")
    assert kept is not None
    return services.rotation.pickups.token(kept.pickup_id)


@pytest.mark.parametrize("name", [TOKEN, ADMIN])
def test_a_pickup_shows_no_value_of_another_kind(staged: Staged, name: str) -> None:
    organisation, _ = staged
    services = organisation.services
    organisation.add_token(TOKEN, "support")
    token = open_pickup(services, MINE)
    seen: list[Any] = []
    mine, others = organisation.item(MINE).id, organisation.item(name).id
    edit(services, pickups, pickups.c.item_id == mine, item_id=others)
    with pytest.raises(TamperedError, match="accept-row pickups clm_"):
        services.rotation.pickups.collect(token, actor="me", show=seen.append)
    # nor where the item and its version were made to look like one of a key
    edit(services, items, items.c.id == others, kind="api-key")
    edit(services, versions, versions.c.item_id == others, digest=bytes(32))
    with pytest.raises(NightkeyError, match="changed behind the vault's back"):
        services.rotation.pickups.collect(token, actor="me", show=seen.append)
    assert seen == []
    edit(services, pickups, pickups.c.item_id == others, item_id=mine)
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
        (notice,) = connection.execute(select(notices.c.id).where(notices.c.pickup_id.is_not(None))).scalars()
    edit(services, deliveries, deliveries.c.notice_id == notice, route_id=route.id)
    if with_notice:
        edit(services, notices, notices.c.id == notice, owner_id=mallory)
    organisation.deliver()
    posts = organisation.targets.sink.requests
    assert [post.path for post in posts if "clm_" in str(post.body) and post.path == "/mallory"] == []
    with services.database.read() as connection:
        said = connection.execute(select(deliveries.c.last_error).where(deliveries.c.route_id == route.id))
        assert "accept-row" in str(said.scalars().first())
    got = [post.path for post in posts if "clm_" in str(post.body)]
    assert got == ([] if with_notice else ["/support"]), "what is left of it leads to its owner"


@pytest.fixture
def own(tmp_path: Path, database_url: str, clock: Any) -> Iterator[Services]:
    with stage(tmp_path / "home", database_url, clock) as (organisation, _):
        yield organisation.services


def collect(services: Services, token: str) -> Any:
    """The key that was shown."""
    seen: list[Any] = []
    services.rotation.pickups.collect(token, actor="me", show=seen.append)
    (shown,) = seen
    return shown.key


def test_an_edited_pickup_shows_nothing_and_stops_no_other(own: Services, clock: Any) -> None:
    token, other = open_pickup(own, MINE), open_pickup(own, "api-key:other")
    mine = token[:-33]
    kept = versions.c.item_id == find(own, pickups, mine)["item_id"]
    for name in pickups.info["decides"]:
        with spoiled(own, pickups, mine, name):
            with pytest.raises(TamperedError, match="accept-row pickups clm_"):
                own.rotation.pickups.collect(token, actor="me", show=lambda _: pytest.fail("shown"))
            assert wrong(own) == ["pickups"], name
            own.rotation.pickups.end_arrived(actor="test")
            own.notices.pickup_reminders.chase()
            with own.database.read() as connection:
                record = connection.execute(select(versions.c.record).where(kept)).scalar_one()
            assert record is not None, f"{name}: which the row would have had taken away"
        assert wrong(own) == []
    forge(own, pickups, mine, id="clm_01k0000000000000000000000a")
    with pytest.raises(TamperedError):
        own.rotation.pickups.collect(
            own.rotation.pickups.token("clm_01k0000000000000000000000a"), actor="me", show=print
        )
    collect(own, other)
    key = collect(own, token)
    assert own.runs.caller_keys.check(key) is not None
    assert find(own, pickups, mine)["ended_at"] is not None, "the genuine one alone ends by its use"
    assert find(own, pickups, "clm_01k0000000000000000000000a")["ended_at"] is None
    clock.advance(timedelta(hours=2))
    assert own.rotation.pickups.end_arrived(actor="test") == 1, "of the other"


def test_nobody_collects_another_key_that_waits(own: Services) -> None:
    """Both are keys of ours, and both are kept: which one it is stands in the row alone."""
    token, other = open_pickup(own, MINE), open_pickup(own, "api-key:other")
    row = find(own, pickups, token[:-33])
    write(own, pickups, row, item_id=find(own, pickups, other[:-33])["item_id"])
    with pytest.raises(TamperedError):
        own.rotation.pickups.collect(token, actor="me", show=lambda _: pytest.fail("shown"))


@pytest.mark.both
def test_forged_pickups_that_have_arrived_hold_up_none(own: Services, clock: Any, monkeypatch: Any) -> None:
    monkeypatch.setattr("worker.services.rotation.pickups._PAGE", 2)
    collect(own, token := open_pickup(own, MINE))
    for number in range(3):  # by id before it
        forge(own, pickups, token[:-33], id=f"clm_{number}")
    clock.advance(timedelta(hours=2))
    assert own.rotation.pickups.end_arrived(actor="test") == 1
    assert find(own, pickups, "clm_0")["ended_at"] is None


@pytest.mark.parametrize("name", ["used_at", "last_used_at"])
def test_a_use_that_was_forged_proves_nothing(own: Services, name: str) -> None:
    key = collect(own, open_pickup(own, MINE))
    presented = own.runs.caller_keys.check(key)
    assert presented is not None
    with spoiled(own, versions, f"{presented[0]} 1", name):
        assert own.runs.caller_keys.check(key) is None
        with pytest.raises(TamperedError), own.database.read() as connection:
            own.versions.get(connection, *presented)
        assert wrong(own) == ["versions"]
    assert own.runs.caller_keys.check(key) == presented
    with behind(own) as connection:
        connection.execute(update(versions).values(used_at=None, last_used_at=None))
    assert own.runs.caller_keys.check(key) is None, "nor is one forgotten"
