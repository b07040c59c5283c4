"""Who is hurt when an item, or a target system, works no longer: over copies, rotators, callers and time."""

from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import text

from tests.services.conftest import Moves
from tests.services.test_sharing import create
from tests.services.test_tampered import behind
from vaultcore.access import Principal, Role, machine
from vaultcore.errors import NotFoundError
from worker.bootstrap import Services
from worker.domain.changes import ItemChange
from worker.domain.impact import Harm, Impact
from worker.domain.policies import PolicyChange

pytestmark = pytest.mark.rules

ALL = machine("user:somebody")
THEIRS = Principal(actor="user:owner", roles=frozenset({Role.OWNER}), owners=frozenset({"finance"}))
ADMIN, ORDERS, COPY = "prod-db-admin-password", "prod-orders-db-password", "prod-orders-db-copy"
DAY = timedelta(days=1)


def by_admin(role: str, **given: Any) -> dict[str, Any]:
    settings = {
        "host": "db.example.org", "roles": [role], "admin": "rotator",
        "admin_password": f"{{{{ vault.{ADMIN} }}}}",
    }  # fmt: skip
    return {"mode": "auto", "rotator": "postgres-role", "settings": settings, **given}


@pytest.fixture
def made(services: Services, moves: Moves) -> Services:
    """The orders' role is changed with the admin's password; a copy of it is used by finance."""
    with services.database.write() as connection:
        services.owners.create(connection, "platform", actor="test")
        services.owners.create(connection, "finance", actor="test")
    create(services, ADMIN)
    create(services, ORDERS, **by_admin("orders"))
    create(services, COPY, f"the-value-of-{ORDERS}", owner="finance", mode="notify", copy_of=ORDERS)
    moves.use("order-sync", ORDERS)
    moves.use("invoices", COPY)
    moves.use("asleep", ORDERS, active=False)
    moves.use("health", ADMIN)
    return services


def told(impact: Impact) -> list[tuple[Harm, str, tuple[str, ...]]]:
    return [(one.harm, one.name, one.by) for one in impact.hurt]


@pytest.mark.both
def test_it_goes_from_item_to_item_to_all_that_hangs_on_it(made: Services) -> None:
    found = made.bulk.impacts.of_item(ALL, ADMIN)
    assert told(found) == [
        (Harm.FAILS, "health", (ADMIN,)),
        (Harm.NOT_REPLACED, ORDERS, (ADMIN,)),
        (Harm.FAILS_LATER, "order-sync", (ADMIN, ORDERS)),
        (Harm.AT_REST, "asleep", (ADMIN, ORDERS)),
    ]
    assert (found.owners, found.items, found.unseen, found.unread) == (("platform",), (ADMIN,), 0, ())
    lapses = made.lookup.views.get_item(ORDERS).expires_at
    assert [one.since for one in found.hurt] == [None, lapses, lapses, lapses]


@pytest.mark.both
@pytest.mark.parametrize("name", [ORDERS, COPY])
def test_whoever_holds_the_same_credential_is_dead_too(made: Services, name: str) -> None:
    other = COPY if name == ORDERS else ORDERS
    found = made.bulk.impacts.of_item(ALL, name)
    assert sorted(told(found)) == sorted(
        [
            (Harm.FAILS, "order-sync", (ORDERS,)),
            (Harm.FAILS, "invoices", (COPY,)),
            (Harm.DEAD, other, (name,)),
            (Harm.AT_REST, "asleep", (ORDERS,)),
        ]
    )
    assert set(found.owners) == {"platform", "finance"}
    assert set(found.items) == {ORDERS, COPY}


def test_a_key_of_callers_names_them_and_who_is_to_collect_it(made: Services) -> None:
    item, first = made.items.creation.create(
        "api-key:partner",
        read_value=None,
        owners=["finance"],
        expires_at=made.clock() + 30 * DAY,
        policy=PolicyChange(),
        actor="test",
    )
    assert first is not None
    assert made.bulk.impacts.of_item(ALL, item.id).hurt[0].last_run_at is None
    assert made.access.principals.check_key(ALL, first.key) is not None
    found = made.bulk.impacts.of_item(ALL, item.name)
    assert {one.harm for one in found.hurt} <= {Harm.REFUSED, Harm.NOT_COLLECTED}
    callers = next(one for one in found.hurt if one.harm is Harm.REFUSED)
    assert callers.last_run_at is not None
    assert abs(callers.last_run_at - made.clock()) <= timedelta(minutes=1)
    assert callers.owners == ("finance",)


def test_rotators_that_log_in_with_each_other_come_to_an_end(made: Services) -> None:
    made.items.updates.update(
        ADMIN,
        ItemChange(
            policy=PolicyChange(
                parts=by_admin("admin")
                | {"consumers": "none"}
                | {
                    "settings": {
                        "host": "db.example.org", "roles": ["admin"], "admin": "rotator",
                        "admin_password": f"{{{{ vault.{ORDERS} }}}}",
                    }
                }
            )
        ),
        actor="test",
    )  # fmt: skip
    found = made.bulk.impacts.of_item(ALL, ADMIN)
    assert [one.name for one in found.hurt] == ["health", ORDERS, "order-sync", "asleep"]


@pytest.mark.both
def test_a_target_hurts_all_that_is_changed_there_and_who_uses_it(made: Services) -> None:
    target = "db.example.org:5432"
    found = made.bulk.impacts.of_target(ALL, target)
    assert (found.is_target, found.items, found.target) == (True, (ORDERS,), target)
    assert told(found) == [
        (Harm.FAILS, "order-sync", (ORDERS,)),
        (Harm.NOT_REPLACED, ORDERS, (target,)),
        (Harm.AT_REST, "asleep", (ORDERS,)),
    ]
    with pytest.raises(NotFoundError, match=f"there are {target}"):
        made.bulk.impacts.of_target(ALL, "db.example.com")
    with pytest.raises(NotFoundError, match="no item has any"):
        made.bulk.impacts.of_target(THEIRS, target)
    create(made, "prod-billing-db-password", owner="finance", **by_admin("billing"))
    theirs = made.bulk.impacts.of_target(THEIRS, target)
    assert (theirs.items, theirs.unseen) == (("prod-billing-db-password",), 1)


def test_an_owner_learns_how_much_more_is_hurt_and_not_what(made: Services) -> None:
    found = made.bulk.impacts.of_item(THEIRS, COPY)
    assert told(found) == [(Harm.FAILS, "invoices", (COPY,))]
    assert (found.unseen, found.owners, found.items) == (1, ("finance",), (COPY,))
    with pytest.raises(NotFoundError):
        made.bulk.impacts.of_item(THEIRS, ORDERS)


def test_what_cannot_be_read_hides_nobody_else(made: Services) -> None:
    Moves.edited.add(id(made))
    with behind(made) as connection:
        connection.execute(text("UPDATE items SET policy = '{}' WHERE name = :name"), {"name": ORDERS})
    found = made.bulk.impacts.of_item(ALL, ADMIN)
    assert told(found) == [(Harm.FAILS, "health", (ADMIN,))]
    assert [ORDERS in sentence for sentence in found.unread] == [True]
