"""`nightkey workflow`: apply, lint, list, show, test, run, pin."""

import json as jsonlib
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from vaultcore.errors import InvalidInputError
from vaultcore.secret import Secret
from worker.cli.commands import Commands
from worker.cli.documents import (
    describe_applied,
    describe_remark,
    read_documents,
    show_missing,
    show_place,
    show_remarks,
    show_summary,
)
from worker.cli.inputs import read_json, read_text
from worker.cli.output import note, print_json, print_lines, print_table, sort_out, tell_unreadable, write_text
from worker.cli.progress import show_progress
from worker.cli.session import Json, open_services, who
from worker.domain.places import Place
from worker.domain.states import NodeStatus, RunStatus
from worker.services.runs.documents import Applied, DocumentChange
from worker.workflows.document import OUTSIDE

if TYPE_CHECKING:
    from worker.services.runs.execution import RunOutcome

app = Commands(no_args_is_help=True, help="What uses the credentials.")

Files = Annotated[
    list[Path] | None, typer.Argument(help="JSON files, folders of them, or - for standard input.")
]
Payload = Annotated[Path | None, typer.Option("--payload", metavar="FILE", help="JSON, as webhook_payload.")]
Runs = Annotated[
    Place | None,
    typer.Option("--runs", help="Where they run. Without it: as before, or as they say, or here if they can."),
]
Strict = Annotated[
    bool, typer.Option("--strict", help="Refuse what is not understood or cannot run here, too.")
]


@app.command()
def apply(
    files: Files = None,
    *,
    runs: Runs = None,
    strict: Strict = False,
    json: Json = False,
) -> None:
    """Store documents as they are, with their references. All of them, or none if one is wrong.

    A file holds one workflow or a list of them, as the vault's own product gives them out. What is not
    understood is kept and told; a workflow that cannot run here runs elsewhere. 1 if one had to be left out.
    """
    services = open_services()
    applied = services.runs.documents.apply(read_documents(files or []), place=runs, strict=strict, actor=who())
    for one in applied:
        if one.workflow is None:
            note(f"nightkey: warning: {one.name} was left out: {one.why}")
        for line in show_missing(one):
            note(f"nightkey: warning: {line}")
    if json:
        print_json([describe_applied(one) for one in applied])
    else:
        for one in applied:
            _print_applied(one)
        print_lines(show_summary(applied))
    if any(one.change is DocumentChange.LEFT_OUT for one in applied):
        raise typer.Exit(1)


@app.command()
def lint(
    files: Files = None,
    *,
    runs: Runs = None,
    strict: Strict = False,
    json: Json = False,
) -> None:
    """Say, line by line, what `apply` would do with documents. 1 if it would refuse one."""
    services = open_services()
    foreseen = services.runs.documents.lint(read_documents(files or []), place=runs, strict=strict)
    if json:
        print_json(
            [describe_applied(one) if isinstance(one, Applied) else {"refused": str(one)} for one in foreseen]
        )
    else:
        for one in foreseen:
            _print_foreseen(one)
        taken = [one for one in foreseen if isinstance(one, Applied)]
        print_lines(show_summary(taken, refused=len(foreseen) - len(taken)))
    if not all(isinstance(one, Applied) and one.change is not DocumentChange.LEFT_OUT for one in foreseen):
        raise typer.Exit(1)


def _print_applied(applied: Applied) -> None:
    workflow = applied.workflow
    if workflow is None:
        return
    where = "" if workflow.runs_here else ", runs elsewhere"
    print_lines([f"{workflow.name} ({workflow.id}) {applied.change}{where}"])
    if applied.change is not DocumentChange.UNCHANGED:
        print_lines([*show_place(applied), *show_remarks(workflow)])


