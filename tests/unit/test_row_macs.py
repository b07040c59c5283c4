"""The keyed digest of a row: what changes it, and what does not."""

from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import Column, MetaData, Table

import worker.rows.tables as ours
from vaultcore import tables
from vaultcore.row_macs import RowMacs, columns_of, name_in_digest
from vaultcore.signing_rows import kept_tables

MACS = RowMacs(bytes(range(32)))
NOON = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
ITEM = {
    "id": "vlt_1", "name": "prod-crm-token", "kind": "secret",
    "policy": {"mode": "auto", "thresholds": [30, 7]},
    "overlap_seconds": 86_400, "life_seconds": None, "idle_seconds": 1, "hygiene": "", "copy_of": None,
    "expires_at": NOON, "due_at": NOON, "mac": None,
}  # fmt: skip

VALUES = st.none() | st.booleans() | st.integers() | st.text() | st.binary()


def signed(row: dict[str, Any]) -> dict[str, Any]:
    return row | {"mac": MACS.make(tables.items, row)}


def test_a_row_that_was_signed_holds_and_another_key_says_no() -> None:
    row = signed(ITEM)
    assert MACS.holds(tables.items, row)
    assert not RowMacs(bytes(32)).holds(tables.items, row)
    assert not MACS.holds(tables.items, row | {"mac": None})
    assert not MACS.holds(tables.items, row | {"mac": "garbage"})


@pytest.mark.parametrize(
    ("column", "value"),
    [
        ("id", "vlt_2"),
        ("name", "prod-crm-tokens"),
        ("policy", {"mode": "notify", "thresholds": [30, 7]}),
        ("policy", {"mode": "auto", "thresholds": [7, 30]}),
        ("hygiene", None),
        ("copy_of", ""),
        ("life_seconds", 0),
        ("life_seconds", "0"),
        ("overlap_seconds", "86400"),
        ("expires_at", NOON + timedelta(microseconds=1)),
        ("expires_at", None),
        ("due_at", NOON.isoformat()),
    ],
)
def test_every_change_of_what_decides_shows(column: str, value: Any) -> None:
    assert not MACS.holds(tables.items, signed(ITEM) | {column: value})


def test_what_means_the_same_is_the_same() -> None:
    row = signed(ITEM)
    there = NOON.astimezone(timezone(timedelta(hours=5)))
    assert MACS.holds(tables.items, row | {"expires_at": there})
    assert MACS.holds(tables.items, row | {"policy": {"thresholds": (30, 7), "mode": "auto"}})


def test_a_row_of_another_table_with_the_same_words_is_another() -> None:
    owner = {"item_id": "a", "owner_id": "b"}
    mac = MACS.make(tables.item_owners, owner)
    swapped = {"item_id": "b", "owner_id": "a", "mac": mac}
    assert MACS.holds(tables.item_owners, owner | {"mac": mac})
    assert not MACS.holds(tables.item_owners, swapped)


def test_a_value_of_no_type_of_ours_never_holds() -> None:
    assert not MACS.holds(tables.items, signed(ITEM) | {"expires_at": object()})


@given(first=VALUES, second=VALUES)
def test_two_values_have_one_digest_only_if_they_are_one(first: Any, second: Any) -> None:
    row = ITEM | {"copy_of": first}
    same = type(first) is type(second) and first == second
    assert MACS.holds(tables.items, signed(row) | {"copy_of": second}) is same


def test_every_table_that_decides_is_kept_with_columns_that_it_has() -> None:
    names = {table.name for table in kept_tables()}
    assert names == {
        "deployment", "owners", "routes", "items", "item_owners", "item_labels", "versions", "item_references",
        "workflows", "rotations", "waivers", "checks", "row_checks", "pickups", "notices", "deliveries", "runs",
        "run_versions", "departures", "departure_items", "heartbeats", "comparisons", "item_accounts",
        "credential_checks", "named_policies",
        "principals", "tokens", "sessions",
    }  # fmt: skip
    for table in kept_tables():
        assert set(columns_of(table)) <= set(table.columns.keys())
    moving = {"next_at", "lease_until", "fence", "attempts", "touched_at", "last_error"}
    assert not moving & set(columns_of(ours.rotations)), "what changes at each try is signed by nobody"


def test_a_renamed_table_or_column_keeps_its_digests() -> None:
    """Digests of rows of an earlier release, made with the names of then."""
    now = ours.pickups
    columns = [Column(name_in_digest(one), one.type, primary_key=one.primary_key) for one in now.columns]
    decides = tuple(name_in_digest(now.c[name]) for name in now.info["decides"])
    then = Table("claims", MetaData(), *columns, info={"decides": decides})
    row = {"id": "clm_1", "item_id": "vlt_1", "number": 2, "arrived_at": NOON}
    was = {name_in_digest(now.c[name]): value for name, value in row.items()}
    assert was["claimed_at"] == NOON
    assert MACS.make(now, row) == MACS.make(then, was)
