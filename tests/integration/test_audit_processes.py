"""Pages of the audit log are checked by processes: they find what one finds, whatever becomes of them."""

import os
import signal
import sys
from collections import deque
from datetime import UTC, datetime
from pathlib import Path

import pytest

from vaultcore.audit_chain import GENESIS, AuditChain, NewRow
from vaultcore.audit_pages import StoredPage
from vaultcore.audit_processes import AskedPage, CheckingProcess, PageChecks
from vaultcore.audit_rows import make_page

KEY = bytes(range(32))
CHAIN = AuditChain(KEY)
AT = datetime(2026, 3, 1, 2, tzinfo=UTC)
PAGES, ROWS, DAMAGED = 60, 20, (3, 40, 41, 59)


def write_log() -> list[StoredPage]:
    """Some of its pages have a row that is another's."""
    new = [NewRow(AT, "me", "do", f"row \N{KEY} {number}", {"n": number}) for number in range(PAGES * ROWS)]
    stored = CHAIN.extend(0, GENESIS, new)
    for number in DAMAGED:
        seq, at, _, *others = stored[number * ROWS + 7]
        stored[number * ROWS + 7] = (seq, at, "you", *others)
    pages = [make_page(first, stored[first : first + ROWS]) for first in range(0, len(stored), ROWS)]
    return [page for page in pages if page is not None]


LOG = write_log()
BEFORE = [GENESIS, *(page.hash_of(page.last) for page in LOG)]
WHOLE = [number not in DAMAGED for number in range(PAGES)]


def ask_all(checks: PageChecks) -> list[AskedPage]:
    return [checks.ask(previous, page) for previous, page in zip(BEFORE, LOG, strict=False)]


def answers(checks: PageChecks, asked: list[AskedPage]) -> list[bool]:
    return [checks.wait(one, previous) for previous, one in zip(BEFORE, asked, strict=False)]


def helping(asked: list[AskedPage]) -> list[CheckingProcess]:
    """Those that have a page at hand."""
    return list({one.by.pid: one.by for one in asked if one.by is not None}.values())


def is_there(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def test_each_page_holds_or_not_whoever_checks_it() -> None:
    with PageChecks(CHAIN, KEY, processes=2) as checks:
        asked = ask_all(checks)
        processes = helping(asked)
        assert processes
        assert answers(checks, asked) == WHOLE
        assert checks.lost == 0
        assert all(is_there(process.pid) for process in processes)
    assert not any(is_there(process.pid) for process in processes)
    with PageChecks(CHAIN, KEY, processes=0) as checks:
        asked = ask_all(checks)
        assert helping(asked) == []
        assert answers(checks, asked) == WHOLE


def test_a_short_log_begins_no_process() -> None:
    with PageChecks(CHAIN, KEY, processes=2) as checks:
        asked = [checks.ask(previous, page) for previous, page in zip(BEFORE[:20], LOG[:20], strict=True)]
        assert helping(asked) == []


def test_a_page_after_another_hash_than_was_told_is_checked_after_that() -> None:
    with PageChecks(CHAIN, KEY, processes=1) as checks:
        asked = [checks.ask(GENESIS, page) for page in LOG]
        assert [number for number, one in enumerate(asked) if checks.wait(one, GENESIS)] == [0]
        assert answers(checks, asked) == WHOLE


def test_what_a_killed_process_has_not_answered_for_is_checked_without_it() -> None:
    with PageChecks(CHAIN, KEY, processes=2) as checks:
        asked = ask_all(checks)
        killed = helping(asked)
        for process in killed:
            os.kill(process.pid, signal.SIGKILL)
        assert answers(checks, asked) == WHOLE
        assert answers(checks, ask_all(checks)) == WHOLE


def test_a_process_that_was_killed_is_told() -> None:
    with PageChecks(CHAIN, KEY, processes=1) as checks:
        (process,) = helping(ask_all(checks))
        os.kill(process.pid, signal.SIGKILL)
        os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
        assert answers(checks, ask_all(checks)) == WHOLE
        assert checks.lost == 1


@pytest.mark.parametrize(
    ("program", "lost"),
    [
        (None, 0),
        ("exit 3", 2),
        ("cat > /dev/null", 2),
        ("yes 1111111111", 2),
        ("printf '\\001\\000\\000\\000\\000\\000\\000\\000\\001'; exec cat", 2),
    ],
)
def test_a_program_that_is_not_ours_never_lets_a_page_hold(
    program: str | None, lost: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "python"
    if program is not None:
        file.write_text(f"#!/bin/sh\n{program}\n")
        file.chmod(0o700)
    monkeypatch.setattr(sys, "executable", str(file))
    monkeypatch.setattr("vaultcore.audit_processes._PATIENCE_SECONDS", 0.5)
    with PageChecks(CHAIN, KEY, processes=2) as checks:
        assert answers(checks, ask_all(checks)) == WHOLE
        assert answers(checks, ask_all(checks)) == WHOLE
        assert checks.lost == lost


def test_the_key_is_nowhere_where_others_look() -> None:
    with PageChecks(CHAIN, KEY, processes=1) as checks:
        asked = ask_all(checks)
        (process,) = helping(asked)
        assert answers(checks, asked) == WHOLE
        line = Path(f"/proc/{process.pid}/cmdline").read_bytes().split(b"\0")
        assert line[1:] == [b"-I", b"-m", b"vaultcore.audit_checking", b""]
        assert KEY.hex() not in repr(vars(process))


def test_who_reads_waits_when_too_many_pages_are_not_known() -> None:
    with PageChecks(CHAIN, KEY, processes=1) as checks:
        asked = ask_all(checks)
        first = next(place for place, one in enumerate(asked) if one.by is not None)
        assert checks.may_read_on(deque(asked[first : first + 3]))
        assert not checks.may_read_on(deque(asked[first:]))
        assert not checks.may_read_on(deque(asked))
        assert checks.may_read_on(deque())
