"""Two items that hold one credential: refused when they are made, found where they are, or one is a copy."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import Connection, event, select, update

from tests.every_item import every_item
from tests.organisation import Organisation
from tests.postgres import count_waiting
from tests.services.staging import drive_on, start_organisation
from vaultcore.errors import InvalidInputError, NotFoundError, RefusedError
from vaultcore.model import Item
from vaultcore.secret import Secret
from vaultcore.tables import item_accounts, item_owners, items, versions
from vaultcore.versions import Purpose
from worker.bootstrap import Services
from worker.domain.changes import Change, ItemChange
from worker.domain.findings import FindingKind
from worker.domain.policies import PolicyChange
from worker.domain.saga import State
from worker.domain.sharing import SharedError
from worker.rows import findings as finding_rows
from worker.services.night.shared_credentials import walk_shared
from worker.wording.reasons import say, say_each

pytestmark = pytest.mark.rules

DAY = timedelta(days=1)
ORDERS, BILLING, CRM = "prod-orders-db-password", "prod-billing-db-password", "prod-crm-token"
DATABASE = {"host": "DB.example.org", "roles": ["orders"]}
HOST_KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAABAgMEBQYHCAkKCwwNDg8QERITFBUWFxgZGhscHR4f"
LOGIN = {"host": "files.example.org", "username": "robot", "host_key": HOST_KEY, "command": "passwd"}


@pytest.fixture
def made(services: Services) -> Services:
    with services.database.write() as connection:
        services.owners.create(connection, "platform", actor="test")
        services.owners.create(connection, "finance", actor="test")
    return services


def create(services: Services, name: str, value: str = "", *, owner: str = "platform", **parts: Any) -> Item:
    """A value of its own where none is given."""
    parts = ({"consumers": "none"} if parts.get("mode") == "auto" else {}) | parts
    item, _ = services.items.creation.create(
        name,
        read_value=lambda: Secret(value or f"the-value-of-{name}"),
        owners=[owner],
        expires_at=services.clock() + 200 * DAY,
        policy=PolicyChange(parts=parts),
        actor="test",
    )
    return item


def change(services: Services, name: str, value: str | None = None, **parts: Any) -> tuple[Change, ...]:
    given = None if value is None else Secret(value)
    wanted = ItemChange(policy=PolicyChange(parts=parts), expires_at=services.clock() + 100 * DAY)
    return services.items.updates.update(name, wanted, value=given, actor="test").changes


def by_role(**settings: Any) -> dict[str, Any]:
    return {"mode": "auto", "rotator": "postgres-role", "settings": DATABASE | settings}


def scan(services: Services) -> dict[tuple[str, str], tuple[str, str]]:
    services.night.nights.record()
    with services.database.read() as connection:
        return {
            (row.kind, row.item): (say(row.detail), row.command)
            for row in finding_rows.list_open(connection)
            if row.kind in ("shared", "stale-copy")
        }


# Refused


def test_a_second_item_with_the_same_value_is_refused_and_told_apart_by_nobody_else(made: Services) -> None:
    create(made, ORDERS, "one-value")
    with pytest.raises(RefusedError, match=f"second item with the same value, beside {ORDERS}") as caught:
        create(made, BILLING, "one-value\n")
    assert "one-value" not in str(caught.value)
    with made.database.read() as connection:
        assert [item.name for item in every_item(made.vault, connection)] == [ORDERS]
    create(made, BILLING, "another-value")
    with pytest.raises(RefusedError, match=f"second item with the same value, beside {ORDERS}"):
        change(made, BILLING, "one-value")
    change(made, ORDERS, "one-value")  # its own is no other item's


@pytest.mark.both
def test_a_value_that_an_item_had_before_is_refused_as_long_as_it_may_work(made: Services) -> None:
    create(made, ORDERS, "one-value")
    change(made, ORDERS, "the-next-one")
    with pytest.raises(RefusedError, match="the same value"):
        create(made, BILLING, "one-value")
    with made.database.write() as connection:
        item = made.vault.get(connection, ORDERS)
        made.versions.destroy(connection, item.id, 1, actor="test", reason="a test")
    create(made, BILLING, "one-value")


@pytest.mark.parametrize(
    ("second", "what"),
    [
        pytest.param(by_role(), "role orders", id="the same"),
        pytest.param(
            by_role(host="db.example.ORG", database="billing"), "role orders", id="as others spell it"
        ),
        pytest.param(
            by_role(
                roles=["orders_b", "orders"],
                form="url",
                admin="rotator",
                admin_password="{{ vault.prod-crm-token }}",
            ),
            "role orders",
            id="one of two",
        ),
        pytest.param(by_role() | {"target": "prod databases"}, "role orders", id="in a group of servers"),
    ],
)
@pytest.mark.both
def test_a_second_item_for_one_role_is_refused_at_create_and_at_update(
    made: Services, second: dict[str, Any], what: str
) -> None:
    create(made, ORDERS, **by_role())
    says = f"what changes db.example.org:5432 {what}, beside {ORDERS}"
    with pytest.raises(RefusedError, match=says):
        create(made, BILLING, **second)
    create(made, BILLING)
    with pytest.raises(RefusedError, match=says):
        change(made, BILLING, consumers="none", **second)


@pytest.mark.parametrize(
    "second",
    [
        by_role(roles=["billing"]),
        by_role(port=5433),
        by_role(host="db2.example.org"),
        by_role(roles=["Orders"]),
        by_role(host="db2.example.org") | {"target": "prod databases"},
    ],
)
def test_another_role_or_another_server_is_another_credential(made: Services, second: dict[str, Any]) -> None:
    create(made, ORDERS, **by_role() | {"target": second.get("target")})
    create(made, BILLING, **second)
    assert scan(made) == {}


def test_a_user_has_one_password_and_may_have_many_keys(made: Services) -> None:
    create(made, ORDERS, mode="auto", rotator="ssh-password", settings=LOGIN)
    with pytest.raises(RefusedError, match=r"files\.example\.org:22 user robot"):
        create(made, BILLING, mode="auto", rotator="ssh-password", settings=LOGIN)
    keys = {name: LOGIN[name] for name in ("host", "username", "host_key")}
    create(made, BILLING, mode="auto", rotator="ssh-key", settings=keys)
    create(made, CRM, mode="auto", rotator="ssh-key", settings=keys)


# Found


@pytest.mark.both
def test_both_owners_are_told_of_two_items_that_hold_one_credential(made: Services, clock: Any) -> None:
    """As they may be in a vault from before, or by two commands at once."""
    create(made, ORDERS, "one-value", **by_role())
    second = create(made, BILLING, owner="finance")
    third = create(made, CRM, owner="finance")
    with made.database.write() as connection:
        first = select(versions.c.likeness).join(items).where(items.c.name == ORDERS)
        like = connection.execute(first).scalar_one()
        connection.execute(update(versions).where(versions.c.item_id == second.id).values(likeness=like))
        name = connection.execute(select(item_accounts.c.name)).scalar_one()
        connection.execute(item_accounts.insert().values(item_id=third.id, name=name))
    found = scan(made)
    assert {item for _, item in found} == {ORDERS, BILLING, CRM}
    assert found["shared", BILLING][0].startswith(f"it has the same value as {ORDERS}: when one of them is")
    assert found["shared", CRM][0].startswith(f"it changes db.example.org:5432 role orders, as does {ORDERS}:")
    assert found["shared", BILLING][1] == f"nightkey item update {BILLING} --mode notify --copy-of {ORDERS}"
    change(made, BILLING, copy_of=ORDERS)
    change(made, CRM, mode="notify", copy_of=ORDERS)
    clock.advance(DAY)
    assert set(scan(made)) == {("stale-copy", CRM)}


@pytest.mark.both
def test_a_value_from_before_there_were_digests_gets_its_own_when_it_is_read(made: Services) -> None:
    item = create(made, ORDERS, "one-value")
    with made.database.write() as connection:
        connection.execute(update(versions).values(likeness=None))
        made.versions.reveal(connection, item.id, 1, purpose=Purpose.RUN, actor="test")
    with pytest.raises(RefusedError, match="the same value"):
        create(made, BILLING, "one-value")


@pytest.mark.both
def test_what_is_advised_against_two_items_of_one_value_is_taken(made: Services, clock: Any) -> None:
    """Also where the older of them is a copy: what it names is the original."""
    create(made, ORDERS, "one-value")
    create(made, BILLING, "one-value", copy_of=ORDERS)
    third = create(made, CRM)
    with made.database.write() as connection:
        _set_likeness(connection, third.id, made.versions.likeness(Secret("one-value")))
        connection.execute(update(items).where(items.c.name == ORDERS).values(created_at=clock() + DAY))
        connection.execute(update(items).where(items.c.name == CRM).values(created_at=clock() + 2 * DAY))
    advised = f"nightkey item update {CRM} --mode notify --copy-of {ORDERS}"
    assert {command for _, command in scan(made).values()} == {advised}
    change(made, CRM, mode="notify", copy_of=ORDERS)
    clock.advance(DAY)
    assert scan(made) == {}


def test_what_is_like_a_copy_that_was_left_behind_is_another_copy_of_that_original(
    made: Services, clock: Any
) -> None:
    create(made, ORDERS, "one-value")
    create(made, BILLING, "one-value", copy_of=ORDERS)
    clock.advance(DAY)
    change(made, ORDERS, "the-next-one")
    third = create(made, CRM)
    with made.database.write() as connection:
        _set_likeness(connection, third.id, made.versions.likeness(Secret("one-value")))
    advised = f"nightkey item update {CRM} --mode notify --copy-of {ORDERS}"
    found = {key: command for key, (_, command) in scan(made).items() if key[0] == "shared"}
    assert found == {("shared", BILLING): advised, ("shared", CRM): advised}
    change(made, CRM, mode="notify", copy_of=ORDERS)
    clock.advance(DAY)
    assert set(scan(made)) == {("stale-copy", BILLING), ("stale-copy", CRM)}


def test_declared_copies_cost_the_night_no_statements(made: Services) -> None:
    pages, before = _walk(made, page_size=10)
    assert pages == []
    for number in range(12):
        create(made, f"prod-{number}-crm-token", f"value-{number}")
        create(made, f"prod-{number}-crm-password", f"value-{number}", copy_of=f"prod-{number}-crm-token")
    assert _walk(made, page_size=10) == ([], before)


@pytest.mark.both
def test_of_many_groups_a_page_is_told_by_one_statement(made: Services) -> None:
    for number in range(6):
        create(made, f"prod-{number}-crm-token", f"value-{number}")
        other = create(made, f"prod-{number}-crm-password")
        with made.database.write() as connection:
            _set_likeness(connection, other.id, made.versions.likeness(Secret(f"value-{number}")))
    pages, asked = _walk(made, page_size=4)
    assert pages == [8, 4]
    assert asked == 5  # two pages of groups, the items of each, and no group by what is changed


def _walk(made: Services, *, page_size: int) -> tuple[list[int], int]:
    """How many findings are on each page, and how many statements that took."""
    asked: list[str] = []

    def note(_: Any, __: Any, statement: str, *___: Any) -> None:
        asked.append(statement)

    with made.database.read() as connection:
        event.listen(made.database.engine, "before_cursor_execute", note)
        pages = [len(page) for page in walk_shared(connection, page_size=page_size)]
        event.remove(made.database.engine, "before_cursor_execute", note)
    return pages, sum(statement.startswith("SELECT") for statement in asked)


def _set_likeness(connection: Connection, item_id: str, likeness: bytes | None) -> None:
    connection.execute(update(versions).where(versions.c.item_id == item_id).values(likeness=likeness))


@pytest.mark.both
def test_what_a_night_finds_twice_of_an_item_is_told_alike_before_it(made: Services) -> None:
    """By value and by what is changed on the other side: one finding, and the second says more."""
    first = create(made, ORDERS, "one-value", **by_role())
    second = create(made, BILLING)
    with made.database.write() as connection:
        _set_likeness(connection, second.id, made.versions.likeness(Secret("one-value")))
        names = select(item_accounts.c.name).where(item_accounts.c.item_id == first.id)
        name = connection.execute(names).scalar_one()
        connection.execute(item_accounts.insert().values(item_id=second.id, name=name))
    seen = made.night.nights.preview(made.clock()).findings
    told = {(one.kind.value, one.item): say(one.detail) for one in seen if one.kind is FindingKind.SHARED}
    assert told == {key: detail for key, (detail, _) in scan(made).items()}
    assert len(told) == 2
    assert all("role orders" in detail for detail in told.values())


# Copies


@pytest.mark.both
def test_an_original_that_is_deleted_while_the_value_is_asked_for_is_no_original(made: Services) -> None:
    create(made, ORDERS, "one-value")

    def read_value() -> Secret:
        with made.database.write() as connection:
            made.vault.delete(connection, ORDERS, actor="test")
        return Secret("one-value")

    with pytest.raises(NotFoundError, match=f"no item '{ORDERS}'"):
        made.items.creation.create(
            BILLING,
            read_value=read_value,
            owners=["platform"],
            expires_at=None,
            policy=PolicyChange(parts={"copy_of": ORDERS}),
            actor="test",
        )
    with made.database.read() as connection:
        assert every_item(made.vault, connection) == []


@pytest.mark.parametrize("unread", [(ORDERS, BILLING), (ORDERS,), (BILLING,)])
def test_values_from_before_there_were_digests_are_not_taken_for_different_ones(
    made: Services, clock: Any, unread: tuple[str, ...]
) -> None:
    """The older is the copy: its original's value is the later one, and the same."""
    create(made, BILLING, "one-value")
    clock.advance(DAY)
    create(made, ORDERS, "another")
    change(made, BILLING, copy_of=ORDERS)
    with made.database.write() as connection:
        like = made.versions.likeness(Secret("one-value"))
        for name in (ORDERS, BILLING):
            item = made.vault.get(connection, name)
            _set_likeness(connection, item.id, None if name in unread else like)
    assert scan(made) == {}


