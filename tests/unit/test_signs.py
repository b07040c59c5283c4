"""Who is there, and since when somebody has been."""

from datetime import UTC, datetime, timedelta

import pytest

from worker.domain.pulses import PulseKind
from worker.domain.signs import (
    Presence,
    SignOfLife,
    awake_since,
    begun_at,
    find_presence,
    last_seen,
)

NOW = datetime(2026, 3, 10, 12, 0, tzinfo=UTC)
MINUTE, HOUR, DAY = timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)


def sign(kind=PulseKind.WORKER, *, started=HOUR, seen=timedelta(0)):
    """One that was begun and last seen so long ago."""
    return SignOfLife(
        id=f"sgn_{kind}_{started}", kind=kind, host="a-machine", pid=1, started_at=NOW - started,
        seen_at=NOW - seen, every=MINUTE,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("signs", "presence"),
    [
        ([], Presence.NEVER),
        ([sign(), sign(PulseKind.BEAT)], Presence.WORKING),
        ([sign(seen=5 * MINUTE), sign(PulseKind.BEAT, seen=5 * MINUTE)], Presence.WORKING),
        ([sign()], Presence.NO_BEAT),
        ([sign(), sign(PulseKind.BEAT, seen=HOUR)], Presence.NO_BEAT),
        ([sign(PulseKind.BEAT)], Presence.NO_WORKER),
        ([sign(seen=HOUR), sign(PulseKind.BEAT)], Presence.NO_WORKER),
        ([sign(seen=HOUR), sign(PulseKind.BEAT, seen=10 * DAY)], Presence.SILENT),
        ([sign(seen=-HOUR), sign(PulseKind.BEAT, seen=-HOUR)], Presence.SILENT),  # of a clock that was wrong
        ([sign(seen=-MINUTE), sign(PulseKind.BEAT)], Presence.WORKING),  # of another machine
    ],
)
def test_who_is_there(signs, presence):
    assert find_presence(signs, NOW) is presence


@pytest.mark.parametrize(
    ("signs", "since"),
    [
        ([], timedelta(0)),  # nobody ever: since now
        ([sign(started=3 * HOUR)], 3 * HOUR),
        ([sign(started=3 * HOUR), sign(started=9 * DAY, seen=4 * HOUR)], 9 * DAY),  # a short silence
        ([sign(started=3 * HOUR), sign(started=9 * DAY, seen=2 * DAY)], 3 * HOUR),  # a long one
        ([sign(started=9 * DAY, seen=2 * DAY)], timedelta(0)),
        # From one to the next, and two side by side.
        (
            [sign(started=HOUR), sign(started=DAY, seen=20 * HOUR), sign(started=3 * DAY, seen=40 * HOUR)],
            3 * DAY,
        ),
        ([sign(started=HOUR), sign(started=9 * DAY, seen=MINUTE)], 9 * DAY),
        # By a clock that was ahead: who died then counts for nothing, and who lives is right again soon.
        ([sign(started=9 * DAY, seen=-3 * HOUR)], timedelta(0)),
        ([sign(started=3 * HOUR), sign(started=9 * DAY, seen=-3 * HOUR)], 3 * HOUR),
    ],
)
def test_since_when_somebody_was_there_without_a_silence_of_a_day(signs, since):
    assert awake_since(signs, NOW, silence=DAY) == NOW - since


@pytest.mark.parametrize(
    ("begun", "seen", "age", "expected"),
    [
        (3 * HOUR, MINUTE, 3 * HOUR, 3 * HOUR),  # a minute later, as ever
        (9 * HOUR, 8 * HOUR, HOUR, 9 * HOUR),  # it slept for eight hours
        (9 * DAY, 8 * DAY, DAY, DAY),  # for too long to be there, or the clock was far behind
        (-3 * HOUR, -3 * HOUR, MINUTE, MINUTE),  # begun by a clock that was ahead
        (HOUR, -3 * HOUR, 2 * HOUR, 2 * HOUR),  # the clock was ahead for a while
    ],
)
def test_when_a_process_was_begun_whose_wall_clock_may_have_been_set(begun, seen, age, expected):
    assert begun_at(NOW - begun, NOW - seen, NOW, age=age, silence=DAY) == NOW - expected


def test_when_anybody_was_last_seen():
    assert last_seen([], NOW) is None
    assert last_seen([sign(seen=-HOUR)], NOW) is None
    assert last_seen([sign(seen=2 * HOUR), sign(seen=HOUR), sign(seen=-DAY)], NOW) == NOW - HOUR
