"""Keys of our own: their shape, their checksum and their digest."""

import hashlib
import hmac
from collections import Counter
from string import ascii_lowercase, ascii_uppercase, digits
from zlib import crc32

import pytest
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st

from vaultcore.crypto import apikeys
from vaultcore.secret import Secret

BASE62 = digits + ascii_uppercase + ascii_lowercase
KNOWN = "wfk_0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefg0tewKi"
"""A key that can never change: keys already given out must go on being recognised."""

quick = settings(deadline=None, max_examples=300)


def checksum_of(text):
    """The checksum by the description of the format, written apart from the module."""
    rest, characters = crc32(text.encode()), []
    for power in reversed(range(6)):
        digit, rest = divmod(rest, 62**power)
        characters.append(BASE62[digit])
    return "".join(characters)


def make_key(body):
    return f"wfk_{body}{checksum_of(f'wfk_{body}')}"


keys = st.text(BASE62, min_size=43, max_size=43).map(make_key)


def test_a_known_key_is_recognised():
    assert make_key("0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefg") == KNOWN
    assert apikeys.looks_real(KNOWN)


def test_a_generated_key_has_the_shape_and_the_checksum():
    key = apikeys.generate()
    assert isinstance(key, Secret)
    assert len(key) == 53
    assert apikeys.PATTERN.fullmatch(key.expose())
    assert apikeys.looks_real(key.expose())
    assert make_key(key.expose()[4:47]) == key.expose()


@quick
@given(keys)
@example(make_key("0" * 43))
def test_every_key_of_the_format_is_recognised(key):
    assert apikeys.looks_real(key)


@quick
@given(key=keys, place=st.integers(0, 52), character=st.sampled_from([*BASE62, "_", "-", "é", "\n"]))
def test_every_substitution_of_one_character_is_told(key, place, character):
    assume(key[place] != character)
    assert not apikeys.looks_real(key[:place] + character + key[place + 1 :])


# Where the random part meets its checksum a swap changes both: there CRC-32 makes no promise.
@quick
@given(key=keys, place=st.integers(0, 51).filter(lambda place: place != 46))
def test_every_swap_of_two_neighbours_is_told(key, place):
    assume(key[place] != key[place + 1])
    swapped = key[:place] + key[place + 1] + key[place] + key[place + 2 :]
    assert not apikeys.looks_real(swapped)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "wfk_",
        KNOWN[:-1],
        KNOWN + "0",
        KNOWN + "\n",
        " " + KNOWN,
        KNOWN.upper(),
        KNOWN.replace("wfk_", "wfk-"),
        KNOWN[:-6] + "000000",
        f"{KNOWN} {KNOWN}",
        "wfk_" + "٣" * 49,
        "wfk_" + "\ud800" * 49,
    ],
)
def test_what_is_no_key_is_not_taken_for_one(text):
    assert not apikeys.looks_real(text)


def test_a_longer_text_with_a_key_in_it_is_none_even_if_its_checksum_is_right():
    text = f"{KNOWN} "
    assert not apikeys.looks_real(text + checksum_of(text))


@pytest.mark.parametrize(
    ("text", "found"),
    [
        (f"Authorization: Bearer {KNOWN}\n", [KNOWN]),
        (f'{{"key":"{KNOWN}","other":"{KNOWN}"}}', [KNOWN, KNOWN]),
        (f"x{KNOWN}", []),
        (f"_{KNOWN}", []),
        (f"{KNOWN}0", []),
        (f"{KNOWN}_", []),
        (f"é{KNOWN}é", [KNOWN]),
    ],
)
def test_the_pattern_finds_whole_keys_in_a_text(text, found):
    assert apikeys.PATTERN.findall(text) == found


def test_generated_keys_use_the_whole_alphabet_alike():
    made = [apikeys.generate().expose() for _ in range(1000)]
    assert len(set(made)) == len(made)
    counts = Counter("".join(key[4:47] for key in made))
    assert set(counts) == set(BASE62)
    # 694 of each are expected, with a deviation of 26: ten deviations are beyond chance.
    assert all(abs(count - 43_000 / 62) < 260 for count in counts.values())
    # Each place varies too: the rarest of 62 in 1,000 draws is not absent from more than a few.
    assert all(len({key[place] for key in made}) > 50 for place in range(4, 47))


def test_the_digest_is_an_hmac_of_the_key_under_the_pepper():
    pepper = bytes(range(32))
    expected = hmac.new(pepper, KNOWN.encode(), hashlib.sha256).digest()
    assert apikeys.digest(Secret(KNOWN), pepper) == expected
    assert len(expected) == 32


@quick
@given(st.text(), st.text(), st.binary(min_size=32, max_size=32), st.binary(min_size=32, max_size=32))
def test_another_key_or_another_pepper_gives_another_digest(one, other, pepper, second):
    assume(one != other and pepper != second)
    digest = apikeys.digest(Secret(one), pepper)
    assert digest != apikeys.digest(Secret(other), pepper)
    assert digest != apikeys.digest(Secret(one), second)


def test_a_text_that_utf8_cannot_write_has_a_digest_too():
    digests = {apikeys.digest(Secret(text), bytes(32)) for text in ("\ud800", "\udfff", "?", "")}
    assert {len(digest) for digest in digests} == {32}
    assert len(digests) == 4
