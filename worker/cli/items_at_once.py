"""Several items at once: what will happen to them is shown, asked about once, and done page by page."""

import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, TypeVar

import typer

from vaultcore.access import machine
from vaultcore.errors import NightkeyError, RefusedError
from worker.cli.cells import show_cell
from worker.cli.changes import read_change
from worker.cli.inputs import demand_yes
from worker.cli.output import interruptible, note, print_json, print_lines, print_table
from worker.cli.screen import AnswerForm, screen
from worker.cli.session import who
from worker.domain.at_once import PAGE, ItemOutcome, group_changes, group_refused
from worker.domain.changes import ItemChange
from worker.domain.item_states import ItemFilter
from worker.wording.changes import describe_group, describe_outcome, say_change, say_outcomes
from worker.wording.parts import say_count
from worker.wording.plain import Shape

if TYPE_CHECKING:
    from worker.bootstrap import Services
    from worker.cli.far.server import FarServer

T = TypeVar("T")
U = TypeVar("U")
Change = Callable[[Sequence[ItemOutcome]], list[ItemOutcome]]
_PATH: Final = "/nightkey/changes"
EACH_MAX: Final = 10
"""So many items are shown one by one; of more, what changes for how many."""
_TOLD_MAX: Final = 10
"""Reasons why items are refused."""


@dataclass(frozen=True, kw_only=True)
class ChangeOptions:
    """How a command goes on once it is known what would happen. `skips`: what is refused is left as it is."""

    dry_run: bool
    yes: bool
    skips: bool
    json: bool


@dataclass(frozen=True, kw_only=True)
class Foreseen:
    """What would become of each item; `unread`: what may be meant, and cannot be read; `change`: does it."""

    outcomes: Sequence[ItemOutcome]
    unread: Sequence[str]
    change: Change


def foresee_here(
    services: "Services", names: Sequence[str], wanted: ItemFilter, change: ItemChange
) -> Foreseen:
    at_once, principal = services.bulk.items_at_once, machine(who())
    found, unread = at_once.select(principal, names, wanted)

    def do(page: Sequence[ItemOutcome]) -> list[ItemOutcome]:
        return at_once.change(principal, {one.id: frozenset({one.revision}) for one in page}, change)

    return Foreseen(
        outcomes=at_once.foresee(principal, list(found), change),
        unread=[str(error) for error in unread],
        change=do,
    )


def foresee_there(server: "FarServer", names: Sequence[str], where: Shape, change: Shape) -> Foreseen:
    asked = {"items": list(names), "where": where, "change": change}
    answer = server.post(_PATH, "preview", body=asked, long=True)

    def do(page: Sequence[ItemOutcome]) -> list[ItemOutcome]:
        seen = {one.id: one.revision for one in page}
        return [_read(row) for row in server.post(_PATH, body={"seen": seen, "change": change}, long=True)]

    return Foreseen(outcomes=[_read(row) for row in answer["items"]], unread=list(answer["unread"]), change=do)


def _read(row: Shape) -> ItemOutcome:
    return ItemOutcome(
        id=row["id"],
        name=row["name"],
        changes=tuple(read_change(one) for one in row["changes"]),
        why=row["why"],
        revision=row["revision"],
    )


def carry_out(foreseen: Foreseen, options: ChangeOptions) -> None:
    """Shows what will happen, asks once, and does it: pages of items, each of them whole. With one that is
    refused nothing is changed at all, unless it is to be left as it is.
    """
    outcomes = foreseen.outcomes
    for sentence in foreseen.unread:
        note(f"nightkey: {sentence}")
    if not options.json:
        _show(outcomes)
    refused = [one for one in outcomes if one.why is not None]
    wanted = [one for one in outcomes if one.changes]
    if options.dry_run or not (wanted or refused):
        if options.json:
            _print_document(outcomes, done=[], dry_run=options.dry_run)
        _end(refused, foreseen.unread)
        return
    if refused and not (options.skips and wanted):
        raise RefusedError(
            f"nothing was changed, since {say_count(len(refused), 'item')} cannot be, such as "
            f"{_name_first(refused[0])}{'; --skip-refused changes the others' if wanted else ''}"
        )
    demand_yes(f"Change {say_count(len(wanted), 'item')}?", yes=options.yes)
    done = do_by_pages(wanted, foreseen.change)
    if options.json:
        _print_document(outcomes, done=done, dry_run=False)
    else:
        print_lines([f"{say_count(len(done), 'item')} changed"])
    _end(refused, foreseen.unread)


