"""How many parts a body has, told before it is read."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from worker.web.payload import PARTS_MAX, count_parts

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(alphabet='a",:[]{}\\\u20ac'),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(alphabet='a",:[]{}\\'), inner),
)


def parts_of(data):
    if isinstance(data, dict):
        return 1 + sum(1 + parts_of(value) for value in data.values())
    return 1 + sum(map(parts_of, data)) if isinstance(data, list) else 1


@given(JSON, st.booleans())
def test_it_is_never_fewer_than_there_are_and_at_most_twice_as_many(data, escaped):
    counted = count_parts(json.dumps(data, ensure_ascii=escaped).encode())
    assert parts_of(data) <= counted <= 2 * parts_of(data)


@pytest.mark.parametrize(
    "body",
    [
        b"[" * (PARTS_MAX + 1),
        b"[]," * PARTS_MAX,
        b'"",' * PARTS_MAX,
        b'{"a":' * PARTS_MAX,
        b'"\\"",' * PARTS_MAX,
        b'"\\\\",' * PARTS_MAX,
    ],
)
def test_too_many_are_told_whatever_they_are(body):
    assert count_parts(body) > PARTS_MAX


@pytest.mark.parametrize(
    "text", ["[]{},:" * 150_000, '"' * 500_000, "\\" * 500_000, '\\"' * 250_000, "x" * 10**6]
)
def test_what_stands_in_a_text_is_none(text):
    assert count_parts(json.dumps([text]).encode()) == 2