def _print_foreseen(foreseen: Applied | Exception) -> None:
    if not isinstance(foreseen, Applied):
        print_lines(f"refused: {line}" for line in str(foreseen).split("\n"))
        return
    workflow = foreseen.workflow
    if workflow is None:
        print_lines([f"{foreseen.name} would be left out: {foreseen.why}"])
        return
    would = (
        "is there already, unchanged"
        if foreseen.change is DocumentChange.UNCHANGED
        else f"would be {foreseen.change}"
    )
    where = "runs here" if workflow.runs_here else "runs elsewhere"
    print_lines([f"{workflow.name} {would}: {where}", *show_place(foreseen)])
    for use in workflow.definition.uses(here=workflow.runs_here):
        verb = "mentions" if use.mentioned else "uses"
        ending = ", which does not exist (yet)" if use.use.written in foreseen.missing else ""
        place = "the document" if use.node_id == OUTSIDE else f"node {use.node_id}"
        print_lines([f"  {place} {verb} {use.use.written}{ending}"])
    print_lines(f"  it starts workflow {name}, which does not exist (yet)" for name in foreseen.unknown)
    print_lines(show_remarks(workflow, most=None))


@app.command("list")
def list_workflows(*, json: Json = False) -> None:
    """List workflows."""
    found, errors = sort_out(open_services().views.list_workflows())
    rows = [
        {
            "id": one.workflow.id,
            "name": one.workflow.name,
            "is_active": one.workflow.active,
            "schedule_type": one.workflow.schedule_type,
            "schedule_value": one.workflow.schedule_value,
            "next_run_at": one.workflow.next_run_at,
            "runs": one.workflow.runs,
            "items": list(one.items),
        }
        for one in found
    ]
    if json:
        print_json(rows)
    else:
        print_table(
            rows,
            ("name", "is_active", "schedule_type", "schedule_value", "next_run_at", "runs", "items"),
            "no workflows yet: nightkey workflow apply FILE",
            unread=errors,
        )
    tell_unreadable(errors)


@app.command()
def show(
    name: str,
    *,
    document: Annotated[
        bool, typer.Option("--document", help="The document alone, exactly as it was given.")
    ] = False,
    json: Json = False,
) -> None:
    """Show a workflow: document, place, references and last runs."""
    found = open_services().views.view_workflow(name)
    workflow, runs = found.workflow, list(found.last_runs)
    references = [
        {
            "node": r.node_id,
            "item": r.written,
            "item_id": r.item_id,
            "mentioned": r.mentioned,
            "pinned": r.pinned,
            "last_version": r.last_version,
            "proven_version": r.proven_version,
            "last_run_at": r.last_run_at,
        }
        for r in found.references
    ]
    if document:
        write_text(workflow.text)
        return
    if json:
        print_json(
            {
                "id": workflow.id,
                "name": workflow.name,
                "given_id": workflow.given_id,
                "document": jsonlib.loads(workflow.text),
                "runs": workflow.runs,
                "why": workflow.explain_place(),
                "remarks": [describe_remark(remark) for remark in workflow.definition.remarks],
                "next_run_at": workflow.next_run_at,
                "references": references,
                "last_runs": runs,
            }
        )
        return
    where = "it runs here" if workflow.runs_here else f"it runs elsewhere: {workflow.explain_place()}"
    given = f", {workflow.given_id} in its document" if workflow.given_id else ""
    print_lines([workflow.text.rstrip("\n"), "", f"id {workflow.id}{given}", where, *show_remarks(workflow)])
    print_lines(["", "uses:"])
    print_table(
        references, ("node", "item", "mentioned", "pinned", "last_version", "proven_version"), "no item"
    )
    print_lines(["", "last runs:"])
    print_table(runs, ("id", "purpose", "status", "started_at", "error_node", "error_message"), "none")


