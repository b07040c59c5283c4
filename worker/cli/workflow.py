"""`nightkey workflow`: apply, lint, list, show, test, run, pin."""

import json as jsonlib
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from vaultcore.errors import InvalidInputError
from vaultcore.secret import Secret
from worker.cli.commands import Commands
from worker.cli.documents import (
    flatten_applied,
    read_documents,
    show_missing,
    show_place,
    show_remarks,
    show_summary,
)
from worker.cli.facts import say_when
from worker.cli.inputs import read_json, read_text
from worker.cli.output import (
    describe_all,
    note,
    print_json,
    print_lines,
    print_table,
    print_text,
    tell_unreadable,
    write_text,
)
from worker.cli.progress import show_progress
from worker.cli.session import Json, ask, who
from worker.domain.places import Place
from worker.domain.states import NodeStatus, RunStatus
from worker.services.runs.documents import DocumentChange
from worker.wording.plain import Shape
from worker.workflows.shapes import (
    describe_applied,
    describe_listed_workflow,
    describe_pin,
    describe_test,
    describe_whole_workflow,
)

if TYPE_CHECKING:
    from worker.bootstrap import Services
    from worker.cli.far.server import FarServer

app = Commands(no_args_is_help=True)
_PATH: Final = "/nightkey/workflows"
_DOCUMENTS: Final = "/nightkey/documents"
_OUTCOME: Final = (
    "run_id",
    "workflow",
    "status",
    "error_message",
    "error_node",
    "cause",
    "output",
    "resume_at",
    "begun",
    "retry_at",
)

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
    given = read_documents(files or [])
    applied = ask(
        lambda services: [
            describe_applied(one)
            for one in services.runs.documents.apply(given, place=runs, strict=strict, actor=who())
        ],
        lambda server: list(server.post(_DOCUMENTS, body=_send(given, runs, strict=strict), long=True)),
    )
    for one in applied:
        if one["workflow"] is None:
            note(f"nightkey: warning: {one['name']} was left out: {one['why']}")
        for line in show_missing(one):
            note(f"nightkey: warning: {line}")
    if json:
        print_json([flatten_applied(one) for one in applied])
    else:
        for one in applied:
            _print_applied(one)
        print_lines(show_summary(applied))
    if any(one["change"] == DocumentChange.LEFT_OUT for one in applied):
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
    given = read_documents(files or [])
    foreseen = ask(
        lambda services: [
            describe_applied(one) for one in services.runs.documents.lint(given, place=runs, strict=strict)
        ],
        lambda server: list(server.post(_DOCUMENTS, "lint", body=_send(given, runs, strict=strict), long=True)),
    )
    if json:
        print_json([flatten_applied(one) for one in foreseen])
    else:
        for one in foreseen:
            _print_foreseen(one)
        taken = [one for one in foreseen if one["refused"] is None]
        print_lines(show_summary(taken, refused=len(foreseen) - len(taken)))
    if any(one["refused"] is not None or one["change"] == DocumentChange.LEFT_OUT for one in foreseen):
        raise typer.Exit(1)


def _send(files: Sequence[tuple[str, str]], runs: Place | None, *, strict: bool) -> dict[str, Any]:
    return {
        "files": [{"name": name, "text": text} for name, text in files],
        "runs": runs,
        "strict": strict,
    }


def _print_applied(applied: Shape) -> None:
    workflow = applied["workflow"]
    if workflow is None:
        return
    where = "" if workflow["runs"] == Place.HERE else ", runs elsewhere"
    print_lines([f"{workflow['name']} ({workflow['id']}) {applied['change']}{where}"])
    if applied["change"] != DocumentChange.UNCHANGED:
        print_lines([*show_place(applied), *show_remarks(workflow["remarks"])])


def _print_foreseen(foreseen: Shape) -> None:
    if foreseen["refused"] is not None:
        print_lines(f"refused: {line}" for line in foreseen["refused"].split("\n"))
        return
    workflow, change = foreseen["workflow"], foreseen["change"]
    if workflow is None:
        print_lines([f"{foreseen['name']} would be left out: {foreseen['why']}"])
        return
    would = "is there already, unchanged" if change == DocumentChange.UNCHANGED else f"would be {change}"
    where = "runs here" if workflow["runs"] == Place.HERE else "runs elsewhere"
    print_lines([f"{workflow['name']} {would}: {where}", *show_place(foreseen)])
    for use in workflow["uses"]:
        verb = "mentions" if use["mentioned"] else "uses"
        ending = ", which does not exist (yet)" if use["item"] in workflow["missing"] else ""
        place = "the document" if use["node"] is None else f"node {use['node']}"
        print_lines([f"  {place} {verb} {use['item']}{ending}"])
    print_lines(f"  it starts workflow {name}, which does not exist (yet)" for name in workflow["unknown"])
    print_lines(show_remarks(workflow["remarks"], most=None))


