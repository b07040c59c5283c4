"""`nightkey finding`: what the scan saw, and that a person knows of it."""

from typing import TYPE_CHECKING, Annotated

import typer

from worker.cli.commands import Commands
from worker.cli.inputs import parse_time
from worker.cli.output import print_json, print_lines, print_table
from worker.cli.session import Json, open_services, who
from worker.wording import say

if TYPE_CHECKING:
    from worker.services.night.acknowledgements import Quiet

app = Commands(no_args_is_help=True, help="What was found, and what a person knows of.")

Why = Annotated[str, typer.Option("--why", help="The reason, for the record.")]


@app.command("list")
def list_findings(
    *,
    owner: Annotated[str | None, typer.Option("--owner", help="Only of what this owner answers for.")] = None,
    json: Json = False,
) -> None:
    """List open findings, oldest first, with who knows of them."""
    rows = [
        {
            "id": one.finding.id,
            "kind": one.finding.kind,
            "item": one.finding.item or one.finding.subject,
            "workflow": one.finding.workflow,
            "detail": say(one.finding.detail),
            "does": say(one.finding.does) or None,
            "command": one.finding.command,
            "opened_at": one.finding.opened_at,
            "quiet": one.quiet,
        }
        for one in open_services().views.list_findings(owner=owner)
    ]
    if json:
        print_json(rows)
    else:
        print_table(rows, ("id", "kind", "item", "workflow", "quiet", "detail", "command"), "nothing was found")


@app.command("ack")
def acknowledge(finding_id: str, *, why: Why, json: Json = False) -> None:
    """You know of it: nobody is told of it again unless it gets worse."""
    _answer(open_services().overview.acknowledgements.acknowledge(finding_id, why=why, actor=who()), json=json)


@app.command()
def snooze(
    finding_id: str,
    *,
    until: Annotated[str, typer.Option("--until", metavar="TIME", help="A date, a time, or 7d for a week.")],
    why: Why,
    json: Json = False,
) -> None:
    """Tell nobody of it before that time, unless it gets worse."""
    services = open_services()
    time = parse_time(until, services.clock())
    _answer(services.overview.acknowledgements.snooze(finding_id, time, why=why, actor=who()), json=json)


def _answer(quiet: "Quiet", *, json: bool) -> None:
    if json:
        print_json(vars(quiet))
        return
    until = "unless it gets worse" if quiet.until is None else f"until {quiet.until:%Y-%m-%d %H:%M} UTC"
    print_lines([f"{quiet.subject}, {quiet.kind}: nobody hears of it {until}"])
