"""`nightkey reconcile`: after a restore, what the targets say of each item, and what a person answers."""

from typing import TYPE_CHECKING, Annotated, Any

import typer

from worker.cli.commands import Commands
from worker.cli.output import note, print_json, print_lines, print_table, sort_out, tell_unreadable
from worker.cli.session import Json, open_services, who
from worker.domain.drift import DIFFERS, OWNERS_LOOK, RESOLVED, Result
from worker.rows.comparisons import NamedComparison
from worker.wording import say

if TYPE_CHECKING:
    from worker.services.rotation.comparison import Compared

app = Commands(no_args_is_help=True, help="After a restore: which values are in use, asked of each target.")

_COLUMNS = ("item", "result", "resolved_by", "detail")


@app.command("list")
def list_all(*, json: Json = False) -> None:
    """List what came of each comparison. Those that wait for you come first."""
    found, errors = sort_out(open_services().rotation.comparison.list_all())
    rows = [_describe(row) for row in found]
    if json:
        print_json(rows)
    else:
        print_table(rows, _COLUMNS, "this vault was not restored: there is nothing to compare", unread=errors)
    tell_unreadable(errors)


@app.command()
def run(
    names: Annotated[
        list[str] | None, typer.Argument(metavar="[ITEM]...", help="These items; without names, all that wait.")
    ] = None,
    *,
    json: Json = False,
) -> None:
    """Compare now: asks each target, and changes nothing there. 1 if anything differs or could not be asked."""
    services = open_services()
    services.upkeep.anchors.refuse_older()
    done = services.rotation.comparison.compare_now(names or None)
    rows = [_show(one) for one in done]
    if json:
        print_json(rows)
    else:
        print_table(rows, ("item", "result", "detail"), "nothing waits for a comparison")
        if any(one.result in DIFFERS for one in done):
            note("nightkey: what differs is not rotated: mend it, or `nightkey reconcile accept ITEM`")
    if any(one.result not in RESOLVED for one in done):
        raise typer.Exit(1)


@app.command()
def accept(
    names: Annotated[list[str], typer.Argument(metavar="ITEM...", help="Items whose difference you accept.")],
    *,
    json: Json = False,
) -> None:
    """Answer for items that differ. Nightkey goes on with what the vault holds. It is audited.

    What is in use outside and unknown here is not looked for again: see to it there first.
    """
    services = open_services()
    done = [services.rotation.comparison.accept(name, actor=who()) for name in names]
    if json:
        print_json([_show(one) for one in done])
    else:
        print_lines(f"{one.item}: accepted as it is ({one.result})" for one in done)


def _show(one: "Compared") -> dict[str, Any]:
    return vars(one) | {"detail": say(one.detail)}


def _describe(row: NamedComparison) -> dict[str, Any]:
    return {
        "item": row.item,
        "item_id": row.item_id,
        "result": Result(row.result).value,
        "detail": say(row.detail),
        "compared_at": row.compared_at,
        "resolved_at": row.resolved_at,
        "resolved_by": row.resolved_by or _resolved_by(row.result, resolved=row.resolved_at is not None),
    }


def _resolved_by(result: str, *, resolved: bool) -> str | None:
    """What cannot be asked whole is nobody's agreement: nothing waits for it, and its owner looks."""
    if not resolved:
        return None
    return "left to its owner" if result in OWNERS_LOOK else "agreement"
