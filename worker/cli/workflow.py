"""`nightkey workflow`: apply, list, show, test, run, pin."""

import json as jsonlib
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from vaultcore.errors import InvalidInputError
from vaultcore.secret import Secret
from worker.cli.inputs import read_json, read_text
from worker.cli.output import note, print_json, print_lines, print_table, sort_out, tell_unreadable
from worker.cli.progress import show_progress
from worker.cli.session import Home, Json, open_services, who
from worker.records import last_runs

if TYPE_CHECKING:
    from worker.services.running import Outcome

app = typer.Typer(no_args_is_help=True, help="What uses the credentials.")

Files = Annotated[list[Path], typer.Argument(help="JSON files, or folders of them.")]
Payload = Annotated[Path | None, typer.Option("--payload", metavar="FILE", help="JSON, as webhook_payload.")]


@app.command()
def apply(files: Files, *, json: Json = False, home: Home = None) -> None:
    """Validate definitions and store them, with their references: all of them, or none."""
    _ = home
    services = open_services()
    sources = [(str(file), read_text(file)) for file in _expand(files)]
    applied = services.definitions.apply(sources, actor=who())
    for one in applied:
        for name in one.missing:
            note(f"nightkey: warning: {one.workflow.name} names {name}, which does not exist (yet)")
    if json:
        print_json(
            [
                {
                    "id": one.workflow.id,
                    "name": one.workflow.name,
                    "created": one.created,
                    "missing": one.missing,
                }
                for one in applied
            ]
        )
    else:
        print_lines(
            f"{one.workflow.name} ({one.workflow.id}) {'created' if one.created else 'updated'}"
            for one in applied
        )


@app.command("list")
def list_workflows(*, json: Json = False, home: Home = None) -> None:
    """List workflows."""
    _ = home
    services = open_services()
    with services.database.read() as connection:
        found, errors = sort_out(services.definitions.walk(connection))
        rows = [
            {
                "id": workflow.id,
                "name": workflow.name,
                "is_active": workflow.active,
                "schedule_type": workflow.schedule_type,
                "schedule_value": workflow.schedule_value,
                "next_run_at": workflow.next_run_at,
                "items": services.references.written_by(connection, workflow.id),
            }
            for workflow in found
        ]
    if json:
        print_json(rows)
    else:
        print_table(
            rows,
            ("name", "is_active", "schedule_type", "schedule_value", "next_run_at", "items"),
            "no workflows yet: nightkey workflow apply FILE",
        )
    tell_unreadable(errors)


@app.command()
def show(name: str, *, json: Json = False, home: Home = None) -> None:
    """Show a workflow's definition, its references and its last runs."""
    _ = home
    services = open_services()
    with services.database.read() as connection:
        workflow = services.definitions.get(connection, name)
        references = [
            {
                "node": r.node_id,
                "item": r.written,
                "item_id": r.item_id,
                "pinned": r.pinned,
                "last_version": r.last_version,
                "proven_version": r.proven_version,
                "last_run_at": r.last_run_at,
            }
            for r in services.references.of_consumer(connection, workflow.id)
        ]
        runs = last_runs(connection, workflow.id)
    answer = {
        "id": workflow.id,
        **workflow.raw,
        "next_run_at": workflow.next_run_at,
        "references": references,
        "runs": runs,
    }
    if json:
        print_json(answer)
        return
    print_lines([jsonlib.dumps(workflow.raw, indent=2, ensure_ascii=False), "", "uses:"])
    print_table(references, ("node", "item", "pinned", "last_version", "proven_version"), "no item")
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
    home: Home = None,
) -> None:
    """Run a workflow, or one node, as a test: really executed, with its sample context. 1 if it fails."""
    _ = home
    services = open_services()
    given = None if context is None else _read_object(context)
    with services.database.read() as connection:
        workflow = services.definitions.get(connection, name)
    if node is not None:
        result = services.running.test_node(workflow, node, overrides={}, context=given, actor=who())
        answer: dict[str, Any] = {
            "status": result.status,
            "output": result.output,
            "error_message": result.error_message,
            "cause": result.cause,
        }
        good = result.status == "success"
    else:
        outcome = services.running.test_workflow(workflow, overrides={}, context=given, actor=who())
        answer, good = _describe(outcome), outcome.status == "completed"
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
    home: Home = None,
) -> None:
    """Run a workflow for real, now. 1 if it fails."""
    _ = home
    services = open_services()
    outcome = services.running.start(
        name,
        payload=None if payload is None else read_json(payload),
        key=None if key_file is None else Secret(read_text(key_file).strip()),
        actor=who(),
    )
    if outcome.status != "completed":
        with show_progress(services.driving) as tell:
            services.driving.settle(outcome.used, tell)
    _answer(_describe(outcome), good=outcome.status == "completed", json=json)


@app.command()
def pin(
    name: str,
    item: str,
    *,
    version: Annotated[int, typer.Option("--version", min=1, max=2**31 - 1, help="The version to stay on.")],
    json: Json = False,
    home: Home = None,
) -> None:
    """Let a workflow stay on one version of an item, until it is unpinned."""
    _ = home
    services = open_services()
    workflow, found = services.pinning.pin(name, item, version, actor=who())
    if json:
        print_json({"workflow": workflow.name, "item": found.name, "item_id": found.id, "pinned": version})
    else:
        print_lines([f"{workflow.name} stays on version {version} of {found.name}"])


@app.command()
def unpin(name: str, item: str, *, json: Json = False, home: Home = None) -> None:
    """Let a workflow follow an item's current version again."""
    _ = home
    services = open_services()
    workflow, found = services.pinning.unpin(name, item, actor=who())
    if json:
        print_json({"workflow": workflow.name, "item": found.name, "item_id": found.id, "pinned": None})
    else:
        print_lines([f"{workflow.name} follows {found.name}"])


def _describe(outcome: "Outcome") -> dict[str, Any]:
    return {name: value for name, value in vars(outcome).items() if name != "used"}


def _answer(answer: dict[str, Any], *, good: bool, json: bool) -> None:
    if json:
        print_json(answer)
    else:
        print_lines([answer["status"]])
        if answer.get("error_message"):
            where = f"node {answer['error_node']}: " if answer.get("error_node") else ""
            note(f"nightkey: {where}{answer['error_message']} ({answer['cause']})")
        if answer.get("output") is not None:
            print_lines([jsonlib.dumps(answer["output"], indent=2, ensure_ascii=False)])
    if not good:
        raise typer.Exit(1)


def _expand(paths: list[Path]) -> list[Path]:
    files = [file for path in paths for file in (sorted(path.glob("*.json")) if path.is_dir() else [path])]
    if not files:
        raise InvalidInputError(f"there is no .json file in {', '.join(str(path) for path in paths)}")
    return files


def _read_object(file: Path) -> dict[str, Any]:
    found = read_json(file)
    if not isinstance(found, dict):
        raise InvalidInputError(f"{file} holds no JSON object")
    return found
