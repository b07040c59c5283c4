"""No encoding of a value is left in what a run gives back."""

import base64
import json
import math
import time
from urllib.parse import quote, quote_plus

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from vaultcore.secret import Secret
from worker.workflows.bare import BARE_MIN, bare
from worker.workflows.learning import LEARNED_CHARS_MAX, LEARNED_MAX
from worker.workflows.masking import DEPTH_MAX, MASK, Masker, conceal, cut
from worker.workflows.templates import Rendered, Scope, render

VALUE = "s3cr3t/Välue+77"


def masker(*values):
    return Masker([Secret(value) for value in values])


def base64_of(encode, before):
    return lambda value: encode(b"?" * before + value.encode() + b"!!").decode()


def in_labels(text, size, between):
    """As a host's name holds what is too long for a part of it."""
    return between.join(text[start : start + size] for start in range(0, len(text), size))


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
IN_HOSTS = {
    "reversed": lambda v: v[::-1],
    "swapped-case": str.swapcase,
    "base64-lower": lambda v: base64.b64encode(v.encode()).decode().lower(),
    "base32": lambda v: base64.b32encode(v.encode()).decode().rstrip("="),
    "base32-lower": lambda v: base64.b32encode(v.encode()).decode().rstrip("=").lower(),
    "hex-dots": lambda v: in_labels(v.encode().hex(), 8, "."),
    "hex-dashes": lambda v: in_labels(v.encode().hex(), 2, "-"),
    "base64-labels": lambda v: in_labels(base64.urlsafe_b64encode(v.encode()).decode().rstrip("="), 5, "."),
    "hex-labels": lambda v: in_labels(b"?".hex() + v.encode().hex(), 63, "."),
    "base64-lower-2": lambda v: base64.b64encode(b"??" + v.encode()).decode().lower(),
    "base32-3": lambda v: base64.b32encode(b"???" + v.encode()).decode().lower().rstrip("="),
}
"""What a service can make of a value where letters have one case, and words one length."""
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


@given(st.sampled_from(sorted(IN_HOSTS)), st.text(st.characters(codec="ascii"), min_size=12, max_size=90))
def test_no_form_that_a_hosts_name_can_take_is_left(encoding, value):
    encoded = IN_HOSTS[encoding](value)
    assume(len(bare(encoded)) > 1.2 * BARE_MIN + 4)
    for text in (f"{encoded}.example.org", f"a redirect to http://x.{encoded}.example.org:80/ was refused"):
        masked = masker(value).mask(text)
        assert MASK in masked
        assert encoded not in masked


def test_a_name_of_another_alphabet_is_known_by_its_punycode():
    value = "geheimes-Schlüßel-wort"
    for name in (value.encode("punycode").decode(), value.casefold().encode("punycode").decode()):
        assert masker(value).mask({"Location": f"https://xn--{name}.example.org/"}) == {"Location": MASK}


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
        (["abcdefgh"], {"abcdefgh": 1, "6162636465666768": 2}, {MASK: 1, f"{MASK} (2)": 2}),
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


ANY_VALUE = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=80) | st.sampled_from(
    [
        "quo\"ted\\value's",
        "a.*b+c?[d](e){2}^$|\\1",
        "pässwörd-\u4e2d\u6587-\U0001f511",
        "line one\nline two\r\n",
        "100%+tax/2?a=b&c#d",
        "</script>&amp;",
        "12345678",
        "[masked]",
        "\u2028\x7f\x00",
    ]
)