@pytest.mark.both
def test_what_a_rotation_made_after_the_copys_value_is_another_though_that_was_never_read(
    made: Services, clock: Any
) -> None:
    copy = create(made, BILLING, "one-value")
    create(made, ORDERS, "another")
    change(made, BILLING, copy_of=ORDERS)
    clock.advance(DAY)
    change(made, ORDERS, "the-next-one")
    with made.database.write() as connection:
        _set_likeness(connection, copy.id, None)
        original = versions.c.item_id == made.vault.get(connection, ORDERS).id
        connection.execute(update(versions).where(original).values(issued_at=clock()))
    assert list(scan(made)) == [("stale-copy", BILLING)]


def test_a_copy_is_taken_shown_and_not_replaced_by_itself(made: Services) -> None:
    create(made, ORDERS, "one-value", **by_role())
    copy = create(made, BILLING, "one-value", copy_of=ORDERS)
    other = create(made, CRM, "one-value", copy_of=ORDERS)
    assert copy.policy.copy_of == other.policy.copy_of
    assert scan(made) == {}
    with pytest.raises(RefusedError, match=f"is a copy of {ORDERS}: it is replaced with that"):
        made.rotation.opening.request(BILLING, asked_by="test")
    advised = f"nightkey item update {BILLING} --copy-of none --value"
    with (
        pytest.raises(RefusedError, match=f"original of {BILLING}, {CRM}: delete those first, .*{advised}"),
        made.database.write() as connection,
    ):
        made.vault.delete(connection, ORDERS, actor="test")
    change(made, BILLING, "a-value-of-its-own", copy_of=None)
    with made.database.write() as connection:
        made.vault.delete(connection, CRM, actor="test")
        made.vault.delete(connection, ORDERS, actor="test")


