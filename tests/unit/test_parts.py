"""Messages in parts: nothing is lost, nothing is too long, and each part says which it is."""

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from worker.delivery.formats import to_html, to_text
from worker.delivery.parts import cut, shorten_subject
from worker.domain.notices import Message

ENTRY = (
    "- **item-{n}** lapses.\n  Used by one, other.\n\n  Replace it:\n\n      nightkey item update item-{n}\n"
)


def parts_of(body, room, measure=len):
    return cut(Message(subject="Nightkey [abcdefgh]", body=body), measure, room)


def test_what_fits_stays_as_it_is():
    message = Message(subject="Nightkey [abcdefgh]", body="short\n")
    assert cut(message, len, 6) == [message]


def test_entries_stay_whole_and_each_part_has_its_number():
    body = "## To look at\n\n" + "\n".join(ENTRY.format(n=n) for n in range(20))
    parts = parts_of(body, 500)
    assert [part.subject for part in parts] == [
        f"Nightkey [abcdefgh] ({n} of {len(parts)})" for n in range(1, len(parts) + 1)
    ]
    assert len(parts) > 3
    for part in parts[1:]:
        assert part.body.startswith("- **item-")
    for part in parts:
        assert part.body.count("- **item-") == part.body.count("nightkey item update")


@pytest.mark.parametrize("form", [to_text, to_html])
def test_it_is_measured_in_the_form_in_which_it_is_sent(form):
    body = "\n".join(ENTRY.format(n=n) for n in range(40))
    parts = parts_of(body, 700, lambda text: len(form(text)))
    assert len(parts) > 1
    assert max(len(form(part.body)) for part in parts) <= 700
    told = form("\n".join(part.body for part in parts))
    assert all(f"nightkey item update item-{n}\n" in told for n in range(40))


texts = (
    st.lists(
        st.sampled_from(
            ["# T\n\n", "- one\n", "  more of it\n", "\n\n", "    code\n", "word ", "x" * 60, "&", "ä"]
        ),
        max_size=60,
    )
    .map("".join)
    .filter(str.strip)
)


@settings(deadline=None)  # a busy machine is no failure
@given(texts, st.integers(min_value=1, max_value=120))
def test_nothing_is_lost_and_nothing_too_long(body, room):
    parts = parts_of(body, room)
    assert all(len(part.body) <= room for part in parts)
    assert re.sub(r"\s", "", "".join(part.body for part in parts)) == re.sub(r"\s", "", body)
    assert parts == parts_of(body, room)


@pytest.mark.parametrize(
    ("subject", "limit", "shown"),
    [
        ("a subject [abcdefgh]", 60, "a subject [abcdefgh]"),
        ("a rather long subject [abcdefgh]", 20, "a rathe… [abcdefgh]"),
        ("a rather long subject [abcdefgh] (2 of 14)", 30, "a rathe… [abcdefgh] (2 of 14)"),
        ("a rather long subject", 10, "a rather …"),
        ("a rather long subject [abcdefgh]", 5, "fgh]"),
    ],
)
def test_a_subject_that_is_too_long_keeps_its_key_and_its_number(subject, limit, shown):
    short = shorten_subject(subject, limit)
    assert len(short) <= limit
    assert short.endswith(shown[-4:])
    if limit >= 20:
        assert "[abcdefgh]" in short
