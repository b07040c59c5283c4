"""`nightkey status`: how things stand, worst first, on one screen."""

import typer

from worker.cli.output import print_json, print_lines, print_table
from worker.cli.session import Json, open_services
from worker.rows.nights import Night
from worker.services.night.status import Status
from worker.wording import describe
from worker.wording.shapes import describe_night


def status(*, json: Json = False) -> None:
    """How things stand, worst first: what is wrong, the last night, rotations, notices, findings.

    1 if anything failed, is overdue, or nobody is working.
    """
    standing = open_services().overview.status.read()
    problems = [describe(problem) for problem in standing.problems]
    if json:
        print_json(
            vars(standing)
            | {
                "problems": problems,
                "last_night": describe_night(standing.last_night),
                "by_hand": describe_night(standing.by_hand),
            }
        )
    else:
        print_lines(
            ["not well:", *(f"  {problem}" for problem in problems), ""] if problems else ["all is well"]
        )
        print_lines(_lines(standing))
        print_lines(["", "open findings:"])
        print_table(standing.findings, ("kind", "item", "workflow", "detail"), "none")
    if problems:
        raise typer.Exit(1)


def _lines(standing: Status) -> list[str]:
    lines = [f"last night: {_show_night(standing.last_night)}"]
    if standing.by_hand is not None:
        lines.append(f"since then, by hand: {_show_night(standing.by_hand)}")
    lines += [
        f"next night: {standing.next_night:%Y-%m-%d %H:%M} UTC",
        f"items: {standing.items}, workflows: {standing.workflows}",
    ]
    for what, counts in (("rotations", standing.rotations), ("notices", standing.notices)):
        counted = ", ".join(f"{number} {state}" for state, number in sorted(counts.items()))
        lines.append(f"{what}: {counted or 'none'}")
    return lines


def _show_night(night: Night | None) -> str:
    if night is None:
        return "none yet"
    outcome = {"good": "ended well", "failed": "did not end well"}.get(night.outcome or "", "has not ended")
    return f"{night.slot:%Y-%m-%d %H:%M} UTC, {outcome}"
