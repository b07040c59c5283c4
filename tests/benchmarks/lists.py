"""How long a page of a list takes among 100,000 items, and in how much memory. `make bench` prints it.

Each order, and each filter in each order, on SQLite and PostgreSQL: the first page of 50, one in the middle and
the last, by the service that the interface asks. What takes longer than it may is marked as missed.
"""

import argparse
import statistics
import tempfile
import time
import tracemalloc
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from sqlalchemy import func, select, type_coerce
from sqlalchemy.types import NullType

from tests.many_items import fill, make_id
from tests.postgres import create_database, show_for_sqlalchemy, start_postgres
from vaultcore.access import Action, Principal, Role, machine, whose
from vaultcore.cursors import Position, identify_list, write_cursor
from vaultcore.model import LabelMatch, Mode
from vaultcore.tables import items, owners
from worker.bootstrap import Services
from worker.config import load_settings
from worker.domain.item_states import ItemFilter, ItemState
from worker.domain.paging import LIMIT, Page, PageRequest
from worker.installation import initialise
from worker.rows.item_lists import ITEMS, ListedItem, select_wanted

NOW = datetime(2026, 3, 1, 2, 0, tzinfo=UTC)
PAGE_MS = 50.0
SEARCH_MS = 150.0
EVERYBODY = machine("bench")


@dataclass(frozen=True)
class Case:
    """A filter, who looks, and how long a page may take."""

    wanted: ItemFilter = field(default_factory=ItemFilter)
    seen_by: Principal = EVERYBODY
    most_ms: float = PAGE_MS


def _owner(*names: str) -> Principal:
    return Principal(actor="person:bench", roles=frozenset({Role.OWNER}), owners=frozenset(names))


CASES = {
    "all": Case(),
    "owner with half of all": Case(ItemFilter(owners={"team-00"})),
    "owner with a block": Case(ItemFilter(owners={"team-09"})),
    "owner of few": Case(ItemFilter(owners={"team-39"})),
    "seen by an owner of half": Case(seen_by=_owner("team-00")),
    "seen by an owner of few": Case(seen_by=_owner("team-39")),
    "label of half of all": Case(ItemFilter(labels={LabelMatch(key="env", value="prod")})),
    "label of a block": Case(ItemFilter(labels={LabelMatch(key="tier", value="core")})),
    "label of few": Case(ItemFilter(labels={LabelMatch(key="audit", value="yes")})),
    "label that all have": Case(ItemFilter(labels={LabelMatch(key="team", value=None)})),
    "label that nothing has": Case(ItemFilter(labels={LabelMatch(key="none", value=None)})),
    **{f"state {state}": Case(ItemFilter(states={state})) for state in ItemState},
    "mode auto": Case(ItemFilter(modes={Mode.AUTO})),
    "rotator ssh-key": Case(ItemFilter(rotator="ssh-key")),
    "days left 0 to 7": Case(ItemFilter(days_left=(0, 7))),
    "used by a workflow": Case(ItemFilter(used_by=make_id("fl", 7))),
    "begins with prod-service-9": Case(ItemFilter(begins="prod-service-9")),
    "name contains 999": Case(ItemFilter(search="999"), most_ms=SEARCH_MS),
    "name contains what is nowhere": Case(ItemFilter(search="no such name"), most_ms=SEARCH_MS),
    "owner, mode, state and search": Case(
        ItemFilter(owners={"team-00"}, modes={Mode.NOTIFY}, states={ItemState.LAPSED}, search="prod")
    ),
}
SORTS = [*ITEMS.sorts, *(f"-{name}" for name in ITEMS.sorts)]


@contextmanager
def make_services(folder: Path, url: str, number: int) -> Iterator[Services]:
    settings = load_settings(folder, database_url=url)
    initialise(settings, lambda: NOW)
    services = Services(settings, lambda: NOW)
    fill(services.database, number, NOW)
    yield services
    services.close()


def measure(
    services: Services, case: Case, request: PageRequest, runs: int
) -> tuple[list[tuple[float, float]], Page[ListedItem]]:
    """Milliseconds of each of several times, and those of this process at work. The first time, in which rows
    come from the disk, is not counted.
    """
    taken = []
    for _ in range(runs + 1):
        began, worked = time.perf_counter(), time.process_time()
        page = services.lookup.lists.page_items(case.wanted, request, seen_by=case.seen_by)
        taken.append(((time.perf_counter() - began) * 1000, (time.process_time() - worked) * 1000))
    return taken[1:], page


