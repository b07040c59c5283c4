"""Labels: what one may be, how several stand in one line, and by which text a list finds them."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vaultcore.errors import InvalidInputError
from vaultcore.labels import (
    JOINED_MAX,
    LABELS_MAX,
    change_labels,
    compare_labels,
    join_labels,
    join_line,
    parse_label,
    parse_labels,
    parse_match,
    read_labels,
    show_label,
    split_line,
    text_of,
)
from vaultcore.model import Label, LabelMatch

keys = st.from_regex(r"[A-Za-z0-9][A-Za-z0-9._/-]{0,20}", fullmatch=True)
values = st.text(st.sampled_from(" ,\"=aZé0\\'/;"), max_size=20)
labels = st.dictionaries(keys, values, max_size=6).map(read_labels)


@pytest.mark.parametrize(
    ("text", "key", "value"),
    [
        ("env=prod", "env", "prod"),
        ("env", "env", ""),
        ("env=", "env", ""),
        (" env = prod ", "env", "prod"),
        ("app.kubernetes.io/name=a=b", "app.kubernetes.io/name", "a=b"),
        ("9_-./x=é", "9_-./x", "é"),
        ("k" * 63 + "=" + "v" * 100, "k" * 63, "v" * 100),
        ("caf=e\u0301", "caf", "é"),
    ],
)
def test_what_a_label_may_be(text: str, key: str, value: str) -> None:
    assert parse_label(text) == Label(key=key, value=value)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "label key ''"),
        ("=prod", "label key ''"),
        ("-env=prod", "label key '-env'"),
        ("é=prod", "label key 'é'"),
        ("a b=prod", "label key 'a b'"),
        ("k" * 64, "use 1 to 63 letters"),
        ("env\n=prod", "label key 'env"),
        ("env=" + "v" * 101, "label env has a value of 101 characters: 100 at most"),
        ("env=a\nb", r"U\+000A at position 2"),
        ("env=a\0", r"U\+0000 at position 2"),
        ("env=a\u2028b", "LINE SEPARATOR at position 2"),
        ("env=a\u202eb", "RIGHT-TO-LEFT OVERRIDE at position 2"),
        ("env=\ud800", r"U\+D800 at position 1"),
    ],
)
def test_what_no_label_is_is_refused_in_one_line(text: str, says: str) -> None:
    with pytest.raises(InvalidInputError, match=says) as refused:
        parse_label(text)
    assert len(str(refused.value).splitlines()) == 1
    assert str(refused.value).isprintable()


def test_keys_are_told_apart_by_their_case_and_come_in_order() -> None:
    assert [one.key for one in parse_labels(["env=a", "Env=b", "app=c"])] == ["Env", "app", "env"]
    with pytest.raises(InvalidInputError, match="label env is given twice"):
        parse_labels(["env=a", "env=b"])
    assert parse_labels(["env=a", "env=a"]) == (Label(key="env", value="a"),)


def test_an_item_has_so_many_at_most() -> None:
    most = read_labels({f"key-{n}": "" for n in range(LABELS_MAX)})
    assert len(most) == LABELS_MAX
    with pytest.raises(InvalidInputError, match="32 at most, and would have 33"):
        change_labels(most, {"one-more": "x"})
    assert len(change_labels(most, {"one-more": "x", "key-3": None})) == LABELS_MAX


def test_a_change_sets_and_takes_away_and_leaves_the_others() -> None:
    before = parse_labels(["env=prod", "team=a", "kept"])
    after = change_labels(before, {"env": "stage", "team": None, "not-there": None, "new": ""})
    assert list(map(show_label, after)) == ["env=stage", "kept", "new"]
    with pytest.raises(InvalidInputError, match="label key 'a b'"):
        change_labels(before, {"a b": None})


@given(labels, labels)
def test_the_change_between_two_makes_the_second_of_the_first(
    before: tuple[Label, ...], after: tuple[Label, ...]
) -> None:
    change = compare_labels(before, after)
    assert change_labels(before, change) == after
    assert (change == {}) is (before == after)


@given(labels)
def test_a_line_of_them_is_read_as_it_was_written(given_: tuple[Label, ...]) -> None:
    assert parse_labels(split_line(join_line(given_))) == given_


@pytest.mark.parametrize(
    ("line", "parts"),
    [
        ("", []),
        (" , ,", []),
        ("env=prod, team=payments", ["env=prod", "team=payments"]),
        ('note="a, b" ,x', ["note=a, b", "x"]),
        ('note="say ""yes"""', ['note=say "yes"']),
    ],
)
def test_a_value_with_a_comma_stands_in_double_quotes(line: str, parts: list[str]) -> None:
    assert split_line(line) == parts


@pytest.mark.parametrize("line", ['a="open', 'a="b"c', 'a"b"c"d'])
def test_a_line_whose_quotes_cannot_be_meant_is_refused(line: str) -> None:
    with pytest.raises(InvalidInputError, match="labels: write them like env=prod"):
        split_line(line)


matches = st.builds(LabelMatch, key=keys, value=st.none() | values.map(lambda one: one.strip(" ")))


@given(labels, st.data())
def test_the_joined_text_holds_what_matches_and_nothing_else(given_: tuple[Label, ...], data: Any) -> None:
    own = st.sampled_from([(one.key, one.value) for one in given_] or [("x", "")])
    near = own.flatmap(
        lambda one: st.sampled_from(
            [
                LabelMatch(key=one[0], value=one[1]),
                LabelMatch(key=one[0], value=None),
                LabelMatch(key=one[0][:-1] or "x", value=None),
                LabelMatch(key=one[0], value=one[1][:-1]),
            ]
        )
    )
    match = data.draw(near | matches)
    joined = join_labels(given_)
    assert joined is not None
    has = any(one.key == match.key and match.value in (None, one.value) for one in given_)
    assert (text_of(match) in joined) is has


def test_what_is_too_long_for_an_index_is_not_joined() -> None:
    assert join_labels(()) == ""
    long = read_labels({f"key-{n}": "é" * 50 for n in range(4)})
    assert len("".join(one.value for one in long)) < JOINED_MAX
    assert join_labels(long) is not None
    assert join_labels(read_labels({f"key-{n}": "é" * 50 for n in range(5)})) is None


@pytest.mark.parametrize(
    ("text", "value"), [("env", None), ("env=", ""), ("env=prod", "prod"), (" env = prod ", "prod")]
)
def test_a_key_alone_matches_whichever_value(text: str, value: str | None) -> None:
    assert parse_match(text) == LabelMatch(key="env", value=value)
    assert parse_match(show_label(parse_match(text))) == parse_match(text)
