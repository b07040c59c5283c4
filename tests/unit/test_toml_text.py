"""What is written as TOML is read back as it was."""

import tomllib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from worker.domain.toml_text import is_writable, write_toml

LETTERS = st.characters(exclude_categories=["Cs"])
PARTS = st.recursive(
    st.one_of(
        st.text(LETTERS),
        st.integers(),
        st.booleans(),
        st.floats(allow_nan=False, allow_infinity=False),
    ),
    lambda inner: st.one_of(st.lists(inner), st.dictionaries(st.text(LETTERS, max_size=8), inner)),
    max_leaves=25,
)


@given(st.dictionaries(st.text(LETTERS, max_size=8), PARTS))
def test_it_is_read_back_as_it_was(document):
    assert is_writable(document)
    assert tomllib.loads(write_toml(document)) == document


@pytest.mark.parametrize("part", [None, {"a": None}, [1, [None]], "\ud800", {"\udfff": 1}])
def test_what_it_has_no_words_for_is_known_before(part):
    assert not is_writable({"settings": part})


def test_each_table_has_a_heading_and_long_lists_a_line_for_each():
    windows = [
        "0 2 * * 1-5 for 4h in Europe/Zurich",
        "0 2 * * 6 for 8h in Europe/Zurich",
        "0 3 * * 0 for 2h in UTC",
    ]
    document = {"items": {"api-key:orders": {"owners": ["platform"], "policy": {"windows": windows}}}}

    assert write_toml(document) == (
        '[items."api-key:orders"]\n'
        'owners = ["platform"]\n'
        "\n"
        '[items."api-key:orders".policy]\n'
        "windows = [\n"
        '    "0 2 * * 1-5 for 4h in Europe/Zurich",\n'
        '    "0 2 * * 6 for 8h in Europe/Zurich",\n'
        '    "0 3 * * 0 for 2h in UTC",\n'
        "]\n"
    )
