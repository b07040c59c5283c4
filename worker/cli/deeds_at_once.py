"""Several items rotated or deleted: what will be done to each is shown, asked about once, and done."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Generic, TypeVar

import typer

from vaultcore.errors import RefusedError
from worker.cli.inputs import demand_yes
from worker.cli.item_filters import query_of
from worker.cli.items_at_once import EACH_MAX, print_refused
from worker.cli.output import note, print_json, print_lines, print_table
from worker.cli.screen import AnswerForm, screen
from worker.domain.at_once import group_refused, shorten_why
from worker.domain.deeds import DeedKind, ForeseenDeed, group_deeds
from worker.domain.item_states import ItemFilter
from worker.wording.deeds import ask_for_deeds, describe_deed, say_deeds, show_deed, show_deed_group
from worker.wording.parts import say_count
from worker.wording.plain import Shape

T = TypeVar("T")
Yes = Annotated[bool, typer.Option("--yes", help="Do not ask.")]
SkipRefused = Annotated[
    bool,
    typer.Option("--skip-refused", help="Of several: go on with the others where one is refused."),
]


@dataclass(frozen=True, kw_only=True)
class DeedOptions:
    """How a command goes on once it is known what would be done. `skips`: what is refused is left as it is."""

    dry_run: bool
    yes: bool
    skips: bool
    json: bool


@dataclass(frozen=True, kw_only=True)
class ForeseenDeeds(Generic[T]):
    """What would be done to each item; `unread`: what may be meant, and cannot be read; `do`: does it, and
    answers what came of each.
    """

    items: Sequence[ForeseenDeed]
    unread: Sequence[str]
    do: Callable[[Sequence[ForeseenDeed]], list[T]]


def ask_and_do(
    items: Sequence[ForeseenDeed],
    unread: Sequence[str],
    options: DeedOptions,
    carry_out: Callable[[Sequence[ForeseenDeed]], bool],
) -> None:
    """Shows what will be done, asks once, and has it done. With one that is refused nothing is done at all,
    unless it is to be left as it is. `carry_out` does it, tells of it, and says whether all went well.
    """
    for sentence in unread:
        note(f"nightkey: {sentence}")
    if not options.json:
        _show(items)
    refused = [one for one in items if one.why is not None]
    wanted = [one for one in items if one.why is None]
    went_well = True
    if options.dry_run or not items:
        if options.json:
            print_document(items, {}, dry_run=options.dry_run)
    elif refused and not (options.skips and wanted):
        raise RefusedError(
            f"nothing was done, since {say_count(len(refused), 'item')} cannot be, such as "
            f"{_name_first(refused[0])}{'; --skip-refused goes on with the others' if wanted else ''}"
        )
    else:
        demand_yes(ask_for_deeds(wanted), yes=options.yes)
        went_well = carry_out(wanted)
    if refused or unread or not went_well:
        raise typer.Exit(1)


def print_document(items: Sequence[ForeseenDeed], done: Mapping[str, Shape], *, dry_run: bool) -> None:
    """`done`: what came of each item, by its id."""
    rows = []
    for one in items:
        row = describe_deed(one) | {"done": one.id in done} | dict(done.get(one.id, {}))
        del row["revision"]
        rows.append(row)
    print_json({"dry_run": dry_run, "items": rows})


def body_of(names: Sequence[str], wanted: ItemFilter) -> dict[str, object]:
    """As the interface is told which items are meant."""
    where = {name: part for name, part in query_of(wanted).items() if part not in (None, [])}
    return {"items": list(names), "where": where}


def read_deed(row: Shape) -> ForeseenDeed:
    why = row["why"]
    return ForeseenDeed(
        id=row["id"],
        name=row["name"],
        deed=DeedKind.DELETE if why is not None else DeedKind(row["outcome"]),
        owners=tuple(row["owners"]),
        expires_at=row["expires_at"],
        rotator=row["rotator"],
        target=row["target"],
        used_by=tuple(row["used_by"]),
        why=why,
        revision=row["revision"],
    )


def _show(items: Sequence[ForeseenDeed]) -> None:
    """Item by item, or in few lines where there are many."""
    if not items:
        print_lines(["no item is like that"])
        return
    each = screen().form is AnswerForm.WIDE
    doing = sorted((one for one in items if one.why is None), key=lambda one: one.name)
    deletes = any(one.deed is DeedKind.DELETE for one in doing)
    if doing and (each or len(doing) <= EACH_MAX):
        shown = (
            ["item", "owners", "expires_at"] if deletes else ["item", "what", "rotator", "target", "used_by"]
        )
        hidden = ("what", "used_by") if deletes else ()
        print_table([show_deed(one) for one in doing], shown, "", spare=("target", "rotator"), hidden=hidden)
    elif doing:
        shown = [*(["owners"] if deletes else ["what", "rotator", "target"]), "items", "for_example"]
        groups = [show_deed_group(one) for one in group_deeds(doing)]
        print_table(groups, shown, "", spare=("for_example", "target"))
    refused = sorted(((one.name, one.why) for one in items if one.why is not None), key=lambda one: one[0])
    if refused:
        print_lines([""] if doing else [])
        if each or len(refused) <= EACH_MAX:
            rows = [{"item": name, "refused": shorten_why(name, why or "")} for name, why in refused]
            print_table(rows, ("item", "refused"), "")
        else:
            alike = ((name, shorten_why(name, why or "").replace(name, "NAME")) for name, why in refused)
            print_refused(group_refused(alike))
    print_lines(["", say_deeds(items)])


def _name_first(one: ForeseenDeed) -> str:
    why = one.why or ""
    return why if why.startswith(one.name) else f"{one.name}: {why}"
