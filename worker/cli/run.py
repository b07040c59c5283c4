"""`nightkey run`: what runs came to, and runs of another engine, reported."""

from typing import TYPE_CHECKING, Annotated, Final

import typer

from vaultcore.errors import Cause, InvalidInputError
from worker.cli.commands import Commands
from worker.cli.ids import RunId
from worker.cli.inputs import parse_time
from worker.cli.output import describe_all, note, print_json, print_lines, print_table, tell_unreadable
from worker.cli.progress import show_progress
from worker.cli.session import Json, ask, who
from worker.domain.paging import LIMIT_MAX, PageRequest
from worker.domain.states import RunStatus
from worker.wording.plain import Shape
from worker.wording.runs import describe_run, say_status, tell_run

if TYPE_CHECKING:
    from worker.bootstrap import Services
    from worker.cli.far.server import FarServer, Listed

app = Commands(no_args_is_help=True)


_PATH: Final = "/nightkey/runs"


@app.command("list")
def list_runs(
    *,
    workflow: Annotated[str | None, typer.Option("--workflow", help="Of this workflow, by name or id.")] = None,
    status: Annotated[
        list[RunStatus] | None, typer.Option("--status", help="That stand so; several times for several.")
    ] = None,
    since: Annotated[
        str | None, typer.Option("--since", metavar="TIME", help="Opened then or later: a date, or a time.")
    ] = None,
    limit: Annotated[int, typer.Option("--limit", min=1, max=LIMIT_MAX, help="So many at most.")] = 50,
    json: Json = False,
) -> None:
    """List runs, newest first: those of this engine, and reported ones."""

    def list_here(services: "Services") -> "Listed":
        from worker.rows.run_lists import RunFilter  # noqa: PLC0415  # as the services

        wanted = RunFilter(
            workflow=workflow,
            outcomes=frozenset(status or ()),
            since=None if since is None else parse_time(since, services.clock()),
        )
        page = services.lookup.lists.page_runs(wanted, PageRequest(limit=limit))
        return describe_all(page.rows, vars)

    def list_there(server: "FarServer") -> "Listed":
        time = None if since is None else parse_time(since, server.clock()).isoformat()
        asked = {"workflow": workflow, "outcome": status or None, "since": time}
        return server.pages(_PATH, most=limit, **asked)

    rows, errors = ask(list_here, list_there)
    if json:
        print_json(rows)
    else:
        shown = [row | {"opened": row["created_at"], "status": say_status(row)} for row in rows]
        print_table(shown, ("opened", "status", "workflow", "id"), "no runs", unread=errors)
        if len(rows) + len(errors) == limit:
            note(f"the {limit} newest: --limit shows more, --since and --workflow fewer")
    tell_unreadable(errors)


@app.command()
def show(run_id: RunId, *, json: Json = False) -> None:
    """Show a run: what it used, what each node came to, and why it failed. --json has the nodes' outputs."""
    run = ask(
        lambda services: describe_run(services.lookup.views.view_run(run_id)),
        lambda server: server.get(_PATH, run_id),
    )
    if json:
        print_json(run)
        return
    print_lines([*tell_run(run), ""])
    print_table(run["logs"], ("at", "node", "component", "status"), "no node was executed")


@app.command()
def report(
    workflow: str,
    *,
    status: Annotated[str, typer.Option("--status", metavar="completed|failed")],
    started_at: Annotated[
        str | None,
        typer.Option("--started-at", metavar="TIME", help="It tells which versions the run used."),
    ] = None,
    used: Annotated[
        list[str] | None,
        typer.Option(
            "--used", metavar="ITEM=VERSION", help="A version that it used, where that is known better."
        ),
    ] = None,
    run_id: Annotated[
        str | None, typer.Option("--id", help="The engine's id of the run: a second report of it does nothing.")
    ] = None,
    node: Annotated[str | None, typer.Option("--node", help="The node that failed.")] = None,
    cause: Annotated[
        Cause | None, typer.Option("--cause", help="Why it failed: only a rejection judges a value.")
    ] = None,
    message: Annotated[str | None, typer.Option("--message", help="What went wrong, without values.")] = None,
    json: Json = False,
) -> None:
    """Report a production run of another engine. It proves a new value, or rejects it.

    Each item counts in the version that was current when the run started, or that --used names.
    """
    named = _parse_used(used or [])

    def report_here(services: "Services") -> Shape:
        from worker.services.runs.reports import Report  # noqa: PLC0415  # as the services

        reported = services.runs.run_reports.report(
            Report(
                workflow=workflow,
                status=status,
                started_at=None if started_at is None else parse_time(started_at, services.clock()),
                external_id=run_id,
                node=node,
                cause=cause,
                message=message,
                used=named,
            ),
            actor=who(),
        )
        if status == RunStatus.FAILED and reported.new:
            ids = [services.lookup.views.get_item(name).id for name in reported.used]
            with show_progress(services.night.inline_night) as tell:
                services.night.inline_night.recheck(ids, tell)
        return {"workflow": reported.workflow, "new": reported.new, "used": reported.used}

    def report_there(server: "FarServer") -> Shape:
        said = {
            "workflow": workflow,
            "status": status,
            "started_at": None if started_at is None else parse_time(started_at, server.clock()),
            "run_id": run_id,
            "node": node,
            "cause": cause,
            "message": message,
            "used": named,
        }
        taken: Shape = server.post(_PATH, "report", body=said)
        return taken

    reported = ask(report_here, report_there)
    versions = ", ".join(f"{name} version {number}" for name, number in sorted(reported["used"].items()))
    if json:
        print_json(reported)
    elif reported["new"]:
        print_lines([f"{reported['workflow']}: {status}, with {versions or 'no item'}"])
    else:
        print_lines([f"{reported['workflow']}: that run was reported before, nothing changes"])


def _parse_used(texts: list[str]) -> dict[str, int]:
    found = {}
    for text in texts:
        name, separator, number = text.rpartition("=")
        if not separator or not number.isdecimal() or len(number) > 9:
            raise InvalidInputError(
                f"--used {text[:80]!r}: write it as ITEM=VERSION, such as prod-smtp-password=3"
            )
        found[name] = int(number)
    return found
