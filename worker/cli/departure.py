"""`nightkey owner leave`: somebody leaves, and all that they could read is replaced."""

from typing import TYPE_CHECKING, Annotated, Final

import typer

from worker.cli.inputs import demand_yes
from worker.cli.output import note, print_json, print_table
from worker.cli.progress import show_progress
from worker.cli.session import Json, ask, who
from worker.domain.commands import quote_word
from worker.wording.parts import say_count
from worker.wording.people import describe_departure
from worker.wording.plain import Shape

if TYPE_CHECKING:
    from worker.bootstrap import Services
    from worker.cli.far.server import FarServer

_PATH: Final = "/nightkey/owners"
_NAMED: Final = 10
"""Items that are named before the question; the answer has them all."""


def leave(
    name: str,
    *,
    compromised: Annotated[
        bool, typer.Option("--compromised", help="Nothing overlaps: each old value is revoked at once.")
    ] = False,
    to: Annotated[
        str | None,
        typer.Option("--to", metavar="OTHER", help="The owner who has their items from now on."),
    ] = None,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    in_freeze: Annotated[bool, typer.Option("--in-freeze", help="Also what a freeze holds back.")] = False,
    json: Json = False,
) -> None:
    """Replace all that an owner or a login could read. That is what they own, gave, or collected.

    It goes on where it was interrupted when it is called again. 1 while anything of it is left.
    """

    def agree(readable: list[str]) -> None:
        more = len(readable) - _NAMED
        named = ", ".join(readable[:_NAMED]) + (f", and {more:,} more" if more > 0 else "")
        note(f"{name} could read {say_count(len(readable), 'item')}: {named or '-'}")
        goes_to = "their deputy or the operators" if to is None else to
        note(f"Their routes are taken away: what they would be told goes to {goes_to}.")
        if to is not None:
            note(f"What is theirs goes to {to}, who is told of all of it at once.")
        demand_yes("Replace them now?", yes=yes)

    def leave_here(services: "Services") -> Shape:
        agree([item.name for item in services.rotation.offboarding.preview(name, to=to)])
        with show_progress(services.night.inline_night) as tell:
            departure = services.night.departures.leave(
                name,
                tell,
                lambda left, total: note(f"{left.position} of {total}: {left.item}"),
                emergency=compromised,
                in_freeze=in_freeze,
                to=to,
                actor=who(),
            )
        return describe_departure(departure)

    def leave_there(server: "FarServer") -> Shape:
        agree([one["item"] for one in server.get(_PATH, name, "leave", to=to)])
        wanted = {"emergency": compromised, "in_freeze": in_freeze} | ({} if to is None else {"to": to})
        begun: Shape = server.post(_PATH, name, "leave", body=wanted, long=True)
        return begun

    departure = ask(leave_here, leave_there)
    left = departure["finished_at"] is None
    if json:
        print_json(departure)
    else:
        columns = ("position", "item", "fate", "why")
        print_table(departure["items"], columns, "there is nothing that they could read")
        if left:
            again = f"`nightkey owner leave {quote_word(name)}`"
            note(f"some of it is left: {again} goes on, and says how it stands")
    if left:
        raise typer.Exit(1)
