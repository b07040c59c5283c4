"""What is read of a list of items, and what becomes of each entry: pure."""

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vaultcore.errors import InvalidInputError
from vaultcore.model import KnownNames
from vaultcore.names import skeleton
from worker.domain.incoming import Arrival, Contents, IncomingItem, judge, sort_out
from worker.importing.recognising import FileForm, read_file
from worker.wording.incoming import describe_judged, describe_not_taken, explain_fault

NOW = datetime(2026, 3, 1, 2, 0, tzinfo=UTC)
ID = "vlt_01j9z3k4m5n6p7q8r9s0t1v2w3"
OTHER_ID = "vlt_01j9z3k4m5n6p7q8r9s0t1v2w4"
NAME = "My App's API Token"
ITEM = {
    "id": ID,
    "name": NAME,
    "created_at": "2025-07-01T08:30:00.123456Z",
    "expires_at": "2027-01-01T00:00:00.000000Z",
}
ENTRY = IncomingItem(
    place=1,
    name=NAME,
    given_id=ID,
    created_at=datetime(2025, 7, 1, 8, 30, 0, 123456, tzinfo=UTC),
    expires_at=datetime(2027, 1, 1, tzinfo=UTC),
)


def read(document: object) -> Contents:
    return sort_out(read_text(json.dumps(document)))


def read_text(text: str) -> Contents:
    return read_file(text, now=NOW, form=FileForm.SDX).contents


@pytest.mark.parametrize(
    "document",
    [[ITEM], {"data": [ITEM]}, {"data": [ITEM], "links": {"next": None}, "meta": {"total": 1}}, ITEM],
    ids=["array", "data", "a page", "one"],
)
def test_each_form_of_the_answer_is_read(document: object) -> None:
    assert read(document) == Contents(entries=[ENTRY], faults=[])


def test_a_mark_of_byte_order_is_no_part_of_it() -> None:
    assert read_text("\ufeff" + json.dumps([ITEM])).entries == [ENTRY]


@pytest.mark.parametrize(
    "text",
    [
        "",
        "null",
        "5",
        '"text"',
        "{}",
        '{"data": {}}',
        '[{"name": "a"',
        "[NaN]",
        '[{"n": 1e999}]',
        "[" * 100_000,
        "[" * 150 + "]" * 150,
        '{"data":' * 5000 + "1" + "}" * 5000,
        "id,name\nvlt_1,a\n",
        "[" + "{}," * 100_000 + "{}]",
    ],
)
def test_what_is_no_such_answer_costs_one_line(text: str) -> None:
    with pytest.raises(InvalidInputError) as caught:
        read_text(text)
    assert len(str(caught.value)) < 120
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("given", "time"),
    [
        ("2027-01-01T00:00:00.000000Z", datetime(2027, 1, 1, tzinfo=UTC)),
        ("2027-01-01T02:00:00+02:00", datetime(2027, 1, 1, tzinfo=UTC)),
        ("2027-01-01 00:00:00", datetime(2027, 1, 1, tzinfo=UTC)),
        ("2025-01-01T00:00:00Z", datetime(2025, 1, 1, tzinfo=UTC)),  # lapsed: it comes in as that
        (None, None),
    ],
)
def test_an_expiry_is_kept_as_it_is(given: str | None, time: datetime | None) -> None:
    (entry,) = read([ITEM | {"expires_at": given}]).entries
    assert entry.expires_at == time


@pytest.mark.parametrize(
    "given",
    [0, 1798761600, 1798761600.5, True, [], {}, "", "soon", "2027-13-01T00:00:00Z", "1970-01-01T00:00:00Z",
     "9999-12-31T23:59:59Z", "0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-14:00", "2" * 5000],
)  # fmt: skip
def test_an_expiry_that_cannot_be_meant_leaves_the_item_out_and_says_so(given: object) -> None:
    contents = read([ITEM | {"expires_at": given}])
    assert contents.entries == []
    (fault,) = contents.faults
    assert explain_fault(fault) == (
        f'entry 1 ("{NAME}") is left out: its expires_at is not a time that can be kept: a text such as '
        "2026-12-24T18:00:00.000000Z, or null"
    )


@pytest.mark.parametrize("given", [5, "soon", "1999-01-01T00:00:00Z", "2026-03-02T00:00:00Z"])
def test_a_creation_that_cannot_be_meant_is_now_and_is_told(given: object) -> None:
    contents = read([ITEM | {"created_at": given}, ITEM | {"id": OTHER_ID, "name": "another-name"}])
    assert [entry.created_at for entry in contents.entries] == [None, ENTRY.created_at]
    assert describe_not_taken(contents) == [
        "created_at of one entry is not a time that can be kept: now is taken for it"
    ]


def test_values_are_never_read_and_unknown_fields_are_told() -> None:
    value = "a-value-of-theirs"
    contents = read(
        [ITEM | {"secret": value, "Value": value, "folder": value}, {"name": "second-item", "secret": value}]
    )
    assert value not in repr(contents)
    assert value not in repr(read([{"name": "third-item", "id": {"secret": value}}]))
    told = describe_not_taken(contents)
    assert [line.split(";")[0] for line in told] == [
        "values are not taken from such a file: 'Value' of one entry is left there",
        "values are not taken from such a file: 'secret' of 2 entries is left there",
        "'folder' of one entry is not a field that is known here, and is left out",
    ]
    assert value not in " ".join(told)


