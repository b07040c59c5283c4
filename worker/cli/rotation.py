"""`nightkey rotation`: what was replaced, step by step."""

from typing import Any

import typer

from worker.cli.output import print_json, print_lines, print_table
from worker.cli.session import Home, Json, open_services
from worker.store import Rotation, get_rotation, list_rotations, steps_of

app = typer.Typer(no_args_is_help=True, help="Replacements, step by step.")


@app.command("list")
def list_all(*, json: Json = False, home: Home = None) -> None:
    """List rotations, newest first."""
    _ = home
    services = open_services()
    with services.database.read() as connection:
        rows = [describe(rotation) for rotation in list_rotations(connection)]
    if json:
        print_json(rows)
    else:
        print_table(rows, ("id", "item", "state", "reason", "created_at", "finished_at"), "no rotations yet")


@app.command()
def show(rotation_id: str, *, json: Json = False, home: Home = None) -> None:
    """Show a rotation with each of its steps, and what it waits for."""
    _ = home
    services = open_services()
    with services.database.read() as connection:
        rotation = get_rotation(connection, rotation_id)
        steps = [
            {
                "at": row.at,
                "step": row.step,
                "result": row.result,
                "cause": row.cause,
                "message": row.message,
            }
            for row in steps_of(connection, rotation_id)
        ]
    if json:
        print_json(describe(rotation) | {"steps": steps})
        return
    print_lines(
        [
            f"{rotation.id}: {rotation.item}, {rotation.state}",
            f"by {rotation.rotator}, {rotation.reason}, asked by {rotation.asked_by}",
            f"version {rotation.old_number} → {rotation.new_number or '-'}",
        ]
    )
    if rotation.waits_for:
        print_lines([f"waits for {'; '.join(rotation.waits_for)}"])
    print_lines([""])
    print_table(steps, ("at", "step", "result", "cause", "message"), "no step was taken yet")


def describe(rotation: Rotation) -> dict[str, Any]:
    return {
        "id": rotation.id,
        "item": rotation.item,
        "item_id": rotation.item_id,
        "state": rotation.state,
        "rotator": rotation.rotator,
        "reason": rotation.reason,
        "asked_by": rotation.asked_by,
        "old_version": rotation.old_number,
        "new_version": rotation.new_number,
        "attempts": rotation.attempts,
        "cause": rotation.last_cause,
        "error": rotation.last_error,
        "waits_for": rotation.waits_for,
        "next_at": rotation.next_at,
        "created_at": rotation.created_at,
        "activated_at": rotation.activated_at,
        "finished_at": rotation.finished_at,
    }
