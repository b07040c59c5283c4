"""The forms of a notice are those of CommonMark, whatever is left out of reading it."""

from hypothesis import example, given
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from worker.delivery.formats import to_html, to_text

COMMONMARK = MarkdownIt("commonmark", {"html": False})
MARKS = '-#>=*`~\\_[]()!<>&:@^$%+{}|"\n abc1.;/é'
PARTS = [
    "\n\n",
    "    ",
    "- ",
    "1. ",
    "]: ",
    "***",
    "```",
    "</p>",
    "<!--",
    "<b>",
    "&amp;",
    "&#65;",
    "<https://a.example>",
]


@given(st.lists(st.sampled_from([*MARKS, *PARTS]), max_size=40).map("".join))
@example("<b>*a*</b> & <https://a.example/?b=c&d=e> [a-b](https://a.example 'c') ![d](e) a-b:c@d~~e~~")
def test_html_is_that_of_commonmark_without_html_of_the_source(markdown):
    assert to_html(markdown) == COMMONMARK.render(markdown)


def test_marks_of_other_dialects_are_text():
    assert to_text("a-b: ~~c~~ ^d^ $e$ {f} g@h.example https://i.example") == (
        "a-b: ~~c~~ ^d^ $e$ {f} g@h.example https://i.example\n"
    )
