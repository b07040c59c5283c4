"""In a real terminal: what is paged, what has a colour, what is asked, and what Ctrl-C does."""

import shutil
import stat
import sys
from pathlib import Path

import pytest

from tests.acceptance.conftest import Nightkey
from tests.furnished import NOW, furnish
from tests.terminals import at_terminal, press_ctrl_c, see

COMMAND = [sys.executable, "-c", "from worker.cli.entry import main; main()"]


@pytest.fixture(scope="module")
def full(tmp_path_factory: pytest.TempPathFactory) -> Nightkey:
    """A vault of 100 items."""
    nightkey = Nightkey(tmp_path_factory.mktemp("full") / "home")
    furnish(nightkey.home, 100)
    return nightkey


@pytest.fixture
def pager(tmp_path: Path) -> Path:
    """A pager that keeps what it is given, beside what it knows of its surroundings."""
    file = tmp_path / "pager"
    file.write_text(
        f'#!/bin/sh\ncat > "{tmp_path}/paged"\nenv > "{tmp_path}/environment"\necho "that was it"\n'
    )
    file.chmod(file.stat().st_mode | stat.S_IXUSR)
    return file


def look(nightkey: Nightkey, *words: str, lines: int = 40, **settings: str) -> str:
    shown, _ = see(words, {**nightkey.environment, **settings}, columns=140, lines=lines, at=NOW)
    return shown


def test_a_long_list_goes_through_the_pager_of_the_reader(full: Nightkey, pager: Path) -> None:
    shown = look(full, "item", "list", PAGER=str(pager), NIGHTKEY_CONCURRENCY="3")
    assert shown == "that was it\n"
    paged = (pager.parent / "paged").read_text()
    assert len(paged.splitlines()) == 101
    assert paged.startswith("name ")
    environment = (pager.parent / "environment").read_text()
    assert "LESS=FRX" in environment
    assert "NIGHTKEY_" not in environment


@pytest.mark.parametrize("wanted", ["", "cat"])
def test_who_wants_no_pager_gets_none(full: Nightkey, pager: Path, wanted: str) -> None:
    shown = look(full, "item", "list", PAGER=str(pager), NIGHTKEY_PAGER=wanted)
    assert len(shown.splitlines()) == 101
    assert not (pager.parent / "paged").exists()


def test_what_fits_the_terminal_is_not_paged(full: Nightkey, pager: Path) -> None:
    shown = look(full, "item", "list", lines=120, PAGER=str(pager))
    assert len(shown.splitlines()) == 101
    assert not (pager.parent / "paged").exists()


def test_a_pager_that_is_not_there_hides_nothing(full: Nightkey) -> None:
    assert "prod-service-0-token" in look(full, "item", "list", PAGER="no-such-pager-anywhere")


def test_a_terminal_that_cannot_move_its_cursor_has_no_pager_and_no_colour(full: Nightkey, pager: Path) -> None:
    shown = look(full, "item", "list", TERM="dumb", PAGER=str(pager))
    assert len(shown.splitlines()) == 101
    assert "\x1b" not in look(full, "rotation", "list", TERM="dumb")


def test_a_pager_that_is_left_early_ends_nothing_badly(full: Nightkey) -> None:
    shown, status = see(["item", "list"], {**full.environment, "PAGER": "head -n 1"}, columns=140, at=NOW)
    assert (shown.split()[0], status) == ("name", 0)


def test_a_failure_is_told_after_what_was_shown(full: Nightkey, pager: Path) -> None:
    """`status` ends with 1 where something is wrong, paged or not."""
    shown, status = see(["status"], {**full.environment, "PAGER": str(pager)}, columns=140, lines=10, at=NOW)
    assert (shown, status) == ("that was it\n", 1)


def test_colour_says_again_what_a_word_says(full: Nightkey) -> None:
    listed = look(full, "notice", "list")
    assert "\x1b[31mfailed\x1b[0m" in listed
    assert "\x1b[32msent\x1b[0m" in listed
    plain = look(full, "notice", "list", NO_COLOR="1")
    assert "\x1b" not in plain
    assert listed.replace("\x1b[31m", "").replace("\x1b[32m", "").replace("\x1b[0m", "") == plain


def test_a_name_steers_no_terminal_and_keeps_its_column(full: Nightkey) -> None:
    full("owner", "create", "東京チーム")
    lines = look(full, "owner", "list", NIGHTKEY_PAGER="").splitlines()
    wide = next(line for line in lines if line.startswith("東京チーム"))
    narrow = next(line for line in lines if line.startswith("team-00 "))
    assert wide.index("UTC") + len("東京チーム") == narrow.index("UTC"), "each of these takes two columns"


