"""How a table comes to fit a terminal, and an answer a spreadsheet."""

import csv
import io
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from worker.cli.cells import shorten_ids, show_cell
from worker.cli.layout import Column, fold, lay_out, measure, wrap
from worker.cli.pager import find_pager
from worker.cli.spreadsheet import write_csv
from worker.wording.headings import head

TEXT = st.text(st.characters(exclude_categories=("C", "Z"), include_characters=" "), max_size=60)


@given(TEXT, st.integers(min_value=2, max_value=40))
def test_what_is_wrapped_fits_and_loses_nothing(text: str, width: int) -> None:
    lines = wrap(text, width)
    assert all(measure(line) <= width for line in lines)
    assert "".join(lines).replace(" ", "") == text.replace(" ", "")


@pytest.mark.parametrize(
    ("text", "width", "lines"),
    [
        ("all of it", 9, ["all of it"]),
        ("parted at a blank", 9, ["parted at", "a blank"]),
        ("prod-ticketing-api-token", 15, ["prod-ticketing-", "api-token"]),
        ("unbroken" * 3, 10, ["unbrokenun", "brokenunbr", "oken"]),
        ("日本語日本語", 5, ["日本", "語日", "本語"]),
        ("look at it (nightkey item show prod-x), then go", 36,
         ["look at it", "(nightkey item show prod-x), then go"]),
    ],
)  # fmt: skip
def test_a_line_is_parted_where_one_reads_on(text: str, width: int, lines: list[str]) -> None:
    assert wrap(text, width) == lines


def test_prose_goes_on_below_where_it_began() -> None:
    assert fold("  one two three four five", 20) == ["  one two three four", "  five"]
    assert fold("  one two three", None) == ["  one two three"]


def table(*columns: tuple[str, Sequence[str]], spare: Sequence[str] = (), width: int | None) -> list[str]:
    made = [
        Column(heading=name, cells=cells, spare=len(spare) - spare.index(name) if name in spare else 0)
        for name, cells in columns
    ]
    return list(lay_out(made, width))


NAMES = ("name", ["prod-crm-token", "日本語"])
WHY = ("why", ["a reason that takes a lot of words", "-"])
EMPTY = ("error", ["-", "-"])


def test_a_table_is_whole_where_nobody_looks_or_all_has_room() -> None:
    whole = table(NAMES, EMPTY, WHY, width=None)
    assert whole == table(NAMES, EMPTY, WHY, width=80)
    assert [measure(line.partition("-  ")[0]) for line in whole[2:]] == [16], (
        "a wide character takes two columns"
    )


def test_what_says_nothing_goes_before_what_can_be_spared_and_prose_is_wrapped() -> None:
    extra = ("mode", ["approve", "auto"])
    assert table(NAMES, extra, EMPTY, WHY, spare=["mode"], width=50)[0] == "name            mode     why"
    narrow = table(NAMES, extra, EMPTY, WHY, spare=["mode"], width=44)
    assert narrow[0] == "name            why"
    assert narrow[1:3] == ["prod-crm-token  a reason that takes a lot of", "                words"]


def test_a_terminal_that_is_too_narrow_gets_rows_below_each_other() -> None:
    stacked = table(NAMES, WHY, width=24)
    assert stacked[0] == "name  prod-crm-token"
    assert "" in stacked
    assert all(measure(line) <= 24 for line in stacked)


def test_ids_are_as_short_as_no_two_of_them_begin_alike() -> None:
    ids = ["rot_01hx3v9k2m" + "0" * 16, "rot_01hx3v9k2n" + "0" * 16, "rot_01hx3v9zzz" + "0" * 16]
    assert shorten_ids(ids) == ["rot_01hx3v9k2m", "rot_01hx3v9k2n", "rot_01hx3v9zzz"]
    assert shorten_ids(ids[1:]) == ["rot_01hx3v9k", "rot_01hx3v9z"]
    assert shorten_ids([ids[0], "-", ids[0]]) == ["rot_01hx3v9k", "-", "rot_01hx3v9k"]
    assert shorten_ids([ids[0], "prod-crm-token"]) == [ids[0], "prod-crm-token"]


def test_a_cell_says_yes_or_no() -> None:
    given: list[object] = [True, False, None, "", [], {}, 0]
    assert [show_cell(value) for value in given] == [
        "yes", "no", "-", "-", "-", "-", "0",
    ]  # fmt: skip


def test_a_heading_is_words() -> None:
    shown = [head(name) for name in ("expires_at", "next_run_at", "is_active", "item_id", "at")]
    assert shown == ["expires", "next run", "active", "item id", "at"]


def test_a_spreadsheet_computes_nothing_of_what_somebody_wrote() -> None:
    evil = ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1"]
    written = write_csv([{"why": text, "number": -1} for text in evil])
    assert written.startswith("why,number\r\n")
    rows = list(csv.DictReader(io.StringIO(written, newline="")))
    assert [row["why"] for row in rows] == [f"'{text}" for text in evil]
    assert {row["number"] for row in rows} == {"-1"}, "a number of ours is one"


def test_a_spreadsheet_has_every_field_of_every_row() -> None:
    documents = [
        {"id": 1, "owners": ["a", "b"], "policy": {"mode": "auto", "settings": {"url": "x"}}, "open": True},
        {"id": 2, "owners": [], "policy": None, "says": 'he said "no",\nand left\x1b'},
    ]
    rows = list(csv.DictReader(io.StringIO(write_csv(documents), newline="")))
    assert rows == [
        {"id": "1", "owners": "a; b", "policy.mode": "auto", "policy.settings": '{"url": "x"}', "open": "true",
         "policy": "", "says": ""},
        {"id": "2", "owners": "", "policy.mode": "", "policy.settings": "", "open": "", "policy": "",
         "says": 'he said "no",\nand left\\x1b'},
    ]  # fmt: skip
    assert write_csv([]) == ""


@pytest.mark.parametrize(
    ("environment", "pager"),
    [
        ({}, "less"),
        ({"PAGER": "more"}, "more"),
        ({"PAGER": "more", "NIGHTKEY_PAGER": "most -x"}, "most -x"),
        ({"PAGER": "more", "NIGHTKEY_PAGER": ""}, None),
        ({"PAGER": "cat"}, None),
    ],
)
def test_the_pager_is_the_readers_own(environment: dict[str, str], pager: str | None) -> None:
    assert find_pager(environment) == pager
