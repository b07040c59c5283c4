"""`nightkey item check`: whether credentials still work, asked of the other side now."""

from typing import TYPE_CHECKING, Annotated

import typer

from worker.cli.item_answers import ITEMS
from worker.cli.output import print_json, print_lines
from worker.cli.session import Json, ask, who
from worker.domain.credential_checks import CheckOutcome
from worker.wording.plain import Shape
from worker.wording.shapes import describe_answer

if TYPE_CHECKING:
    from worker.bootstrap import Services


def check(
    names: Annotated[list[str], typer.Argument(metavar="ITEM", help="Items whose rotator can ask.")],
    *,
    json: Json = False,
) -> None:
    """Ask the other side whether a value still works. Nothing is changed there.

    Nights do that by themselves, every few days. 1 unless every value is accepted.
    """

    def check_here(services: "Services") -> list[Shape]:
        asked = services.rotation.credential_checks
        return [describe_answer(asked.check_now(name, actor=who())) for name in names]

    answers = ask(check_here, lambda server: [server.post(ITEMS, name, "check", long=True) for name in names])
    if json:
        print_json(answers)
    else:
        print_lines(_say(one) for one in answers)
    if any(one["outcome"] != CheckOutcome.ACCEPTED for one in answers):
        raise typer.Exit(1)


def _say(one: Shape) -> str:
    users = f". Used by {', '.join(one['users'])}" if one["users"] else ""
    helps = f". What helps: {one['command']}" if one["command"] else ""
    return f"{one['item']}: {one['said']}{users}{helps}"
