"""Whether a process works, by what it lets be heard."""

import pytest

from worker.domain.lines import Line
from worker.domain.pulses import (
    Hang,
    Life,
    Patience,
    PulseKind,
    find_hang,
    hear,
    may_be_killed,
    pause,
    postpone,
    take_nothing,
)

PATIENCE = Patience(start=100, silence=30, task=1000, ring=120, take=60)


def live(*heard, began=0.0):
    """A life from what was heard when."""
    life = Life(began_at=began)
    for at, signs in heard:
        life = hear(life, signs, at)
    return life


@pytest.mark.parametrize(
    ("kind", "life", "now", "hang"),
    [
        (PulseKind.WORKER, live(), 99, None),
        (PulseKind.WORKER, live(), 101, Hang.NEVER_BEGAN),
        (PulseKind.WORKER, live((50, ".")), 79, None),
        (PulseKind.WORKER, live((50, ".")), 81, Hang.SILENT),
        (PulseKind.WORKER, live((50, "."), (70, "(")), 101, Hang.SILENT),  # in the middle of a task
        (PulseKind.WORKER, live((50, "("), (1049, ".")), 1050, None),  # a long task that moves
        (PulseKind.WORKER, live((50, "("), (1050, ".")), 1051, Hang.ENDLESS),
        (PulseKind.WORKER, live((50, "()("), (1050, ")")), 1051, None),
        (PulseKind.WORKER, live((50, "?!")), 60, None),
        (PulseKind.BEAT, live((10, ".r"), (130, ".")), 130, None),
        (PulseKind.BEAT, live((10, ".r"), (130, ".")), 131, Hang.RINGS_NOT),
        (PulseKind.BEAT, live((10, "."), (130, ".")), 131, Hang.RINGS_NOT),  # it never rang
        (PulseKind.BEAT, live((10, ".r"), (40, ".")), 71, Hang.SILENT),
        (PulseKind.WORKER, live((10, "."), (200, ".")), 201, None),  # a worker rings nobody
    ],
)
def test_what_is_wrong_with_one_that_lives(kind, life, now, hang):
    assert find_hang(kind, life, PATIENCE, now) is hang


@pytest.mark.parametrize(
    ("workers", "waiting", "now", "nothing"),
    [
        ([live((0, "."))], None, 900, False),
        ([live((0, ".")), live((0, "."))], 100, 160, False),
        ([live((0, ".")), live((0, "."))], 100, 161, True),
        ([live((0, ".")), live((0, "."), (130, "()"))], 100, 161, False),  # one of them takes some
        ([live((0, ".")), live((0, "."), (90, "("))], 100, 161, False),  # one is at a long task
        ([live((0, ".")), live((130, "."))], 100, 161, False),  # one was begun meanwhile
        ([live((0, ".")), live()], 100, 161, True),  # one never came
        ([live()], 100, 900, False),  # that is another fault
        ([], 100, 900, False),
    ],
)
def test_whether_messages_wait_and_nobody_takes_any(workers, waiting, now, nothing):
    assert take_nothing(workers, waiting, PATIENCE, now) is nothing


def test_beat_says_since_when_messages_wait():
    life = live((10, "."), (20, "nr"), (30, "w"), (40, "w"))
    assert (life.waiting_since, life.rang_at) == ({Line.NIGHT: 20, Line.TARGETS: 30}, 20)
    assert hear(life, "t", 50).waiting_since == {Line.TARGETS: 30}
    assert hear(life, ".", 50).waiting_since == {}


def test_while_the_broker_is_away_nobody_is_late():
    beat = live((10, ".r"), (20, "w"), (129, "a"))
    assert find_hang(PulseKind.BEAT, beat, PATIENCE, 131) is None
    assert beat.waiting_since == {}
    worker = live((10, "."), (150, "a"))
    assert find_hang(PulseKind.WORKER, worker, PATIENCE, 170) is None
    assert take_nothing([worker], 20, PATIENCE, 170) is False


@pytest.mark.parametrize(
    ("life", "now", "killed"),
    [
        (live((0, ".")), 109, False),
        (live((0, ".")), 111, True),  # it does nothing, and should have ended
        (live((99, "("), (110, ".")), 111, False),
        (live((99, "("), (159, ".")), 159, False),
        (live((99, "("), (160, ".")), 161, True),  # a minute is enough
        (live((80, "(")), 111, True),  # in a task, and still
        (live(), 111, True),
    ],
)
def test_one_that_was_told_to_stop_at_100_is_waited_for_while_it_works(life, now, killed):
    assert may_be_killed(life, PATIENCE, told_at=100, now=now) is killed


def test_while_nobody_listened_nobody_was_late():
    heard = live((10, ".r"), (20, "w("), (50, "."))
    later = postpone(heard, 500)
    assert find_hang(PulseKind.BEAT, heard, PATIENCE, 551) is Hang.SILENT
    assert find_hang(PulseKind.BEAT, later, PATIENCE, 551) is None
    assert later == live((510, ".r"), (520, "w("), (550, "."), began=500)


def test_pauses_grow_and_end_growing():
    pauses = [pause(failures, PATIENCE) for failures in range(1, 9)]
    assert pauses == sorted(pauses)
    assert pauses[0] == 1
    assert pauses[-1] == PATIENCE.pause_max
    assert pause(10**9, PATIENCE) == PATIENCE.pause_max