def do_by_pages(
    wanted: Sequence[T], change: Callable[[Sequence[T]], list[U]], *, verb: str = "changed"
) -> list[U]:
    """What came of each. What comes up after the first page says how far it went."""
    done: list[U] = []
    problem: NightkeyError | None = None
    with interruptible(
        lambda: f"after {len(done):,} of {say_count(len(wanted), 'item')}: the same command does the rest"
    ):
        for start in range(0, len(wanted), PAGE):
            try:
                done += change(wanted[start : start + PAGE])
            except NightkeyError as error:
                if not done:
                    raise
                problem = error
                break
            _show_progress(len(done), len(wanted))
    if problem is not None:
        raise RefusedError(
            f"{problem}. {say_count(len(done), 'item')} {verb}, and {len(wanted) - len(done):,} left as they "
            "were: the same command does the rest"
        )
    return done


def _show_progress(done: int, of: int) -> None:
    """To a person alone, and only where it takes a while."""
    if of > PAGE and sys.stderr is not None and sys.stderr.isatty():
        note(f"nightkey: {done:,} of {of:,} items")


def _end(refused: Sequence[ItemOutcome], unread: Sequence[str]) -> None:
    if refused or unread:
        raise typer.Exit(1)


def _show(outcomes: Sequence[ItemOutcome]) -> None:
    """Item by item, or in few lines where there are many."""
    if not outcomes:
        print_lines(["no item is like that"])
        return
    changing = [one for one in outcomes if one.changes]
    if changing and (len(changing) <= EACH_MAX or screen().form is AnswerForm.WIDE):
        rows: list[Shape] = [
            {"item": one.name, "change": say_change(change, show=show_cell)}
            for one in changing
            for change in one.changes
        ]
        print_table(rows, ("item", "change"), "")
    elif changing:
        groups = [describe_group(one, show=show_cell) for one in group_changes(changing)]
        columns = ("change", "before", "after", "items", "for_example")
        print_table(groups, columns, "", spare=("for_example",))
    refused = group_refused((one.name, one.why) for one in outcomes)
    if refused:
        print_lines([""] if changing else [])
        print_refused(refused)
    print_lines(["", say_outcomes(outcomes)] if changing or refused else [say_outcomes(outcomes)])


def print_refused(refused: Sequence[tuple[str, tuple[str, ...]]]) -> None:
    """Why, each with those for which it is so."""
    told = [{"refused": why, "items": len(names), "for_example": names[0]} for why, names in refused]
    print_table(told[:_TOLD_MAX], ("refused", "items", "for_example"), "")
    if len(told) > _TOLD_MAX:
        print_lines([f"and for {len(told) - _TOLD_MAX:,} other reasons: -o json has them all"])


def _name_first(one: ItemOutcome) -> str:
    why = one.why or ""
    return why if why.startswith(one.name) else f"{one.name}: {why}"


def _print_document(outcomes: Sequence[ItemOutcome], *, done: Sequence[ItemOutcome], dry_run: bool) -> None:
    came = {one.id: one for one in done}
    rows = [describe_outcome(came.get(one.id, one)) for one in outcomes]
    for row in rows:
        row["done"] = row["id"] in came
        del row["revision"]
    print_json({"dry_run": dry_run, "items": rows})
