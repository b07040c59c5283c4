"""`nightkey calendar`: coming expiries for other programs to read."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from vaultcore.errors import InvalidInputError
from worker.cli.output import note, write_whole
from worker.cli.screen import AnswerForm
from worker.cli.session import ask


def calendar(
    *,
    owner: Annotated[str | None, typer.Option("--owner", help="Only what this owner answers for.")] = None,
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", metavar="FILE", help="Write to this file, not to the terminal."),
    ] = None,
) -> None:
    """Write coming expiries as an .ics calendar: one event for each."""
    if output is not None and str(output) in frozenset(AnswerForm):
        raise InvalidInputError(
            f"a calendar is an .ics file alone: for a file that is called {output}, write ./{output}"
        )
    written, problems = ask(
        lambda services: services.overview.calendar.write(owner),
        lambda server: server.calendar("/nightkey/calendar", owner=owner),
    )
    for problem in problems:
        note(f"nightkey: left out: {problem}")
    if output is None:
        sys.stdout.buffer.write(written)
        return
    write_whole(output, written.decode())
    number = written.count(b"BEGIN:VEVENT")
    note(f"1 expiry is in {output}" if number == 1 else f"{number} expiries are in {output}")
