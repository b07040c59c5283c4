"""`nightkey item delete`: an item and all of its values are gone, or several are."""

from typing import TYPE_CHECKING, Annotated, Final

import typer

from vaultcore.access import machine
from worker.cli.deeds_at_once import (
    DeedOptions,
    ForeseenDeeds,
    SkipRefused,
    Yes,
    ask_and_do,
    body_of,
    print_document,
    read_deed,
)
from worker.cli.item_filters import takes_selection
from worker.cli.items_at_once import do_by_pages
from worker.cli.output import print_json, print_lines
from worker.cli.session import Json, ask, who
from worker.domain.at_once import is_pattern
from worker.domain.deeds import ForeseenDeed
from worker.domain.item_states import ItemFilter
from worker.wording.parts import say_count
from worker.wording.plain import Shape

if TYPE_CHECKING:
    from collections.abc import Sequence

    from worker.bootstrap import Services
    from worker.cli.far.server import FarServer

_OF_SDX: Final = "/workflows/vault"
_PATH: Final = "/nightkey/deletions"


@takes_selection(before="dry_run")
def delete(
    names: Annotated[
        list[str] | None,
        typer.Argument(metavar="ITEM", help="Names, ids, or patterns such as 'stage-*'."),
    ] = None,
    *,
    wanted: ItemFilter,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Show what would be deleted, and delete nothing.")
    ] = False,
    skips: SkipRefused = False,
    yes: Yes = False,
    json: Json = False,
) -> None:
    """Delete an item and every value of it. Refused while anything uses it, with the names of its users.

    Several items are named, meant by a pattern, or found by what they are, as item list does. It shows which
    go, and what uses those that cannot, asks once, and deletes them 200 at a time. What uses another of them
    goes first. Where one cannot be deleted, none is.

    nightkey item delete 'stage-*' --owner crm --dry-run
    """
    given = list(names or ())
    if dry_run or wanted != ItemFilter() or len(given) != 1 or is_pattern(given[0]):
        foreseen = ask(
            lambda services: _foresee_here(services, given, wanted),
            lambda server: _foresee_there(server, given, wanted),
        )
        _delete_several(foreseen, DeedOptions(dry_run=dry_run, yes=yes, skips=skips, json=json))
        return
    name = given[0]

    def delete_here(services: "Services") -> Shape:
        item = services.items.deletion.delete(name, actor=who())
        return {"id": item.id, "name": item.name}

    def delete_there(server: "FarServer") -> Shape:
        item = server.get(_OF_SDX, name)
        server.delete(_OF_SDX, item["id"])
        return {"id": item["id"], "name": item["name"]}

    item = ask(delete_here, delete_there)
    if json:
        print_json({**item, "deleted": True})
    else:
        print_lines([f"{item['name']} and its values are gone"])


def _foresee_here(services: "Services", names: list[str], wanted: ItemFilter) -> ForeseenDeeds[str]:
    principal, deeds = machine(who()), services.bulk.deeds_at_once
    found, unread = services.bulk.items_at_once.select(principal, names, wanted)

    def do(page: "Sequence[ForeseenDeed]") -> list[str]:
        return deeds.delete(principal, {one.id: frozenset({one.revision}) for one in page})

    return ForeseenDeeds(
        items=deeds.foresee_deletions(principal, list(found)), unread=[str(one) for one in unread], do=do
    )


def _foresee_there(server: "FarServer", names: list[str], wanted: ItemFilter) -> ForeseenDeeds[str]:
    answer = server.post(_PATH, "preview", body=body_of(names, wanted), long=True)

    def do(page: "Sequence[ForeseenDeed]") -> list[str]:
        gone: list[str] = server.post(_PATH, body={"seen": {one.id: one.revision for one in page}}, long=True)
        return gone

    return ForeseenDeeds(items=[read_deed(row) for row in answer["items"]], unread=answer["unread"], do=do)


def _delete_several(foreseen: ForeseenDeeds[str], options: DeedOptions) -> None:
    def carry_out(wanted: "Sequence[ForeseenDeed]") -> bool:
        gone = set(do_by_pages(wanted, foreseen.do, verb="deleted"))
        if options.json:
            done: dict[str, Shape] = {one.id: {} for one in wanted if one.name in gone}
            print_document(foreseen.items, done, dry_run=False)
        else:
            print_lines([f"{say_count(len(gone), 'item')} and their values are gone"])
        return True

    ask_and_do(foreseen.items, foreseen.unread, options, carry_out)
