"""`nightkey rotation`: what was replaced, step by step, and what a person decides of it."""

from typing import Annotated, Any

import typer

from vaultcore.errors import InvalidInputError
from worker.cli.commands import Commands
from worker.cli.inputs import parse_time
from worker.cli.output import note, print_json, print_lines, print_table, sort_out, tell_unreadable
from worker.cli.progress import show_progress
from worker.cli.session import Json, open_services, who
from worker.domain.advice import Advice
from worker.domain.rotation import Rotation
from worker.domain.saga import ON_THE_WAY, State
from worker.domain.states import RunStatus
from worker.wording import say, say_all
from worker.wording.shapes import describe_consumer, describe_rotation

app = Commands(no_args_is_help=True, help="Replacements, step by step, and what you decide of them.")

RotationId = Annotated[str, typer.Argument(metavar="ROTATION", help="Its id: rot_…")]
Workflow = Annotated[str, typer.Option("--workflow", help="The workflow that uses the item.")]


@app.command("list")
def list_all(*, json: Json = False) -> None:
    """List rotations, newest first."""
    rotations, errors = sort_out(open_services().views.list_rotations())
    rows = [describe_rotation(rotation) for rotation in rotations]
    if json:
        print_json(rows)
    else:
        columns = ("id", "item", "state", "reason", "error", "next_at", "created_at", "finished_at")
        print_table(rows, columns, "no rotations yet", unread=errors)
    tell_unreadable(errors)


@app.command()
def show(rotation_id: RotationId, *, json: Json = False) -> None:
    """Show a rotation: steps, consumers, and what you can do. It says what it waits for, too."""
    found = open_services().rotation.decisions.view(rotation_id)
    rotation, consumer_proofs = found.rotation, found.consumer_proofs
    steps = [
        {"at": row.at, "step": row.step, "result": row.result, "cause": row.cause, "message": row.message}
        for row in found.steps
    ]
    consumers = [
        describe_consumer(consumer_proof) for consumer_proof in consumer_proofs if not consumer_proof.check
    ]
    if json:
        choices = [vars(one) for one in found.choices]
        print_json(describe_rotation(rotation) | {"steps": steps, "consumers": consumers, "choices": choices})
        return
    print_lines(_head(rotation))
    print_lines([""])
    print_table(steps, ("at", "step", "result", "cause", "message"), "no step was taken yet")
    if consumers:
        print_lines(["", "used by:"])
        print_table(consumers, ("workflow", "state", "next_run_at", "why"), "nobody")
    _print_advice(found.choices)


@app.command()
def approve(rotation_id: RotationId, *, json: Json = False) -> None:
    """Let a rotation that waits for approval begin. It begins now, or when its window opens."""
    services = open_services()
    approved = services.rotation.decisions.approve(rotation_id, actor=who())
    _drive(services, approved, json=json)


@app.command()
def cancel(rotation_id: RotationId, *, json: Json = False) -> None:
    """End a rotation before its new value is activated. What it has made by then is taken back."""
    services = open_services()
    cancelled = services.rotation.decisions.cancel(rotation_id, actor=who())
    _drive(services, cancelled, json=json, good=(State.CANCELLED, State.ROLLED_BACK))


@app.command()
def retry(
    rotation_id: RotationId,
    *,
    another: Annotated[
        bool, typer.Option("--another", help="Throw the new value away first, and make another.")
    ] = False,
    json: Json = False,
) -> None:
    """Do again, now, the step that is stuck or waits for its next try."""
    services = open_services()
    _drive(services, services.rotation.decisions.retry(rotation_id, another=another, actor=who()), json=json)


@app.command()
def rollback(rotation_id: RotationId, *, json: Json = False) -> None:
    """End a rotation on the old value.

    If revoking the new one is what got stuck, it is only dropped here: revoke it yourself first.
    """
    services = open_services()
    changed = services.rotation.decisions.roll_back(rotation_id, actor=who())
    _drive(services, changed, json=json, good=(State.ROLLED_BACK,))


@app.command()
def accept(rotation_id: RotationId, *, json: Json = False) -> None:
    """End a stuck rotation on the new value.

    If revoking the old one is what got stuck, it is only dropped here: revoke it yourself first.
    """
    services = open_services()
    _drive(services, services.rotation.decisions.accept(rotation_id, actor=who()), json=json)


