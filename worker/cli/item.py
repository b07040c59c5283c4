"""`nightkey item`: create, import, list, show, update, delete, rotate."""

import sys
from dataclasses import replace
from typing import TYPE_CHECKING, Annotated, Any

import typer

from vaultcore.errors import InvalidInputError, NightkeyError, RefusedError
from vaultcore.forms import KEY_MAX, VALUE_MAX
from vaultcore.model import UNCHANGED, Item, Kind, Policy, Reference, Version
from vaultcore.rules import kind_of
from vaultcore.secret import Secret
from worker.cli.changes import describe_changes, print_changes
from worker.cli.commands import Commands
from worker.cli.handover import AnswerLostError, check_output, hand_over, hand_over_json, hint
from worker.cli.inputs import ask_expiry, parse_time, read_value
from worker.cli.item_import import import_items
from worker.cli.output import note, print_json, print_lines, print_table, sort_out, tell_unreadable
from worker.cli.policy_options import takes_policy
from worker.cli.progress import show_progress
from worker.cli.rotation import is_good, print_outcome
from worker.cli.session import Json, open_services, who
from worker.domain.changes import ItemChange
from worker.domain.commands import explain_missing_expiry, value_command
from worker.domain.consumption import NO_WAY_OUT, explain_elsewhere
from worker.domain.notices import PICKUP_COMMAND
from worker.domain.places import Place
from worker.domain.policies import PolicyChange
from worker.domain.proof import Consumer
from worker.wording import say, say_each

if TYPE_CHECKING:
    from worker.bootstrap import Services
    from worker.services.items import Warnings
    from worker.services.rotation.pickups import Collected

app = Commands(no_args_is_help=True, help="The credentials: metadata in, metadata out, values only in.")
_WAITS = "waits for its value"

Owners = Annotated[
    list[str] | None,
    typer.Option(
        "--owner",
        help="Who answers for it, in place of those who did; several times for several.",
    ),
]
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


@app.command()
@takes_policy(before="value_file")
def create(
    name: str,
    *,
    owner: Annotated[list[str], typer.Option("--owner", help="Who answers for it; several times for several.")],
    expires_at: Expires = None,
    policy: PolicyChange,
    value_file: ValueFile = None,
    json: Json = False,
) -> None:
    """Create an item. Its value is asked for, or read from --value-file; never an argument.

    A name that starts with api-key: generates its value, which is printed.
    """
    services = open_services()
    generates = kind_of(name) is Kind.API_KEY
    if generates:
        check_output()
    given: list[Secret] = []

    def read_once() -> Secret:
        given.append(read_value(value_file, what=f"value of {name}"))
        return given[0]

    created, first = services.items.create(
        name,
        read_value=None if generates and value_file is None else read_once,
        owners=owner,
        expires_at=None if expires_at is None else parse_time(expires_at, services.clock()),
        policy=policy,
        actor=who(),
    )
    _warn(created, services.items.warn(created, given))
    if first is not None:
        show_key(services, created, first, json=json)
    elif json:
        print_json(describe(created))
    else:
        overlap = services.items.explain_overlap(created)
        print_lines([_line(created), *([] if overlap is None else [f"when it is replaced, {overlap}"])])


def show_key(services: "Services", item: Item, first: "Collected", *, json: bool) -> None:
    """The key of a new item. It is kept until it has arrived, and the way to it comes first."""
    again = f"with the token {services.rotation.pickups.token(first.pickup_id)}"

    def show(collected: "Collected") -> None:
        hint(
            f"its key; until its first use, and for an hour at most, `{PICKUP_COMMAND}` shows it again to you, "
            f"{again}"
        )
        if json:
            hand_over_json(describe(item) | {"key": collected.key.expose()})
        else:
            hand_over(f"{_line(item)}\n{collected.key.expose()}\n")

    problem = ""
    try:
        services.rotation.pickups.deliver(first, actor=who(), show=show)
    except AnswerLostError as error:
        lost = f"{item.name} is there, and its key was not written ({error})"
        problem = f"{lost}: `{PICKUP_COMMAND}` shows it, {again}"
    if problem:
        raise NightkeyError(problem)


app.command("import")(import_items)


@app.command("list")
def list_items(*, json: Json = False) -> None:
    """List items."""
    items, errors = sort_out(open_services().views.list_items())
    rows = [describe(item) for item in items]
    if json:
        print_json(rows)
    else:
        print_table(
            [row | {"version": row["version"] or _WAITS} for row in rows],
            ("name", "owners", "mode", "rotator", "version", "expires_at", "due_at"),
            "no items yet: nightkey item create NAME --owner OWNER",
            unread=errors,
        )
    tell_unreadable(errors)