@pytest.mark.parametrize(
    ("name", "parts", "error", "says"),
    [
        (BILLING, {"copy_of": "prod-nobody"}, NotFoundError, "no item 'prod-nobody'"),
        (BILLING, {"copy_of": BILLING}, RefusedError, "an item cannot be a copy of itself"),
        (BILLING, {"copy_of": None}, RefusedError, "give it a value of its own in the same command"),
        (CRM, {"copy_of": BILLING}, RefusedError, f"is a copy itself: name its original, {ORDERS}"),
        (CRM, {"copy_of": ORDERS, "mode": "auto", "rotator": "random", "consumers": "none"}, InvalidInputError,
         "a copy is not replaced by itself"),
    ],
)  # fmt: skip
def test_what_cannot_be_a_copy_is_refused(
    made: Services, name: str, parts: dict[str, Any], error: type[Exception], says: str
) -> None:
    create(made, ORDERS, "one-value")
    create(made, BILLING, "one-value", copy_of=ORDERS)
    create(made, CRM)
    with pytest.raises(error, match=says):
        change(made, name, **parts)


@pytest.mark.both
def test_a_copy_whose_original_was_replaced_is_found_until_it_moves_on(made: Services, clock: Any) -> None:
    create(made, ORDERS, "one-value")
    create(made, BILLING, "one-value", copy_of=ORDERS)
    clock.advance(DAY)
    change(made, ORDERS, "the-next-one")
    clock.advance(DAY)
    found = scan(made)
    assert list(found) == [("stale-copy", BILLING)]
    assert found["stale-copy", BILLING][0].startswith(
        f"it has another value than its original {ORDERS}, which got its own on 2026-03-02 02:00 UTC"
    )
    change(made, BILLING, "the-next-one")
    clock.advance(DAY)
    assert scan(made) == {}


