"""What the commands of items share: where they ask, what they print of an item, and how a new key is given."""

from collections.abc import Iterable
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from vaultcore.errors import NightkeyError
from vaultcore.forms import KEY_MAX, VALUE_MAX
from vaultcore.labels import join_line
from vaultcore.model import Item, Label
from vaultcore.secret import Secret
from worker.cli.facts import say_when
from worker.cli.handover import AnswerLostError, hand_over, hand_over_json, hint
from worker.cli.output import note
from worker.cli.session import who
from worker.domain.notices import PICKUP_COMMAND
from worker.domain.policies import OF_TARGET, PolicyChange
from worker.wording.plain import Shape
from worker.wording.shapes import describe_item, describe_whole_item, flatten_item

if TYPE_CHECKING:
    from worker.bootstrap import Services
    from worker.services.rotation.pickups import Collected

ITEMS: Final = "/nightkey/items"
WAITS: Final = "waits for its value"
Expires = Annotated[str | None, typer.Option("--expires-at", metavar="TIME", help="When this value lapses.")]
ValueFile = Annotated[
    str | None,
    typer.Option(
        "--value-file",
        metavar="PATH",
        help="The value's file; - for standard input. "
        f"{VALUE_MAX:,} characters at most, {KEY_MAX:,} of a PEM key or a JSON key document.",
    ),
]


def show_key(services: "Services", item: Item, first: "Collected", *, json: bool) -> None:
    """The key of a new item. It is kept until it has arrived, and the way to it comes first."""
    again = f"with the token {services.rotation.pickups.token(first.pickup_id)}"

    def show(collected: "Collected") -> None:
        hint(
            f"its key; until its first use, and for an hour at most, `{PICKUP_COMMAND}` shows it again to you, "
            f"{again}"
        )
        hand_over_key(describe_item(item, copy_of=None), collected.key, json=json)

    problem = ""
    try:
        services.rotation.pickups.deliver(first, actor=who(), show=show)
    except AnswerLostError as error:
        lost = f"{item.name} is there, and its key was not written ({error})"
        problem = f"{lost}: `{PICKUP_COMMAND}` shows it, {again}"
    if problem:
        raise NightkeyError(problem)


def hand_over_key(item: Shape, key: Secret, *, json: bool) -> None:
    if json:
        hand_over_json(flatten_item(item) | {"key": key.expose()})
    else:
        hand_over(f"{item_line(item)}\n{key.expose()}\n")


def hand_over_made(made: Shape, *, again: str, json: bool) -> None:
    """The key that a server has made: it shows it once. `again`: the command that makes another."""
    problem = ""
    try:
        hand_over_key(made, Secret(made["secret"]), json=json)
    except AnswerLostError as error:
        problem = f"{made['name']} is there, and its key was not written ({error}): `{again}` makes another"
    if problem:
        raise NightkeyError(problem)


def describe_item_whole(services: "Services", name: str) -> dict[str, Any]:
    return describe_whole_item(services.items.views.view(name), services.clock())


def split_policy(policy: PolicyChange) -> dict[str, Any]:
    """As the interface takes it: where the value is sent apart from when and how it is rotated."""
    target = {name: part for name, part in policy.parts.items() if name in OF_TARGET}
    if policy.assigned:
        target["set"] = policy.assigned
    if policy.unset:
        target["unset"] = policy.unset
    return {
        "plan": {name: part for name, part in policy.parts.items() if name not in OF_TARGET},
        "target": target,
    }


def item_facts(item: Shape) -> list[tuple[str, str | None]]:
    """What stands above the versions of an item: by name, what there is to say."""
    policy, due, held = item["policy"], item["due_at"], item["hold_until"]
    by = f" by {policy['rotator']}" if policy["rotator"] else ""
    return [
        ("id", item["id"]),
        ("owners", ", ".join(item["owners"]) or "nobody"),
        ("version", WAITS if item["version"] is None else str(item["version"])),
        ("expires", "never" if item["expires_at"] is None else say_when(item["expires_at"])),
        ("mode", f"{policy['mode']}{by}"),
        ("due", None if due is None else say_when(due)),
        ("on hold", None if held is None else f"until {say_when(held)}"),
        ("labels", show_labels(item)),
        ("replaced", item["replaced"]),
        *_tell_check(item["checked"]),
    ]


def _tell_check(checked: Shape | None) -> list[tuple[str, str | None]]:
    """What its target last said of the current value, and what helps."""
    if checked is None:
        return []
    return [("checked", f"{say_when(checked['checked_at'])}: {checked['said']}"), ("helps", checked["command"])]


def item_line(item: Shape) -> str:
    expiry = "no expiry" if item["expires_at"] is None else f"expires {say_when(item['expires_at'])}"
    version = WAITS if item["version"] is None else f"version {item['version']}"
    return f"{item['name']} ({item['id']}): {version}, {expiry}, owner {', '.join(item['owners']) or 'nobody'}"


def show_labels(item: Shape) -> str:
    return join_line(Label(key=key, value=value) for key, value in item["labels"].items())


def warn(warnings: Iterable[str]) -> None:
    for warning in warnings:
        note(f"nightkey: warning: {warning}")
