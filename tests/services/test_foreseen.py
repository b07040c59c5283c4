"""What is told of before it is done agrees with what then happens; and what a key's collector says is kept."""

from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import select

from tests.organisation import Organisation
from tests.services.staging import Staged
from vaultcore.errors import InvalidInputError, NightkeyError, NotFoundError, RefusedError
from vaultcore.tables import audit, versions
from worker.bootstrap import Services
from worker.domain.changes import ItemChange
from worker.domain.policies import PolicyChange
from worker.services.rotation.pickups import Collected

NAME, KEY = "prod-foreseen-token", "api-key:foreseen"
REPLACED: dict[str, Any] = {"mode": "auto", "rotator": "random", "lifetime": "30d", "lead": "5d"}
BY_OWNER: dict[str, Any] = {"mode": "notify"}


def policy(**parts: Any) -> ItemChange:
    return ItemChange(policy=PolicyChange(parts=parts))


@pytest.mark.parametrize(
    "change",
    [
        policy(lead="3d"),
        policy(mode="notify", overlap="2d"),
        policy(),
        ItemChange(owners=()),
        ItemChange(owners=["support", "second"]),
        ItemChange(name="prod-renamed-token"),
        ItemChange(expires_at=None),
    ],
)
def test_a_change_is_foreseen_as_it_comes(on_file: Staged, change: ItemChange) -> None:
    organisation, _ = on_file
    services = organisation.services
    organisation.add_owner("second")
    item = organisation.add_item(NAME, "a-value", days=20, **REPLACED)
    foreseen = services.items.updates.preview(item.id, change)
    assert services.lookup.views.get_item(item.id) == item  # nothing has happened
    assert services.items.updates.update(item.id, change, actor="test").changes == foreseen


@pytest.mark.parametrize(
    ("change", "error"),
    [
        (policy(lead="90d"), InvalidInputError),
        (policy(mode="sometimes"), InvalidInputError),
        (policy(copy_of="nothing-there"), NotFoundError),
        (ItemChange(owners=["nobody-there"]), NotFoundError),
        (policy(consumers="required"), RefusedError),
    ],
)
def test_what_would_be_refused_is_refused_before(
    on_file: Staged, change: ItemChange, error: type[NightkeyError]
) -> None:
    organisation, _ = on_file
    services = organisation.services
    item = organisation.add_item(NAME, "a-value", days=20, **REPLACED)
    with pytest.raises(error) as before:
        services.items.updates.preview(item.id, change)
    with pytest.raises(error) as then:
        services.items.updates.update(item.id, change, actor="test")
    assert str(before.value) == str(then.value)


@pytest.mark.parametrize(
    "parts", [REPLACED, BY_OWNER, REPLACED | {"four_eyes": True}, REPLACED | {"freezes": ["* * * * * for 1d"]}]
)
def test_whether_a_replacement_may_be_asked_for_is_foreseen(on_file: Staged, parts: dict[str, Any]) -> None:
    organisation, _ = on_file
    services = organisation.services
    item = organisation.add_item(NAME, "a-value", days=20, **parts)
    for _ in range(2):  # the second time one is open
        assert refusal(lambda: services.rotation.opening.check_request(item.id)) == refusal(
            lambda: services.rotation.opening.request(item.id, asked_by="test")
        )


def refusal(ask: Any) -> str:
    try:
        ask()
    except NightkeyError as error:
        return str(error)
    return ""


def make_key(services: Services) -> Collected:
    _, first = services.items.creation.create(
        KEY, read_value=None, owners=["support"], expires_at=None, policy=PolicyChange(), actor="ann"
    )
    assert first is not None
    return first


def test_a_key_that_is_stored_is_kept_no_longer(staged: Staged) -> None:
    services = staged[0].services
    first = make_key(services)
    pickups, token = services.rotation.pickups, services.rotation.pickups.token(first.pickup_id)
    with pytest.raises(RefusedError, match="no key waits"):
        pickups.end_stored(first.pickup_id, actor="bob")
    with pytest.raises(RefusedError, match="no key waits"):
        pickups.end_stored("clm_none", actor="ann")
    again = pickups.collect(token, actor="ann", show=lambda _: None)  # until she says so
    assert again.key.expose() == first.key.expose()
    assert pickups.end_stored(first.pickup_id, actor="ann") == first.item_id
    assert pickups.end_stored(first.pickup_id, actor="ann") == first.item_id
    with pytest.raises(RefusedError, match=r"collected already, at .* by you, and it is kept here no longer"):
        pickups.collect(token, actor="ann", show=lambda _: None)
    with services.database.read() as connection:
        assert connection.execute(
            select(versions.c.record).where(versions.c.item_id == first.item_id)
        ).all() == [(None,)]
        actions = select(audit.c.action).where(audit.c.actor == "ann").order_by(audit.c.seq)
        said = list(connection.execute(actions).scalars())
    assert said.count("pickup.store") == said.count("version.forget-value") == 1
    assert services.runs.caller_keys.check(first.key) is not None  # it opens what it opened


def test_a_name_is_judged_as_the_vault_would(on_file: Staged) -> None:
    organisation, _ = on_file
    services = organisation.services
    organisation.add_item(NAME, "a-value", days=20)
    assert services.items.creation.check_new_name("prod-free-token") == "prod-free-token"
    for name, says in [
        (NAME, "exists already"),
        ("ab", "use 3 to 50"),
        ("pr\u043ed-foreseen-token", "in one script"),
    ]:
        with pytest.raises(NightkeyError, match=says):
            services.items.creation.check_new_name(name)


def test_who_was_told_of_an_item_is_known(organisation: Organisation) -> None:
    """By a notice of its own, and by the digest that told of it; nothing that told of another."""
    services = organisation.services
    lapses = organisation.add_item(NAME, "a-value", days=2)
    asks = organisation.add_item("prod-asks-token", "another-value", days=2, **(REPLACED | {"mode": "approve"}))
    other = organisation.add_item("prod-quiet-token", "a-third-value", days=900)
    night = services.clock() + timedelta(seconds=1)
    services.night.inline_night.run_night(lambda _: None, wait=False)
    assert night
    told = {one.name: services.lookup.views.list_item_notices(one, limit=10) for one in (lapses, asks, other)}
    assert [one.kind for one in told[NAME]] == ["digest"]
    assert "rotation-requested" in [one.kind for one in told["prod-asks-token"]]
    assert [one for one in told["prod-quiet-token"] if one.kind != "digest"] == []
    assert len(services.lookup.views.list_item_notices(asks, limit=1)) == 1
