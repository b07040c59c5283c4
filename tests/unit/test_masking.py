"""No encoding of a value is left in what a run gives back."""

import base64
import json
from urllib.parse import quote, quote_plus

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from vaultcore.secret import Secret
from worker.workflows.masking import LEARNED_MAX, MASK, Masker, conceal, cut
from worker.workflows.templates import Rendered, Scope, render

VALUE = "s3cr3t/Välue+77"


def masker(*values):
    return Masker([Secret(value) for value in values])


def base64_of(encode, before):
    return lambda value: encode(b"?" * before + value.encode() + b"!!").decode()


ENCODINGS = {
    "raw": str,
    "json": lambda v: json.dumps(v)[1:-1],
    "json-unicode": lambda v: json.dumps(v, ensure_ascii=False)[1:-1],
    "json-twice": lambda v: json.dumps(json.dumps(v))[1:-1],
    "json-slashes": lambda v: json.dumps(v)[1:-1].replace("/", "\\/"),
    "quote": quote,
    "quote-all": lambda v: quote(v, safe=""),
    "quote-lower": lambda v: "".join(f"%{b:02x}" for b in v.encode()),
    "quote-plus": quote_plus,
    "quote-twice": lambda v: quote(quote(v, safe=""), safe=""),
    "hex": lambda v: v.encode().hex(),
    "HEX": lambda v: v.encode().hex().upper(),
    **{
        f"{name}-{before}": base64_of(encode, before)
        for name, encode in (("base64", base64.b64encode), ("urlsafe", base64.urlsafe_b64encode))
        for before in range(3)
    },
    "base64-unpadded": lambda v: base64.b64encode(v.encode()).decode().rstrip("="),
    "base64-lines": lambda v: base64.encodebytes(v.encode()).decode(),
}
VALUES = st.text(st.characters(exclude_categories=["Cs"]), min_size=4, max_size=60)
TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=30)


@given(st.sampled_from(sorted(ENCODINGS)), VALUES, TEXTS, TEXTS)
def test_no_encoding_of_a_value_is_left(encoding, value, before, after):
    encoded = ENCODINGS[encoding](value)
    assume(encoded not in MASK)
    text = f"{before}{encoded}{after}"
    masked = masker(value).mask(text)
    assert encoded not in masked
    assert MASK in masked or value in MASK


@given(st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=3), TEXTS, TEXTS)
def test_a_short_value_masks_the_whole_string(value, before, after):
    assert masker(value).mask(f"{before}{value}{after}") == MASK


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | TEXTS,
        lambda inner: st.lists(inner) | st.dictionaries(TEXTS, inner),
    )
)
def test_what_holds_no_value_is_left_as_it_is(data):
    value = "a value that no test text holds 4711"
    assume("4711" not in json.dumps(data))
    assert masker(value).mask(data) == data


@pytest.mark.parametrize(
    ("values", "data", "masked"),
    [
        (["abcdefgh"], {"abcdefgh": ["x abcdefgh y", 1, None, True]}, {MASK: [f"x {MASK} y", 1, None, True]}),
        (["abcdefgh"], {"abcdefgh": 1, "6162636465666768": 2}, {MASK: 1, MASK * 2: 2}),
        (["abcdef", "defghi"], "<abcdefghi>", f"<{MASK}>"),
        (["abcdefgh"], "abcdefghabcdefgh", MASK),
        (["abcdefgh"], "x ABCDEFGH", MASK),
        (["12345678"], {"pin": 12345678, "n": 123456789, "m": 5}, {"pin": MASK, "n": MASK, "m": 5}),
        ([" padded-value "], "x=padded-value;", f"x={MASK};"),
        (["-----BEGIN KEY-----\nMIIEvQIBADANBgkqhkiG\n"], "MIIEvQIBADANBgkqhkiG", MASK),
        (["a&b<c>d'e"], "a&amp;b&lt;c&gt;d&#x27;e", MASK),
        ([], {"a": "b"}, {"a": "b"}),
        (["abcdefgh"], Secret("other"), "[Secret]"),
    ],
)
def test_masks(values, data, masked):
    assert masker(*values).mask(data) == masked


@pytest.mark.parametrize(
    "template",
    [
        "{{ vault.prod-x | upcase }}",
        "Basic {{ 'user:' | append: vault.prod-x | base64_encode }}",
        "{{ vault.prod-x | slice: 2, 9 }}",
        "{{ vault.prod-x | replace: '3', '_' | url_encode }}",
        "Digest abc {{ vault.prod-x | truncate: 9, '' }}",
    ],
)
def test_learns_what_filters_make_of_a_value(template):
    values = {"prod-x": Secret(VALUE)}
    rendered = render(template, Scope(context={}, values=values))
    masking = Masker(values.values())
    masking.learn(rendered)
    assert masking.mask(rendered.text) == MASK
    made = rendered.text.split()[-1]
    assert made not in masking.mask({"echo": f"got {made}"})["echo"]


def test_learns_nothing_that_the_template_says_itself():
    masking = masker("abcdefgh")
    masking.learn(
        Rendered(text="Authorization abcdefgh", template="Authorization {{ vault.prod-x }}", holds_value=True)
    )
    assert masking.mask("Authorization header") == "Authorization header"


def test_masks_everything_rather_than_miss_some_of_too_much():
    masking = masker("abcdefgh")
    words = " ".join(f"word-{n:05}" for n in range(LEARNED_MAX + 1))
    masking.learn(Rendered(text=words, template="{{ vault.prod-x }}", holds_value=True))
    assert masking.mask({"a": ["unrelated", 1]}) == {MASK: [MASK, MASK]}


def test_concealing_leaves_the_shape():
    assert conceal({"a": ["b", 1, None, True]}) == {"a": [MASK, MASK, None, True]}


def test_cut_leaves_what_is_short_and_marks_what_is_not():
    assert cut({"a": 1}, 20) == {"a": 1}
    shown = cut({"a": "é" * 100}, 50)
    assert len(shown.encode()) <= 50
    assert shown.endswith("… [cut]")
