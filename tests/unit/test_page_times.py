"""Moments on pages: in the reader's zone, wherever a sentence has one."""

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from worker.web.console.days import begin_of, end_of
from worker.web.console.times import Times

ZURICH = ZoneInfo("Europe/Zurich")
NOON = datetime(2027, 3, 1, 12, tzinfo=UTC)
TIMES = Times(NOON, ZURICH)


def test_a_moment_in_a_sentence_is_shown_as_the_readers_clock_has_it() -> None:
    said = TIMES.say("the overlap, until 2027-03-01 11:30:05 UTC; then <b>it</b> ends")
    assert ">2027-03-01 12:30 CET</time>; then &lt;b&gt;it&lt;/b&gt; ends" in said
    assert 'title="2027-03-01 12:30 CET, 2027-03-01 11:30:05 UTC"' in said


def test_what_is_to_be_typed_is_a_command_and_other_text_stays_text() -> None:
    assert '<code class="command" data-copy="nightkey up">nightkey up</code>' in TIMES.say(
        "start `nightkey up`"
    )
    assert TIMES.say("at 2027-99-01 11:30 UTC, and a ` alone") == "at 2027-99-01 11:30 UTC, and a ` alone"
    assert "<script>" not in TIMES.say("`<script>alert(1)</script>`")


@pytest.mark.parametrize(
    ("end", "said"),
    [
        (NOON + timedelta(minutes=4), "2027-03-01 13:00</time> to "),
        (NOON + timedelta(seconds=4), "2027-03-01 13:00 CET</time>"),
        (NOON + timedelta(days=1), "2027-03-02 13:00 CET</time>"),
        (None, "2027-03-01 13:00 CET</time>"),
    ],
)
def test_a_span_says_of_its_end_what_differs(end: datetime | None, said: str) -> None:
    shown = TIMES.span(NOON, end)
    assert said in shown
    assert (" to " in shown) == (end is not None and end >= NOON + timedelta(minutes=1))


def test_a_day_has_its_hours_where_the_reader_is() -> None:
    begin, end = begin_of("2027-03-28", ZURICH), end_of("2027-03-28", ZURICH)
    assert (begin, end) == (datetime(2027, 3, 27, 23, tzinfo=UTC), datetime(2027, 3, 28, 22, tzinfo=UTC))
    for no_day in ("", "soon", "2027-02-29", "9999-12-31T00:00"):
        assert begin_of(no_day, ZURICH) is None
    assert end_of("9999-12-31", ZURICH) is None
