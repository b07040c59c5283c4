"""How much one night may do: caps, when a change may begin, the first of a target, and the breaker."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from worker.domain.limits import (
    FAILED,
    IN_THE_WAY,
    SUCCEEDED,
    Admitted,
    Breaker,
    Caps,
    CapsLeft,
    Contender,
    Neighbour,
    Turn,
    admit,
    cannot_wait,
    frees_others,
    hold_until,
    share_out,
    when_to_begin,
)
from worker.domain.reasons import Code, Reason
from worker.domain.saga import State
from worker.wording.reasons import say

NOW = datetime(2026, 3, 1, 2, 0, tzinfo=UTC)
SECOND, HOUR, DAY = timedelta(seconds=1), timedelta(hours=1), timedelta(days=1)
CAPS_LEFT = CapsLeft(caps=Caps(night=3, target=2))


def taken(*targets, caps_left=CAPS_LEFT):
    for target in targets:
        caps_left = caps_left.take(target)
    return caps_left


# Caps


@pytest.mark.parametrize(
    ("caps_left", "target", "why"),
    [
        (taken(), None, None),
        (taken(), "crm", None),
        (taken("crm"), "crm", None),
        (taken("crm", "crm"), "crm", "tonight's 2 rotations at crm are taken"),
        (taken("crm", "crm"), "git", None),
        (taken("crm", "crm"), None, None),
        (taken(None, None), None, None),
        (taken("crm", "git", None), None, "tonight's 3 rotations are taken"),
        (taken("crm", "git", None), "sap", "tonight's 3 rotations are taken"),
        (taken("crm", "crm", None), "crm", "tonight's 3 rotations are taken"),
        (taken(caps_left=CapsLeft(caps=Caps(night=0, target=9))), None, "tonight's 0 rotations are taken"),
        (
            taken(caps_left=CapsLeft(caps=Caps(night=9, target=0))),
            "crm",
            "tonight's 0 rotations at crm are taken",
        ),
        (taken(caps_left=CapsLeft(caps=Caps(night=9, target=0))), None, None),
    ],
)
def test_a_night_is_full_by_its_own_cap_or_by_that_of_a_target(caps_left, target, why):
    assert say(caps_left.find_full(target)) == (why or "")


def test_taking_leaves_the_room_before_as_it_was():
    caps_left = taken("crm")
    caps_left.take("crm")

    assert caps_left == taken("crm")


@given(st.integers(0, 5), st.integers(0, 5), st.lists(st.sampled_from([None, "crm", "git"])))
def test_no_cap_is_ever_passed_by_asking_first(night, target, wanted):
    caps_left = CapsLeft(caps=Caps(night=night, target=target))
    let_in = []
    for one in wanted:
        if caps_left.find_full(one) is None:
            caps_left = caps_left.take(one)
            let_in.append(one)

    assert caps_left.taken == len(let_in) <= night
    assert max(let_in.count("crm"), let_in.count("git")) <= target
    if len(let_in) < night:
        turned_away = len(wanted) - len(let_in)
        surplus = sum(max(0, wanted.count(one) - target) for one in ("crm", "git"))
        assert turned_away == surplus


# When it may begin


@pytest.mark.parametrize(
    ("left", "overlap", "expected"),
    [
        (2 * DAY, DAY, True),
        (2 * DAY + SECOND, DAY, False),
        (DAY, timedelta(0), True),
        (DAY + SECOND, timedelta(0), False),
        (-DAY, timedelta(0), True),
    ],
)
def test_what_would_lapse_or_overlap_too_shortly_tomorrow_cannot_wait(left, overlap, expected):
    assert cannot_wait(NOW + left, overlap, NOW) is expected


@pytest.mark.parametrize(
    ("opens", "left", "expiry_first", "begins"),
    [
        # Changes may be made now.
        (0, 10, True, 0),
        (-1, 10, False, 0),
        (0, None, True, 0),
        (0, -1, True, 0),
        # They may be made in time, which is while a whole overlap (a day) is left.
        (5, 10, True, 5),
        (9, 10, True, 9),
        (5, None, True, 5),
        (5, 10, False, 5),
        # They may not: expiry comes first, a day before its overlap, or now if that has passed.
        (9.5, 10, True, 8),
        (None, 10, True, 8),
        (3, 2.5, True, 0.5),
        (3, 2, True, 0),
        (3, 1, True, 0),
        (None, -1, True, 0),
        # Unless the policy says otherwise, or nothing expires.
        (9.5, 10, False, 9.5),
        (20, 10, False, 20),
        (None, 10, False, None),
        (None, None, True, None),
        (None, None, False, None),
    ],
)
def test_a_change_begins_when_it_may_or_when_expiry_comes_first(opens, left, expiry_first, begins):
    def at(days):
        return None if days is None else NOW + days * DAY

    begins_at = when_to_begin(
        opens=at(opens), expires_at=at(left), overlap=DAY, expiry_first=expiry_first, now=NOW
    )

    assert begins_at == at(begins)


away = st.timedeltas(min_value=-30 * DAY, max_value=30 * DAY)
moments = st.none() | away.map(lambda duration: NOW + duration)


@given(moments, moments, st.timedeltas(min_value=timedelta(0), max_value=5 * DAY), st.booleans())
def test_nothing_begins_in_the_past_and_outside_a_window_only_what_cannot_wait_for_it(
    opens, expires_at, overlap, expiry_first
):
    begins_at = when_to_begin(
        opens=opens, expires_at=expires_at, overlap=overlap, expiry_first=expiry_first, now=NOW
    )

    assert begins_at is None or begins_at >= NOW
    if begins_at != (None if opens is None else max(opens, NOW)):
        assert expiry_first
        assert expires_at is not None
        assert opens is None or begins_at < opens
        assert cannot_wait(expires_at, overlap, begins_at)


# The breaker


@pytest.mark.parametrize(
    ("failed", "succeeded", "expected"),
    [
        (0, 0, False),
        (2, 0, False),
        (3, 0, True),
        (3, 3, True),
        (3, 4, False),
        (4, 4, True),
        (300, 301, False),
    ],
)
def test_a_night_stops_at_enough_failures_that_are_enough_of_what_ended(failed, succeeded, expected):
    assert Breaker(failures=3, share=0.5).is_open(failed=failed, succeeded=lambda: succeeded) is expected


def test_those_that_succeeded_are_counted_where_enough_have_failed():
    assert Breaker(failures=3, share=0.5).is_open(failed=2, succeeded=pytest.fail) is False


@given(st.integers(1, 5), st.floats(0, 1), st.integers(0, 9), st.integers(0, 9))
def test_one_more_failure_never_closes_the_breaker_and_one_more_success_never_opens_it(
    failures, share, failed, succeeded
):
    def is_open(failed, succeeded):
        return Breaker(failures=failures, share=share).is_open(failed=failed, succeeded=lambda: succeeded)

    assert is_open(failed + 1, succeeded) >= is_open(failed, succeeded)
    assert is_open(failed, succeeded + 1) <= is_open(failed, succeeded)


# The first of a target

FIRST = "prod-crm, the first at its target system in this night"


@pytest.mark.parametrize(
    ("first", "turn", "why"),
    [
        (None, Turn.GO, ""),
        (Neighbour(item="prod-crm", moving=True), Turn.QUEUE, FIRST),
        (Neighbour(item="prod-crm", moving=False), Turn.REST, FIRST),
    ],
)
def test_the_others_wait_for_the_first(first, turn, why):
    admission = admit(stopped=False, first=first)

    assert admission.turn is turn
    assert say(admission.why) == why


def test_a_night_that_failed_too_often_lets_nobody_begin():
    for first in (None, Neighbour(item="prod-crm", moving=True)):
        assert admit(stopped=True, first=first) == Admitted(turn=Turn.STOP, why=Reason.of(Code.NIGHT_STOPPED))


def test_whoever_has_neither_succeeded_nor_failed_and_is_of_this_night_is_in_the_way():
    elsewhere = {State.CANCELLED, State.REQUESTED, State.SCHEDULED}

    assert {State.CANARY, State.WATCHING, State.RETIRING, State.DONE} == SUCCEEDED
    assert {State.UNDOING, State.ROLLED_BACK, State.STUCK} == FAILED
    assert {State.QUEUED, State.PLANNED, State.CREATED, State.ACTIVATED, State.DISCARDING} <= IN_THE_WAY
    assert not IN_THE_WAY & (SUCCEEDED | FAILED | elsewhere)
    assert IN_THE_WAY | SUCCEEDED | FAILED | elsewhere == frozenset(State)


@pytest.mark.parametrize(
    ("before", "after", "frees"),
    [
        (State.ACCEPTED, State.ACTIVATED, False),
        (State.ACTIVATED, State.WATCHING, True),
        (State.ACTIVATED, State.CANARY, True),
        (State.CANARY, State.WATCHING, False),
        (State.WATCHING, State.WATCHING, False),
        (State.WATCHING, State.DONE, False),
        (State.INSTALLED, State.UNDOING, True),
        (State.WATCHING, State.UNDOING, True),
        (State.CREATED, State.STUCK, True),
        (State.UNDOING, State.ROLLED_BACK, False),
        (State.QUEUED, State.CANCELLED, True),
        (State.QUEUED, State.SCHEDULED, False),
        (State.PLANNED, State.CREATED, False),
    ],
)
def test_those_behind_look_again_once_it_is_known_what_became_of_it(before, after, frees):
    assert frees_others(before, after) is frees


# Who has a turn when there is no room for all


def waiting(item_id, days, target=None, *, urgent=False):
    return Contender(item_id=item_id, expires_at=NOW + timedelta(days=days), target=target, urgent=urgent)


@pytest.mark.parametrize(
    ("candidates", "caps_left", "chosen"),
    [
        ([], CAPS_LEFT, set()),
        ([waiting("a", 9), waiting("b", 4)], CAPS_LEFT, {"a", "b"}),
        ([waiting("a", 9), waiting("b", 4), waiting("c", 8), waiting("d", 7)], CAPS_LEFT, {"b", "c", "d"}),
        ([waiting("a", 9), waiting("b", 4)], replace(CAPS_LEFT, taken=2), {"b"}),
        ([waiting("a", 9, urgent=True), waiting("b", 4)], replace(CAPS_LEFT, taken=3), {"a"}),
        ([waiting("a", 9, "crm"), waiting("b", 4, "crm"), waiting("c", 5, "crm")], CAPS_LEFT, {"b", "c"}),
        (
            [waiting("a", 9), waiting("b", 4, "crm"), waiting("c", 5, "crm"), waiting("d", 6, "crm")],
            CAPS_LEFT,
            set("abc"),
        ),
        ([waiting("b", 4), waiting("a", 4)], replace(CAPS_LEFT, taken=2), {"a"}),
    ],
)
def test_the_first_to_expire_have_their_turn(candidates, caps_left, chosen):
    ids, left = share_out(candidates, caps_left)

    assert ids == chosen
    assert left.taken == caps_left.taken + len(chosen)


@pytest.mark.parametrize(
    ("caps_left", "left"),
    [
        (CAPS_LEFT, 2),
        (replace(CAPS_LEFT, taken=2), 1),
        (CAPS_LEFT.take("crm").take("git"), 1),
        (replace(CAPS_LEFT, taken=9), -6),
    ],
)
def test_what_is_left_whatever_the_target_is(caps_left, left):
    assert caps_left.left() == left


# After a failure


@pytest.mark.parametrize(
    ("failures", "left", "waits"),
    [
        (1, None, HOUR),
        (2, None, 2 * HOUR),
        (3, None, 4 * HOUR),
        (8, None, 128 * HOUR),
        (9, None, 7 * DAY),
        (10_000, None, 7 * DAY),
        (0, None, HOUR),
        (-1, None, HOUR),
        # Never more than half of what is left; what has lapsed leaves nothing to spare.
        (1, DAY, HOUR),
        (1, HOUR, HOUR / 2),
        (9, 2 * DAY, DAY),
        (1, timedelta(0), HOUR),
        (3, -DAY, 4 * HOUR),
    ],
)
def test_the_next_try_waits_longer_after_each_failure(failures, left, waits):
    expires_at = None if left is None else NOW + left

    assert hold_until(failures, base=HOUR, expires_at=expires_at, now=NOW) == NOW + waits


def test_a_pause_longer_than_a_week_is_kept():
    assert hold_until(5, base=10 * DAY, expires_at=None, now=NOW) == NOW + 10 * DAY


@given(st.integers(-1, 100), st.timedeltas(min_value=SECOND, max_value=30 * DAY), moments)
@example(1, SECOND, NOW + timedelta(microseconds=1))
def test_a_try_is_held_and_still_comes_before_the_value_lapses(failures, base, expires_at):
    until = hold_until(failures, base=base, expires_at=expires_at, now=NOW)

    assert NOW <= until <= NOW + max(base, 7 * DAY)
    assert until <= hold_until(failures + 1, base=base, expires_at=expires_at, now=NOW)
    if expires_at is not None and expires_at > NOW:
        assert until < expires_at
