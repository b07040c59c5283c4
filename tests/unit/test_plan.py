"""What tonight holds for a due item."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vaultcore.model import Mode
from worker.domain.findings import FindingKind
from worker.domain.plan import Action, Decision, DueItem, plan_item
from worker.domain.saga import FINISHED, State

NOW = datetime(2026, 3, 1, 2, 0, tzinfo=UTC)
SECOND = timedelta(seconds=1)
DAY = timedelta(days=1)

DUE = DueItem(
    item_id="vlt_01jq8zk4m5n6p7q8r9s0t1v2w3",
    name="prod-ticketing-api-token",
    owner_id="own_1",
    mode=Mode.AUTO,
    rotator="random",
    expires_at=NOW + 10 * DAY,
    rotate_from=NOW - 4 * DAY,
    thresholds=(30, 14, 7, 3, 1, 0),
    hold_until=None,
    open_rotation=None,
    open_state=None,
)


def item(**fields):
    return replace(DUE, **fields)


OPEN = {"open_rotation": "rot_1", "open_state": "watching"}
STUCK = {"open_rotation": "rot_1", "open_state": "stuck"}
LAPSED = {"expires_at": NOW - 2 * DAY}


@pytest.mark.parametrize(
    ("due", "action", "kind", "level"),
    [
        # It rotates by itself, and is quiet while that works.
        (item(), Action.ROTATE, None, None),
        (item(rotate_from=NOW), Action.ROTATE, None, None),
        (item(rotate_from=NOW + SECOND), Action.NONE, None, None),
        (item(expires_at=NOW + SECOND), Action.ROTATE, None, None),
        (item(hold_until=NOW), Action.ROTATE, None, None),
        (item(hold_until=NOW - SECOND), Action.ROTATE, None, None),
        (item(hold_until=NOW + SECOND), Action.HOLD, FindingKind.EXPIRING, 2),
        (item(hold_until=NOW + SECOND, expires_at=NOW + 31 * DAY), Action.HOLD, None, None),
        # A rotation is open.
        (item(**OPEN), Action.GO_ON, None, None),
        (item(**OPEN, hold_until=NOW + DAY), Action.GO_ON, None, None),
        (item(**STUCK), Action.HOLD, FindingKind.EXPIRING, 2),
        (item(**STUCK, expires_at=NOW + 31 * DAY), Action.HOLD, None, None),
        # A person is asked.
        (item(mode=Mode.NOTIFY), Action.ASK, FindingKind.EXPIRING, 2),
        (item(mode=Mode.NOTIFY, rotator=None), Action.ASK, FindingKind.EXPIRING, 2),
        (item(mode=Mode.APPROVE), Action.ASK, FindingKind.EXPIRING, 2),
        (item(mode=Mode.APPROVE, expires_at=NOW + 31 * DAY), Action.ASK, None, None),
        (item(mode=Mode.APPROVE, **OPEN), Action.GO_ON, FindingKind.EXPIRING, 2),
        (item(mode=Mode.NOTIFY, expires_at=NOW + SECOND), Action.ASK, FindingKind.EXPIRING, 5),
        # What has lapsed speaks, whatever is done about it.
        (item(**LAPSED), Action.ROTATE, FindingKind.LAPSED, 102),
        (item(expires_at=NOW), Action.ROTATE, FindingKind.LAPSED, 100),
        (item(**LAPSED, **OPEN), Action.GO_ON, FindingKind.LAPSED, 102),
        (item(**LAPSED, **STUCK), Action.HOLD, FindingKind.LAPSED, 102),
        (item(**LAPSED, hold_until=NOW + DAY), Action.HOLD, FindingKind.LAPSED, 102),
        (item(**LAPSED, mode=Mode.NOTIFY), Action.ASK, FindingKind.LAPSED, 102),
        (item(**LAPSED, mode=Mode.APPROVE, thresholds=()), Action.ASK, FindingKind.LAPSED, 102),
    ],
)
def test_the_decision_and_what_its_owner_is_told(due, action, kind, level):
    decision = plan_item(due, NOW)

    assert decision.action is action
    found = decision.finding
    assert (found and found.kind, found and found.level) == (kind, level)


@pytest.mark.parametrize(
    ("due", "says"),
    [
        (item(), "expires in 10 days"),
        (item(rotate_from=NOW + DAY), "rotates from 2026-03-02 02:00 UTC"),
        (item(hold_until=NOW + DAY), "its rotation failed, next try after 2026-03-02 02:00 UTC"),
        (item(**OPEN), "rotation rot_1 is watching"),
        (item(**STUCK), "rotation rot_1 is stuck and needs a person"),
        (
            item(mode=Mode.NOTIFY),
            "only its owner can replace it: nightkey item update prod-ticketing-api-token --value-file PATH",
        ),
        (item(mode=Mode.APPROVE), "waits for a person: nightkey item rotate prod-ticketing-api-token"),
        (item(mode=Mode.APPROVE, name="a b"), "waits for a person: nightkey item rotate 'a b'"),
        (
            item(mode=Mode.APPROVE, name="x; rm -rf $HOME"),
            "waits for a person: nightkey item rotate 'x; rm -rf $HOME'",
        ),
    ],
)
def test_why_says_what_a_person_can_do(due, says):
    assert plan_item(due, NOW).why == says


def test_a_finding_is_about_the_item_and_reaches_its_owner():
    finding = plan_item(item(**LAPSED, mode=Mode.APPROVE), NOW).finding

    assert finding.subject == finding.item_id == DUE.item_id
    assert finding.item == DUE.name
    assert finding.owner_id == DUE.owner_id
    assert finding.workflow is None
    assert finding.detail == (
        "lapsed 2 days ago: waits for a person: nightkey item rotate prod-ticketing-api-token"
    )


def test_nothing_is_found_for_a_threshold_that_was_not_crossed():
    assert plan_item(item(mode=Mode.NOTIFY, expires_at=NOW + 30 * DAY + SECOND), NOW).finding is None
    assert plan_item(item(mode=Mode.NOTIFY, expires_at=NOW + 30 * DAY), NOW).finding is not None


moments = st.timedeltas(min_value=-60 * DAY, max_value=60 * DAY).map(lambda away: NOW + away)
unfinished = st.sampled_from(sorted(set(State) - FINISHED))
due_items = st.builds(
    item,
    mode=st.sampled_from(Mode),
    rotator=st.sampled_from([None, "random", "http"]),
    expires_at=moments,
    rotate_from=moments,
    hold_until=st.none() | moments,
    thresholds=st.lists(st.integers(0, 90), max_size=6).map(tuple),
) | st.builds(
    item,
    mode=st.sampled_from(Mode),
    expires_at=moments,
    rotate_from=moments,
    hold_until=st.none() | moments,
    open_rotation=st.just("rot_1"),
    open_state=unfinished.map(str),
)


@given(due_items)
def test_only_what_is_auto_free_and_due_is_ever_rotated(due):
    rotates = plan_item(due, NOW).action is Action.ROTATE

    assert rotates == (
        due.mode is Mode.AUTO
        and due.open_rotation is None
        and (due.hold_until is None or due.hold_until <= NOW)
        and due.rotate_from <= NOW
    )


@given(due_items)
def test_what_has_lapsed_never_stays_silent(due):
    found = plan_item(due, NOW).finding

    assert (found is not None and found.kind is FindingKind.LAPSED) == (due.expires_at <= NOW)


@given(due_items)
def test_a_stuck_rotation_is_never_taken_for_one_that_moves(due):
    decision = plan_item(due, NOW)

    if due.open_state == "stuck":
        assert decision.action is Action.HOLD
    elif due.open_rotation is not None:
        assert decision.action is Action.GO_ON


@given(due_items)
def test_the_same_row_at_the_same_time_gives_the_same_decision(due):
    """The dry run, the night and a forecast may be compared."""
    assert plan_item(due, NOW) == plan_item(replace(due), NOW)
    assert isinstance(plan_item(due, NOW), Decision)
