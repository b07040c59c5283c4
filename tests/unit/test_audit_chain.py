"""Rows of the audit log are checked as they are stored; that says the same as reading them."""

import json
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vaultcore.audit_chain import GENESIS, AuditChain, NewRow
from vaultcore.audit_rows import AuditRow, Stored, make_page

CHAIN = AuditChain(bytes(range(32)))
FIELDS = ("seq", "at", "actor", "action", "subject", "details", "hash")

_TEXTS = st.text(st.characters(codec="utf-8"), max_size=12) | st.sampled_from(
    ['"', "\\", '","actor":"', '"}', "\x00", "\x7f", "\u2028", "\N{KEY}", 'x","seq":2,"subject":"y']
)
_PLAIN = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | _TEXTS
_DETAILS = st.dictionaries(_TEXTS, _PLAIN | st.lists(_TEXTS, max_size=3), max_size=4)
_ZONES = st.sampled_from([UTC, timezone(timedelta(hours=-7, minutes=-30)), timezone(timedelta(hours=14))])
_TIMES = st.datetimes(datetime(2000, 1, 2), datetime(9999, 12, 30), timezones=_ZONES)  # noqa: DTZ001  # the zone comes by itself
_ROWS = st.builds(NewRow, _TIMES, _TEXTS, _TEXTS, _TEXTS, _DETAILS)


def read(stored: Stored) -> AuditRow:
    """As whoever reads the table has it."""
    of_row = dict(zip(FIELDS, stored, strict=True))
    at = datetime.fromisoformat(of_row["at"]).replace(tzinfo=UTC)
    assert of_row.pop("hash")
    return AuditRow(**(of_row | {"at": at, "details": json.loads(of_row["details"])}))


def holds_for_readers(previous: bytes, rows: list[Stored]) -> bool:
    for stored in rows:
        try:
            row = read(stored)
        except (ValueError, TypeError):
            return False
        if CHAIN.hash(previous, row) != stored[-1]:
            return False
        previous = stored[-1]
    return True


def holds(previous: bytes, rows: list[Stored]) -> bool:
    page = make_page(0, rows)
    return page is not None and CHAIN.holds(previous, page)


def write(rows: list[NewRow]) -> list[Stored]:
    return CHAIN.extend(0, GENESIS, rows)


def change(row: Stored, **fields: Any) -> Stored:
    return tuple((dict(zip(FIELDS, row, strict=True)) | fields).values())


@given(st.lists(_ROWS, min_size=1, max_size=4))
def test_what_was_written_holds_both_ways_and_is_read_as_it_was_given(given_rows: list[NewRow]) -> None:
    stored = write(given_rows)
    assert holds(GENESIS, stored)
    assert holds_for_readers(GENESIS, stored)
    for new, row in zip(given_rows, map(read, stored), strict=True):
        assert (row.at, row.actor, row.action, row.subject) == (new.at, new.actor, new.action, new.subject)
        assert row.details == new.details


@given(st.lists(_ROWS, min_size=1, max_size=3))
def test_rows_whose_details_stand_in_another_order_hold_too(given_rows: list[NewRow]) -> None:
    older = [
        change(row, details=json.dumps(dict(reversed(json.loads(row[5]).items())))) for row in write(given_rows)
    ]
    assert holds(GENESIS, older)
    assert holds_for_readers(GENESIS, older)


@given(st.lists(_ROWS, min_size=1, max_size=3), st.data())
def test_a_row_of_which_one_field_is_another_holds_in_neither_way(rows: list[NewRow], data: Any) -> None:
    stored = write(rows)
    place = data.draw(st.integers(0, len(stored) - 1))
    field = data.draw(st.sampled_from(FIELDS))
    before = stored[place][FIELDS.index(field)]
    other = {
        "seq": st.integers(1, 9),
        "at": _TIMES.map(lambda at: f"{at.replace(tzinfo=None).isoformat(' ', 'microseconds')}"),
        "details": _DETAILS.map(json.dumps),
        "hash": st.binary(min_size=31, max_size=33),
    }.get(field, _TEXTS)
    after = data.draw(other)
    same = json.loads(after) == json.loads(before) if field == "details" else after == before
    stored[place] = change(stored[place], **{field: after})
    assert holds(GENESIS, stored) is holds_for_readers(GENESIS, stored) is same


@pytest.mark.parametrize(
    "fields",
    [
        {"actor": "one", "details": '{"x":1},"seq":2,"subject":"y"'},
        {"action": 'do","actor":"me'},
        {"details": '{"x":1},"seq":1,"subject":"a","seq":1,"subject":"b"}'},
        {"details": '{"x": 1, "x": 1}', "subject": "c"},
        {"at": '2026-03-01 02:00:00.000000+00:00","details":{},"x":"'},
        {"subject": 'b","z":"'},
        {"at": "2026-03-01T02:00:00.000000"},
    ],
)
def test_no_text_passes_from_one_field_to_another(fields: dict[str, Any]) -> None:
    at = datetime(2026, 3, 1, 2, tzinfo=UTC)
    (stored,) = write([NewRow(at, "me", "do", "b", {"x": 1, "y": 'a","seq":1,"subject":"b'})])
    assert holds(GENESIS, [stored])
    assert not holds(GENESIS, [change(stored, **fields)])


def test_hashes_of_two_rows_that_say_the_same_together_are_not_theirs() -> None:
    at = datetime(2026, 3, 1, 2, tzinfo=UTC)
    first, second = write([NewRow(at, "me", "do", "b", {}), NewRow(at, "me", "do", "c", {})])
    assert holds(GENESIS, [first, second])
    moved = [change(first, hash=first[-1][:-1]), change(second, hash=first[-1][-1:] + second[-1])]
    assert b"".join(row[-1] for row in moved) == first[-1] + second[-1]
    assert not holds(GENESIS, moved)


def test_rows_that_do_not_follow_one_another_are_left_to_who_reads_them() -> None:
    at = datetime(2026, 3, 1, 2, tzinfo=UTC)
    first, second, third = write([NewRow(at, "me", "do", "b", {})] * 3)
    assert holds(GENESIS, [first, second, third])
    assert not holds(GENESIS, [first, third])
    assert not holds(GENESIS, [second, first, third])


@pytest.mark.parametrize("field", FIELDS)
@pytest.mark.parametrize("value", [None, 7.5, b"bytes", "text", object()])
def test_what_is_none_of_its_column_is_left_to_who_reads_it(field: str, value: object) -> None:
    at = datetime(2026, 3, 1, 2, tzinfo=UTC)
    (stored,) = write([NewRow(at, "me", "do", "b", {"x": 1})])
    assert not holds(GENESIS, [change(stored, **{field: value})])


def test_a_time_before_any_of_ours_is_left_to_who_reads_it() -> None:
    stored = write([NewRow(datetime(1999, 12, 31, tzinfo=UTC), "me", "do", "b", {})])
    assert not holds(GENESIS, stored)


def test_a_row_at_a_time_without_a_zone_is_not_written() -> None:
    with pytest.raises(TypeError, match="time zone"):
        write([NewRow(datetime(2026, 3, 1), "me", "do", "b", {})])  # noqa: DTZ001  # that is what is asked