@given(ANY_VALUE, st.binary(max_size=40), st.binary(max_size=40), st.booleans(), TEXTS)
def test_no_base64_that_is_left_decodes_to_a_value_whatever_bytes_stood_around_it(
    value, before, after, urlsafe, around
):
    raw = value.encode()
    assume(len(raw) >= 6)
    encode = base64.urlsafe_b64encode if urlsafe else base64.b64encode
    masked = masker(value).mask(f"{around} {encode(before + raw + after).decode()} {around}")
    for word in masked.split():
        for start in range(4):
            usable = "".join(c for c in word[start:] if c.isascii() and (c.isalnum() or c in "+/-_"))
            cut_to = usable[: len(usable) // 4 * 4].translate(str.maketrans("-_", "+/"))
            assert raw not in base64.b64decode(cut_to)


@given(
    ANY_VALUE,
    st.sampled_from(["raw", "json", "json-unicode", "quote-all", "quote-plus", "hex", "HEX"]),
    TEXTS,
    TEXTS,
)
def test_a_value_of_any_length_is_masked_in_keys_and_in_strings(value, encoding, before, after):
    encoded = ENCODINGS[encoding](value)
    assume(not any(encoded in mark for mark in (MASK, MASK * 2, MASK * 3)))
    text = f"{before}{encoded}{after}"
    masked = masker(value).mask({text: [text, {"a": text}], "plain": text})
    if masked == MASK:
        return  # a value of one character stands in every name that could be given: nothing is shown at all
    found = json.dumps([[*masked], [*masked.values()]], ensure_ascii=False)
    for shown in (*masked, *masked.values(), masked.get("plain")):
        assert encoded not in (shown if isinstance(shown, str) else "")
    assert value in MASK or MASK in found


@given(st.integers() | st.floats(allow_nan=False), st.integers(1, 10**12))
def test_a_number_is_masked_when_it_holds_the_value_and_else_left(number, value):
    masked = masker(str(value)).mask([number, value])
    assert masked[1] == MASK
    if str(value) in str(number):
        assert masked[0] == MASK
    elif len(str(value)) >= 4:
        assert masked[0] == number or math.isinf(number)


@pytest.mark.parametrize("number", [math.nan, math.inf, -math.inf])
def test_a_number_that_json_cannot_hold_becomes_text(number):
    json.dumps(masker("abcdefgh").mask({"a": [number]}), allow_nan=False)
    assert masker("abcdefgh").mask(number) == str(number)


@pytest.mark.parametrize("wrap", [lambda data: [data], lambda data: {"a": data}], ids=["list", "object"])
def test_what_lies_deeper_than_the_limit_is_left_out(wrap):
    data = "abcdefgh"
    for _ in range(DEPTH_MAX):
        data = wrap(data)
    shown = masker("abcdefgh").mask(data)
    assert (MASK in json.dumps(shown), "nested too deeply" in json.dumps(shown)) == (True, False)
    for _ in range(3000):
        data = wrap(data)
    shown = json.dumps(masker("abcdefgh").mask(data))
    assert "nested too deeply" in shown
    assert "abcdefgh" not in shown


@pytest.mark.parametrize(
    ("template", "made"),
    [
        ("{{ vault.prod-x | upcase | base64_encode }}", "UzNDUjNUL1bDhExVRSs3Nw"),
        ("user={{ vault.prod-x | upcase | base64_encode }}&a=b", "UzNDUjNUL1bDhExVRSs3Nw"),
        (
            "https://example.test/{{ vault.prod-x | base64_encode | base64_encode }}/x",
            "Y3pOamNqTjBMMWJEcEd4MVpTczNOdz09",
        ),
        ('{"a": "{{ vault.prod-x | base64_encode | base64_encode }}"}', "Y3pOamNqTjBMMWJEcEd4MVpTczNOdz09"),
    ],
)
def test_learns_what_filters_made_of_a_value_wherever_in_the_field_it_stands(template, made):
    values = {"prod-x": Secret(VALUE)}
    rendered = render(template, Scope(context={}, values=values))
    assert made in rendered.text
    masking = Masker(values.values())
    assert made in masking.mask(f"got {made}")
    masking.learn(rendered)
    assert made not in masking.mask(f"got {made}")


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


PEM = "-----BEGIN PRIVATE KEY-----\n" + "\n".join(f"{n:03}Line/of+a=key" * 4 for n in range(240))
PEM += "\n-----END PRIVATE KEY-----\n"
ACCOUNT = json.dumps(
    {"type": "service", "private_key": PEM, "nested": [{"secret": "one-of-many-parts"}], "pin": 1234567890}
)


@pytest.mark.parametrize("value", [PEM, ACCOUNT])
@pytest.mark.parametrize("shown", [str, lambda text: json.dumps({"said": text}), quote])
def test_key_material_is_masked_whole_and_line_by_line(value, shown):
    masking = masker(value)
    masking.learn(Rendered(text=value, template="{{ vault.prod-x }}", holds_value=True))
    masked = masking.mask(
        {"whole": shown(value), "lines": [shown(line) for line in PEM.splitlines()[1:-1]], "other": "unrelated"}
    )
    assert set(masked["lines"]) <= {MASK, json.dumps({"said": MASK})}
    assert "Line/of+a=key" not in json.dumps(masked)
    assert masked["other"] == "unrelated"


def test_what_a_json_document_holds_is_masked_when_it_is_handed_on_part_by_part():
    masked = masker(ACCOUNT).mask(json.loads(ACCOUNT))
    assert masked == {"type": "service", "private_key": MASK, "nested": [{"secret": MASK}], "pin": MASK}


def test_what_filters_make_of_key_material_is_learned():
    masking = masker(PEM)
    made = base64.b64encode(b"user:" + PEM.encode()).decode()
    masking.learn(Rendered(text=f"Basic {made}", template="Basic {{ x }}", holds_value=True))
    assert masking.mask(f"got {made[:-8]}") != f"got {made[:-8]}"
    assert masking.mask("something unrelated") == "something unrelated"


def test_concealing_leaves_the_shape():
    assert conceal({"a": ["b", 1, None, True]}) == {"a": [MASK, MASK, None, True]}


def test_cut_leaves_what_is_short_and_marks_what_is_not():
    assert cut({"a": 1}, 20) == {"a": 1}
    shown = cut({"a": "é" * 100}, 50)
    assert len(shown.encode()) <= 50
    assert shown.endswith("… [cut]")


# In proportion to what it is given

KEY = "wfk_0Q2hbVn8sJr6uTz1LkXyWc4fPd7gMe3aBtRo5iNqEvY9A2C4x"
OTHERS = [f"value-{n:04}-of-many-items-0123456789" for n in range(100)]


GROWN = " ".join(f"word-{n}" for n in range(9000))
"""A page of words, each another one."""

HOSTILE = {
    "keys-that-become-one": lambda n: {KEY.swapcase() + str(number): number for number in range(n // 60)},
    "keys-with-the-value": lambda n: {f"{KEY}%20{number}": number for number in range(n // 60)},
    "keys-that-are-counted": lambda n: {
        **{f"{MASK} ({number})": number for number in range(n // 120)},
        **{KEY.swapcase() + str(number): number for number in range(n // 120)},
    },
    "hits": lambda n: f"{KEY} " * (n // 54),
    "one-word": lambda n: KEY * (n // 53),
    "hits-in-hex": lambda n: f"{KEY.encode().hex()}-" * (n // 107),
    "nearly-hits": lambda n: f"{KEY[:-1]}-" * (n // 53),
    "one-letter": lambda n: "a" * n,
    "two-letters": lambda n: "ab" * (n // 2),
    "url-twice": lambda n: "%2541" * (n // 5),
    "json-twice": lambda n: "\\\\u0041" * (n // 7),
    "html": lambda n: "&thisisalongnameofnothing" * (n // 25),
    "all-at-once": lambda n: "%5c+\\u0026#x25;&amp;" * (n // 20),
    "blanks": lambda n: " a" * (n // 2),
    "small-texts": lambda n: [f"t%{number}" for number in range(n // 8)],
    "small-objects": lambda n: [{"id": number, "name": "x-y-z"} for number in range(n // 30)],
}


def seconds_of(work, argument):
    began = time.process_time()
    work(argument)
    return time.process_time() - began


@pytest.mark.parametrize("kind", HOSTILE)
def test_four_times_as_much_takes_four_times_the_time_and_not_sixteen(kind):
    masking = masker(KEY, *OTHERS, "a" * 2000, "ab" * 900, "aaaaab")
    masking.mask("all that is looked for")
    small, large = HOSTILE[kind](60_000), HOSTILE[kind](240_000)
    first = min(seconds_of(masking.mask, small) for _ in range(2))
    assert min(seconds_of(masking.mask, large) for _ in range(2)) < 10 * max(first, 0.03)


def test_no_text_in_which_words_begin_everywhere_takes_long():
    words = " ".join("a" * length for length in range(8, 400))
    masking = masker(KEY)
    masking.learn(Rendered(text=words, template="{{ vault.prod-x }}", holds_value=True))
    assert masking.mask("b" * 300_000) == "b" * 300_000
    assert masking.mask("a" * 300_000) == MASK


def test_keys_that_become_one_are_told_apart_by_a_number_that_is_taken_by_none():
    data = {KEY: 1, f"{MASK} (2)": 2, KEY.swapcase(): 3, KEY.encode().hex(): 4, "other": 5}
    assert masker(KEY).mask(data) == {
        MASK: 1,
        f"{MASK} (2)": 2,
        f"{MASK} (3)": 3,
        f"{MASK} (4)": 4,
        "other": 5,
    }


def test_no_number_of_a_key_spells_a_value():
    keys = [KEY.swapcase() + "-" * n for n in range(30)]
    masked = masker(KEY, "(12)", "3").mask(dict.fromkeys(keys, 1))
    assert len(masked) == len(keys)
    assert not [key for key in masked if "(12)" in key or "3" in key]
    digits = masker(KEY, *"0123456789").mask(dict.fromkeys(keys, 1))
    assert digits == MASK, "where every number does, nothing of it is shown"


def test_what_is_not_looked_at_in_time_is_masked_whole():
    data = {"a": ["unrelated", 1, None, True, ""], "b": {"c": 2.5}}
    assert masker(KEY).mask(data, until=time.monotonic() - 1) == {
        MASK: [MASK, MASK, None, True, ""],
        f"{MASK} (2)": {MASK: MASK},
    }
    assert masker(KEY).mask(data, until=time.monotonic() + 600) == data


@pytest.mark.parametrize(
    ("text", "template"),
    [
        ("x y " * LEARNED_CHARS_MAX, "{{ vault.prod-x }}"),
        (" ".join(GROWN[n : n + 9] for n in range(60_000)), GROWN.replace(" ", "_")),
    ],
    ids=["more-characters", "more-words-than-can-be-looked-for"],
)
def test_what_is_too_much_to_be_learned_masks_everything(text, template):
    masking = masker(KEY)
    began = time.process_time()
    masking.learn(Rendered(text=text, template=template, holds_value=True))
    assert time.process_time() - began < 10
    assert masking.mask({"a": "unrelated"}) == {MASK: MASK}
    assert Masker.recall(masking.keep()).mask("unrelated") == MASK


@pytest.mark.parametrize("digits", ["9" * 5_000, "0" * 5_000 + "65", "9" * 8])
def test_a_number_of_html_may_have_thousands_of_digits(digits):
    value = Secret("s3cr3t-Value_01")
    assert Masker([value]).mask(f"&#{digits}; s3cr3t-Value_01") == f"&#{digits}; [masked]"


def test_a_value_behind_numbers_of_html_with_many_zeros_is_found():
    value = "s3cr3t-Value_01"
    written = "".join(f"&#{'0' * 20}{ord(char)};" for char in value)
    assert "[masked]" in Masker([Secret(value)]).mask(written)