@app.command()
def prove(
    rotation_id: RotationId,
    *,
    workflow: Workflow,
    json: Json = False,
) -> None:
    """Run a consumer now with the new value, in its sample context. A good run proves it. 1 if it fails."""
    services = open_services()
    outcome = services.rotation.decisions.prove(rotation_id, workflow, actor=who())
    rotation = services.rotation.decisions.view(rotation_id).rotation
    with show_progress(services.night.inline_night) as tell:
        services.night.inline_night.recheck([rotation.item_id], tell)
    if json:
        print_json(vars(outcome))
    else:
        print_lines([f"{outcome.workflow}: {outcome.status}"])
        if outcome.error_message:
            note(f"nightkey: {outcome.error_message} ({outcome.cause})")
    if outcome.status != RunStatus.COMPLETED:
        raise typer.Exit(1)


@app.command()
def extend(
    rotation_id: RotationId,
    *,
    until: Annotated[str, typer.Option("--until", metavar="TIME", help="2026-12-24, or from now: 30d.")],
    json: Json = False,
) -> None:
    """Let the old value work on, for consumers that run later."""
    services = open_services()
    _answer(
        services.rotation.decisions.extend(rotation_id, parse_time(until, services.clock()), actor=who()),
        json=json,
    )


@app.command()
def waive(
    rotation_id: RotationId,
    *,
    workflow: Annotated[
        str | None, typer.Option("--workflow", help="The workflow that uses the item.", show_default=False)
    ] = None,
    callers: Annotated[bool, typer.Option("--callers", help="Those who present the key.")] = False,
    check: Annotated[
        bool, typer.Option("--check", help="That the new value works, where no check can tell.")
    ] = False,
    why: Annotated[str, typer.Option("--why", help="For the record.")],
    json: Json = False,
) -> None:
    """Answer for what is not proven. The old value no longer waits for it. It is audited."""
    if (workflow is not None) + callers + check != 1:
        raise InvalidInputError("say what you answer for: give one of --workflow NAME, --callers and --check")
    services = open_services()
    _answer(
        services.rotation.decisions.waive(rotation_id, workflow, check=check, why=why, actor=who()), json=json
    )


def is_good(rotation: Rotation) -> bool:
    """Whether it is done, or on its way there: nothing failed, and nothing goes back."""
    return rotation.state in ON_THE_WAY and rotation.failing_since is None


def _drive(services: Any, rotation: Rotation, *, json: bool, good: tuple[State, ...] = ()) -> None:  # noqa: ANN401  # Services, imported late
    """What follows from the decision is done here and now, as a worker would."""
    with show_progress(services.night.inline_night) as tell:
        driven = services.night.inline_night.run_decided(rotation.id, tell)
    _answer(driven, json=json)
    if driven.state not in good and (good or not is_good(driven)):
        raise typer.Exit(1)


def _answer(rotation: Rotation, *, json: bool) -> None:
    if json:
        print_json(describe_rotation(rotation))
        return
    print_outcome(rotation)


def print_outcome(rotation: Rotation) -> None:
    """Where a rotation has come to; what went wrong on standard error, at once."""
    print_lines([f"{rotation.item}: {rotation.state} (nightkey rotation show {rotation.id})"])
    if rotation.waits_for:
        print_lines([f"waits for {say_all(rotation.waits_for)}"])
    if rotation.last_error and not is_good(rotation):
        note(f"nightkey: {rotation.item}: {say(rotation.last_error)}")


def _head(rotation: Rotation) -> list[str]:
    emergency = ", in an emergency" if rotation.emergency else ""
    approved = f", approved by {rotation.approved_by}" if rotation.approved_by else ""
    lines = [
        f"{rotation.id}: {rotation.item}, {rotation.state}",
        f"by {rotation.rotator}{emergency}, {say(rotation.reason)}, asked by {rotation.asked_by}{approved}",
        f"version {rotation.old_number} → {rotation.new_number or '-'}",
    ]
    if rotation.one_way:
        lines.append("the old value stopped working when the new one was issued: there is no way back")
    if rotation.candidates:
        lines.append(f"{rotation.candidates} rejected before")
    if rotation.failing_since is not None and rotation.next_at is not None:
        tries = f"try {rotation.attempts} failed, " if rotation.outages else ""
        lines.append(
            f"{tries}failing since {rotation.failing_since:%Y-%m-%d %H:%M:%S} UTC; "
            f"next try {rotation.next_at:%Y-%m-%d %H:%M:%S} UTC"
        )
    elif rotation.last_error and rotation.state is not State.DONE:
        ended = rotation.state is State.CANCELLED and rotation.last_cause is None
        lines.append(f"{'ended' if ended else 'last error'}: {say(rotation.last_error)}")
    if rotation.waits_for:
        lines.append(f"waits for {say_all(rotation.waits_for)}")
    return lines


def _print_advice(advice: tuple[Advice, ...]) -> None:
    if not advice:
        return
    print_lines(["", "what you can do:"])
    for one in advice:
        print_lines([f"  {one.command}", f"      {one.does}"])
