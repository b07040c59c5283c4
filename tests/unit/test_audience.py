"""Who hears of a finding: in every history of nights each threshold once, or covered by a nearer one."""

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vaultcore.model import Mode
from worker.domain.audience import DEPUTY_LEVEL, OPERATORS_LEVEL, hearers, is_news
from worker.domain.findings import LAPSED_LEVEL, topic_of
from worker.domain.limits import Caps, CapsLeft
from worker.domain.plan import DueItem, plan_item

START = datetime(2026, 3, 1, 2, 0, tzinfo=UTC)
DAY = timedelta(days=1)
THRESHOLDS = (30, 14, 7, 3, 1, 0)
CAPS_LEFT = CapsLeft(caps=Caps(night=500, target=100))


@pytest.mark.parametrize(
    ("level", "owner", "deputy", "heard"),
    [
        (1, "ann", "bob", ("ann",)),
        (LAPSED_LEVEL + 2, "ann", "bob", ("ann",)),
        (LAPSED_LEVEL + 3, "ann", "bob", ("ann", "bob")),
        (LAPSED_LEVEL + 6, "ann", "bob", ("ann", "bob")),
        (LAPSED_LEVEL + 7, "ann", "bob", ("ann", "bob", "ops")),
        (LAPSED_LEVEL + 30, "ann", "bob", ("ann", "bob", "ops")),
        (LAPSED_LEVEL + 3, "ann", None, ("ann", "ops")),
        (LAPSED_LEVEL + 7, "ann", "ops", ("ann", "ops")),
        (1, None, None, ("ops",)),
        (LAPSED_LEVEL + 7, None, None, ("ops",)),
        (LAPSED_LEVEL + 7, "ops", None, ("ops",)),
    ],
)
def test_the_longer_it_has_lapsed_the_more_hear_of_it(level, owner, deputy, heard):
    assert hearers(level, owner=owner, deputy=deputy, operators="ops") == heard


def test_the_third_day_and_the_seventh_are_counted_from_the_expiry():
    assert (DEPUTY_LEVEL - LAPSED_LEVEL, OPERATORS_LEVEL - LAPSED_LEVEL) == (3, 7)


@pytest.mark.parametrize(
    ("level", "told", "news"), [(1, None, True), (2, 1, True), (2, 2, False), (1, 2, False)]
)
def test_only_what_is_new_or_worse_is_news(level, told, news):
    assert is_news(level, told=told) is news


@dataclass
class History:
    """An item that only its owner replaces, and what each night has told of it: by the rules alone."""

    expires_at: datetime
    now: datetime = START
    ledger: dict[tuple[str, str], int] = field(default_factory=dict)
    notices: list[tuple[str, datetime, int]] = field(default_factory=list)
    """Who, of which expiry, at which level."""

    def night(self):
        due = DueItem(
            item_id="vlt_1", name="prod-crm", mode=Mode.NOTIFY, expires_at=self.expires_at,
            rotate_from=self.expires_at, overlap=DAY, thresholds=THRESHOLDS, target=None, opens=self.now,
            expiry_first=True, hold_until=None, open_rotation=None, open_state=None,
        )  # fmt: skip
        finding = plan_item(due, self.now, CAPS_LEFT).finding
        if finding is None:
            return
        assert finding.deadline == self.expires_at, "never of an expiry that is not the item's any more"
        topic = topic_of("vlt_1", finding.deadline)
        for one in hearers(finding.level, owner="ann", deputy="bob", operators="ops"):
            if is_news(finding.level, told=self.ledger.get((one, topic))):
                self.ledger[one, topic] = finding.level
                self.notices.append((one, self.expires_at, finding.level))


STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("night"), st.just(0)),
        st.tuples(st.just("pass"), st.integers(1, 40 * 24)),  # hours: also nights that were missed
        st.tuples(st.just("jump"), st.integers(-40 * 24, 40 * 24)),  # the clock, either way
        st.tuples(st.just("replace"), st.integers(1, 90)),  # days: a new value, or another expiry
    ),
    max_size=40,
)


@given(st.integers(0, 60), STEPS)
def test_nothing_is_told_twice_and_nothing_that_was_replaced(days, steps):
    history = History(expires_at=START + days * DAY)
    for what, number in steps:
        if what == "night":
            history.night()
        elif what == "replace":
            history.expires_at = history.now + number * DAY
        else:
            history.now += timedelta(hours=number)

    assert len(set(history.notices)) == len(history.notices), "none is sent twice"
    for one in ("ann", "bob", "ops"):
        for expiry in {expires_at for _, expires_at, _ in history.notices}:
            levels = [level for who, of, level in history.notices if (who, of) == (one, expiry)]
            assert levels == sorted(levels), "it only gets worse"


@given(st.integers(0, 60), st.lists(st.integers(1, 15 * 24), min_size=1, max_size=40))
def test_each_threshold_that_is_crossed_is_told_once_or_covered_by_a_nearer_one(days, gaps):
    """Nights at any distance from each other: what is told is always the nearest that was crossed since."""
    history = History(expires_at=START + days * DAY + timedelta(hours=1))
    before = history.now
    for gap in gaps:
        history.now += timedelta(hours=gap)
        told = len(history.notices)
        history.night()
        mine = [level for who, _, level in history.notices[told:] if who == "ann"]
        crossed = [
            days
            for days in THRESHOLDS
            if before < history.expires_at - days * DAY <= history.now
            or (told == 0 and history.expires_at - days * DAY <= history.now)
        ]
        lapsed_days = (history.now - history.expires_at) // DAY
        if history.now >= history.expires_at:
            new_day = lapsed_days > (before - history.expires_at) // DAY or not told or crossed
            assert len(mine) == bool(new_day)
        else:
            assert len(mine) == bool(crossed), "one notice, however many were crossed"
            if mine:
                assert mine == [THRESHOLDS.index(min(crossed)) + 1], "for the nearest"
        before = history.now
