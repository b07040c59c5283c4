"""`nightkey demo`: a whole night, for real, on this machine. What it shows is a package of its own."""

from importlib.metadata import entry_points
from pathlib import Path
from typing import Annotated

import typer

from vaultcore.errors import ConfigurationError, RefusedError
from worker.cli.session import refuse_far
from worker.log import configure_logging


def demo(
    *,
    home: Annotated[
        Path | None, typer.Option("--home", help="A new folder for its data. Default: a temporary one.")
    ] = None,
    stay: Annotated[
        bool, typer.Option("--stay", help="Keep everything up afterwards, with the console, until Ctrl-C.")
    ] = False,
) -> None:
    """Show a whole night for real. It has an organisation, the systems it calls, and a worker."""
    refuse_far()
    if home is not None and home.exists() and any(home.iterdir()):
        raise RefusedError(f"{home} is not empty: the demo makes a vault of its own, give it a new folder")
    configure_logging("ERROR")
    for found in entry_points(group="nightkey.commands", name="demo"):
        try:
            show_night = found.load()
        except ModuleNotFoundError as error:
            missing = error.name
        else:
            if not show_night(home, stay=stay):
                raise typer.Exit(1)
            return
        raise ConfigurationError(f"the demo needs {missing}: pip install 'nightkey[demo]'")
    raise ConfigurationError("the demo is a package of its own: pip install 'nightkey[demo]'")
