"""`nightkey pickup`: collect a key that was generated while nobody looked."""

from typing import TYPE_CHECKING, Annotated

import typer

from vaultcore.errors import NightkeyError
from worker.cli.handover import AnswerLostError, check_output, hand_over, hand_over_json, hint
from worker.cli.inputs import read_token
from worker.cli.session import Json, open_services, who

if TYPE_CHECKING:
    from worker.services.rotation.pickups import Collected


def pickup(
    source: Annotated[
        str | None,
        typer.Argument(metavar="[-]", help="- reads the token from standard input; otherwise it is asked for."),
    ] = None,
    *,
    json: Json = False,
) -> None:
    """Collect a generated key with the token from a notice. The token is asked for.

    Until the key is used for the first time, and for an hour at most, the same command shows it again, to who
    collected it alone.
    """

    def show(collected: "Collected") -> None:
        if json:
            hand_over_json(
                {"item": collected.item, "version": collected.version, "key": collected.key.expose()}
            )
            return
        hint(
            f"the key of {collected.item}, version {collected.version}; until its first use, and for an hour "
            "at most, this command shows it again to you:"
        )
        hand_over(collected.key.expose() + "\n")

    problem = ""
    check_output()
    try:
        token = read_token(source)
        open_services().rotation.pickups.collect(token, actor=who(), show=show)
    except AnswerLostError as error:
        problem = f"the key was not written ({error}), and still waits for you: the same command shows it again"
    if problem:
        raise NightkeyError(problem)
