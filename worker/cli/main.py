"""The command `nightkey`: one noun a file. Errors are one line on standard error, and an exit status.

0 done, 1 something in the night failed, 2 wrong use or configuration, 3 refused.
"""

import os
import sys
from collections.abc import Callable
from datetime import datetime
from functools import cache
from typing import Annotated, cast

import typer
from typer.core import TyperGroup
from typer.main import get_command

from worker.cli.commands import Commands, Home
from worker.cli.edge import check_words, describe_error, shorten
from worker.cli.output import abandon_output, drop_output, drop_unwritten, finish_output, note
from worker.cli.root import RootGroup
from worker.cli.screen import begin_screen, utc_now
from worker.cli.terminal import prepare_streams

app = Commands(
    name="nightkey",
    cls=RootGroup,
    help="Keeps the credentials that workflows depend on from lapsing.",
    no_args_is_help=True,
    add_completion=True,
)


def _say_version(asked: bool) -> None:  # typer's contract
    if asked:
        from importlib import metadata  # noqa: PLC0415  # --help must not wait for it

        print(metadata.version("nightkey"))  # noqa: T201  # the answer
        raise typer.Exit


@app.callback()
def nightkey(
    *,
    home: Home = None,
    version: Annotated[
        bool, typer.Option("--version", help="Say the version and stop.", is_eager=True, callback=_say_version)
    ] = False,
) -> None:
    """Keeps the credentials that workflows depend on from lapsing."""
    _ = home, version  # their callbacks have taken effect


@cache
def build_command() -> TyperGroup:
    """The whole of it, made once of what its functions say of themselves: that takes a while."""
    return cast("TyperGroup", get_command(app))


def main(clock: Callable[[], datetime] = utc_now) -> None:
    """The entry point: runs the command and turns whatever went wrong into one line. `clock` is for tests."""
    os.umask(0o077)  # what a command makes is its user's alone, unless it says otherwise
    prepare_streams()
    begin_screen(clock)
    problem = check_words(sys.argv[1:])
    exit_status = 2
    try:
        if problem is None:
            _run()
            return
    except KeyboardInterrupt:
        abandon_output()
        if sys.stderr.isatty():
            note("")  # behind the ^C, or the question
        problem, exit_status = "interrupted", 130
    except BrokenPipeError:
        drop_output()
        sys.exit(0)
    except Exception as error:  # noqa: BLE001  # the edge
        problem, exit_status = describe_error(error)
    drop_unwritten()
    note(f"nightkey: {shorten(problem)}")
    sys.exit(exit_status)


def _run() -> None:
    """The command, and what it still has to write; typer ends by `SystemExit`, with the status, also where
    somebody pressed Ctrl-C.
    """
    interrupted = False
    try:
        build_command()()
    except SystemExit as ended:
        interrupted = isinstance(getattr(ended.__context__, "__cause__", None), KeyboardInterrupt)
        if not interrupted:
            finish_output()
            raise
    if interrupted:
        raise KeyboardInterrupt


if __name__ == "__main__":
    main()
