"""Words are found wherever they stand, whatever else is looked for and whenever it was added."""

import itertools
from typing import Any

from hypothesis import assume, given
from hypothesis import strategies as st

from worker.workflows.finder import BEGINNING, Finder, Mark
from worker.workflows.spans import hide_spans, replace_spans

LETTERS = st.sampled_from("ab")
WORDS = st.lists(
    st.text(LETTERS, min_size=1, max_size=6)
    | st.text(LETTERS, min_size=BEGINNING - 2, max_size=BEGINNING + 80)
    | st.integers(1, BEGINNING + 10).map("a".__mul__),
    min_size=1,
    max_size=6,
)


def where(words, text):
    """Each place of each word, found one by one."""
    return {
        (start, start + len(word))
        for word in words
        for start in range(len(text))
        if text.startswith(word, start)
    }


@st.composite
def texts_of_words(draw):
    words = draw(WORDS)
    parts = draw(st.lists(st.sampled_from(words) | st.text("abc", max_size=9), max_size=3))
    return words, "".join(parts)


@given(texts_of_words(), st.integers(0, 6))
def test_every_word_is_found_at_every_place_whether_it_was_added_before_or_after_a_search(case, first):
    words, text = case
    finder = Finder()
    for word in words[:first]:
        finder.add(word)
    assert finder.stands_in(text) == bool(where(words[:first], text))
    branch = finder.copy()
    for word in words[first:]:
        finder.add(word)
    hits = {(hit.start, hit.end) for walk in finder.walk(text) for hit in walk}
    assert hits == where(words, text)
    assert {(hit.start, hit.end) for walk in branch.walk(text) for hit in walk} == where(words[:first], text)
    for least in (1, 4, BEGINNING, BEGINNING + 1):
        assert finder.stands_in(text, least=least) == any(
            end - start >= least for start, end in where(words, text)
        )


@given(texts_of_words(), st.integers(0, 6))
def test_exactly_what_words_cover_is_replaced_each_stretch_once(case, first):
    words, text = case
    finder = Finder()
    for number, word in enumerate(words):
        if number == first:
            finder.stands_in(text)
        finder.add(word)
    spans = hide_spans(text, finder.walk(text))
    assume(spans is not None)  # too much of one letter
    covered = {at for start, end in where(words, text) for at in range(start, end)}
    assert {at for start, end in spans for at in range(start, end)} == covered
    assert all(end < start for (_, end), (start, _) in itertools.pairwise(spans))
    left = "".join(c for at, c in enumerate(text) if at not in covered)
    assert replace_spans(text, spans, "") == left
    assert replace_spans(text, spans, "-").count("-") == len(spans)


def test_a_part_of_a_base64_word_hides_the_word_and_a_short_word_the_text():
    finder = Finder()
    finder.add("QUJD", Mark.IN_WORD)
    finder.add("/x\\/QUJDRA", Mark.IN_WORD)
    for text, shown in (
        ("a xxQUJDyy= b", "a - b"),
        ("QUJD.QUJD QUJDQUJDQUJD", "-.- -"),
        ("one-two/x\\/QUJDRAzz end", "- end"),
    ):
        assert replace_spans(text, hide_spans(text, finder.walk(text)), "-") == shown
    finder.add("ab", Mark.WITH_TEXT)
    assert hide_spans("xxabxx", finder.walk("xxabxx")) is None
    assert hide_spans("nothing", finder.walk("nothing")) == []


def test_building_stays_in_proportion_to_what_is_added():
    finder, built = Finder(), 0
    before: tuple[Any, ...] = ()
    for number in range(2000):
        finder.add(f"word-{number}")
        assert finder.stands_in(f"a word-{number} b")
        built += sum(len(one.words) for one in finder._segments if one not in before)
        before = finder._segments
    assert built < 2000 * 16
    assert len(finder._segments) < 16
    assert finder.stands_in("word-0")
