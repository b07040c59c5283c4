"""A few inputs of each surface by one seed, and that the judge finds what it is there for."""

import time
from pathlib import Path

import pytest
from hypothesis import strategies as st

from tests.fuzz.catalog import SURFACES
from tests.fuzz.judging import BrokenError, judge
from tests.fuzz.rounds import run_round
from tests.fuzz.surfaces import Surface
from vaultcore.errors import InvalidInputError


@pytest.mark.parametrize("name", SURFACES)
def test_whatever_comes_in_is_answered_or_refused_soon(name: str, tmp_path: Path) -> None:
    with SURFACES[name](tmp_path / "own") as surface:
        tried = run_round(surface, seed=20260301, inputs=20)
    assert tried.problem is None, tried.problem
    assert tried.inputs >= 20


def refuse(text: str) -> None:
    raise InvalidInputError(text)


def spin(_: str) -> None:
    ends = time.process_time() + 0.3
    while time.process_time() < ends:
        pass


def spin_on(_: str) -> None:
    while True:
        pass


@pytest.mark.parametrize(
    ("take", "said"),
    [
        (lambda _: refuse(" "), "its error says nothing"),
        (lambda _: refuse("a\n" * 30_000), "its error has"),
        (spin, r"it took 0\.[3-9] s"),
        (spin_on, "it was cut off after 1 s"),
    ],
)
def test_what_is_slow_or_says_nothing_is_found(take, said) -> None:
    with pytest.raises(BrokenError, match=said):
        judge(take, "an input", seconds=0.2)


def test_among_the_pickups_is_a_genuine_one(tmp_path: Path) -> None:
    """Else what is near to it would be tried against nothing."""
    opened: list[object] = []
    with SURFACES["pickups"](tmp_path / "own") as surface:
        watched = Surface(inputs=surface.inputs, take=lambda text: opened.append(surface.take(text)))
        run_round(watched, seed=1)
    assert opened


def test_an_answer_and_a_clear_error_are_right() -> None:
    assert judge(str, "an input") < 1
    assert judge(lambda _: refuse("it is empty: write a name"), "") < 1


def test_what_broke_is_told_with_its_input() -> None:
    broken = Surface(inputs=st.just("the input"), take=lambda text: text[100])
    problem = run_round(broken, seed=1).problem
    assert problem is not None
    assert "input: 'the input'" in problem
    assert "IndexError" in problem
