"""What is printed: nothing of it steers a terminal, and no terminal ends a command."""

import codecs
import io
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from worker.cli import output, terminal
from worker.cli.terminal import fit, fit_cell, prepare_streams


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("prod-x", "prod-x"),
        ("Zo\u00eb \u2192 \u65e5\u672c", "Zo\u00eb \u2192 \u65e5\u672c"),
        ("\x1b[31mred\x1b[0m", "\\x1b[31mred\\x1b[0m"),
        ("\x1b]0;title\x07", "\\x1b]0;title\\x07"),
        ("a\x9b31mb", "a\\x9b31mb"),
        ("a\rb", "a\\rb"),
        ("\u202eedoc", "\\u202eedoc"),
        ("a\u200bb", "a\\u200bb"),
        ("a\u2028b", "a\\u2028b"),
        ("a\udcffb", "a\\udcffb"),
        ("a\x00b", "a\\x00b"),
        ("two\nlines\tof it", "two\nlines\tof it"),
    ],
)
def test_what_steers_a_terminal_is_shown_instead(text, shown):
    assert fit(text) == shown


def test_a_cell_is_one_line():
    assert fit_cell("two\nlines\tof it") == "two\\nlines\\tof it"


@given(st.text())
def test_whatever_it_is_it_can_be_printed(text):
    assert all(c in "\n\t" or c.isprintable() or c.isspace() or c > "\u0378" for c in fit(text))
    assert "\x1b" not in fit(text)
    assert len(fit_cell(text).splitlines()) <= 1


def printed(monkeypatch, encoding, act):
    """What comes out of a terminal of that encoding."""
    raw = io.BytesIO()
    for name in ("stdout", "stderr"):
        monkeypatch.setattr(f"sys.{name}", io.TextIOWrapper(raw, encoding=encoding, write_through=True))
    prepare_streams()
    act()
    return raw.getvalue()


ROWS = [{"name": "Zo\u00eb \u2192 \U0001f511", "why": "\x1b[2J\u202e"}]


@pytest.mark.parametrize(
    ("encoding", "shown"),
    [
        ("utf-8", "Zo\u00eb \u2192 \U0001f511  \\x1b[2J\\u202e"),
        ("ascii", "Zo\\xeb -> \\U0001f511  \\x1b[2J\\u202e"),
        ("latin-1", "Zo\u00eb -> \\U0001f511  \\x1b[2J\\u202e"),
        ("cp1252", "Zo\u00eb -> \\U0001f511  \\x1b[2J\\u202e"),
    ],
)
def test_a_table_is_shown_in_whatever_encoding_a_terminal_has(monkeypatch, encoding, shown):
    out = printed(monkeypatch, encoding, lambda: output.print_table(ROWS, ("name", "why"), "none"))
    assert out.decode(encoding).splitlines()[1] == shown
    noted = printed(monkeypatch, encoding, lambda: output.note(ROWS[0]["name"]))
    assert noted.decode(encoding).rstrip("\n") == shown.partition("  ")[0]


@pytest.mark.parametrize("encoding", ["utf-8", "ascii", "latin-1", "utf-16"])
def test_json_stays_json_in_every_encoding(monkeypatch, encoding):
    out = printed(monkeypatch, encoding, lambda: output.print_json(ROWS))
    assert json.loads(out.decode(encoding)) == ROWS
    steering = [{"name": "a\x9b31m\u202e\x7f\u2028\U000e0041\udcff\x1b"}]
    out = printed(monkeypatch, encoding, lambda: output.print_json(steering)).decode(encoding)
    assert json.loads(out) == steering
    assert not {"\x9b", "\u202e", "\u2028", "\U000e0041", "\x1b"} & set(out)


def test_a_stream_of_an_unknown_encoding_gets_escapes(monkeypatch):
    def fail(_):
        raise LookupError

    monkeypatch.setattr(codecs, "lookup", fail)
    assert not terminal.is_unicode(io.TextIOWrapper(io.BytesIO(), encoding="utf-8"))
