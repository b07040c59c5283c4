"""What every command shares: its two options, the services of its data folder, and who is asking."""

import getpass
import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from worker.config import HOME_VARIABLE, Settings, load_settings
from worker.log import configure_logging

if TYPE_CHECKING:  # imported when a command needs it: it takes most of the start-up time
    from worker.bootstrap import Services


def _use_home(home: Path | None) -> Path | None:
    if home is not None:
        os.environ[HOME_VARIABLE] = str(home)
    return home


Home = Annotated[
    Path | None,
    typer.Option(
        "--home",
        callback=_use_home,
        show_default=False,
        help=f"The data folder. Default: {HOME_VARIABLE}, then ~/.nightkey.",
    ),
]
Json = Annotated[bool, typer.Option("--json", help="Answer with one JSON document.")]


def open_settings() -> Settings:
    return load_settings()


def open_services() -> "Services":
    """The services of the data folder that the command names; logs are left to the worker."""
    from worker.bootstrap import Services  # noqa: PLC0415  # --help must not wait for it

    configure_logging("ERROR")
    return Services(open_settings())


def who() -> str:
    """Who is asking, for the audit log: the login name."""
    try:
        return f"user:{getpass.getuser()}"
    except (KeyError, OSError):
        return f"user:{os.getuid()}"