def find_cursor(services: Services, case: Case, sort: str, place: str) -> tuple[bool, str | None]:
    """Whether there is such a page, and the cursor that leads to it: the one in the middle, or the last one."""
    if place == "first":
        return True, None
    key, descending = ITEMS.sorts[sort.removeprefix("-")], sort.startswith("-")
    seen = whose(case.seen_by, Action.ITEM_SEE)
    with services.database.read() as connection:
        ids = {row.name: row.id for row in connection.execute(select(owners.c.id, owners.c.name))}
        seen_by = None if seen is None else [ids[name] for name in seen]
        query, _ = select_wanted(
            connection,
            case.wanted,
            sort,
            now=NOW,
            owner_ids=[ids[name] for name in case.wanted.owners],
            user_id=case.wanted.used_by,
            seen_by=seen_by,
        )
        number = connection.execute(select(func.count()).select_from(query.subquery())).scalar_one()
        at = number // 2 if place == "middle" else number - LIMIT - 1
        if at < LIMIT:
            return False, None
        order = [
            key.is_(None),
            key.desc() if descending else key,
            items.c.id.desc() if descending else items.c.id,
        ]
        raw = type_coerce(key, NullType()) if services.database.is_sqlite else key
        row = connection.execute(
            query.with_only_columns(raw.label("key"), items.c.id).order_by(*order).offset(at).limit(1)
        ).one()
    asked = {**vars(case.wanted), "seen_by": None if seen_by is None else sorted(seen_by)}
    of = identify_list(ITEMS.name, {"sort": sort, **asked})
    return True, write_cursor(Position(key=row.key, id=row.id), of=of)


def measure_all(services: Services, name: str, runs: int) -> int:
    """Prints a line for each case and order; how many took too long."""
    missed = 0
    for title, case in CASES.items():
        for sort in SORTS:
            medians, worst, work = {}, 0.0, 0.0
            for place in ("first", "middle", "last"):
                there, cursor = find_cursor(services, case, sort, place)
                if not there:
                    continue
                taken, page = measure(services, case, PageRequest(sort=sort, cursor=cursor), runs)
                assert all(isinstance(one, ListedItem) for one in page.rows), (title, sort, place)
                assert place == "first" or len(page.rows) == LIMIT
                medians[place] = statistics.median(wall for wall, _ in taken)
                worst = max(worst, *(wall for wall, _ in taken))
                work = max(work, statistics.median(cpu for _, cpu in taken))
            is_missed = max(medians.values()) > case.most_ms
            missed += is_missed
            figures = "  ".join(f"{place} {median:6.1f}" for place, median in medians.items())
            mark = f"  MISSED: {case.most_ms:.0f} ms" if is_missed else ""
            print(
                f"{name:<10} {title:<32} {sort:<12} {figures}  worst {worst:6.1f} ms, work {work:5.1f}{mark}",
                flush=True,
            )
    return missed


def measure_memory(services: Services) -> int:
    """Bytes that a walk over 100 pages holds at its worst, beyond what one page does."""
    peaks = []
    for pages in (1, 100):
        cursor = None
        tracemalloc.start()
        for _ in range(pages):
            page = services.lookup.lists.page_items(ItemFilter(), PageRequest(cursor=cursor), seen_by=EVERYBODY)
            cursor = page.next
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    return peaks[1] - peaks[0]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--items", type=int, default=100_000)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--only", choices=["sqlite", "postgresql"])
    given = parser.parse_args()
    missed = 0
    with tempfile.TemporaryDirectory(prefix="nightkey-bench-") as name, start_postgres() as server:
        for kind in [given.only] if given.only else ["sqlite", "postgresql"]:
            url = "" if kind == "sqlite" else show_for_sqlalchemy(create_database(server, "bench"))
            with make_services(Path(name) / kind, url, given.items) as services:
                measure(services, CASES["all"], PageRequest(), 1)
                print(f"{kind:<10} memory of 100 pages beyond that of one: {measure_memory(services):,} bytes")
                missed += measure_all(services, kind, given.runs)
    print(f"missed: {missed}")


if __name__ == "__main__":
    main()
