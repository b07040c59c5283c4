"""Names: what is refused when it is given, how it is shown then, and which names look like one another."""

import shlex
import unicodedata

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from vaultcore.errors import InvalidInputError
from vaultcore.names import explain_likeness, judge, normalise, skeleton, spellings
from vaultcore.references import Use, find_uses
from worker.domain.commands import quote_word
from worker.workflows.templates import check

COMPOSED, DECOMPOSED = "prod-caf\u00e9", "prod-cafe\u0301"


def judged(name, most=50):
    return judge(name, what="item", least=3, most=most, example="prod-ticketing-api-token")


@pytest.mark.parametrize(
    "name",
    [
        "prod-ticketing-api-token",
        "stripe_production_key",
        "My App's API Token",
        "Third-Party API Key",
        "api-key:incoming-webhook-key",
        "prod-<b>x</b>-token",
        "\u043f\u0440\u043e\u0434-\u043a\u043b\u044e\u0447",
        "\u65e5\u672c\u30ed\u30b4API",
        "\u00b5Service \U0001f511",
        "M\u00fcller & S\u00f6hne",
    ],
)
def test_names_of_every_language_are_taken_as_they_are(name):
    assert judged(name) == name


def test_a_name_is_kept_in_one_spelling():
    assert judged(DECOMPOSED) == COMPOSED
    assert judged("e\u0301" * 50) == "\u00e9" * 50
    assert spellings(DECOMPOSED) == [DECOMPOSED, COMPOSED]
    assert spellings("prod-x") == ["prod-x"]


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("prod\u202exedni", "holds U+202E RIGHT-TO-LEFT OVERRIDE at position 5"),
        ("prod\u2066x", "holds U+2066 LEFT-TO-RIGHT ISOLATE at position 5"),
        ("pro\u200bd", "holds U+200B ZERO WIDTH SPACE at position 4"),
        ("pro\u200dd", "holds U+200D ZERO WIDTH JOINER at position 4"),
        ("pro\u00add", "holds U+00AD SOFT HYPHEN at position 4"),
        ("\ufeffprod", "holds U+FEFF ZERO WIDTH NO-BREAK SPACE at position 1"),
        ("prod\x1b[31m", "holds U+001B at position 5, a control character"),
        ("pr\x00od", "holds U+0000 at position 3"),
        ("prod\nx", "holds U+000A at position 5"),
        ("prod\tx", "holds U+0009 at position 5"),
        ("prod\x85x", "holds U+0085 at position 5"),
        ("prod\u2028x", "holds U+2028 LINE SEPARATOR at position 5"),
        ("prod\u2029x", "holds U+2029 PARAGRAPH SEPARATOR at position 5"),
        ("prod\ue000x", "holds U+E000 at position 5, a character for private use"),
        ("prod\ud800x", "holds U+D800 at position 5, half a character"),
        ("prod\u0378x", "holds U+0378 at position 5, a character that this release does not know"),
        ("prod\u00a0x", "holds U+00A0 NO-BREAK SPACE at position 5"),
        ("prod\u3000x", "holds U+3000 IDEOGRAPHIC SPACE at position 5"),
        ("prod\u3164x", "holds U+3164 HANGUL FILLER at position 5"),
        ("prod\ufe0fx", "holds U+FE0F VARIATION SELECTOR-16 at position 5"),
        ("prod\u2800x", "holds U+2800 BRAILLE PATTERN BLANK at position 5"),
        ("\u0301prod", "begins with U+0301 COMBINING ACUTE ACCENT"),
        (" prod", "has blanks at an end, or two beside each other"),
        ("prod ", "has blanks at an end, or two beside each other"),
        ("prod  x", "has blanks at an end, or two beside each other"),
        ("-prod", "begins with -, as options of a command do"),
        ("\u0440rod", "U+0440 CYRILLIC SMALL LETTER ER and U+0064 LATIN SMALL LETTER D"),
        ("pr\u03bfd", "U+03BF GREEK SMALL LETTER OMICRON"),
        ("ab", "has 2 characters: use 3 to 50"),
        ("x" * 51, "has 51 characters: use 3 to 50"),
    ],
)
def test_what_is_refused_is_shown_with_its_place(name, says):
    with pytest.raises(InvalidInputError) as caught:
        judged(name)
    said = str(caught.value)
    assert says in said
    assert said.isprintable(), "the error itself neither turns nor steers anything"