@pytest.mark.parametrize("older", [ORDERS, BILLING])
def test_a_copy_with_another_value_is_found_whichever_is_older(made: Services, clock: Any, older: str) -> None:
    for name in sorted([ORDERS, BILLING], key=lambda name: name != older):
        create(made, name)
        clock.advance(DAY)
    change(made, BILLING, copy_of=ORDERS)
    found = scan(made)
    assert list(found) == [("stale-copy", BILLING)]
    assert found["stale-copy", BILLING][0].startswith(f"it has another value than its original {ORDERS}")


@pytest.mark.both
def test_a_value_without_a_digest_is_told_by_the_rotation_of_its_original(made: Services, clock: Any) -> None:
    create(made, ORDERS)
    copy = create(made, BILLING, copy_of=ORDERS)
    with made.database.write() as connection:
        _set_likeness(connection, copy.id, None)
    clock.advance(DAY)
    assert scan(made) == {}
    with made.database.write() as connection:
        replaced = versions.c.item_id == made.vault.get(connection, ORDERS).id
        connection.execute(
            update(versions).where(replaced).values(issued_at=clock(), activated_at=clock() + DAY)
        )
    (detail, _), *_ = scan(made).values()
    assert detail.startswith(f"its original {ORDERS} was replaced on")


def test_who_joins_a_family_with_another_value_is_named_in_the_answer(made: Services) -> None:
    erp, archive = "prod-erp-token", "prod-archive-token"
    create(made, CRM, "one-value")
    create(made, erp, "one-value", copy_of=CRM)
    create(made, archive, "a-value-from-before", copy_of=CRM)
    create(made, ORDERS, "another-value")
    copied = ItemChange(policy=PolicyChange(parts={"copy_of": ORDERS}), expires_at=made.clock() + 50 * DAY)
    updated = made.items.updates.update(CRM, copied, value=Secret("another-value"), actor="test")
    assert updated.unlike == updated.follow == (archive, erp)
    copied = ItemChange(policy=PolicyChange(parts={"copy_of": ORDERS}))
    create(made, "prod-mail-token")
    assert made.items.updates.update("prod-mail-token", copied, actor="test").unlike == ("prod-mail-token",)