@app.command()
def test(
    name: str,
    *,
    node: Annotated[str | None, typer.Option("--node", help="This node alone.")] = None,
    context: Annotated[
        Path | None,
        typer.Option("--context", metavar="FILE", help="JSON, instead of the sample context."),
    ] = None,
    json: Json = False,
) -> None:
    """Run a workflow, or one node, as a test. It is really executed, with its sample context. 1 if it fails."""
    services = open_services()
    given = None if context is None else _read_object(context)
    workflow = services.views.view_workflow(name).workflow
    if node is not None:
        result = services.runs.runs.test_node(workflow, node, overrides={}, context=given, actor=who())
        answer: dict[str, Any] = {
            "status": result.status,
            "output": result.output,
            "error_message": result.error_message,
            "cause": result.cause,
        }
        good = result.status == NodeStatus.SUCCESS
    else:
        outcome = services.runs.runs.test_workflow(workflow, overrides={}, context=given, actor=who())
        answer, good = _describe(outcome), outcome.status == RunStatus.COMPLETED
    _answer(answer, good=good, json=json)


@app.command()
def run(
    name: str,
    *,
    payload: Payload = None,
    key_file: Annotated[
        Path | None,
        typer.Option("--key-file", metavar="PATH", help="The API key, where the trigger asks for one."),
    ] = None,
    json: Json = False,
) -> None:
    """Run a workflow for real, now. 1 if it fails; where it comes to a delay, it goes on by itself."""
    services = open_services()
    outcome = services.runs.runs.start(
        name,
        payload=None if payload is None else read_json(payload),
        key=None if key_file is None else Secret(read_text(key_file).strip()),
        actor=who(),
    )
    if outcome.status == RunStatus.FAILED:
        with show_progress(services.night.inline_night) as tell:
            services.night.inline_night.recheck(outcome.used, tell)
    goes_on = "`nightkey up`, or the next `nightkey night`"
    if outcome.resume_at is not None:
        note(f"nightkey: it waits until {outcome.resume_at:%Y-%m-%d %H:%M:%S} UTC: {goes_on}, goes on with it")
    for begun in outcome.begun:
        note(f"nightkey: it has begun {begun}, which {goes_on}, runs")
    _answer(_describe(outcome), good=outcome.status != RunStatus.FAILED, json=json)


@app.command()
def pin(
    name: str,
    item: str,
    *,
    version: Annotated[int, typer.Option("--version", min=1, max=2**31 - 1, help="The version to stay on.")],
    json: Json = False,
) -> None:
    """Let a workflow stay on one version of an item, until it is unpinned."""
    services = open_services()
    workflow, found = services.runs.pins.pin(name, item, version, actor=who())
    if json:
        print_json({"workflow": workflow.name, "item": found.name, "item_id": found.id, "pinned": version})
    else:
        print_lines([f"{workflow.name} stays on version {version} of {found.name}"])


@app.command()
def unpin(name: str, item: str, *, json: Json = False) -> None:
    """Let a workflow follow an item's current version again."""
    services = open_services()
    workflow, found = services.runs.pins.unpin(name, item, actor=who())
    if json:
        print_json({"workflow": workflow.name, "item": found.name, "item_id": found.id, "pinned": None})
    else:
        print_lines([f"{workflow.name} follows {found.name}"])


def _describe(outcome: "RunOutcome") -> dict[str, Any]:
    return {name: value for name, value in vars(outcome).items() if name != "used"}


def _answer(answer: dict[str, Any], *, good: bool, json: bool) -> None:
    if json:
        print_json(answer)
    else:
        print_lines([answer["status"]])
        if answer.get("error_message"):
            where = f"node {answer['error_node']}: " if answer.get("error_node") else ""
            cause = f" ({answer['cause']})" if answer.get("cause") else ""
            note(f"nightkey: {where}{answer['error_message']}{cause}")
        if answer.get("output") is not None:
            print_lines([jsonlib.dumps(answer["output"], indent=2, ensure_ascii=False)])
    if not good:
        raise typer.Exit(1)


def _read_object(file: Path) -> dict[str, Any]:
    found = read_json(file)
    if not isinstance(found, dict):
        raise InvalidInputError(f"{file} holds no JSON object")
    return found
