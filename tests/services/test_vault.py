"""Items on a real database: the product's limits, and who may be broken by a change."""

from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import select

from tests.services.conftest import TOKEN, Moves
from vaultcore.crypto import apikeys
from vaultcore.errors import InvalidInputError, NotFoundError, RefusedError
from vaultcore.model import Item, Kind, Mode, Policy
from vaultcore.tables import items, references, versions
from vaultcore.versions import Purpose

DAY = timedelta(days=1)
TICK = timedelta(microseconds=1)
KEY = "api-key:partner-portal"


def test_a_created_item_is_found_by_name_and_by_id_with_its_times_whole(moves: Moves, clock: Any) -> None:
    clock.advance(timedelta(microseconds=123_457))

    created = moves.add(days=200)

    item = created.item
    assert created.key is None
    assert (item.name, item.kind, item.version, item.owners) == (TOKEN, Kind.SECRET, 1, ())
    assert item.id.startswith("vlt_")
    assert len(item.id) == 30
    assert (item.created_at, item.expires_at) == (clock(), clock() + 200 * DAY)
    assert item.created_at.tzinfo is not None
    assert moves.get(TOKEN) == moves.get(item.id) == item
    assert moves.reveal(item.id, 1) == "the-first-value"


def test_what_is_not_there_is_said_to_be_missing(moves: Moves) -> None:
    for unknown in (TOKEN, "vlt_01jq8zk4m5n6p7q8r9s0t1v2w3", ""):
        with pytest.raises(NotFoundError, match="no item"):
            moves.get(unknown)
        with pytest.raises(NotFoundError, match="no item"):
            moves.update(unknown, name="another-name")
        with pytest.raises(NotFoundError, match="no item"):
            moves.delete(unknown)


def test_names_of_3_to_50_characters_are_taken_and_no_others(moves: Moves) -> None:
    moves.add("abc")
    moves.add("x" * 50)
    for wrong in ("", "ab", "x" * 51, 'with"quote', " blank", "vlt_01jq8zk4m5n6p7q8r9s0t1v2w3"):
        with pytest.raises(InvalidInputError, match="item name"):
            moves.add(wrong)
        with pytest.raises(InvalidInputError, match="item name"):
            moves.update("abc", name=wrong)

    assert len(moves.sql(select(items))) == 2


def test_values_of_1_to_2000_characters_are_taken_and_come_back_whole(moves: Moves) -> None:
    for number, value in enumerate(("x", "y" * 2000, "\N{KEY}" * 2000, "line\nline\0 'quoted' {{ }}")):
        item = moves.add(f"prod-mail-{number}", value).item
        assert moves.reveal(item.id, 1) == value


def test_another_value_is_refused_unshown_and_nothing_is_kept(moves: Moves) -> None:
    item = moves.add().item
    for wrong in ("", "x" * 2001, "half a \ud83d character"):
        with pytest.raises(InvalidInputError, match="the value of prod-new-smtp") as caught:
            moves.add("prod-new-smtp", wrong)
        assert not wrong or wrong not in str(caught.value)
        with pytest.raises(InvalidInputError, match=f"the value of {TOKEN}"):
            moves.update(TOKEN, value=wrong)

    assert [row.name for row in moves.sql(select(items))] == [TOKEN]
    assert moves.stages(item.id) == ["current"]
    assert moves.get(TOKEN) == item


def test_an_item_without_a_value_is_refused(moves: Moves) -> None:
    with pytest.raises(InvalidInputError, match="needs a value"):
        moves.add(TOKEN, None)


def test_an_expiry_lies_in_the_future_by_however_little(moves: Moves, clock: Any) -> None:
    item = moves.add().item
    for wrong in (clock(), clock() - TICK, clock() - 400 * DAY):
        with pytest.raises(InvalidInputError, match="not in the future"):
            moves.update(TOKEN, expires_at=wrong)
    for days in (0, -1):
        with pytest.raises(InvalidInputError, match="not in the future"):
            moves.add("expired-at-birth-smtp", days=days)
    assert moves.get(TOKEN) == item

    assert moves.update(TOKEN, expires_at=clock() + TICK).expires_at == clock() + TICK
    assert moves.update(TOKEN, expires_at=None).expires_at is None


