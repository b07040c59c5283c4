"""`nightkey finding`: what the scan saw, and that a person knows of it."""

from typing import Annotated, Any, Final

import typer

from worker.cli.commands import Commands
from worker.cli.facts import say_when
from worker.cli.ids import FindingId
from worker.cli.inputs import parse_time
from worker.cli.output import describe_all, print_json, print_lines, print_table, tell_unreadable
from worker.cli.session import Json, ask, who
from worker.wording.plain import Shape
from worker.wording.shapes import describe_finding

app = Commands(no_args_is_help=True)

_PATH: Final = "/nightkey/findings"
Why = Annotated[str, typer.Option("--why", help="The reason, for the record.")]


@app.command("list")
def list_findings(
    *,
    owner: Annotated[str | None, typer.Option("--owner", help="Only of what this owner answers for.")] = None,
    json: Json = False,
) -> None:
    """List open findings, oldest first, with who knows of them."""
    rows, errors = ask(
        lambda services: describe_all(services.lookup.views.list_findings(owner=owner), describe_finding),
        lambda server: server.pages(_PATH, owner=owner),
    )
    rows = [_name(row) for row in rows]
    if json:
        print_json(rows)
    else:
        columns = ("id", "kind", "item", "workflow", "quiet", "detail", "command")
        print_table(rows, columns, "nothing was found", unread=errors, spare=("command", "workflow", "quiet"))
    tell_unreadable(errors)


@app.command("ack")
def acknowledge(finding_id: FindingId, *, why: Why, json: Json = False) -> None:
    """You know of it: nobody is told of it again unless it gets worse."""
    quiet = ask(
        lambda services: vars(services.overview.acknowledgements.acknowledge(finding_id, why=why, actor=who())),
        lambda server: server.post(_PATH, finding_id, "ack", body={"why": why}),
    )
    _answer(quiet, json=json)


@app.command()
def snooze(
    finding_id: FindingId,
    *,
    until: Annotated[str, typer.Option("--until", metavar="TIME", help="A date, a time, or 7d for a week.")],
    why: Why,
    json: Json = False,
) -> None:
    """Tell nobody of it before that time, unless it gets worse."""
    quiet = ask(
        lambda services: vars(
            services.overview.acknowledgements.snooze(
                finding_id, parse_time(until, services.clock()), why=why, actor=who()
            )
        ),
        lambda server: server.post(
            _PATH, finding_id, "snooze", body={"why": why, "until": parse_time(until, server.clock())}
        ),
    )
    _answer(quiet, json=json)


def _name(row: Shape) -> dict[str, Any]:
    """What it is about, in one column."""
    named = {name: part for name, part in row.items() if name not in ("subject", "item_id")}
    return named | {"item": row["item"] or row["subject"]}


def _answer(quiet: Shape, *, json: bool) -> None:
    if json:
        print_json(quiet)
        return
    until = "unless it gets worse" if quiet["until"] is None else f"until {say_when(quiet['until'])}"
    print_lines([f"{quiet['subject']}, {quiet['kind']}: nobody hears of it {until}"])