def test_a_thousand_unknown_fields_are_no_thousand_lines() -> None:
    contents = read([ITEM | {f"\u202ex{'y' * 500}{number}": 1 for number in range(1000)}])
    told = describe_not_taken(contents)
    assert len(told) == 11
    assert told[-1] == "so are 990 other fields"
    assert all(line.isprintable() and len(line) < 160 for line in told)


@pytest.mark.parametrize(
    ("raw", "why"),
    [
        (5, "it is not an object with a name"),
        (None, "it is not an object with a name"),
        ({}, "it has no name"),
        ({"name": 5}, "it has no name"),
        ({"name": "ab"}, "item name 'ab' has 2 characters: use 3 to 50"),
        ({"name": "x" * 51}, "has 51 characters"),
        ({"name": "a\x1b[2Jb"}, "holds U+001B"),
        ({"name": "a\u202eb-c"}, "holds U+202E"),
        ({"name": "a\ud800bc"}, "holds U+D800"),
        ({"name": 'say "this"'}, "which a template cannot name"),
        ({"name": "api-key:"}, "is a prefix alone"),
        ({"name": OTHER_ID}, "looks like an item's id"),
        (ITEM | {"id": OTHER_ID}, f"entry 1 has that name already"),  # noqa: F541  # as the others
        (ITEM | {"name": "another-name"}, f'entry 1, "{NAME}", has that id already'),
        (ITEM | {"id": None, "name": NAME.upper()}, f'its name looks like that of entry 1, "{NAME}"'),
    ],
)
def test_what_cannot_come_in_says_why_and_the_others_do(raw: Any, why: str) -> None:
    contents = read([ITEM, raw, {"name": "the-last-one"}])
    assert [entry.name for entry in contents.entries] == [NAME, "the-last-one"]
    (fault,) = contents.faults
    told = explain_fault(fault)
    assert told.startswith("entry 2")
    assert why in told
    assert told.isprintable()


@pytest.mark.parametrize("given_id", [None, "weird", "VLT_" + ID[4:], ID.upper(), 5, ["x"], ID + "3"])
def test_an_id_that_is_not_of_the_form_is_not_kept(given_id: Any) -> None:
    contents = read([{"name": NAME, "id": given_id}])
    assert [entry.item_id for entry in contents.entries] == [None]
    told = ["the id of one entry is not vlt_ and a ULID in lower case: here it is another"]
    assert describe_not_taken(contents) == ([] if given_id is None else told)


def known(*items: tuple[str, str]) -> KnownNames:
    return KnownNames(
        by_id=dict(items),
        by_name={name: item_id for item_id, name in items},
        by_look={skeleton(name): name for _, name in items},
    )


@pytest.mark.parametrize(
    ("there", "arrival", "item_id", "why"),
    [
        ((), Arrival.NEW, ID, None),
        ([(ID, NAME)], Arrival.THERE, ID, None),
        (
            [(OTHER_ID, NAME)],
            Arrival.THERE,
            OTHER_ID,
            f"it is there as {OTHER_ID}: what uses it by the id {ID}",
        ),
        ([(ID, "old-name")], Arrival.LEFT_OUT, ID, f"nightkey item update {ID} --name 'My App'"),
        ([(ID, "old-name"), (OTHER_ID, NAME)], Arrival.LEFT_OUT, ID, "its id is that of 'old-name' here"),
        ([(OTHER_ID, NAME.lower())], Arrival.LEFT_OUT, None, 'its name looks like "my app\'s api token"'),
    ],
)
def test_an_entry_is_judged_by_what_is_there(there: Any, arrival: Arrival, item_id: Any, why: Any) -> None:
    judged = judge(ENTRY, known(*there))
    assert (judged.arrival, judged.item_id) == (arrival, item_id)
    if why is None:
        assert judged.why is None
    else:
        assert why in (judged.why or "")
        assert judged.why in describe_judged(judged)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=12), inner, max_size=4),
    max_leaves=12,
)
FIELDS = st.sampled_from(["id", "name", "created_at", "expires_at", "secret", "data", "folder"])


@given(JSON | st.lists(st.dictionaries(FIELDS, JSON | st.just("a-good-name"), max_size=5), max_size=6))
def test_whatever_the_document_is_each_entry_comes_in_or_is_told(document: Any) -> None:
    try:
        contents = read(document)
    except InvalidInputError:
        return
    listed = (
        document.get("data")
        if isinstance(document, dict) and isinstance(document.get("data"), list)
        else document
    )
    number = len(listed) if isinstance(listed, list) else 1
    places = [*(one.place for one in contents.entries), *(one.place for one in contents.faults)]
    assert sorted(places) == list(range(1, number + 1))
    assert all(explain_fault(fault).isprintable() for fault in contents.faults)
    looks = [skeleton(entry.name) for entry in contents.entries]
    assert len(set(looks)) == len(looks)
    for entry in contents.entries:
        assert entry.expires_at is None or abs(entry.expires_at - NOW) < timedelta(days=201 * 366)