@pytest.mark.both
def test_who_joins_a_family_waits_for_who_changes_one_of_its_copies(made: Services) -> None:
    """A copy that is being changed is waited for before the audit trail is taken, which its change needs."""
    if made.database.is_sqlite:
        pytest.skip("a writer is alone there from its beginning")
    create(made, CRM, "one-value")
    copy = create(made, BILLING, "one-value", copy_of=CRM)
    create(made, ORDERS)
    copied = ItemChange(policy=PolicyChange(parts={"copy_of": ORDERS}))
    with ThreadPoolExecutor(1) as pool:
        with made.database.write() as connection:
            made.vault.get(connection, copy.id, lock=True)
            joining = pool.submit(made.items.updates.update, CRM, copied, actor="test")
            _wait_for_locks(made, 1, joining.done)
            made.vault.update(connection, copy.id, expires_at=made.clock() + 50 * DAY, actor="test")
        assert joining.result(120).follow == (BILLING,)


def _wait_for_locks(made: Services, count: int, is_over: Callable[[], bool]) -> None:
    while not is_over():
        if count_waiting(made.database.engine) == count:
            return


def test_the_name_of_the_original_is_what_is_told_of_a_change(made: Services) -> None:
    create(made, ORDERS)
    create(made, BILLING)
    told = {one.field: (one.before, one.after) for one in change(made, BILLING, copy_of=ORDERS)}
    assert told["copy_of"] == (None, ORDERS)


