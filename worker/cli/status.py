"""`nightkey status`: how things stand, worst first, on one screen."""

import typer

from worker.cli.output import print_json, print_lines, print_table
from worker.cli.session import Json, open_services
from worker.rows.nights import Night
from worker.services.night.status import Status
from worker.wording import describe


def status(*, json: Json = False) -> None:
    """How things stand, worst first. What is wrong, the last night, rotations, notices, findings.

    1 if anything failed, is overdue, or nobody is working.
    """
    status = open_services().overview.status.read()
    problems = [describe(problem) for problem in status.problems]
    if json:
        print_json(
            vars(status)
            | {
                "problems": problems,
                "last_night": _describe_night(status.last_night),
                "by_hand": _describe_night(status.by_hand),
            }
        )
    else:
        print_lines(
            ["not well:", *(f"  {problem}" for problem in problems), ""] if problems else ["all is well"]
        )
        print_lines(_lines(status))
        print_lines(["", "open findings:"])
        print_table(status.findings, ("kind", "item", "workflow", "detail"), "none")
    if problems:
        raise typer.Exit(1)


def _lines(status: Status) -> list[str]:
    lines = [f"last night: {_show_night(status.last_night)}"]
    if status.by_hand is not None:
        lines.append(f"since then, by hand: {_show_night(status.by_hand)}")
    lines += [
        f"next night: {status.next_night:%Y-%m-%d %H:%M} UTC",
        f"items: {status.items}, workflows: {status.workflows}",
    ]
    for what, counts in (("rotations", status.rotations), ("notices", status.notices)):
        counted = ", ".join(f"{number} {state}" for state, number in sorted(counts.items()))
        lines.append(f"{what}: {counted or 'none'}")
    return lines


def _show_night(night: Night | None) -> str:
    if night is None:
        return "none yet"
    outcome = {"good": "ended well", "failed": "did not end well"}.get(night.outcome or "", "has not ended")
    return f"{night.slot:%Y-%m-%d %H:%M} UTC, {outcome}"


def _describe_night(night: Night | None) -> dict[str, object] | None:
    if night is None:
        return None
    return {name: getattr(night, name) for name in ("slot", "outcome", "done_at", "counts")}