def test_without_an_expiry_the_lifetime_of_the_policy_gives_one(moves: Moves, clock: Any) -> None:
    policy = Policy(lifetime=90 * DAY)
    assert moves.add("lives-smtp", policy=policy).item.expires_at == clock() + 90 * DAY
    assert moves.add("stated-smtp", days=20, policy=policy).item.expires_at == clock() + 20 * DAY
    assert moves.add("stays-smtp").item.expires_at is None


def test_an_item_is_due_when_its_policy_and_expiry_say_so(moves: Moves, clock: Any) -> None:
    moves.add(days=100)
    assert moves.get(TOKEN).due_at == clock() + 70 * DAY  # the first threshold, 30 days
    automatic = Policy(mode=Mode.AUTO, stated=True, rotator="random", lead=14 * DAY)
    early = (
        clock() + 86 * DAY - timedelta(days=3, hours=12)
    )  # by its share of the spread, a quarter of the lead
    due_at = moves.update(TOKEN, policy=automatic).due_at
    assert due_at is not None
    assert early < due_at <= clock() + 86 * DAY
    assert moves.get(TOKEN).policy == automatic
    assert moves.update(TOKEN, expires_at=None).due_at is None


def test_a_policy_that_contradicts_itself_is_refused(moves: Moves) -> None:
    broken = Policy(mode=Mode.AUTO)
    with pytest.raises(InvalidInputError, match="needs a rotator"):
        moves.add(policy=broken)
    before = moves.add().item
    with pytest.raises(InvalidInputError, match="needs a rotator"):
        moves.update(TOKEN, policy=broken)
    assert moves.get(TOKEN) == before


def test_a_name_is_taken_once(moves: Moves) -> None:
    moves.add()
    moves.add("prod-crm-password")
    with pytest.raises(RefusedError, match="exists already"):
        moves.add()
    with pytest.raises(RefusedError, match="exists already"):
        moves.update("prod-crm-password", name=TOKEN)


def test_an_api_key_is_generated_shown_once_and_kept_as_a_digest_alone(moves: Moves) -> None:
    with pytest.raises(InvalidInputError, match="takes no value"):
        moves.add(KEY, "wfk_of-my-own")

    created = moves.add(KEY, None, days=30)

    assert created.key is not None
    key = created.key.expose()
    assert apikeys.looks_real(key)
    assert created.item.kind is Kind.API_KEY
    (row,) = moves.sql(select(versions))
    assert (row.record, row.wrapped_key, row.key_id) == (None, None, None)
    assert row.digest == apikeys.digest(created.key, moves.services.keyring.pepper)
    assert key not in repr(moves.get(KEY)) + repr(moves.log())
    with pytest.raises(RefusedError, match="digest alone"):
        moves.reveal(created.item.id, 1, Purpose.ROTATION)
    assert moves.check_key(key) == (created.item.id, 1)


def test_two_api_keys_are_never_the_same(moves: Moves) -> None:
    keys = [moves.add(f"api-key:partner-{number}", None).key for number in range(5)]
    assert len({key.expose() for key in keys if key is not None}) == 5


def test_the_value_of_an_api_key_is_never_given_and_its_kind_never_changes(moves: Moves) -> None:
    before = moves.add(KEY, None).item
    moves.add()
    with pytest.raises(RefusedError, match="generates its own value"):
        moves.update(KEY, value="mine")
    with pytest.raises(RefusedError, match="kind"):
        moves.update(KEY, name="partner-portal")
    with pytest.raises(RefusedError, match="kind"):
        moves.update(TOKEN, name="api-key:ticketing")
    assert moves.get(KEY) == before
    assert moves.update(KEY, name="api-key:portal").kind is Kind.API_KEY


def test_pages_hold_every_item_once_in_order(moves: Moves) -> None:
    names = {f"prod-service-{number:02}" for number in range(7)}
    for name in sorted(names, reverse=True):
        moves.add(name)
    with moves.services.database.read() as connection:
        walked = list(moves.services.vault.walk(connection, page_size=3))
    assert [item.name for item in walked if isinstance(item, Item)] == sorted(names)
    assert len(walked) == len(names)