def test_an_item_that_is_deleted_takes_its_names_along(made: Services) -> None:
    create(made, ORDERS, **by_role())
    with made.database.write() as connection:
        made.vault.delete(connection, ORDERS, actor="test")
    create(made, BILLING, **by_role())


@pytest.mark.both
def test_a_rotation_leaves_a_finding_of_the_copy_and_none_of_the_original(
    services: Services, clock: Any
) -> None:
    with start_organisation(services) as (organisation, _):
        _rotate_beside_a_copy(organisation, clock)


def _rotate_beside_a_copy(organisation: Organisation, clock: Any) -> None:
    token = organisation.add_token(ORDERS, "ticketing")
    organisation.services.items.creation.create(
        BILLING,
        read_value=lambda: Secret(token),
        owners=["support"],
        expires_at=clock() + 200 * DAY,
        policy=PolicyChange(parts={"copy_of": ORDERS}),
        actor="test",
    )
    clock.advance(timedelta(hours=1))
    organisation.night()
    clock.advance(DAY)
    organisation.night()
    shared = {found for found in organisation.findings() if found[0] in ("shared", "stale-copy")}
    assert shared == {("stale-copy", BILLING)}


@pytest.mark.both
def test_an_old_value_that_a_copys_workflows_use_is_not_taken_away(services: Services, clock: Any) -> None:
    with start_organisation(services) as (organisation, service):
        token = organisation.add_token(ORDERS, "orders")
        organisation.add_workflow("orders-sync", ORDERS)
        organisation.services.items.creation.create(
            BILLING, read_value=lambda: Secret(token), owners=["support"], expires_at=clock() + 200 * DAY,
            policy=PolicyChange(parts={"copy_of": ORDERS}), actor="test",
        )  # fmt: skip
        organisation.add_workflow("billing-sync", BILLING, is_active=True)
        organisation.services.night.nights.begin(clock())
        drive_on(organisation, clock)
        organisation.services.runs.runs.start("orders-sync", actor="test")
        clock.advance(2 * DAY)
        drive_on(organisation, clock)
        (rotation,) = organisation.rotations()
        assert say_each(rotation.waits_for) == [
            f"workflows of {BILLING}, a copy with the value from before: let them name {ORDERS}"
        ]
        assert service.is_live(token)
        organisation.add_workflow("billing-sync", ORDERS, is_active=True)
        organisation.services.runs.runs.start("billing-sync", actor="test")
        clock.advance(2 * DAY)
        drive_on(organisation, clock)
        assert organisation.rotations()[0].state is State.DONE
        assert not service.is_live(token)


