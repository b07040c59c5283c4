"""`nightkey item list`: those that are wanted, in the order that is wanted, as the interface and the console
have them.
"""

from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from vaultcore.access import machine
from vaultcore.errors import InvalidInputError, NightkeyError
from worker.cli.item_answers import ITEMS, WAITS, show_labels
from worker.cli.item_filters import query_of, takes_filter
from worker.cli.output import describe_all, print_json, print_table, tell_unreadable
from worker.cli.session import Json, ask, who
from worker.domain.item_states import ItemFilter
from worker.domain.paging import PageRequest
from worker.wording.shapes import describe_item, flatten_item

if TYPE_CHECKING:
    from worker.bootstrap import Services
    from worker.cli.far.server import FarServer
    from worker.rows.item_lists import ListedItem

_SORTS: Final = {
    "name": "name",
    "expires": "expires_at",
    "owner": "owner",
    "created": "created_at",
    "updated": "updated_at",
}
_COLUMNS: Final = ("name", "owners", "mode", "rotator", "version", "expires_at", "due_at")


@takes_filter(before="sort")
def list_items(
    *,
    wanted: ItemFilter,
    sort: Annotated[
        str,
        typer.Option("--sort", metavar="|".join(_SORTS), help="In which order; - before it for the other way."),
    ] = "name",
    limit: Annotated[int | None, typer.Option("--limit", min=1, help="No more than so many.")] = None,
    json: Json = False,
) -> None:
    """List items: all of them, or those that are all of what is asked."""
    order = _read_sort(sort)

    def list_here(services: "Services") -> tuple[list[Any], list[NightkeyError]]:
        request = PageRequest(sort=order)
        page = services.lookup.lists.list_items(wanted, request, seen_by=machine(who()), most=limit)
        return describe_all(page.rows, _describe)

    def list_there(server: "FarServer") -> tuple[list[Any], list[NightkeyError]]:
        return server.pages(ITEMS, most=limit, sort=order, **query_of(wanted))

    found, errors = ask(list_here, list_there)
    rows = [flatten_item(item) for item in found]
    if json:
        print_json(rows)
    else:
        labelled = any(row["labels"] for row in rows)
        print_table(
            [row | {"version": row["version"] or WAITS, "labels": show_labels(row)} for row in rows],
            (*_COLUMNS, "labels") if labelled else _COLUMNS,
            "no items yet: nightkey item create NAME --owner OWNER"
            if wanted == ItemFilter()
            else "no item is like that",
            unread=errors,
            spare=("rotator", "version", "labels", "due_at"),
            hidden=("item", "item_id", "settings"),
        )
    tell_unreadable(errors)


def _read_sort(given: str) -> str:
    word = given.removeprefix("-")
    if word not in _SORTS:
        offered = ", ".join(_SORTS)
        raise InvalidInputError(
            f"--sort {given[:40]!r}: use one of {offered}, with - before it for the other way"
        )
    return given.replace(word, _SORTS[word])


def _describe(listed: "ListedItem") -> dict[str, Any]:
    return describe_item(listed.item, copy_of=listed.item.policy.copy_of)
