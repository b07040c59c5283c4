"""What benchmarks say, in one form: a work, what it stands beside, their ratio, its bar, and whether it is met.

A benchmark makes `BenchRow`s and hands them to `tell`. With `--write PAGE` (`add_options`) they are written as
a Markdown table, with the date and the machine, between `<!-- bench NAME -->` and `<!-- /bench NAME -->` of it.
"""

import argparse
import cProfile
import io
import os
import platform
import pstats
import re
import statistics
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

_HEADS = ("work", "measured", "beside", "ratio", "bar", "")
_PROFILED = 15
"""How many functions of a work's profile are printed."""


@dataclass(frozen=True, kw_only=True)
class BenchRow:
    """`measure` and `beside` are of one `unit`. The bar is for their ratio, or for `measure` itself where
    nothing stands beside it. `profile` does the work once more, so that a miss can say where its time goes.
    """

    work: str
    measure: float
    unit: str = "ms"
    beside: float | None = None
    beside_what: str = ""
    at_most: float | None = None
    at_least: float | None = None
    profile: Callable[[], object] | None = field(default=None, repr=False, compare=False)

    @property
    def ratio(self) -> float | None:
        return None if self.beside is None else self.measure / self.beside

    @property
    def met(self) -> bool:
        """True where there is no bar: then the figure is stated, no more."""
        value = self.measure if self.ratio is None else self.ratio
        return (self.at_most is None or value <= self.at_most) and (
            self.at_least is None or value >= self.at_least
        )

    def cells(self) -> tuple[str, ...]:
        unit = f" {self.unit}" if self.ratio is None else " times"
        bars = [
            f"{sign} {bar:g}{unit}"
            for sign, bar in (("≤", self.at_most), ("≥", self.at_least))
            if bar is not None
        ]
        return (
            self.work,
            f"{_figure(self.measure)} {self.unit}",
            "" if self.beside is None else f"{_figure(self.beside)} {self.unit}, {self.beside_what}",
            "" if self.ratio is None else f"{self.ratio:.2f} times",
            " and ".join(bars),
            ("met" if self.met else "missed") if bars else "stated",
        )


def _figure(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"


def take_in_turn(works: Mapping[str, Callable[[], object]], *, runs: int) -> dict[str, float]:
    """Median milliseconds of each, the works taken in turn, so that a noisy moment meets them all."""
    taken: dict[str, list[float]] = {name: [] for name in works}
    for _ in range(runs):
        for name, work in works.items():
            began = time.perf_counter()
            work()
            taken[name].append((time.perf_counter() - began) * 1000)
    return {name: statistics.median(times) for name, times in taken.items()}


def add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--write", type=Path, metavar="PAGE", help="write the table into this page, too")


def tell(name: str, rows: Sequence[BenchRow], *, write: Path | None = None) -> None:
    """Prints the rows, and of each that is missed where its time goes; writes the table into a page."""
    cells = [_HEADS, *(row.cells() for row in rows)]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    for line in cells:
        print("  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip())
    for row in rows:
        if not row.met and row.profile is not None:
            print(f"\nmissed: {row.work}\n{profile(row.profile)}")
    sys.stdout.flush()
    if write is not None:
        write.write_text(put_table(write.read_text("utf-8"), name, rows), "utf-8")


def profile(work: Callable[[], object]) -> str:
    """Where the time of a work goes: its costliest functions, by the time of their own."""
    profiler = cProfile.Profile()
    profiler.runcall(work)
    text = io.StringIO()
    pstats.Stats(profiler, stream=text).strip_dirs().sort_stats("tottime").print_stats(_PROFILED)
    return "\n".join(line for line in text.getvalue().splitlines() if line.strip())


def put_table(page: str, name: str, rows: Sequence[BenchRow]) -> str:
    """The page with the table in place of what stands between its marks; without marks it comes to the end."""
    begin, end = f"<!-- bench {name} -->", f"<!-- /bench {name} -->"
    lines = [
        begin,
        f"Measured on {datetime.now(UTC):%Y-%m-%d} on {describe_machine()}.",
        "",
        "| work | measured | beside | ratio | bar | |",
        "| --- | --- | --- | --- | --- | --- |",
        *("| " + " | ".join(row.cells()) + " |" for row in rows),
        end,
    ]
    table = "\n".join(lines)
    between = re.compile(re.escape(begin) + ".*?" + re.escape(end), re.DOTALL)
    if between.search(page):
        return between.sub(lambda _: table, page)
    return f"{page.rstrip()}\n\n{table}\n"


def describe_machine() -> str:
    """Its processor, cores, memory and system, without its name."""
    processor = platform.machine()
    described = Path("/proc/cpuinfo")
    if described.exists():
        named = re.search(r"^model name\s*:\s*(.+)$", described.read_text("utf-8"), re.MULTILINE)
        processor = named[1] if named else processor
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    cores = os.cpu_count() or 1
    return (
        f"{processor}, {cores} core{'s' if cores != 1 else ''}, {memory:.0f} GiB, {platform.system()}, "
        f"Python {platform.python_version()}"
    )
