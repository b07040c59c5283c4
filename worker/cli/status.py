"""`nightkey status`: how things stand, on one screen."""

from typing import Any

import typer

from worker.cli.output import print_json, print_lines, print_table
from worker.cli.session import Home, Json, open_services


def status(*, json: Json = False, home: Home = None) -> None:
    """How things stand: last night, rotations, notices, findings. 1 if the night or a notice failed."""
    _ = home
    services = open_services()
    standing = services.standing.read()
    failed = standing.last_night is not None and standing.last_night["outcome"] == "failed"
    failed = failed or bool(standing.notices.get("failed") or standing.notices.get("unrouted"))
    if json:
        print_json(vars(standing))
    else:
        print_lines(_describe(vars(standing)))
        print_lines(["", "open findings:"])
        print_table(standing.findings, ("kind", "item", "workflow", "detail"), "none")
    if failed:
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