@app.command("list")
def list_workflows(*, json: Json = False) -> None:
    """List workflows."""
    rows, errors = ask(
        lambda services: describe_all(services.lookup.views.list_workflows(), describe_listed_workflow),
        lambda server: server.whole_list(_PATH),
    )
    if json:
        print_json(rows)
    else:
        print_table(
            rows,
            ("name", "is_active", "schedule_type", "schedule_value", "next_run_at", "runs", "items"),
            "no workflows yet: nightkey workflow apply FILE",
            unread=errors,
            spare=("schedule_type", "schedule_value"),
            hidden=("document", "remarks"),
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
    found = ask(
        lambda services: describe_whole_workflow(services.lookup.views.view_workflow(name)),
        lambda server: server.get(_PATH, name),
    )
    text = found["text"]
    if document:
        write_text(text)
        return
    if json:
        own = {part: given for part, given in found.items() if part != "text"}
        print_json(own | {"document": jsonlib.loads(text)})
        return
    where = "it runs here" if found["runs"] == Place.HERE else f"it runs elsewhere: {found['why']}"
    given = f", {found['given_id']} in its document" if found["given_id"] else ""
    print_lines([found["name"], f"id {found['id']}{given}", where, *show_remarks(found["remarks"])])
    print_lines(["", "uses:"])
    print_table(
        found["references"],
        ("node", "item", "mentioned", "pinned", "last_version", "proven_version"),
        "no item",
    )
    print_lines(["", "last runs:"])
    columns = ("id", "purpose", "status", "started_at", "error_node", "error_message")
    print_table(found["last_runs"], columns, "none", spare=("purpose", "error_node"))
    print_lines(["", "its document:"])
    print_text(text.rstrip("\n"))


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
    given = None if context is None else _read_object(context)

    def test_here(services: "Services") -> Shape:
        workflow = services.lookup.views.view_workflow(name).workflow
        if node is None:
            outcome = services.runs.workflow_tests.test_workflow(
                workflow, overrides={}, context=given, actor=who()
            )
            return describe_test(outcome)
        result = services.runs.workflow_tests.test_node(
            workflow, node, overrides={}, context=given, actor=who()
        )
        return describe_test(result, node=node)

    tested = ask(
        test_here,
        lambda server: server.post(_PATH, name, "test", body={"node": node, "context": given}, long=True),
    )
    _answer(tested, good=tested["status"] in (NodeStatus.SUCCESS, RunStatus.COMPLETED), json=json)


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
    given = None if payload is None else read_json(payload)

    def run_here(services: "Services") -> Shape:
        outcome = services.runs.runs.start(
            name,
            payload=given,
            key=None if key_file is None else Secret(read_text(key_file).strip()),
            actor=who(),
        )
        if outcome.status == RunStatus.FAILED:
            with show_progress(services.night.inline_night) as tell:
                services.night.inline_night.recheck(outcome.used, tell)
        goes_on = "`nightkey up`, or the next `nightkey night`"
        if outcome.resume_at is not None:
            note(f"nightkey: it waits until {say_when(outcome.resume_at)}: {goes_on}, goes on with it")
        for begun in outcome.begun:
            note(f"nightkey: it has begun {begun}, which {goes_on}, runs")
        return {part: value for part, value in vars(outcome).items() if part != "used"}

    def run_there(server: "FarServer") -> Shape:
        if key_file is not None:
            raise InvalidInputError("--key-file is for the vault's own machine: here the token says who asks")
        context = {} if given is None else {"webhook_payload": given}
        opened = server.post("/workflows", name, "execute", body={"context": context})
        note(f"nightkey: {server.host} goes on with it: nightkey workflow show shows its last runs")
        return dict.fromkeys(_OUTCOME) | {
            "run_id": opened["id"],
            "workflow": name,
            "status": opened["status"],
            "begun": [],
        }

    outcome = ask(run_here, run_there)
    _answer(outcome, good=outcome["status"] != RunStatus.FAILED, json=json)


@app.command()
def pin(
    name: str,
    item: str,
    *,
    version: Annotated[int, typer.Option("--version", min=1, max=2**31 - 1, help="The version to stay on.")],
    json: Json = False,
) -> None:
    """Let a workflow stay on one version of an item, until it is unpinned."""
    pinned = ask(
        lambda services: describe_pin(
            *services.runs.pins.pin(name, item, version, actor=who()), pinned=version
        ),
        lambda server: server.post(_PATH, name, "pin", body={"item": item, "version": version}),
    )
    if json:
        print_json(pinned)
    else:
        print_lines([f"{pinned['workflow']} stays on version {version} of {pinned['item']}"])


@app.command()
def unpin(name: str, item: str, *, json: Json = False) -> None:
    """Let a workflow follow an item's current version again."""
    unpinned = ask(
        lambda services: describe_pin(*services.runs.pins.unpin(name, item, actor=who()), pinned=None),
        lambda server: server.post(_PATH, name, "unpin", body={"item": item}),
    )
    if json:
        print_json(unpinned)
    else:
        print_lines([f"{unpinned['workflow']} follows {unpinned['item']}"])


def _answer(answer: Shape, *, good: bool, json: bool) -> None:
    if json:
        print_json(answer)
    else:
        print_lines([answer["status"]])
        if answer.get("error_message"):
            where = f"node {answer['error_node']}: " if answer.get("error_node") else ""
            cause = f" ({answer['cause']})" if answer.get("cause") else ""
            note(f"nightkey: {where}{answer['error_message']}{cause}")
        if answer.get("output") is not None:
            print_text(jsonlib.dumps(answer["output"], indent=2, ensure_ascii=False))
    if not good:
        raise typer.Exit(1)


def _read_object(file: Path) -> dict[str, Any]:
    found = read_json(file)
    if not isinstance(found, dict):
        raise InvalidInputError(f"{file} holds no JSON object")
    return found
