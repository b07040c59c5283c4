"""The form in which benchmarks say what they measured."""

import cProfile
import json
import pstats

import pytest

from tests.benchmarks.table import BenchRow, profile, put_table, take_in_turn, tell


def test_bar_is_for_the_ratio_where_something_stands_beside() -> None:
    row = BenchRow(work="scan", measure=70, beside=20, beside_what="bare select", at_most=3.5)

    assert row.ratio == 3.5
    assert row.met
    assert row.cells() == ("scan", "70 ms", "20 ms, bare select", "3.50 times", "≤ 3.5 times", "met")
    assert not BenchRow(work="scan", measure=71, beside=20, beside_what="bare select", at_most=3.5).met


def test_bar_is_for_the_measure_where_nothing_does() -> None:
    row = BenchRow(work="night", measure=131, unit="MiB", at_most=130)

    assert row.cells() == ("night", "131 MiB", "", "", "≤ 130 MiB", "missed")


def test_least_that_a_work_must_reach() -> None:
    assert BenchRow(work="append", measure=50_000, unit="rows/s", at_least=50_000).met
    assert not BenchRow(work="append", measure=1, beside=5, at_least=0.25).met


def test_without_bar_a_figure_is_stated() -> None:
    assert BenchRow(work="celery", measure=3, unit="s").cells()[-1] == "stated"


def test_table_takes_the_place_of_the_last_one() -> None:
    old = put_table("# Figures\n", "scans", [BenchRow(work="old", measure=1)])
    page = put_table(old + "\nText after it.\n", "scans", [BenchRow(work="new", measure=2)])
    page = put_table(page, "rotations", [BenchRow(work="other", measure=3)])

    assert "| old |" not in page
    assert page.index("| new | 2 ms |") < page.index("Text after it.") < page.index("| other | 3 ms |")
    assert page.count("<!-- bench scans -->") == page.count("<!-- /bench scans -->") == 1


def test_only_a_miss_says_where_its_time_goes(capsys: pytest.CaptureFixture[str]) -> None:
    done: list[str] = []
    rows = [
        BenchRow(work="good", measure=1, at_most=1, profile=lambda: done.append("good")),
        BenchRow(work="bad", measure=2, at_most=1, profile=lambda: done.append("bad")),
    ]

    tell("some", rows)

    assert done == ["bad"]
    assert "missed: bad" in capsys.readouterr().out


def test_one_profile_is_made_once_for_all_rows_of_a_work(capsys: pytest.CaptureFixture[str]) -> None:
    done: list[str] = []

    def again() -> None:
        done.append("again")

    tell("some", [BenchRow(work=work, measure=2, at_most=1, profile=again) for work in ("rate", "cost")])

    assert done == ["again"]
    assert "missed: cost\nits time goes where that of this one goes: rate" in capsys.readouterr().out


def test_profile_names_the_costly_function() -> None:
    def burn() -> int:
        return sum(i * i for i in range(20_000))

    assert "burn" in profile(burn)


def test_profile_of_a_work_that_has_profiled_itself_is_that_one() -> None:
    def burn() -> pstats.Stats:
        profiler = cProfile.Profile()
        profiler.runcall(json.dumps, [1])
        return pstats.Stats(profiler)

    told = profile(burn)

    assert "dumps" in told
    assert "burn" not in told


def test_works_are_taken_in_turn() -> None:
    order: list[str] = []

    taken = take_in_turn({"a": lambda: order.append("a"), "b": lambda: order.append("b")}, runs=2)

    assert order == ["a", "b", "a", "b"]
    assert set(taken) == {"a", "b"}
