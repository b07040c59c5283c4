"""`nightkey status`: how things stand, on one screen."""

from typing import Any

import typer

from worker.cli.output import note, print_json, print_lines, print_table
from worker.cli.session import Home, Json, open_services


def status(*, json: Json = False, home: Home = None) -> None:
    """How things stand: last night, rotations, notices, findings. 1 if anything failed in it."""
    _ = home
    services = open_services()
    standing = services.standing.read()
    if json:
        print_json(vars(standing))
    else:
        print_lines(_describe(vars(standing)))
        print_lines(["", "open findings:"])
        print_table(standing.findings, ("kind", "item", "workflow", "detail"), "none")
        for problem in standing.problems:
            note(f"nightkey: {problem}")
    if standing.problems:
        raise typer.Exit(1)


def _describe(standing: dict[str, Any]) -> list[str]:
    night = standing["last_night"]
    last = (
        "no night yet"
        if night is None
        else f"{night['slot']:%Y-%m-%d %H:%M} UTC, {night['outcome'] or 'under way'}"
    )
    lines = [
        f"last night: {last}",
        f"next night: {standing['next_night']:%Y-%m-%d %H:%M} UTC",
        f"items: {standing['items']}, workflows: {standing['workflows']}",
    ]
    for what in ("rotations", "notices"):
        counted = ", ".join(f"{number} {state}" for state, number in sorted(standing[what].items()))
        lines.append(f"{what}: {counted or 'none'}")
    return lines
