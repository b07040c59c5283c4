"""`nightkey status`: how things stand, worst first, on one screen."""

from typing import TYPE_CHECKING

import typer

from worker.cli.output import print_json, print_lines, print_table
from worker.cli.session import Json, ask
from worker.wording import describe
from worker.wording.shapes import Shape, describe_night

if TYPE_CHECKING:
    from worker.bootstrap import Services
    from worker.cli.far.server import FarServer


def status(*, json: Json = False) -> None:
    """How things stand, worst first. What is wrong, the last night, rotations, notices, findings.

    1 if anything failed, is overdue, or nobody is working.
    """
    found = ask(_read_here, _read_there)
    problems = found["problems"]
    if json:
        print_json(found)
    else:
        print_lines(
            ["not well:", *(f"  {problem}" for problem in problems), ""] if problems else ["all is well"]
        )
        print_lines(_lines(found))
        print_lines(["", "open findings:"])
        print_table(found["findings"], ("kind", "item", "workflow", "detail"), "none")
    if problems:
        raise typer.Exit(1)


def _read_here(services: "Services") -> Shape:
    found = services.overview.status.read()
    return vars(found) | {
        "problems": [describe(problem) for problem in found.problems],
        "last_night": found.last_night and describe_night(vars(found.last_night)),
        "by_hand": found.by_hand and describe_night(vars(found.by_hand)),
    }


def _read_there(server: "FarServer") -> Shape:
    found = server.get("/nightkey/status")
    return {name: part for name, part in found.items() if name != "good"} | {
        "problems": [one["detail"] for one in found["problems"]],
        "last_night": found["last_night"] and describe_night(found["last_night"]),
        "by_hand": found["by_hand"] and describe_night(found["by_hand"]),
    }


def _lines(status: Shape) -> list[str]:
    lines = [f"last night: {_show_night(status['last_night'])}"]
    if status["by_hand"] is not None:
        lines.append(f"since then, by hand: {_show_night(status['by_hand'])}")
    lines += [
        f"next night: {status['next_night']:%Y-%m-%d %H:%M} UTC",
        f"items: {status['items']}, workflows: {status['workflows']}",
    ]
    for what, counts in (("rotations", status["rotations"]), ("notices", status["notices"])):
        counted = ", ".join(f"{number} {state}" for state, number in sorted(counts.items()))
        lines.append(f"{what}: {counted or 'none'}")
    return lines


def _show_night(night: Shape | None) -> str:
    if night is None:
        return "none yet"
    outcome = {"good": "ended well", "failed": "did not end well"}.get(night["outcome"] or "", "has not ended")
    return f"{night['slot']:%Y-%m-%d %H:%M} UTC, {outcome}"
