"""Pages of the audit log are checked by processes: they find what one finds, whatever becomes of them."""

import os
import signal
import sys
import time
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
PATIENCE = 300.0


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
    return [checks.conclude(one, previous) for previous, one in zip(BEFORE, asked, strict=False)]


def ask_when_ready(checks: PageChecks) -> list[AskedPage]:
    """Again and again, until somebody beside this process has a page at hand."""
    deadline = time.monotonic() + PATIENCE
    while not helping(asked := ask_all(checks)):
        assert answers(checks, asked) == WHOLE
        assert time.monotonic() < deadline
    return asked


def stop_when_ready(checks: PageChecks) -> CheckingProcess:
    """The one that helps: it has nothing at hand, and takes nothing more."""
    asked = ask_when_ready(checks)
    (process,) = helping(asked)
    assert answers(checks, asked) == WHOLE
    os.kill(process.pid, signal.SIGSTOP)
    return process


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
        asked = ask_when_ready(checks)
        processes = helping(asked)
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
        ask_when_ready(checks)
        asked = [checks.ask(GENESIS, page) for page in LOG]
        assert [number for number, one in enumerate(asked) if checks.conclude(one, GENESIS)] == [0]
        assert answers(checks, asked) == WHOLE


def test_what_a_killed_process_has_not_answered_for_is_checked_without_it() -> None:
    with PageChecks(CHAIN, KEY, processes=2) as checks:
        asked = ask_when_ready(checks)
        killed = helping(asked)
        for process in killed:
            os.kill(process.pid, signal.SIGKILL)
        assert answers(checks, asked) == WHOLE
        assert answers(checks, ask_all(checks)) == WHOLE


def test_a_process_that_was_killed_is_told() -> None:
    with PageChecks(CHAIN, KEY, processes=1) as checks:
        (process,) = helping(ask_when_ready(checks))
        os.kill(process.pid, signal.SIGKILL)
        os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
        assert answers(checks, ask_all(checks)) == WHOLE
        assert checks.lost == 1


HELLO = r"printf 'nightkey audit checking 1\n' >&0; "


@pytest.mark.parametrize(
    ("program", "lost"),
    [
        pytest.param(None, 0, id="cannot be begun"),
        pytest.param("exit 3", 2, id="ends"),
        pytest.param("yes 1111111111 >&0", 2, id="says something else"),
        pytest.param(f"{HELLO} exec cat > /dev/null", 2, id="never answers"),
        pytest.param(f"{HELLO} exec sleep 3600", 2, id="takes nothing"),
        pytest.param(f"{HELLO} exec yes 1111111111 >&0", 2, id="answers for other pages"),
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
    deadline = time.monotonic() + PATIENCE
    with PageChecks(CHAIN, KEY, processes=2) as checks:
        assert answers(checks, ask_all(checks)) == WHOLE
        while checks.lost < lost:
            assert answers(checks, ask_all(checks)) == WHOLE
            assert time.monotonic() < deadline


def test_one_that_never_says_that_it_is_ready_is_given_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "python"
    file.write_text("#!/bin/sh\nexec sleep 3600\n")
    file.chmod(0o700)
    monkeypatch.setattr(sys, "executable", str(file))
    with PageChecks(CHAIN, KEY, processes=2) as checks:
        asked = ask_all(checks)
        assert helping(asked) == []
        assert answers(checks, asked) == WHOLE


def test_a_page_larger_than_the_way_takes_at_once_waits_for_nobody_who_takes_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("vaultcore.audit_processes._PATIENCE_SECONDS", 0.5)
    long = make_page(0, CHAIN.extend(0, GENESIS, [NewRow(AT, "me", "do", "a", {"n": "x" * 4_000_000})]))
    assert long is not None
    with PageChecks(CHAIN, KEY, processes=1) as checks:
        process = stop_when_ready(checks)
        asked = checks.ask(GENESIS, long)
        assert asked.by is process
        assert checks.conclude(asked, GENESIS)
        assert process.is_lost


def test_of_those_that_can_be_begun_each_helps(monkeypatch: pytest.MonkeyPatch) -> None:
    begun = list[int]()
    begin = CheckingProcess.__init__

    def begin_one(process: CheckingProcess, key: bytes) -> None:
        if begun:
            raise OSError
        begun.append(1)
        begin(process, key)

    monkeypatch.setattr(CheckingProcess, "__init__", begin_one)
    with PageChecks(CHAIN, KEY, processes=2) as checks:
        (process,) = helping(ask_when_ready(checks))
    assert not is_there(process.pid)


def test_the_key_is_nowhere_where_others_look() -> None:
    with PageChecks(CHAIN, KEY, processes=1) as checks:
        asked = ask_when_ready(checks)
        (process,) = helping(asked)
        assert answers(checks, asked) == WHOLE
        line = Path(f"/proc/{process.pid}/cmdline").read_bytes().split(b"\0")
        assert line[1:] == [b"-I", b"-m", b"vaultcore.audit_checking", b""]
        assert repr(KEY)[2:-1] not in repr(vars(process))
        way = Path(f"/proc/{process.pid}/fd/0").readlink()
        assert way.name.startswith("socket:")  # nobody can open that


def test_who_reads_waits_when_too_many_pages_are_not_known() -> None:
    with PageChecks(CHAIN, KEY, processes=1) as checks:
        process = stop_when_ready(checks)
        asked = ask_all(checks)
        assert asked[0].by is process
        assert checks.may_read_on(deque(asked[:3]))
        assert not checks.may_read_on(deque(asked))
        assert not checks.may_read_on(deque(asked[3:]))  # the first of these is known
        assert checks.may_read_on(deque())