def test_a_new_value_is_a_new_version_and_the_old_one_stays_as_previous(moves: Moves, clock: Any) -> None:
    item = moves.add(days=30, policy=Policy(lifetime=90 * DAY)).item
    clock.advance(DAY)

    changed = moves.update(TOKEN, value="the-second-value")

    assert (changed.version, changed.expires_at, changed.updated_at) == (2, clock() + 90 * DAY, clock())
    assert moves.stages(item.id) == ["previous", "current"]
    assert moves.reveal(item.id, 1) == "the-first-value"
    assert moves.reveal(item.id, 2) == "the-second-value"
    with moves.services.database.read() as connection:
        old, new = moves.services.versions.of_item(connection, item.id)
    assert (old.expires_at, old.superseded_at) == (item.expires_at, clock())
    assert (new.expires_at, new.activated_at) == (clock() + 90 * DAY, clock())


def test_the_expiry_of_the_old_value_is_not_the_new_ones(moves: Moves, clock: Any) -> None:
    moves.add(days=30)
    assert moves.update(TOKEN, value="second").expires_at is None
    assert moves.update(TOKEN, value="third", expires_at=clock() + 5 * DAY).expires_at == clock() + 5 * DAY


def test_a_change_of_metadata_makes_no_version_and_leaves_the_value(moves: Moves, clock: Any) -> None:
    item = moves.add(days=30).item
    with moves.services.database.write() as connection:
        owner = moves.services.owners.create(connection, "support", actor="test")
    clock.advance(DAY)

    changed = moves.update(item.id, name="prod-tickets-api-token", owner_ids=(owner.id,))

    assert (changed.id, changed.version, changed.owners) == (item.id, 1, ("support",))
    assert (changed.expires_at, changed.created_at, changed.updated_at) == (
        item.expires_at,
        item.created_at,
        clock(),
    )
    assert moves.stages(item.id) == ["current"]
    assert moves.reveal(item.id, 1) == "the-first-value"
    assert moves.update(item.id, owner_ids=()).owners == ()


def test_a_new_expiry_is_the_current_versions_too(moves: Moves, clock: Any) -> None:
    item = moves.add(days=30).item
    moves.update(TOKEN, value="second", expires_at=clock() + 60 * DAY)
    moves.update(TOKEN, expires_at=clock() + 61 * DAY)
    with moves.services.database.read() as connection:
        expiries = [version.expires_at for version in moves.services.versions.of_item(connection, item.id)]
    assert expiries == [item.expires_at, clock() + 61 * DAY]


def test_a_hold_ends_with_a_new_value_and_with_nothing_else(moves: Moves, clock: Any) -> None:
    item = moves.add(days=30).item
    with moves.services.database.write() as connection:
        moves.services.vault.hold(connection, item.id, clock() + DAY)
    assert moves.update(TOKEN, expires_at=clock() + 40 * DAY).hold_until == clock() + DAY
    assert moves.update(TOKEN, value="second").hold_until is None


def test_a_rename_is_refused_while_anybody_names_the_item(moves: Moves) -> None:
    item = moves.add().item
    moves.use("ticket-sync", TOKEN)
    moves.use("escalation", TOKEN)
    moves.use("by-id", item.id)
    with pytest.raises(RefusedError, match="named in escalation, ticket-sync: a rename would break"):
        moves.update(TOKEN, name="prod-tickets-api-token")
    assert moves.update(TOKEN, name=TOKEN, value="second").version == 2  # not a rename

    moves.use("ticket-sync")
    moves.use("escalation")
    assert moves.update(TOKEN, name="prod-tickets-api-token").name == "prod-tickets-api-token"
    assert len(moves.sql(select(references).where(references.c.item_id == item.id))) == 1


def test_a_rename_to_a_name_that_somebody_waits_for_leads_them_here(moves: Moves) -> None:
    item = moves.add().item
    moves.use("ticket-sync", "prod-tickets-api-token")
    moves.update(TOKEN, name="prod-tickets-api-token")
    with pytest.raises(RefusedError, match="used by ticket-sync"):
        moves.delete(item.id)