def test_two_families_of_copies_become_one_in_one_step(made: Services, clock: Any) -> None:
    erp, archive = "prod-erp-token", "prod-archive-token"
    create(made, ORDERS, "one-value")
    create(made, BILLING, "one-value", copy_of=ORDERS)
    other = create(made, CRM)
    copies = [create(made, name, f"the-value-of-{CRM}", copy_of=CRM) for name in (erp, archive)]
    with made.database.write() as connection:
        for item in (other, *copies):
            _set_likeness(connection, item.id, made.versions.likeness(Secret("one-value")))
    advised = f"nightkey item update {CRM} --mode notify --copy-of {ORDERS}"
    assert {command for _, command in scan(made).values()} == {advised}
    updated = made.items.updates.update(
        CRM, ItemChange(policy=PolicyChange(parts={"copy_of": ORDERS})), actor="test"
    )
    assert updated.follow == (archive, erp)
    with made.database.read() as connection:
        original = made.vault.get(connection, ORDERS)
        family = {
            name: made.vault.get(connection, name).policy.copy_of for name in (BILLING, CRM, erp, archive)
        }
    assert set(family.values()) == {original.id}
    clock.advance(DAY)
    assert not any(kind == "shared" for kind, _ in scan(made))
    change(made, erp, "a-value-of-its-own", copy_of=None)
    with made.database.read() as connection:
        assert made.vault.get(connection, erp).policy.copy_of is None


def test_a_copy_whose_original_is_gone_says_so_and_is_mended(made: Services) -> None:
    original = create(made, ORDERS, "one-value")
    create(made, BILLING, "one-value", copy_of=ORDERS)
    with made.database.write() as connection:
        for table in (versions, item_owners):
            connection.execute(table.delete().where(table.c.item_id == original.id))
        connection.execute(items.delete().where(items.c.id == original.id))
    for ask in (made.rotation.opening.request, made.rotation.opening.request_emergency):
        with pytest.raises(RefusedError, match=f"gone .*`nightkey item update {BILLING} --copy-of none`"):
            ask(BILLING, asked_by="test")
    change(made, BILLING, copy_of=None)
    with pytest.raises(RefusedError, match="mode notify"):
        made.rotation.opening.request(BILLING, asked_by="test")


@pytest.mark.both
def test_of_two_creates_at_once_one_takes_the_value(made: Services) -> None:
    """Both have come to where they are written, and wait for who writes: the later one sees the earlier."""
    if made.database.is_sqlite:
        pytest.skip("a writer is alone there from its beginning")
    with ThreadPoolExecutor(2) as pool:
        with made.database.write() as connection:
            made.audit.take_turn(connection)
            tries = [pool.submit(create, made, name, "one-value") for name in (ORDERS, BILLING)]
            _wait_for_locks(made, 2, lambda: any(one.done() for one in tries))
        errors = [one.exception(60) for one in tries]
    assert {type(error) for error in errors} == {type(None), SharedError}
    with made.database.read() as connection:
        assert len(every_item(made.vault, connection)) == 1
