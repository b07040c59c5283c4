"""Who is proven on a new value, who goes first, and when the old value may be taken away."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from worker.domain.proof import Callers, Consumer, Overlap, Proof, choose_canary, judge, stand, stand_callers
from worker.domain.reasons import Code, Reason
from worker.domain.saga import State
from worker.wording.reasons import say, say_each

NOW = datetime(2026, 3, 1, 2, 0, tzinfo=UTC)
SECOND, HOUR, DAY = timedelta(seconds=1), timedelta(hours=1), timedelta(days=1)
OLD, NEW = 4, 5
ENDS = NOW + DAY

REPORT = Consumer(
    id="wf_1",
    name="report",
    active=True,
    critical=False,
    elsewhere=False,
    pinned=None,
    held=False,
    proven=OLD,
    last_run_at=NOW - HOUR,
    next_run_at=NOW + HOUR,
    waived=False,
)
PROVEN = replace(REPORT, proven=NEW)


def used_by(name="report", **fields):
    return replace(REPORT, **({"id": name, "name": name} | fields))


def watched_by(*consumers, now=NOW, **fields):
    given: dict[str, Any] = {"number": NEW, "ends": NOW, "opens": NOW, "canary_id": None} | fields
    return judge(Overlap(**given), consumers, now=now)


# How one consumer stands


@pytest.mark.parametrize(
    ("consumer", "proof", "why"),
    [
        (used_by(proven=NEW), Proof.PROVEN, "report ran well with version 5"),
        (used_by(proven=NEW + 1), Proof.PROVEN, "report ran well with version 6"),
        (used_by(), Proof.AWAITED, "the first good production run of report"),
        (used_by(proven=None), Proof.AWAITED, "the first good production run of report"),
        # Whoever answers for it, answers for everything.
        (used_by(waived=True), Proof.WAIVED, "report: somebody answers for it"),
        (used_by(waived=True, active=False, pinned=OLD, held=True), Proof.WAIVED, "report: somebody answers"),
        # A pin to what is older counts more than any proof; a pin to the new version or a later one does not.
        (used_by(pinned=OLD), Proof.PINNED, "report, which is pinned to version 4"),
        (used_by(pinned=OLD, proven=NEW), Proof.PINNED, "report, which is pinned to version 4"),
        (used_by(pinned=OLD, active=False), Proof.PINNED, "report, which is pinned to version 4"),
        (used_by(pinned=NEW), Proof.AWAITED, "the first good production run"),
        (used_by(pinned=NEW + 1, proven=NEW + 1), Proof.PROVEN, "report ran well with version 6"),
        # A canary goes first.
        (used_by(held=True), Proof.HELD, "report, which moves after the canary"),
        (used_by(held=True, active=False), Proof.HELD, "report, which moves after the canary"),
        (used_by(held=True, proven=NEW), Proof.PROVEN, "report ran well with version 5"),
        # Nobody need be active once proven; who is not cannot prove itself.
        (used_by(active=False), Proof.UNPROVABLE, "run of report, which is not active"),
        (used_by(active=False, proven=NEW), Proof.PROVEN, "report ran well"),
        # The next run, and the overlap.
        (used_by(next_run_at=ENDS - SECOND), Proof.AWAITED, "the first good production run of report"),
        (
            used_by(next_run_at=ENDS),
            Proof.UNPROVABLE,
            "whose next run (2026-03-02 02:00 UTC) is after the overlap",
        ),
        (used_by(next_run_at=None), Proof.AWAITED, "the first good production run of report"),
        (used_by(next_run_at=None, last_run_at=None), Proof.UNPROVABLE, "run of report, which has never run"),
        (
            used_by(elsewhere=True, next_run_at=None, last_run_at=None),
            Proof.UNPROVABLE,
            "a report (nightkey run report) of the first good run of report elsewhere; none was ever reported",
        ),
        (used_by(elsewhere=True, next_run_at=None), Proof.AWAITED, "a report (nightkey run report) of"),
        (used_by(elsewhere=True, proven=NEW), Proof.PROVEN, "ran well"),
        (used_by(last_run_at=None), Proof.AWAITED, "the first good production run of report"),
    ],
)
def test_how_a_consumer_stands_and_why(consumer, proof, why):
    consumer_proof = stand(consumer, number=NEW, ends=ENDS, now=NOW)

    assert consumer_proof.consumer is consumer
    assert consumer_proof.proof is proof
    assert why in say(consumer_proof.why)


@pytest.mark.parametrize(
    ("ends", "next_run_at", "proof"),
    [
        (NOW + SECOND, NOW, Proof.AWAITED),
        (NOW, NOW, Proof.UNPROVABLE),
        (NOW - DAY, None, Proof.UNPROVABLE),
        (None, NOW + 40 * DAY, Proof.AWAITED),
        (None, None, Proof.AWAITED),
    ],
)
def test_after_the_overlap_nobody_is_awaited_and_without_an_end_everybody(ends, next_run_at, proof):
    assert stand(used_by(next_run_at=next_run_at), number=NEW, ends=ends, now=NOW).proof is proof


def test_a_run_that_did_not_come_is_said():
    why = stand(REPORT, number=NEW, ends=NOW, now=NOW).why

    assert say(why) == "the first good production run of report, which did not come during the overlap"


# What follows from a look


@pytest.mark.parametrize(
    ("consumers", "waits_for"),
    [
        ([], ()),
        ([used_by(proven=NEW)], ()),
        ([used_by(waived=True)], ()),
        ([used_by(proven=NEW, active=False), used_by("sync", waived=True, pinned=OLD)], ()),
        ([used_by(pinned=OLD, proven=NEW)], ("report, which is pinned to version 4",)),
        ([used_by(active=False)], ("the first good production run of report, which is not active",)),
        (
            [used_by("sync", proven=NEW), used_by("zip", pinned=OLD), used_by("audit", pinned=OLD - 1)],
            ("audit, which is pinned to version 3", "zip, which is pinned to version 4"),
        ),
    ],
)
def test_the_old_value_goes_when_everybody_is_proven_or_answered_for(consumers, waits_for):
    watched = watched_by(*consumers)

    assert tuple(say_each(watched.waits_for)) == waits_for
    assert watched.state is (State.WATCHING if waits_for else State.RETIRING)
    assert watched.next_at == (NOW + HOUR if waits_for else NOW)
    assert not watched.widens


SOON, LATER = NOW + HOUR, NOW + DAY
RUN = Reason.of(Code.RUN_WITH_OLD, workflow="sync")
UNCOLLECTED = Reason.of(Code.NOT_COLLECTED_YET)


@pytest.mark.parametrize(
    ("fields", "waits_for", "next_at"),
    [
        ({"ends": NOW + SECOND}, ("the overlap, until 2026-03-01 02:00:01 UTC",), NOW + SECOND),
        ({"ends": NOW + HOUR}, ("the overlap, until 2026-03-01 03:00:00 UTC",), NOW + HOUR),
        ({"ends": NOW + 9 * DAY}, ("the overlap, until 2026-03-10 02:00:00 UTC",), NOW + DAY),
        ({"ends": NOW + 9 * DAY, "pickup_ends": SOON}, ("the overlap, until 2026-03-10 02:00:00 UTC",), SOON),
        ({"ends": None}, (), NOW),
        ({"others": (RUN,)}, ("a run of sync that began with the old value",), NOW + HOUR),
        ({"others": (RUN,), "ends": NOW - DAY}, ("a run of sync that began with the old value",), NOW + DAY),
        (
            {"ends": NOW + DAY, "others": (RUN, UNCOLLECTED)},
            (
                "the overlap, until 2026-03-02 02:00:00 UTC",
                "a run of sync that began with the old value",
                "its owner, who has not collected the new key",
            ),
            NOW + DAY,
        ),
        (
            {"opens": NOW + SECOND},
            ("a moment in which changes may be made, from 2026-03-01 02:00 UTC",),
            NOW + SECOND,
        ),
        ({"opens": NOW - SECOND}, (), NOW),
        # When changes may be made is said last, when all else is done; it is looked at then all the same.
        (
            {"opens": NOW + SECOND, "others": (RUN,)},
            ("a run of sync that began with the old value",),
            NOW + SECOND,
        ),
    ],
)
def test_the_old_value_waits_for_its_overlap_for_others_and_for_a_window(fields, waits_for, next_at):
    watched = watched_by(PROVEN, **fields)

    assert tuple(say_each(watched.waits_for)) == waits_for
    assert watched.state is (State.WATCHING if waits_for else State.RETIRING)
    assert watched.next_at == next_at


def test_the_standings_come_by_name():
    watched = watched_by(used_by("zip"), used_by("audit", proven=NEW), used_by("sync", pinned=OLD))

    assert [
        (consumer_proof.consumer.name, consumer_proof.proof) for consumer_proof in watched.consumer_proofs
    ] == [
        ("audit", Proof.PROVEN),
        ("sync", Proof.PINNED),
        ("zip", Proof.UNPROVABLE),
    ]


# The canary


HELD = used_by("sync", held=True)


@pytest.mark.parametrize(
    ("canary", "why"),
    [
        (REPORT, "the first good production run of report, which goes first"),
        (replace(REPORT, active=False), "run of report, which is not active, which goes first"),
        (replace(REPORT, pinned=OLD, proven=NEW), "report, which is pinned to version 4, which goes first"),
    ],
)
def test_the_others_wait_for_the_one_that_goes_first(canary, why):
    watched = watched_by(canary, HELD, ends=None, canary_id="wf_1")

    assert watched.state is State.CANARY
    assert len(watched.waits_for) == 1
    assert say(watched.waits_for[0]).endswith(why)
    assert not watched.widens
    assert watched.next_at == NOW + HOUR


@pytest.mark.parametrize(
    "consumers",
    [
        (PROVEN, HELD),
        (replace(REPORT, waived=True), HELD),
        # The canary was deleted, or does not use the item any more, or runs elsewhere now.
        (HELD, used_by("zip", proven=NEW)),
        (replace(REPORT, elsewhere=True), HELD),
    ],
)
def test_all_move_once_the_first_is_proven_answered_for_or_gone(consumers):
    watched = watched_by(*consumers, ends=None, canary_id="wf_1")

    assert (watched.state, watched.waits_for) == (State.WATCHING, ())
    assert (watched.widens, watched.next_at) == (True, NOW)


@pytest.mark.parametrize(
    ("next_run_at", "next_at"),
    [
        (NOW + SECOND, NOW + SECOND),
        (NOW + 2 * DAY, NOW + DAY),
        (NOW, NOW + DAY),
        (NOW - DAY, NOW + DAY),
        (None, NOW + DAY),
    ],
)
def test_a_canary_is_looked_at_when_it_runs_and_every_day(next_run_at, next_at):
    canary = replace(REPORT, next_run_at=next_run_at)

    assert watched_by(canary, HELD, ends=None, canary_id="wf_1").next_at == next_at


def test_who_is_held_moves_once_the_old_value_is_about_to_lapse():
    early, late = (
        watched_by(REPORT, HELD, ends=None, canary_id="wf_1", held_until=NOW + SECOND, now=now)
        for now in (NOW, NOW + SECOND)
    )

    assert (early.widens, early.next_at) == (False, NOW + SECOND)
    assert late.widens


@pytest.mark.parametrize(
    ("consumers", "wanted", "chosen"),
    [
        # Nobody wants one, or there are not two that could move.
        ([used_by("a"), used_by("b")], None, None),
        ([], "auto", None),
        ([used_by("a")], "auto", None),
        ([used_by("a")], "a", None),
        ([used_by("a"), used_by("b", active=False)], "auto", None),
        ([used_by("a"), used_by("b", pinned=OLD)], "a", None),
        ([used_by("a"), used_by("b", pinned=NEW)], "a", "a"),
        # The one that is named, whatever it is.
        ([used_by("a", next_run_at=SOON), used_by("b", critical=True, next_run_at=LATER)], "b", "b"),
        # One that cannot move, or does not exist, is no choice: as with `auto`.
        ([used_by("a"), used_by("b"), used_by("c", active=False)], "c", "a"),
        ([used_by("a"), used_by("b"), used_by("c", pinned=OLD)], "c", "a"),
        ([used_by("b"), used_by("a")], "typo", "a"),
        # Not critical first, then the soonest, then by name.
        ([used_by("a", critical=True, next_run_at=SOON), used_by("b", next_run_at=LATER)], "auto", "b"),
        ([used_by("a", critical=True, next_run_at=SOON), used_by("b", next_run_at=None)], "auto", "b"),
        ([used_by("a", next_run_at=LATER), used_by("b", next_run_at=SOON)], "auto", "b"),
        ([used_by("a", next_run_at=None), used_by("b", next_run_at=LATER)], "auto", "b"),
        ([used_by("b", next_run_at=None), used_by("a", next_run_at=None)], "auto", "a"),
        ([used_by("b", critical=True), used_by("a", critical=True)], "auto", "a"),
    ],
)
def test_who_goes_first(consumers, wanted, chosen):
    found = choose_canary(consumers, wanted, number=NEW)

    assert (found and found.name) == chosen


# Whatever they are

versions = st.none() | st.integers(NEW - 2, NEW + 1)
times = st.none() | st.timedeltas(min_value=-3 * DAY, max_value=3 * DAY).map(lambda away: NOW + away)
consumers = st.builds(
    Consumer,
    id=st.uuids().map(str),
    name=st.text(min_size=1, max_size=5),
    active=st.booleans(),
    critical=st.booleans(),
    elsewhere=st.booleans(),
    pinned=versions,
    held=st.booleans(),
    proven=versions,
    last_run_at=times,
    next_run_at=times,
    waived=st.booleans(),
)
free = consumers.map(lambda consumer: replace(consumer, held=False))


@given(consumers, times, st.timedeltas(min_value=-DAY, max_value=DAY))
def test_only_a_good_run_with_the_new_value_proves_and_a_pin_undoes_that(consumer, ends, later):
    proof = stand(consumer, number=NEW, ends=ends, now=NOW + later).proof
    ran_well = consumer.proven is not None and consumer.proven >= NEW
    stays_behind = consumer.pinned is not None and consumer.pinned < NEW

    assert (proof is Proof.WAIVED) == consumer.waived
    assert (proof is Proof.PROVEN) == (ran_well and not stays_behind and not consumer.waived)


@given(consumers, times)
def test_who_is_awaited_may_still_run_in_time(consumer, ends):
    if stand(consumer, number=NEW, ends=ends, now=NOW).proof is Proof.AWAITED:
        assert consumer.active
        assert ends is None or ends > NOW
        assert ends is None or consumer.next_run_at is None or consumer.next_run_at < ends


@given(st.lists(free, max_size=5), times, times, st.lists(st.just("a run of sync"), max_size=1))
@example([PROVEN], None, None, [])
def test_the_old_value_is_taken_away_only_when_nothing_needs_it(found, ends, opens, others):
    opens = opens or NOW
    watched = watched_by(*found, ends=ends, opens=opens, others=tuple(others))
    needed = [
        consumer
        for consumer in found
        if not consumer.waived
        and ((consumer.pinned or NEW) < NEW or consumer.proven is None or consumer.proven < NEW)
    ]
    early = opens > NOW or (ends is not None and ends > NOW)

    assert (watched.state is State.RETIRING) == (not needed and not others and not early)
    assert (watched.state is State.WATCHING) == bool(watched.waits_for)
    assert not watched.widens
    assert NOW <= watched.next_at <= NOW + DAY


@given(st.lists(consumers, min_size=1, max_size=5), st.integers(0, 5), times)
def test_nothing_is_taken_away_while_somebody_is_held(found, first, opens):
    """The first of them is held; the canary is one of them, perhaps elsewhere, or gone."""
    found[0] = replace(found[0], held=True)
    canary = found[first] if first < len(found) else None
    watched = watched_by(*found, ends=None, opens=opens or NOW, canary_id=canary.id if canary else "gone")

    assert watched.state is (State.WATCHING if watched.widens else State.CANARY)
    assert bool(watched.waits_for) == (not watched.widens)
    if watched.widens and canary is not None and not canary.elsewhere:
        assert stand(canary, number=NEW, ends=None, now=NOW).proof in (Proof.PROVEN, Proof.WAIVED)
    assert NOW <= watched.next_at <= NOW + DAY


@given(st.lists(consumers, max_size=5), st.none() | st.just("auto") | st.text(min_size=1, max_size=5))
def test_who_goes_first_can_move_and_leaves_somebody_behind(found, wanted):
    chosen = choose_canary(found, wanted, number=NEW)
    movable = [c for c in found if c.active and not c.elsewhere and (c.pinned is None or c.pinned >= NEW)]

    assert (chosen is None) == (wanted is None or len(movable) < 2)
    assert chosen is None or chosen in movable
    if chosen is not None and wanted not in {c.name for c in movable}:
        assert not chosen.critical or all(c.critical for c in movable)


@given(st.lists(consumers, max_size=5), st.randoms())
def test_the_order_of_the_rows_changes_nothing(found, random):
    found = [replace(consumer, name=f"w{number}") for number, consumer in enumerate(found)]
    shuffled = random.sample(found, len(found))

    assert choose_canary(shuffled, "auto", number=NEW) == choose_canary(found, "auto", number=NEW)
    assert watched_by(*shuffled, canary_id="x") == watched_by(*found, canary_id="x")


def test_without_a_consumer_nothing_is_proven_whatever_time_has_gone_by():
    waiting = watched_by(unread=True, ends=NOW - DAY)
    assert waiting.state is State.WATCHING
    assert say_each(waiting.waits_for) == ["a workflow that uses it: nothing here has read the new value"]
    assert watched_by(ends=NOW - DAY).state is State.RETIRING


# The callers of a key

COLLECTED = Callers(
    collected_at=ENDS - DAY,
    collected_by="user:ann",
    used_at=None,
    old_used_at=None,
    overlap=DAY,
    waived=False,
)
USED = replace(COLLECTED, used_at=NOW)
FIRST_CALL = "the first call with the new key, which was collected by user:ann on 2026-03-01"


@pytest.mark.parametrize(
    ("callers", "now", "proof", "why"),
    [
        (COLLECTED, NOW, Proof.AWAITED, FIRST_CALL),
        (COLLECTED, ENDS, Proof.UNPROVABLE, f"{FIRST_CALL}; it did not come during the overlap"),
        (replace(COLLECTED, collected_at=None), NOW, Proof.AWAITED, "the first call with the new key"),
        (replace(COLLECTED, waived=True), ENDS, Proof.WAIVED, "its callers: somebody answers for them"),
        (USED, NOW, Proof.PROVEN, "its callers present the new key, and no longer the old one"),
        # The old one is waited for as long again as it is presented; beyond the overlap its owner hears of it.
        (replace(USED, old_used_at=NOW), NOW + HOUR, Proof.AWAITED, "callers who still present the old key"),
        (replace(USED, old_used_at=ENDS - HOUR), ENDS, Proof.AWAITED, "callers who still present the old key"),
        (
            replace(USED, old_used_at=ENDS),
            ENDS + HOUR,
            Proof.UNPROVABLE,
            "last on 2026-03-02, after the overlap",
        ),
        (replace(USED, old_used_at=ENDS), ENDS + DAY, Proof.PROVEN, "no longer the old one"),
        (replace(USED, old_used_at=ENDS, waived=True), ENDS + HOUR, Proof.WAIVED, "somebody answers"),
    ],
)
def test_callers_have_moved_when_the_new_key_was_used_and_the_old_one_is_not(callers, now, proof, why):
    found = stand_callers(callers, ends=ENDS, now=now)
    assert (found.proof, found.name, found.consumer) == (proof, "its callers", None)
    assert why in say(found.why)


@given(
    used=st.none() | st.integers(-100, 100),
    old_used=st.none() | st.integers(-100, 100),
    later=st.integers(0, 200),
    proven=st.booleans(),
)
def test_a_key_is_never_taken_from_callers_who_have_not_moved(used, old_used, later, proven):
    def at(hours):
        return None if hours is None else NOW + hours * HOUR

    callers = replace(COLLECTED, used_at=at(used), old_used_at=at(old_used))
    now = NOW + later * HOUR
    verdict = watched_by(used_by(proven=NEW if proven else OLD), now=now, ends=ENDS, callers=callers)
    moved = used is not None and (old_used is None or now >= NOW + old_used * HOUR + DAY)
    assert (verdict.state is State.RETIRING) == (moved and proven and now >= ENDS)


def test_where_the_old_value_does_not_work_beside_the_new_one_nothing_speaks_of_an_overlap():
    for ends in (NOW - timedelta(hours=1), NOW + timedelta(hours=1)):
        found = judge(
            Overlap(number=NEW, ends=ends, opens=NOW, canary_id=None, beside=False),
            [used_by(next_run_at=NOW + timedelta(hours=2))],
            now=NOW,
        )
        assert found.waits_for
        assert not any("overlap" in reason for reason in say_each(found.waits_for))
