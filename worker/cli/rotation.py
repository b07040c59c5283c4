"""`nightkey rotation`: what was replaced, step by step, and what a person decides of it."""

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from vaultcore.errors import InvalidInputError
from worker.cli.commands import Commands
from worker.cli.facts import say_when
from worker.cli.ids import RotationId
from worker.cli.inputs import parse_time
from worker.cli.output import describe_all, note, print_json, print_lines, print_table, tell_unreadable
from worker.cli.progress import show_progress
from worker.cli.session import Json, ask, who
from worker.domain.rotation import Rotation
from worker.domain.saga import ON_THE_WAY, State
from worker.domain.states import RunStatus
from worker.wording.plain import Shape
from worker.wording.shapes import describe_consumer, describe_rotation, describe_step

if TYPE_CHECKING:
    from worker.bootstrap import Services
    from worker.cli.far.server import FarServer
    from worker.services.rotation.decisions import Decisions
    from worker.services.rotation.views import RotationView

app = Commands(no_args_is_help=True)

_PATH: Final = "/nightkey/rotations"
Workflow = Annotated[str, typer.Option("--workflow", help="The workflow that uses the item.")]


@app.command("list")
def list_all(*, json: Json = False) -> None:
    """List rotations, newest first."""
    rows, errors = ask(
        lambda services: describe_all(services.lookup.views.list_rotations(), describe_rotation),
        lambda server: server.pages(_PATH),
    )
    if json:
        print_json(rows)
    else:
        columns = ("id", "item", "state", "reason", "error", "next_at", "created_at", "finished_at")
        print_table(
            rows,
            columns,
            "no rotations yet",
            unread=errors,
            spare=("next_at", "finished_at", "error", "reason"),
        )
    tell_unreadable(errors)


@app.command()
def show(rotation_id: RotationId, *, json: Json = False) -> None:
    """Show a rotation: steps, consumers, and what you can do. It says what it waits for, too."""
    found = ask(
        lambda services: _describe_whole(services.rotation.views.view(rotation_id)),
        lambda server: server.get(_PATH, rotation_id),
    )
    if json:
        print_json(found)
        return
    print_lines(_head(found))
    print_lines([""])
    print_table(found["steps"], ("at", "step", "result", "cause", "message"), "no step was taken yet")
    if found["consumers"]:
        print_lines(["", "used by:"])
        print_table(found["consumers"], ("workflow", "state", "next_run_at", "why"), "nobody")
    _print_advice(found["choices"])


@app.command()
def approve(rotation_id: RotationId, *, json: Json = False) -> None:
    """Let a rotation that waits for approval begin. It begins now, or when its window opens."""
    _decide(rotation_id, lambda decisions: decisions.approve(rotation_id, actor=who()), "approve", json=json)


@app.command()
def cancel(rotation_id: RotationId, *, json: Json = False) -> None:
    """End a rotation before its new value is activated. What it has made by then is taken back."""
    _decide(
        rotation_id,
        lambda decisions: decisions.cancel(rotation_id, actor=who()),
        "cancel",
        json=json,
        good=(State.CANCELLED, State.ROLLED_BACK),
    )


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
    _decide(
        rotation_id,
        lambda decisions: decisions.retry(rotation_id, another=another, actor=who()),
        "retry",
        {"another": another},
        json=json,
    )


@app.command()
def rollback(rotation_id: RotationId, *, json: Json = False) -> None:
    """End a rotation on the old value.

    If revoking the new one is what got stuck, it is only dropped here: revoke it yourself first.
    """
    _decide(
        rotation_id,
        lambda decisions: decisions.roll_back(rotation_id, actor=who()),
        "rollback",
        json=json,
        good=(State.ROLLED_BACK,),
    )


@app.command()
def accept(rotation_id: RotationId, *, json: Json = False) -> None:
    """End a stuck rotation on the new value.

    If revoking the old one is what got stuck, it is only dropped here: revoke it yourself first.
    """
    _decide(rotation_id, lambda decisions: decisions.accept(rotation_id, actor=who()), "accept", json=json)


@app.command()
def prove(
    rotation_id: RotationId,
    *,
    workflow: Workflow,
    json: Json = False,
) -> None:
    """Run a consumer now with the new value, in its sample context. A good run proves it. 1 if it fails."""

    def prove_here(services: "Services") -> Mapping[str, Any]:
        outcome = services.rotation.decisions.prove(rotation_id, workflow, actor=who())
        rotation = services.rotation.views.view(rotation_id).rotation
        with show_progress(services.night.inline_night) as tell:
            services.night.inline_night.recheck([rotation.item_id], tell)
        return vars(outcome)

    outcome = ask(
        prove_here,
        lambda server: server.post(_PATH, rotation_id, "prove", body={"workflow": workflow}, long=True),
    )
    if json:
        print_json(outcome)
    else:
        print_lines([f"{outcome['workflow']}: {outcome['status']}"])
        if outcome["error_message"]:
            note(f"nightkey: {outcome['error_message']} ({outcome['cause']})")
    if outcome["status"] != RunStatus.COMPLETED:
        raise typer.Exit(1)


