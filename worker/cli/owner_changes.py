"""`nightkey owner rename` and `nightkey owner delete`."""

from typing import TYPE_CHECKING, Annotated

import typer

from worker.cli.output import print_json, print_lines
from worker.cli.owner_routes import OWNERS, show_owner
from worker.cli.session import Json, ask, who
from worker.wording.parts import say_count
from worker.wording.people import describe_handover
from worker.wording.plain import Shape
from worker.wording.shapes import describe_owner

if TYPE_CHECKING:
    from worker.bootstrap import Services
    from worker.cli.far.server import FarServer


def rename(
    name: str,
    new: Annotated[str, typer.Argument(metavar="NEW", help="The name that they have from now on.")],
    *,
    json: Json = False,
) -> None:
    """Give an owner another name. Items, routes, deputies and roles stay theirs."""

    def rename_here(services: "Services") -> Shape:
        return describe_owner(services.rotation.owner_changes.rename(name, new, actor=who()))

    def rename_there(server: "FarServer") -> Shape:
        renamed: Shape = server.post(OWNERS, name, "rename", body={"name": new})
        return renamed

    show_owner(ask(rename_here, rename_there), json=json)


def delete(
    name: str,
    *,
    to: Annotated[
        str | None, typer.Option("--to", metavar="OTHER", help="The owner who has what is theirs from now on.")
    ] = None,
    json: Json = False,
) -> None:
    """Delete an owner. Refused, with names, while items or notices hang on them, unless these go to OTHER.

    What they could read is not replaced by that: for somebody who leaves there is `nightkey owner leave`.
    """
    handed = ask(
        lambda services: describe_handover(services.rotation.owner_changes.delete(name, to=to, actor=who())),
        lambda server: server.delete(OWNERS, name, to=to),
    )
    if json:
        print_json(handed)
        return
    parts = [say_count(len(handed["items"]), "item"), say_count(handed["notices"], "notice")]
    if handed["stood_in_for"]:
        parts.append(f"deputy of {', '.join(handed['stood_in_for'])}")
    gone = "" if to is None else f"; to {handed['to']}: {', '.join(parts)}"
    print_lines([f"{name} is deleted{gone}"])
