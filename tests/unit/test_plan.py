"""What tonight holds for a due item."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vaultcore.model import Mode
from worker.domain.findings import FindingKind
from worker.domain.limits import Caps, CapsLeft
from worker.domain.plan import Decision, DueItem, PlannedAction, find_quiet_span, plan_item, replace_quietly
from worker.domain.saga import FINISHED, State
from worker.wording.reasons import say

NOW = datetime(2026, 3, 1, 2, 0, tzinfo=UTC)
SECOND = timedelta(seconds=1)
DAY = timedelta(days=1)

DUE = DueItem(
    item_id="vlt_01jq8zk4m5n6p7q8r9s0t1v2w3",
    name="prod-ticketing-api-token",
    mode=Mode.AUTO,
    expires_at=NOW + 10 * DAY,
    rotate_from=NOW - 4 * DAY,
    overlap=DAY,
    thresholds=(30, 14, 7, 3, 1, 0),
    target=None,
    opens=NOW,
    expiry_first=True,
    hold_until=None,
    open_rotation=None,
    open_state=None,
)
GIVEN = "--value-file PATH --expires-at 90d"


PLENTY = CapsLeft(caps=Caps(night=500, target=100))
FULL = CapsLeft(caps=Caps(night=1, target=1), taken=1)


def item(**fields):
    return DUE._replace(**fields)


OPEN = {"open_rotation": "rot_1", "open_state": "watching"}
STUCK = {"open_rotation": "rot_1", "open_state": "stuck"}
REQUESTED = {"open_rotation": "rot_1", "open_state": "requested"}
LAPSED = {"expires_at": NOW - 2 * DAY}


@pytest.mark.parametrize(
    ("due", "action", "kind", "level"),
    [
        # It rotates by itself, and is quiet while that works.
        (item(), PlannedAction.ROTATE, None, None),
        (item(rotate_from=NOW), PlannedAction.ROTATE, None, None),
        (item(rotate_from=NOW + SECOND), PlannedAction.NONE, None, None),
        (item(expires_at=NOW + 2 * DAY + SECOND), PlannedAction.ROTATE, None, None),
        (item(hold_until=NOW), PlannedAction.ROTATE, None, None),
        (item(hold_until=NOW - SECOND), PlannedAction.ROTATE, None, None),
        (item(hold_until=NOW + SECOND), PlannedAction.HOLD, FindingKind.EXPIRING, 2),
        (item(hold_until=NOW + SECOND, expires_at=NOW + 31 * DAY), PlannedAction.HOLD, None, None),
        # Unless there is no longer time for another try and the overlap.
        (item(expires_at=NOW + 2 * DAY), PlannedAction.ROTATE, FindingKind.EXPIRING, 4),
        (item(expires_at=NOW + 2 * DAY, **OPEN), PlannedAction.GO_ON, FindingKind.EXPIRING, 4),
        (item(expires_at=NOW + SECOND, thresholds=()), PlannedAction.ROTATE, FindingKind.EXPIRING, 1),
        # A rotation is open.
        (item(**OPEN), PlannedAction.GO_ON, None, None),
        (item(**OPEN, hold_until=NOW + DAY), PlannedAction.GO_ON, None, None),
        (item(**STUCK), PlannedAction.HOLD, FindingKind.EXPIRING, 2),
        (item(**STUCK, expires_at=NOW + 31 * DAY), PlannedAction.HOLD, None, None),
        # Its value is elsewhere, whatever its mode.
        (item(give="GIVE"), PlannedAction.ASK, FindingKind.EXPIRING, 2),
        (item(give="GIVE", mode=Mode.NOTIFY, **LAPSED), PlannedAction.ASK, FindingKind.LAPSED, 102),
        (item(give="GIVE", mode=Mode.APPROVE, expires_at=NOW + 31 * DAY), PlannedAction.ASK, None, None),
        # A person is asked.
        (item(mode=Mode.NOTIFY), PlannedAction.ASK, FindingKind.EXPIRING, 2),
        (item(mode=Mode.APPROVE), PlannedAction.REQUEST, FindingKind.EXPIRING, 2),
        (item(mode=Mode.APPROVE, rotate_from=NOW + DAY), PlannedAction.NONE, FindingKind.EXPIRING, 2),
        (item(mode=Mode.APPROVE, expires_at=NOW + 31 * DAY), PlannedAction.REQUEST, None, None),
        (item(mode=Mode.APPROVE, **REQUESTED), PlannedAction.ASK, FindingKind.EXPIRING, 2),
        (item(mode=Mode.APPROVE, **OPEN), PlannedAction.GO_ON, FindingKind.EXPIRING, 2),
        (item(mode=Mode.NOTIFY, expires_at=NOW + SECOND), PlannedAction.ASK, FindingKind.EXPIRING, 5),
        # What has lapsed speaks, whatever is done about it.
        (item(**LAPSED), PlannedAction.ROTATE, FindingKind.LAPSED, 102),
        (item(expires_at=NOW), PlannedAction.ROTATE, FindingKind.LAPSED, 100),
        (item(**LAPSED, **OPEN), PlannedAction.GO_ON, FindingKind.LAPSED, 102),
        (item(**LAPSED, **STUCK), PlannedAction.HOLD, FindingKind.LAPSED, 102),
        (item(**LAPSED, hold_until=NOW + DAY), PlannedAction.HOLD, FindingKind.LAPSED, 102),
        (item(**LAPSED, mode=Mode.NOTIFY), PlannedAction.ASK, FindingKind.LAPSED, 102),
        (item(**LAPSED, mode=Mode.APPROVE, thresholds=()), PlannedAction.REQUEST, FindingKind.LAPSED, 102),
        # Its window opens later, or never.
        (item(opens=NOW + 3 * DAY), PlannedAction.WAIT, None, None),
        (item(opens=NOW + DAY), PlannedAction.ROTATE, None, None),
        (item(mode=Mode.APPROVE, opens=NOW + 3 * DAY), PlannedAction.REQUEST, FindingKind.EXPIRING, 2),
        (item(opens=None), PlannedAction.WAIT, None, None),
        (item(opens=None, expires_at=NOW + 3 * DAY), PlannedAction.ROTATE, None, None),
        (item(opens=NOW + 9 * DAY + SECOND, expires_at=NOW + 3 * DAY), PlannedAction.ROTATE, None, None),
        (item(opens=None, expiry_first=False), PlannedAction.HOLD, FindingKind.EXPIRING, 2),
        (item(opens=NOW + 10 * DAY, expiry_first=False), PlannedAction.HOLD, FindingKind.EXPIRING, 2),
        (item(opens=NOW + 9 * DAY, expiry_first=False), PlannedAction.WAIT, None, None),
    ],
)
def test_the_decision_and_what_its_owner_is_told(due, action, kind, level):
    decision = plan_item(due, NOW, PLENTY)

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
            f"only its owner can replace it: nightkey item update prod-ticketing-api-token {GIVEN}",
        ),
        (
            item(mode=Mode.NOTIFY, name="x; rm -rf $HOME"),
            f"only its owner can replace it: nightkey item update 'x; rm -rf $HOME' {GIVEN}",
        ),
        (item(mode=Mode.APPROVE), "expires in 10 days"),
        (item(**LAPSED), "lapsed 2 days ago"),
        (item(mode=Mode.APPROVE, rotate_from=NOW + DAY), "asks for approval from 2026-03-02 02:00 UTC"),
        (item(mode=Mode.APPROVE, **REQUESTED), "waits for approval: nightkey rotation approve rot_1"),
        (item(opens=NOW + 3 * DAY), "its window opens 2026-03-04 02:00 UTC"),
        (
            item(opens=NOW + DAY / 2),
            "expires in 10 days, begins 2026-03-01 14:00 UTC, when changes may be made",
        ),
        (
            item(opens=None, expiry_first=False),
            "its windows and freezes allow no moment for a rotation",
        ),
        (
            item(opens=NOW + 11 * DAY, expiry_first=False),
            "its window opens too late, 2026-03-12 02:00 UTC: it lapses first",
        ),
    ],
)
def test_why_says_what_a_person_can_do(due, says):
    assert say(plan_item(due, NOW, PLENTY).why).startswith(says)


def test_a_finding_is_about_the_item_and_reaches_its_owner():
    finding = plan_item(item(**LAPSED, mode=Mode.APPROVE), NOW, PLENTY).finding

    assert finding.subject == finding.item_id == DUE.item_id
    assert finding.item == DUE.name
    assert finding.workflow is None
    assert (say(finding.detail), finding.deadline) == ("lapsed 2 days ago", NOW - 2 * DAY)


@pytest.mark.parametrize(
    ("due", "does", "command"),
    [
        (item(**LAPSED), "replaces it in this night", None),
        (
            item(unread=True),
            "does nothing: no active workflow here uses it",
            "nightkey item update prod-ticketing-api-token --mode notify",
        ),
        (
            item(**LAPSED, opens=NOW + DAY / 2, expiry_first=False),
            "does nothing: its window opens too late",
            True,
        ),
        (
            item(mode=Mode.NOTIFY),
            None,
            f"nightkey item update prod-ticketing-api-token {GIVEN}",
        ),
        (item(mode=Mode.APPROVE), "asks for an approval, in a message of its own", None),
        (
            item(mode=Mode.APPROVE, rotate_from=NOW + DAY),
            "asks for an approval to replace it from 2026-03-02 02:00 UTC on",
            None,
        ),
        (
            item(mode=Mode.APPROVE, **REQUESTED),
            "replaces it as soon as somebody approves that",
            "nightkey rotation approve rot_1",
        ),
        (item(**STUCK), "does nothing: its rotation is stuck", "nightkey rotation show rot_1"),
        (item(**OPEN, **LAPSED), "is at it: rotation rot_1 is watching", "nightkey rotation show rot_1"),
        (
            item(hold_until=NOW + DAY),
            "tries to replace it again after 2026-03-02 02:00 UTC, since the last try failed",
            "nightkey item rotate prod-ticketing-api-token",
        ),
        (
            item(opens=None, expiry_first=False),
            "does nothing: its windows and freezes allow no moment for a rotation",
            "nightkey item rotate prod-ticketing-api-token",
        ),
    ],
)
def test_a_finding_says_what_happens_by_itself_and_what_a_person_can_type(due, does, command):
    finding = plan_item(due, NOW, PLENTY).finding

    assert finding.does == does if does is None else say(finding.does).startswith(does)
    assert finding.command == ("nightkey item rotate prod-ticketing-api-token" if command is True else command)


@pytest.mark.parametrize(
    ("due", "caps_left", "action", "why"),
    [
        (item(), FULL, PlannedAction.WAIT, "tonight's 1 rotation is taken: another night"),
        (item(expires_at=NOW + 2 * DAY), FULL, PlannedAction.ROTATE, "expires in 2 days"),
        (item(expires_at=NOW + 2 * DAY + SECOND), FULL, PlannedAction.WAIT, "tonight's 1 rotation is taken"),
        (
            item(target="http crm"),
            replace(PLENTY, by_target={"http crm": 100}),
            PlannedAction.WAIT,
            "tonight's 100 rotations at http crm are taken",
        ),
        (item(target="http crm"), replace(PLENTY, by_target={"http git": 100}), PlannedAction.ROTATE, ""),
        (item(), replace(PLENTY, by_target={"http crm": 100}), PlannedAction.ROTATE, ""),
        (item(mode=Mode.APPROVE), FULL, PlannedAction.REQUEST, ""),
        (item(mode=Mode.NOTIFY), FULL, PlannedAction.ASK, ""),
    ],
)
def test_what_a_full_night_leaves_waits_for_another_unless_it_would_lapse(due, caps_left, action, why):
    decision = plan_item(due, NOW, caps_left)

    assert decision.action is action
    assert why in say(decision.why)


@pytest.mark.parametrize(
    ("due", "begins_at"),
    [
        (item(), NOW),
        (item(opens=NOW + DAY / 2), NOW + DAY / 2),
        (item(opens=NOW + DAY / 2, expires_at=NOW + DAY), NOW),
        (item(opens=None, expires_at=NOW + 2.5 * DAY), NOW + DAY / 2),
        (item(mode=Mode.APPROVE, opens=NOW + 3 * DAY), NOW + 3 * DAY),
        (item(mode=Mode.NOTIFY), None),
        (item(**OPEN), None),
    ],
)
def test_a_rotation_begins_when_changes_may_be_made_or_when_expiry_comes_first(due, begins_at):
    assert plan_item(due, NOW, PLENTY).begins_at == begins_at


def test_nothing_is_found_for_a_threshold_that_was_not_crossed():
    assert plan_item(item(mode=Mode.NOTIFY, expires_at=NOW + 30 * DAY + SECOND), NOW, PLENTY).finding is None
    assert plan_item(item(mode=Mode.NOTIFY, expires_at=NOW + 30 * DAY), NOW, PLENTY).finding is not None


moments = st.timedeltas(min_value=-60 * DAY, max_value=60 * DAY).map(lambda away: NOW + away)
unfinished = st.sampled_from(sorted(set(State) - FINISHED))
due_items = st.builds(
    item,
    mode=st.sampled_from(Mode),
    expires_at=moments,
    rotate_from=moments,
    opens=st.none() | moments,
    expiry_first=st.booleans(),
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
    decision = plan_item(due, NOW, PLENTY)

    if decision.action is PlannedAction.ROTATE:
        assert due.mode is Mode.AUTO
        assert due.open_rotation is None
        assert due.hold_until is None or due.hold_until <= NOW
        assert due.rotate_from <= NOW
        assert NOW <= decision.begins_at <= NOW + DAY


@given(due_items)
def test_what_is_due_and_would_lapse_is_rotated_whatever_the_windows_say(due):
    due = due._replace(mode=Mode.AUTO, open_rotation=None, hold_until=None, expiry_first=True)

    if due.rotate_from <= NOW and due.expires_at <= NOW + 2 * DAY:
        assert plan_item(due, NOW, FULL).action is PlannedAction.ROTATE


@given(due_items)
def test_what_has_lapsed_never_stays_silent(due):
    found = plan_item(due, NOW, PLENTY).finding

    assert (found is not None and found.kind is FindingKind.LAPSED) == (due.expires_at <= NOW)


@given(due_items)
def test_a_stuck_rotation_is_never_taken_for_one_that_moves(due):
    decision = plan_item(due, NOW, PLENTY)

    if due.open_state == "stuck":
        assert decision.action is PlannedAction.HOLD
    elif due.open_state == "requested":
        assert decision.action is PlannedAction.ASK
    elif due.open_rotation is not None:
        assert decision.action is PlannedAction.GO_ON


@given(due_items)
def test_the_same_row_at_the_same_time_gives_the_same_decision(due):
    """The dry run, the night and a forecast may be compared."""
    assert plan_item(due, NOW, PLENTY) == plan_item(due._replace(), NOW, PLENTY)
    assert isinstance(plan_item(due, NOW, PLENTY), Decision)


lengths = st.timedeltas(min_value=timedelta(0), max_value=40 * DAY)
near = st.sampled_from([-SECOND, timedelta(0), timedelta(microseconds=1), DAY])


@given(
    st.sampled_from(Mode), moments, st.none() | moments | st.just(NOW), lengths, lengths, near, st.booleans()
)
def test_the_quiet_span_has_what_is_replaced_at_once_and_told_to_nobody(
    mode, expires_at, opens, lead, overlap, beside, at_its_end
):
    span = find_quiet_span(mode=mode, opens=opens, lead=lead, overlap=overlap, now=NOW)
    if span is not None and beside != DAY:
        expires_at = (span.until if at_its_end else span.after) + beside
    due = item(mode=mode, expires_at=expires_at, rotate_from=expires_at - lead, overlap=overlap, opens=opens)
    decision = plan_item(due, NOW, PLENTY)

    is_open = opens is not None and opens <= NOW
    quiet = decision.action is PlannedAction.ROTATE and decision.finding is None and is_open
    assert (span is not None and span.after < expires_at <= span.until) == quiet
    if quiet:
        assert replace_quietly(expires_at, NOW) == decision


def test_a_policy_that_no_time_holds_has_no_quiet_span():
    forever = timedelta(days=3_650_000)
    assert find_quiet_span(mode=Mode.AUTO, opens=NOW, lead=forever, overlap=DAY, now=NOW) is None
