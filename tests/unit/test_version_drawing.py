"""Versions on a line of time: what is drawn, and the text that says the same."""

import re
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any
from xml.etree import ElementTree as ET

from hypothesis import given
from hypothesis import strategies as st

from vaultcore.model import Stage, Version
from worker.domain.item_states import ItemState
from worker.web.drawings.versions import SHOWN, draw_versions
from worker.wording.item_states import WORDS, Tone, word_state
from worker.wording.versions import overlap_of_version, say_version

NOW = datetime(2026, 3, 1, 2, 0, tzinfo=UTC)
DAY = timedelta(days=1)
OVERLAP = 2 * DAY
CURRENT = Version(
    item_id="vlt_1",
    number=2,
    stage=Stage.CURRENT,
    expires_at=NOW + 30 * DAY,
    created_at=NOW - DAY,
    activated_at=NOW - DAY,
    superseded_at=None,
    destroyed_at=None,
    filled=True,
    external={},
)
OLD = replace(
    CURRENT,
    number=1,
    stage=Stage.PREVIOUS,
    expires_at=NOW + 5 * DAY,
    created_at=NOW - 60 * DAY,
    activated_at=NOW - 60 * DAY,
    superseded_at=NOW - DAY,
)
GONE = replace(OLD, stage=Stage.DESTROYED, filled=False, destroyed_at=NOW - DAY / 2)


def draw(*versions: Version) -> str:
    drawn = draw_versions(versions, now=NOW, overlap=OVERLAP, zone=UTC)
    assert drawn is not None
    ET.fromstring(drawn)  # it is whole
    return str(drawn)


def test_where_two_worked_beside_each_other_it_is_hatched() -> None:
    assert draw(OLD, CURRENT).count("url(#beside)") == 1
    assert draw(GONE, CURRENT).count("url(#beside)") == 1
    assert "url(#beside)" not in draw(CURRENT)
    assert "url(#beside)" not in draw(replace(GONE, destroyed_at=GONE.superseded_at), CURRENT)
    assert overlap_of_version(OLD, overlap=OVERLAP) == (NOW - DAY, NOW + DAY)
    assert overlap_of_version(GONE, overlap=OVERLAP) == (NOW - DAY, NOW - DAY / 2)


def test_the_text_says_what_is_drawn() -> None:
    drawn = draw(OLD, CURRENT)
    (said,) = re.findall(r"<desc[^>]*>(.*?)</desc>", drawn)
    for one in (OLD, CURRENT):
        assert say_version(one, overlap=OVERLAP, zone=UTC) in said


def test_an_expiry_that_is_over_is_told_from_one_to_come() -> None:
    assert "s-wrong" not in draw(CURRENT)
    lapsed = draw(replace(CURRENT, expires_at=NOW))
    assert "s-wrong" in lapsed
    assert 'class="wrong"' in lapsed
    assert "never lapses" in draw(replace(CURRENT, expires_at=None))


def test_of_many_the_newest_are_drawn_and_of_none_nothing() -> None:
    many = [replace(GONE, number=number) for number in range(1, SHOWN + 4)]
    drawn = draw(*many, replace(CURRENT, number=SHOWN + 4))
    assert [int(one) for one in re.findall(r">Version (\d+)</text>", drawn)] == list(range(5, SHOWN + 5))
    assert draw_versions([], now=NOW, overlap=OVERLAP, zone=UTC) is None
    never = replace(CURRENT, stage=Stage.PENDING, activated_at=None, filled=False)
    assert draw_versions([never], now=NOW, overlap=OVERLAP, zone=UTC) is None


_MOMENTS = st.none() | st.integers(-9000, 60_000).map(lambda days: NOW + days * DAY)


@given(
    st.lists(
        st.builds(
            replace,
            st.just(CURRENT),
            number=st.integers(1, 10**9),
            stage=st.sampled_from(Stage),
            expires_at=_MOMENTS,
            activated_at=_MOMENTS,
            superseded_at=_MOMENTS,
            destroyed_at=_MOMENTS,
        ),
        min_size=1,
        max_size=8,
    )
)
def test_whatever_the_rows_say_nothing_is_drawn_outside(versions: list[Any]) -> None:
    drawn = draw(*versions)
    places = [float(one) for one in re.findall(r' x[12]?="([-0-9.]+)"', drawn)]
    widths = [float(one) for one in re.findall(r' width="([-0-9.]+)" height="14"', drawn)]
    assert all(0 <= place <= 880 for place in places)
    assert all(width > 0 for width in widths)


def test_the_worst_of_an_items_states_is_told() -> None:
    assert set(WORDS) == set(ItemState)
    assert word_state([ItemState.WELL, ItemState.NEVER_EXPIRES]) == (Tone.WELL, "well")
    assert word_state([ItemState.NEVER_EXPIRES]) == (Tone.REST, "never lapses")
    assert word_state([ItemState.DUE, ItemState.LAPSED, ItemState.NEEDS_SOMEBODY]) == (Tone.WRONG, "lapsed")
    assert word_state([]) == (Tone.WELL, "well")
