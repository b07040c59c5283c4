"""Which credentials are asked of in which night: spread, capped, and never in a storm."""

from collections import Counter
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from worker.domain.credential_checks import (
    CheckCandidate,
    CheckOutcome,
    CheckStanding,
    again_at,
    choose,
    find_refused,
    first_at,
    stand,
    way_back,
)
from worker.domain.findings import FindingKind
from worker.domain.reasons import Code, Reason

NOW = datetime(2026, 3, 1, 2, 0, tzinfo=UTC)
DAY = timedelta(days=1)
EVERY = st.integers(1, 60).map(lambda days: timedelta(days=days))


def test_a_thousand_items_of_one_day_come_due_over_all_nights_of_a_round() -> None:
    nights = Counter((first_at(f"vlt_{one}", every=7 * DAY, now=NOW) - NOW).days for one in range(1000))
    assert sorted(nights) == list(range(7))
    assert max(nights.values()) < 2 * min(nights.values())


@given(item_id=st.text(max_size=40), every=EVERY)
def test_an_item_comes_due_first_within_one_round_and_always_at_the_same_share_of_it(
    item_id: str, every: timedelta
) -> None:
    first = first_at(item_id, every=every, now=NOW)
    assert NOW <= first <= NOW + every
    assert first_at(item_id, every=every, now=NOW + DAY) == first + DAY


@given(every=EVERY, late=st.integers(0, 300).map(lambda minutes: timedelta(minutes=minutes)))
def test_what_was_accepted_is_asked_of_again_in_the_night_a_round_later(
    every: timedelta, late: timedelta
) -> None:
    again = again_at(CheckOutcome.ACCEPTED, outages=0, every=every, now=NOW + late)
    assert NOW + every - DAY < again <= NOW + every


@given(every=EVERY, outcome=st.sampled_from(CheckOutcome), outages=st.integers(1, 10_000))
def test_nothing_is_asked_of_again_in_the_same_night(
    every: timedelta, outcome: CheckOutcome, outages: int
) -> None:
    again = again_at(outcome, outages=outages, every=every, now=NOW)
    assert again >= NOW + timedelta(hours=12)


@given(every=EVERY)
def test_each_outage_doubles_the_wait_up_to_a_round(every: timedelta) -> None:
    waits = [
        again_at(CheckOutcome.UNREACHABLE, outages=one, every=every, now=NOW) - NOW for one in range(1, 12)
    ]
    assert waits == sorted(waits)
    assert waits[0] < DAY < waits[1] < 2 * DAY
    assert waits[-1] <= max(every, 7 * DAY)


@given(every=EVERY)
def test_what_was_refused_is_left_alone_for_a_long_while(every: timedelta) -> None:
    assert again_at(CheckOutcome.REFUSED, outages=0, every=every, now=NOW) - NOW >= max(27 * DAY, 3 * every)


@given(
    targets=st.lists(st.sampled_from("abc"), max_size=60),
    taken=st.dictionaries(st.sampled_from("abc"), st.integers(0, 5), max_size=3),
    most=st.integers(1, 6),
)
def test_a_target_is_never_asked_more_often_than_it_may_be_and_first_come_is_first(
    targets: list[str], taken: dict[str, int], most: int
) -> None:
    candidates = [CheckCandidate(item_id=f"vlt_{number}", target=one) for number, one in enumerate(targets)]
    chosen, counted = choose(candidates, taken, per_target=most)
    for target in "abc":
        there = [one for one in candidates if one.target == target]
        room = max(0, most - taken.get(target, 0))
        assert [one for one in chosen if one.target == target] == there[:room]
        assert counted.get(target, 0) == taken.get(target, 0) + len(there[:room])


@given(targets=st.lists(st.sampled_from("abc"), max_size=60), most=st.integers(1, 6), cut=st.integers(0, 60))
def test_pages_choose_as_the_whole_does(targets: list[str], most: int, cut: int) -> None:
    candidates = [CheckCandidate(item_id=f"vlt_{number}", target=one) for number, one in enumerate(targets)]
    first, taken = choose(candidates[:cut], {}, per_target=most)
    second, _ = choose(candidates[cut:], taken, per_target=most)
    assert first + second == choose(candidates, {}, per_target=most)[0]


USUAL: dict[str, Any] = {
    "asks": True,
    "has_value": True,
    "expires_at": None,
    "rotating": False,
    "differs": False,
}


@pytest.mark.parametrize(
    ("facts", "stands"),
    [
        ({}, CheckStanding.ASK),
        ({"expires_at": NOW + DAY}, CheckStanding.ASK),
        ({"expires_at": NOW}, CheckStanding.NOT_NOW),
        ({"has_value": False}, CheckStanding.NOT_NOW),
        ({"rotating": True}, CheckStanding.NOT_NOW),
        ({"differs": True}, CheckStanding.NOT_NOW),
        ({"asks": False}, CheckStanding.NOBODY),
        ({"asks": False, "rotating": True}, CheckStanding.NOBODY),
    ],
)
def test_who_is_asked_of(facts: dict[str, Any], stands: CheckStanding) -> None:
    assert stand(**(USUAL | facts), now=NOW) is stands


def test_the_way_back_is_one_command() -> None:
    assert way_back("prod-crm", can_set_anew=True, lifetime=None) == "nightkey item rotate prod-crm"
    by_hand = "nightkey item update 'prod crm' --value-file PATH"
    assert way_back("prod crm", can_set_anew=False, lifetime=90 * DAY) == by_hand
    assert way_back("prod crm", can_set_anew=False, lifetime=None) == f"{by_hand} --expires-at 90d"


def test_a_refused_credential_is_a_finding_with_what_was_said_and_when_it_is_asked_again() -> None:
    said = Reason.of(Code.CHECK_REFUSED, version=3, text="the service answered 401")
    found = find_refused("vlt_1", "prod-crm", said=said, can_set_anew=True, lifetime=None, next_at=NOW)
    assert (found.kind, found.subject, found.detail) == (FindingKind.REFUSED, "vlt_1", said)
    assert found.does == Reason.of(Code.DOES_NOTHING, why=Reason.of(Code.ASKED_AGAIN, at=NOW))