@pytest.mark.parametrize("name", [".", ".."])
def test_a_step_of_a_path_is_no_name(name):
    with pytest.raises(InvalidInputError, match="step of a path"):
        judge(name, what="owner", least=1, most=100, example="platform")


@given(st.text(max_size=60))
def test_whatever_is_taken_is_shown_as_it_is_and_stays_taken(name):
    try:
        kept = judged(name)
    except InvalidInputError as error:
        assert str(error).isprintable()  # noqa: PT017  # the other outcome is as good
        return
    assert judged(kept) == kept == normalise(kept)
    assert kept.isprintable()
    assert shlex.split(quote_word(kept)) == [kept]


@pytest.mark.parametrize(
    ("name", "other"),
    [
        ("prod-token", "PROD-Token"),
        (COMPOSED, DECOMPOSED),
        ("\u0440\u043e\u0440", "pop"),
        ("\u0391\u0392\u0395", "ABE"),
        ("prod\u2011token", "prod-token"),
        ("prod\u2212token", "prod-token"),
        ("\uff50rod", "prod"),
        ("My App\u2019s Token", "My App's Token"),
        ("stra\u00dfe", "strasse"),
        ("\ufb01le", "file"),
    ],
)
def test_names_that_look_alike_have_one_skeleton(name, other):
    assert skeleton(name) == skeleton(other)
    if name != normalise(other):
        assert "U+" in explain_likeness(name, other) or "nothing" in explain_likeness(name, other)


@pytest.mark.parametrize(
    ("name", "other"),
    [("prod-1", "prod-l"), ("prod-0", "prod-o"), (COMPOSED, "prod-cafe"), ("prod-x", "prod_x"), ("a b", "ab")],
)
def test_names_that_a_reader_tells_apart_have_two(name, other):
    assert skeleton(name) != skeleton(other)


@given(st.text(max_size=30))
@example("\u0345")  # a mark that is a letter once its case is folded
@example("\u0390")  # iota with two accents in one
def test_a_skeleton_is_the_same_for_every_spelling(name):
    assert skeleton(unicodedata.normalize("NFD", name)) == skeleton(normalise(name))
    assert skeleton(skeleton(name)) == skeleton(name)


# In templates


def test_a_name_with_an_apostrophe_is_written_in_double_quotes():
    template = """{{ vault["My App's API Token"] | base64_encode }}"""
    assert find_uses(template) == check(template) == (Use(name="My App's API Token"),)


@pytest.mark.parametrize(
    ("template", "suggests"),
    [
        ("{{ vault.bad name }}", "{{ vault['bad name'] }}"),
        ("Bearer {{ vault.bad name | upcase }}", "{{ vault['bad name'] }}"),
        ("{{ vault.My App's API Token }}", """{{ vault["My App's API Token"] }}"""),
        ("{{ vault.api-key:partner }}", "{{ vault['api-key:partner'] }}"),
        ("{{ vault.prod-<b>x</b>-token }}", "{{ vault['prod-<b>x</b>-token'] }}"),
        ("{% if vault.bad name %}x{% endif %}", "{{ vault['bad name'] }}"),
    ],
)
def test_a_name_that_needs_quotes_is_answered_with_them(template, suggests):
    for look in (find_uses, check):
        with pytest.raises(InvalidInputError) as caught:
            look(template)
        assert f"is written in quotes: {suggests}" in str(caught.value)
        assert str(caught.value).startswith("line 1, column ")
    assert find_uses(suggests), "what it says to write is right"


def test_a_name_that_an_older_release_took_is_still_found_in_a_template():
    old = "prod\u00a0crm\u200b"
    assert find_uses(f"{{{{ vault['{old}'] }}}}") == (Use(name=old),)
