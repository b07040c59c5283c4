"""`nightkey pickup`: collect a key that was generated while nobody looked."""

from typing import TYPE_CHECKING, Annotated

import typer

from vaultcore.errors import NightkeyError
from vaultcore.secret import Secret
from worker.cli.handover import AnswerLostError, check_output, hand_over, hand_over_json, hint
from worker.cli.inputs import read_token
from worker.cli.session import Json, ask, who

if TYPE_CHECKING:
    from worker.bootstrap import Services
    from worker.cli.far.server import FarServer


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

    def show(item: str, version: int, key: Secret) -> None:
        if json:
            hand_over_json({"item": item, "version": version, "key": key.expose()})
            return
        hint(
            f"the key of {item}, version {version}; until its first use, and for an hour at most, this command "
            "shows it again to you:"
        )
        hand_over(key.expose() + "\n")

    def collect_here(services: "Services") -> None:
        services.rotation.pickups.collect(
            token, actor=who(), show=lambda one: show(one.item, one.version, one.key)
        )

    def collect_there(server: "FarServer") -> None:
        found = server.post("/nightkey/pickups", body={"token": Secret(token)})
        show(found["item"], found["version"], Secret(found["key"]))

    problem = ""
    check_output()
    try:
        token = read_token(source)
        ask(collect_here, collect_there)
    except AnswerLostError as error:
        problem = f"the key was not written ({error}), and still waits for you: the same command shows it again"
    if problem:
        raise NightkeyError(problem)
