"""`nightkey claim`: collect a key that was generated while nobody looked, once."""

from typing import Annotated

import typer

from worker.cli.output import note, print_json, print_lines
from worker.cli.session import Home, Json, open_services, who


def claim(
    token: Annotated[str, typer.Argument(help="The one-time token from the notice.")],
    *,
    json: Json = False,
    home: Home = None,
) -> None:
    """Collect a generated key with the token from a notice. It is shown once, and never again."""
    _ = home
    collected = open_services().claiming.collect(token, actor=who())
    if json:
        print_json({"item": collected.item, "version": collected.version, "key": collected.key.expose()})
        return
    note(f"the key of {collected.item}, version {collected.version}, shown this once:")
    print_lines([collected.key.expose()])