def test_a_value_is_asked_for_unseen_and_goes_through_no_pager(nightkey: Nightkey, pager: Path) -> None:
    environment = {**nightkey.environment, "PAGER": str(pager)}
    words = ("item", "create", "prod-crm-token", "--owner", "operators", "--expires-at", "90d")
    with at_terminal(words, environment, columns=80, lines=2) as terminal:
        terminal.wait_for("value of prod-crm-token: ")
        terminal.type("what-only-its-owner-knows\n")
        terminal.wait_for("again: ")
        terminal.type("what-only-its-owner-knows\n")
        assert terminal.end() == 0
    assert "what-only-its-owner-knows" not in terminal.shown
    assert "version 1" in terminal.shown
    shown, status = see(
        ["item", "create", "api-key:partner", "--owner", "operators"], environment, columns=80, lines=2
    )
    assert status == 0
    assert "wfk_" in shown
    assert not (pager.parent / "paged").exists()


def test_a_question_is_asked_before_what_cannot_be_taken_back(full: Nightkey) -> None:
    words = ("owner", "leave", "team-05")
    with at_terminal(words, full.environment, columns=80, at=NOW) as terminal:
        terminal.wait_for("Replace them now? [y/N]: ")
        terminal.type("n\n")
        assert terminal.end() == 3
    assert "nightkey: nothing was changed" in terminal.shown


def test_ctrl_c_ends_a_question_with_one_line(nightkey: Nightkey) -> None:
    """A process of its own, whose terminal it is: so Ctrl-C is a key, and no signal of ours."""
    environment = {**nightkey.environment, "TERM": "xterm"}
    words = [*COMMAND, "item", "create", "prod-crm-token", "--owner", "operators"]
    shown, status = press_ctrl_c(words, environment, after="value of prod-crm-token: ")
    assert status == 130
    assert shown.splitlines()[-1] == "nightkey: interrupted"
    assert "Traceback" not in shown


@pytest.mark.skipif(shutil.which("less") is None, reason="less is not installed")
def test_less_is_left_by_its_own_key_and_keeps_ctrl_c_to_itself(full: Nightkey) -> None:
    environment = {**full.environment, "TERM": "xterm", "LANG": "C.UTF-8"}
    words = [*COMMAND, "item", "list"]
    shown, status = press_ctrl_c(words, environment, after="dev-service", then="q")
    assert status == 0
    assert "interrupted" not in shown


def test_ctrl_c_ends_a_question_that_is_answered_by_yes_or_no_alike(full: Nightkey) -> None:
    environment = {**full.environment, "TERM": "xterm"}
    shown, status = press_ctrl_c([*COMMAND, "owner", "leave", "team-05"], environment, after="[y/N]: ")
    assert (shown.splitlines()[-1], status) == ("nightkey: interrupted", 130)


def test_a_status_that_is_watched_is_drawn_again_and_ends_with_how_things_stand(full: Nightkey) -> None:
    environment = {**full.environment, "TERM": "xterm", "LANG": "C.UTF-8", "NO_COLOR": "1"}
    words = [*COMMAND, "status", "--watch", "--every", "1"]
    shown, status = press_ctrl_c(words, environment, after="every 1 second; Ctrl-C ends it")
    assert status == 1
    assert "not well:" in shown
    assert "Traceback" not in shown
    assert "interrupted" not in shown
    assert shown.count("\x1b[?1049h") == shown.count("\x1b[?1049l") == 1
    assert shown.rindex("\x1b[?25h") > shown.rindex("\x1b[?25l"), "the cursor is back"


def test_a_watched_status_shows_what_changes_meanwhile(full: Nightkey) -> None:
    words = ("status", "--watch", "--every", "1")
    environment = {**full.environment, "NO_COLOR": "1"}
    with at_terminal(words, environment, columns=80, lines=24, at=NOW) as terminal:
        terminal.wait_for("100 items")
        full(
            "item",
            "create",
            "prod-meanwhile-token",
            "--owner",
            "operators",
            "--value-file",
            "-",
            value="x" * 20,
        )
        terminal.wait_for("101 items")


@pytest.mark.parametrize(
    ("words", "why"),
    [
        (("--watch",), "here is none"),
        (("--watch", "--json"), "without --json and --output"),
        (("--every", "3"), "give both"),
    ],
)
def test_a_status_is_watched_by_a_person_alone(full: Nightkey, words: tuple[str, ...], why: str) -> None:
    assert why in full("status", *words, status=2).stderr
