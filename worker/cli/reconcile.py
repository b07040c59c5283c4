"""`nightkey reconcile`: after a restore, what the targets say of each item, and what a person answers."""

from typing import TYPE_CHECKING, Annotated, Final

import typer

from worker.cli.commands import Commands
from worker.cli.output import describe_all, note, print_json, print_lines, print_table, tell_unreadable
from worker.cli.session import Json, ask, who
from worker.domain.drift import DIFFERS, RESOLVED
from worker.wording.plain import Shape
from worker.wording.reasons import say
from worker.wording.shapes import describe_comparison

if TYPE_CHECKING:
    from worker.bootstrap import Services
    from worker.services.rotation.comparison import Compared

app = Commands(no_args_is_help=True)

_PATH: Final = "/nightkey/comparisons"
_COLUMNS = ("item", "result", "resolved_by", "detail")


@app.command("list")
def list_all(*, json: Json = False) -> None:
    """List what came of each comparison. Those that wait for you come first."""
    rows, errors = ask(
        lambda services: describe_all(services.rotation.comparison.list_all(), describe_comparison),
        lambda server: server.whole_list(_PATH),
    )
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

    def run_here(services: "Services") -> list[Shape]:
        services.upkeep.anchors.refuse_older()
        return [_show(one) for one in services.rotation.comparison.compare_now(names or None)]

    rows = ask(
        run_here,
        lambda server: list(server.post(_PATH, "run", body={"items": names or None}, long=True)),
    )
    if json:
        print_json(rows)
    else:
        print_table(rows, ("item", "result", "detail"), "nothing waits for a comparison")
        if any(one["result"] in DIFFERS for one in rows):
            note("nightkey: what differs is not rotated: mend it, or `nightkey reconcile accept ITEM`")
    if any(one["result"] not in RESOLVED for one in rows):
        raise typer.Exit(1)


@app.command()
def accept(
    names: Annotated[list[str], typer.Argument(metavar="ITEM", help="Items whose difference you accept.")],
    *,
    json: Json = False,
) -> None:
    """Answer for items that differ. Nightkey goes on with what the vault holds. It is audited.

    What is in use outside and unknown here is not looked for again: see to it there first.
    """
    done = ask(
        lambda services: [_show(services.rotation.comparison.accept(name, actor=who())) for name in names],
        lambda server: [server.post(_PATH, name, "accept") for name in names],
    )
    if json:
        print_json(done)
    else:
        print_lines(f"{one['item']}: accepted as it is ({one['result']})" for one in done)


def _show(one: "Compared") -> Shape:
    return vars(one) | {"detail": say(one.detail)}