def test_an_item_in_use_is_not_deleted_and_its_users_are_named(moves: Moves) -> None:
    item = moves.add().item
    moves.use("ticket-sync", TOKEN)
    moves.use("escalation", item.id, active=False)
    with pytest.raises(RefusedError, match=f"{TOKEN} is used by escalation, ticket-sync: "):
        moves.delete(TOKEN)
    assert moves.reveal(item.id, 1) == "the-first-value"

    moves.use("ticket-sync")
    with pytest.raises(RefusedError, match="used by escalation: "):
        moves.delete(TOKEN)
    moves.use("escalation")
    moves.update(TOKEN, value="second")
    assert moves.delete(TOKEN).id == item.id
    with pytest.raises(NotFoundError):
        moves.get(item.id)
    assert moves.sql(select(versions)) == []
    assert moves.add().item.id != item.id


def test_what_a_rotator_needs_is_not_deleted_or_renamed(moves: Moves) -> None:
    admin = moves.add("prod-tokenhub-admin-token").item
    policy = Policy(
        mode=Mode.AUTO,
        rotator="http",
        settings={
            "issue": {
                "headers": {"Authorization": "Bearer {{ vault.prod-tokenhub-admin-token }}"},
                "body": {"list": ["{{ vault['prod-ticketing-api-token'] }}"]},
            }
        },
    )
    moves.add(days=90, policy=policy)
    for name_or_id in (admin.name, admin.id):
        with pytest.raises(RefusedError, match=f"used by rotator of {TOKEN}: "):
            moves.delete(name_or_id)
    with pytest.raises(RefusedError, match=f"named in {TOKEN}: "):
        moves.update(admin.id, name="prod-tokenhub-root-token")

    moves.delete(TOKEN)  # its rotator names the item itself, which holds nobody up
    moves.delete(admin.id)
    assert moves.sql(select(references)) == []


def test_a_rotator_that_was_changed_lets_go_of_what_it_used(moves: Moves) -> None:
    moves.add("prod-tokenhub-admin-token")
    settings = {"url": "https://example.com/?t={{ vault.prod-tokenhub-admin-token }}"}
    moves.add(days=90, policy=Policy(rotator="http", settings=settings))
    with pytest.raises(RefusedError, match="rotator of"):
        moves.delete("prod-tokenhub-admin-token")
    moves.update(TOKEN, policy=Policy())
    moves.delete("prod-tokenhub-admin-token")


def test_an_item_that_is_being_rotated_is_neither_deleted_nor_given_a_value(moves: Moves, clock: Any) -> None:
    item = moves.add(days=30).item
    number = moves.begin(item.id)
    _assert_busy(moves)
    moves.fill(item.id, number, "the-pending-value")
    _assert_busy(moves)
    assert moves.update(TOKEN, expires_at=clock() + 31 * DAY).version == 1  # that much may change
    assert moves.stages(item.id) == ["current", "pending"]
    moves.destroy(item.id, number)
    assert moves.update(TOKEN, value="second").version == 3
    moves.delete(TOKEN)


def test_every_change_is_in_the_audit_log_and_no_value_is(moves: Moves) -> None:
    item = moves.add().item
    moves.update(TOKEN, value="the-second-value")
    moves.update(TOKEN, expires_at=None)
    moves.delete(TOKEN)
    rows = [row for row in moves.log() if row.subject == item.id]
    assert [row.action for row in rows] == ["item.create", "item.update", "item.update", "item.delete"]
    assert {row.actor for row in rows} == {"test"}
    assert [row.details.get("new_value") for row in rows] == [None, True, False, None]
    assert "-value" not in repr(moves.log())
    assert moves.verify().whole


def _assert_busy(moves: Moves) -> None:
    with pytest.raises(RefusedError, match="being rotated"):
        moves.delete(TOKEN)
    with pytest.raises(RefusedError, match="being rotated"):
        moves.update(TOKEN, value="second")