@app.command()
def show(name: str, *, json: Json = False) -> None:
    """Show an item, its versions and who uses it. No value is ever shown."""
    services = open_services()
    view = services.items.view(name)
    item = view.item
    versions = [_describe_version(version) for version in view.versions]
    references = [_describe_reference(reference) for reference in view.references]
    if json:
        own = {"copy_of": view.original, "copies": view.copies, "versions": versions, "references": references}
        print_json(describe(item) | own)
        return
    print_lines([_line(item), f"id {item.id}, {_describe_policy(item.policy)}"])
    if view.overlap is not None:
        print_lines([f"replaced: {view.overlap}"])
    if view.original is not None:
        print_lines([f"a copy of {view.original}: replaced with that, and by nobody else"])
    if view.copies:
        print_lines([f"its copies, which stop working when it is replaced: {', '.join(view.copies)}"])
    print_lines(["", "versions:"])
    none = "none" if item.version else f"none yet: {value_command(item, services.clock())}"
    print_table(versions, ("number", "stage", "expires_at", "activated_at", "destroyed_at"), none)
    print_lines(["", "used by:"])
    print_table(
        references,
        (
            "name",
            "node",
            "active",
            "runs",
            "mentioned",
            "pinned",
            "last_version",
            "last_run_at",
            "proven_version",
        ),
        "nobody",
    )
    away = sorted({one.consumer_name for one in view.references if one.elsewhere and not one.mentioned})
    if away:
        print_lines(["", explain_elsewhere(away)])


@app.command()
@takes_policy(before="value_file", changes=True)
def update(
    name: str,
    *,
    rename: Annotated[str | None, typer.Option("--name", help="Its new name.")] = None,
    owner: Owners = None,
    no_owner: Annotated[bool, typer.Option("--no-owner", help="Nobody answers for it.")] = False,
    expires_at: Expires = None,
    no_expiry: Annotated[bool, typer.Option("--no-expiry", help="It never lapses.")] = False,
    policy: PolicyChange,
    value_file: ValueFile = None,
    new_value: Annotated[bool, typer.Option("--value", help="Ask for a new value.")] = False,
    json: Json = False,
) -> None:
    """Change what is given, and show what that changed. A new value (--value or --value-file) is a new version,
    current at once; its expiry follows from the policy's lifetime, or is given (--expires-at, --no-expiry).
    """
    services = open_services()
    if (owner and no_owner) or (expires_at is not None and no_expiry):
        raise InvalidInputError("an option and its opposite were given: choose one")
    change = ItemChange(
        name=rename,
        owners=() if no_owner else owner or UNCHANGED,
        expires_at=UNCHANGED
        if expires_at is None and not no_expiry
        else None
        if expires_at is None
        else parse_time(expires_at, services.clock()),
        policy=policy,
    )
    value = None
    if value_file is not None or new_value:
        if services.items.lacks_expiry(name, change):
            asked = ask_expiry(explain_missing_expiry(name), services.clock())
            change = replace(change, expires_at=asked)
        value = read_value(value_file, what=f"new value of {name}")
    updated = services.items.update(name, change, value=value, actor=who())
    _warn(updated.item, services.items.warn(updated.item, [] if value is None else [value]))
    if json:
        changes = describe_changes(updated.changes)
        print_json(
            describe(updated.item)
            | {
                "changes": changes,
                "ends_rotation": updated.ends,
                "copies": updated.follow,
                "unlike": updated.unlike,
            }
        )
    else:
        print_lines([_line(updated.item)])
        print_changes(updated.changes)
        if updated.follow:
            print_lines(
                [f"its copies follow it, and are of the same original now: {', '.join(updated.follow)}"]
            )
        if updated.unlike:
            original = services.views.get_item(updated.item.policy.copy_of or "").name
            print_lines([f"with another value than {original}: {', '.join(updated.unlike)}"])
        if updated.ends is not None:
            print_lines([f"its rotation ends on this value (nightkey rotation show {updated.ends})"])


@app.command()
def delete(name: str, *, json: Json = False) -> None:
    """Delete an item and every value of it. Refused while anything uses it."""
    item = open_services().items.delete(name, actor=who())
    if json:
        print_json({"id": item.id, "name": item.name, "deleted": True})
    else:
        print_lines([f"{item.name} and its values are gone"])


@app.command()
def rotate(
    name: str,
    *,
    compromised: Annotated[
        bool,
        typer.Option("--compromised", help="Somebody else knows it: revoke it as soon as there is a new one."),
    ] = False,
    yes: Annotated[bool, typer.Option("--yes", help="With --compromised: do not ask.")] = False,
    in_freeze: Annotated[bool, typer.Option("--in-freeze", help="Rotate although a freeze holds.")] = False,
    json: Json = False,
) -> None:
    """Replace an item now: create, test and activate a new version. The old one works on meanwhile.

    An api-key: item that came in without a key gets its first one, which is printed.
    """
    services = open_services()
    item = services.views.get_item(name)
    if item.kind is Kind.API_KEY and item.version is None:
        check_output()
        made, first = services.items.make_first_key(item.id, actor=who())
        show_key(services, made, first, json=json)
        return
    if compromised and item.version is not None:
        _confirm_harm(services, name, yes=yes)
    with show_progress(services.night.inline_night) as tell:
        if compromised:
            rotation = services.night.inline_night.run_emergency(name, tell, asked_by=who())
        else:
            opened = services.rotation.opening.request(name, asked_by=who(), in_freeze=in_freeze)
            rotation = services.night.inline_night.run_rotation(opened.id, tell)
    if json:
        print_json(
            {
                "id": rotation.id,
                "item": rotation.item,
                "item_id": rotation.item_id,
                "state": rotation.state,
                "version": rotation.new_number,
                "waits_for": say_each(rotation.waits_for),
                "error": say(rotation.last_error) or None,
            }
        )
    else:
        print_outcome(rotation)
    if not is_good(rotation):
        raise typer.Exit(1)


