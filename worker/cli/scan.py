"""`nightkey scan` and `nightkey night`: what is found, and a whole night in this process."""

from typing import Annotated, Any

import typer

from worker.cli.inputs import parse_time
from worker.cli.output import note, print_json, print_lines, print_table
from worker.cli.progress import show_progress
from worker.cli.screen import show_moment
from worker.cli.session import Json, open_services
from worker.domain.findings import WORST_FIRST, Finding
from worker.domain.states import NightOutcome
from worker.services.night.nights import Preview
from worker.wording import describe as describe_problem
from worker.wording import say
from worker.wording.parts import say_count
from worker.wording.shapes import describe_rotation

_NOUNS = ("rotations", "findings")
"""The counts of a night that are nouns; what is due, retired or unreadable is the same for one."""


def scan(
    *,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Write nothing.")] = False,
    at: Annotated[
        str | None,
        typer.Option("--at", metavar="TIME", help="Look as if it were another time; nothing is written then."),
    ] = None,
    json: Json = False,
) -> None:
    """Say what is found and what would be done. Findings are recorded; nothing is rotated or sent."""
    services = open_services()
    now = services.clock()
    preview = services.night.nights.preview(now if at is None else parse_time(at, now))
    if at is not None and not dry_run:
        note("looked at for another time than now: nothing was written")
    elif not dry_run:
        services.night.nights.record()
    actions = _describe_actions(preview)
    findings = _describe_findings(preview.findings)
    if json:
        print_json({"at": preview.at, "actions": actions, "findings": findings})
        return
    print_lines([f"as of {show_moment(preview.at)}", "", "would be done:"])
    print_table(actions, ("item", "action", "why"), "nothing is due")
    print_lines(["", "found:"])
    print_table(findings, ("kind", "item", "workflow", "detail"), "no findings", spare=("workflow",))


def night(
    *,
    no_wait: Annotated[
        bool,
        typer.Option("--no-wait", help="Leave what has to be tried again to the worker, or to the next night."),
    ] = False,
    json: Json = False,
) -> None:
    """One whole night, now, in this process. It ends when its rotations and notices are done.

    1 if anything is unfinished, failed or overdue then, whichever night it comes from.
    """
    services = open_services()
    with show_progress(services.night.inline_night) as tell:
        result = services.night.inline_night.run_night(tell, note, wait=not no_wait)
    problems = [describe_problem(problem) for problem in result.problems]
    if json:
        print_json(
            {
                "slot": result.slot,
                "outcome": NightOutcome.FAILED if problems else NightOutcome.GOOD,
                "counts": result.counts,
                "rotations": [describe_rotation(rotation) for rotation in result.rotations],
                "problems": problems,
            }
        )
    else:
        counted = ", ".join(
            say_count(number, what.removesuffix("s")) if what in _NOUNS else f"{number} {what}"
            for what, number in result.counts.items()
        )
        print_lines([f"the night ended {'badly' if problems else 'well'}: {counted}"])
        for problem in problems:
            note(f"nightkey: {problem}")
    if problems:
        raise typer.Exit(1)


def _describe_actions(preview: Preview) -> list[dict[str, Any]]:
    return [
        {
            "item": seen.name,
            "item_id": seen.item_id,
            "action": "none" if seen.decision is None else seen.decision.action.value,
            "why": "it cannot be read" if seen.decision is None else say(seen.decision.why),
        }
        for seen in preview.due
    ]


def _describe_findings(findings: list[Finding]) -> list[dict[str, Any]]:
    ordered = sorted(findings, key=lambda f: (WORST_FIRST[f.kind], f.item or f.subject))
    return [
        {
            "kind": finding.kind,
            "item": finding.item,
            "item_id": finding.item_id,
            "workflow": finding.workflow,
            "detail": say(finding.detail),
        }
        for finding in ordered
    ]