@app.command()
def extend(
    rotation_id: RotationId,
    *,
    until: Annotated[str, typer.Option("--until", metavar="TIME", help="2026-12-24, or from now: 30d.")],
    json: Json = False,
) -> None:
    """Let the old value work on, for consumers that run later."""
    changed = ask(
        lambda services: describe_rotation(
            services.rotation.decisions.extend(rotation_id, parse_time(until, services.clock()), actor=who())
        ),
        lambda server: server.post(
            _PATH, rotation_id, "extend", body={"until": parse_time(until, server.clock())}
        ),
    )
    _answer(changed, json=json)


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
    changed = ask(
        lambda services: describe_rotation(
            services.rotation.decisions.waive(rotation_id, workflow, check=check, why=why, actor=who())
        ),
        lambda server: server.post(
            _PATH, rotation_id, "waive", body={"workflow": workflow, "check": check, "why": why}
        ),
    )
    _answer(changed, json=json)


def is_good(rotation: Shape) -> bool:
    """Whether it is done, or on its way there: nothing failed, and nothing goes back."""
    return rotation["state"] in ON_THE_WAY and rotation["failing_since"] is None


def _decide(
    rotation_id: str,
    decide: Callable[["Decisions"], Rotation],
    call: str,
    body: Mapping[str, object] | None = None,
    *,
    json: bool,
    good: tuple[State, ...] = (),
) -> None:
    """What follows from the decision is done here and now, as a worker would; far away, its workers do it."""

    def decide_here(services: "Services") -> tuple[Shape, bool]:
        decided = decide(services.rotation.decisions)
        with show_progress(services.night.inline_night) as tell:
            driven = describe_rotation(services.night.inline_night.run_decided(decided.id, tell))
        return driven, driven["state"] in good if good else is_good(driven)

    def decide_there(server: "FarServer") -> tuple[Shape, bool]:
        return server.post(_PATH, rotation_id, call, body=body), True

    decided, went_well = ask(decide_here, decide_there)
    _answer(decided, json=json)
    if not went_well:
        raise typer.Exit(1)


def _answer(rotation: Shape, *, json: bool) -> None:
    if json:
        print_json(rotation)
        return
    print_outcome(rotation)


def print_outcome(rotation: Shape) -> None:
    """Where a rotation has come to; what went wrong on standard error, at once."""
    print_lines([f"{rotation['item']}: {rotation['state']} (nightkey rotation show {rotation['id']})"])
    if rotation["waits_for"]:
        print_lines([f"waits for {'; '.join(rotation['waits_for'])}"])
    if rotation["error"] and not is_good(rotation):
        note(f"nightkey: {rotation['item']}: {rotation['error']}")


def _describe_whole(found: "RotationView") -> Shape:
    return describe_rotation(found.rotation) | {
        "steps": [describe_step(one) for one in found.steps],
        "consumers": [describe_consumer(one) for one in found.consumer_proofs if not one.check],
        "choices": [vars(one) for one in found.choices],
    }


def _head(rotation: Shape) -> list[str]:
    emergency = ", in an emergency" if rotation["emergency"] else ""
    approved = f", approved by {rotation['approved_by']}" if rotation["approved_by"] else ""
    by, why, asked_by = (rotation[name] for name in ("rotator", "reason", "asked_by"))
    lines = [
        f"{rotation['id']}: {rotation['item']}, {rotation['state']}",
        f"by {by}{emergency}, {why}, asked by {asked_by}{approved}",
        f"version {rotation['old_version']} → {rotation['new_version'] or '-'}",
    ]
    if rotation["one_way"]:
        lines.append("the old value stopped working when the new one was issued: there is no way back")
    if rotation["candidates"]:
        lines.append(f"{rotation['candidates']} rejected before")
    if rotation["failing_since"] is not None and rotation["next_at"] is not None:
        tries = f"try {rotation['attempts']} failed, " if rotation["outages"] else ""
        lines.append(
            f"{tries}failing since {say_when(rotation['failing_since'])}; "
            f"next try {say_when(rotation['next_at'])}"
        )
    elif rotation["error"] and rotation["state"] != State.DONE:
        ended = rotation["state"] == State.CANCELLED and rotation["cause"] is None
        lines.append(f"{'ended' if ended else 'last error'}: {rotation['error']}")
    if rotation["waits_for"]:
        lines.append(f"waits for {'; '.join(rotation['waits_for'])}")
    return lines


def _print_advice(advice: Sequence[Shape]) -> None:
    if not advice:
        return
    print_lines(["", "what you can do:"])
    for one in advice:
        print_lines([f"  {one['command']}", f"      {one['does']}"])