def _confirm_harm(services: "Services", name: str, *, yes: bool) -> None:
    """Which workflows it may break, before it is done."""
    item = services.views.get_item(name)
    found = services.views.list_consumers(item)
    note(f"The value of {item.name} is revoked as soon as there is a new one; no workflow is tested before.")
    for consumer in found:
        note(f"  {consumer.name}: {_explain_harm(consumer)}")
    if not found:
        note("  no workflow uses it" if item.kind is Kind.API_KEY else f"  {NO_WAY_OUT}")
    if item.kind is Kind.API_KEY:
        note("  every caller: the old key opens nothing until they use the new one")
    if yes:
        return
    if not sys.stdin.isatty():
        raise InvalidInputError("there is no terminal to ask: add --yes if that is what you want")
    if not typer.confirm("Go on?", err=True):
        raise RefusedError("nothing was changed")


def _explain_harm(consumer: Consumer) -> str:
    if consumer.pinned is not None:
        return f"pinned to version {consumer.pinned}: fails until it is unpinned"
    if consumer.held:
        return "held on the old version by a rotation: moves at once"
    active = "" if consumer.active else ", not active"
    return f"uses the new value from its next run on; a run under way may fail{active}"


def describe(item: Item) -> dict[str, Any]:
    """SDX's metadata, and what is ours to hold beside it."""
    return {
        "id": item.id,
        "name": item.name,
        "created_at": item.created_at,
        "expires_at": item.expires_at,
        "item": item.name,
        "item_id": item.id,
        "kind": item.kind,
        "owners": item.owners,
        "version": item.version,
        "mode": item.policy.mode,
        "rotator": item.policy.rotator,
        "settings": item.policy.settings,
        "lifetime": item.policy.lifetime,
        "lead": item.policy.lead,
        "overlap": item.policy.overlap,
        "windows": item.policy.windows,
        "freezes": item.policy.freezes,
        "canary": item.policy.canary,
        "four_eyes": item.policy.four_eyes,
        "consumers": item.policy.consumers,
        "due_at": item.due_at,
        "hold_until": item.hold_until,
        "updated_at": item.updated_at,
    }


def _describe_version(version: Version) -> dict[str, Any]:
    return {
        "number": version.number,
        "stage": version.stage,
        "expires_at": version.expires_at,
        "created_at": version.created_at,
        "activated_at": version.activated_at,
        "destroyed_at": version.destroyed_at,
        "used_at": version.used_at,
    }


def _describe_reference(reference: Reference) -> dict[str, Any]:
    return {
        "consumer": reference.consumer,
        "name": reference.consumer_name,
        "node": reference.node_id,
        "active": reference.active,
        "runs": Place.ELSEWHERE if reference.elsewhere else Place.HERE,
        "mentioned": reference.mentioned,
        "pinned": reference.pinned,
        "last_version": reference.last_version,
        "last_run_at": reference.last_run_at,
        "proven_version": reference.proven_version,
    }


def _line(item: Item) -> str:
    expiry = "no expiry" if item.expires_at is None else f"expires {item.expires_at:%Y-%m-%d %H:%M} UTC"
    version = _WAITS if item.version is None else f"version {item.version}"
    return f"{item.name} ({item.id}): {version}, {expiry}, owner {', '.join(item.owners) or 'nobody'}"


def _describe_policy(policy: Policy) -> str:
    by = f" by {policy.rotator}" if policy.rotator else ""
    return f"mode {policy.mode}{by}"


def _warn(item: Item, warnings: "Warnings") -> None:
    """What is taken as it is, and may not be meant."""
    if warnings.canary is not None:
        wanted, users = warnings.canary
        note(
            f"nightkey: warning: {item.name} is not used by {wanted!r} (yet): until it is, the workflow that "
            f"runs soonest goes first; it is used by {', '.join(users) or 'none'}"
        )
    for written in warnings.missing:
        note(f"nightkey: warning: the settings of {item.name} name {written}, which does not exist (yet)")
    if warnings.first is not None:
        note(
            f"nightkey: warning: the first rotation of {item.name} would be stuck before its end: "
            f"{warnings.first}"
        )
    if warnings.shorter is not None:
        note(
            f"nightkey: warning: a value of fewer than {warnings.shorter} characters cannot be masked by "
            "itself: every text of a run that holds it is shown as [masked] whole; choose a longer one, if you "
            "can"
        )
