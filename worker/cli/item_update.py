"""`nightkey item update`: what is given is changed, of one item or of several, and nothing else."""

from collections.abc import Iterable
from dataclasses import replace
from datetime import datetime
from typing import TYPE_CHECKING, Annotated, Any

import typer

from vaultcore.errors import InvalidInputError
from vaultcore.labels import check_key, parse_labels
from vaultcore.model import UNCHANGED
from vaultcore.secret import Secret
from worker.cli.changes import describe_changes, print_changes, read_change
from worker.cli.inputs import ask_expiry, parse_time, read_value
from worker.cli.item_answers import (
    ITEMS,
    Expires,
    ValueFile,
    describe_item_whole,
    item_line,
    split_policy,
    warn,
)
from worker.cli.item_filters import query_of, takes_where
from worker.cli.items_at_once import ChangeOptions, carry_out, foresee_here, foresee_there
from worker.cli.output import print_json, print_lines
from worker.cli.policy_options import takes_policy
from worker.cli.session import Json, ask, who
from worker.domain.at_once import is_pattern
from worker.domain.changes import ItemChange
from worker.domain.commands import explain_missing_expiry
from worker.domain.item_states import ItemFilter
from worker.domain.policies import PolicyChange
from worker.wording.plain import Shape
from worker.wording.shapes import flatten_item
from worker.wording.warnings import word_warnings

if TYPE_CHECKING:
    from worker.bootstrap import Services
    from worker.cli.far.server import FarServer

Owners = Annotated[
    list[str] | None,
    typer.Option(
        "--owner",
        help="Who answers for it, in place of those who did; several times for several.",
    ),
]


@takes_where(before="dry_run")
@takes_policy(before="value_file", changes=True)
def update(
    names: Annotated[
        list[str] | None,
        typer.Argument(metavar="ITEM", help="Names, ids, or patterns such as 'prod-*'."),
    ] = None,
    *,
    rename: Annotated[str | None, typer.Option("--name", help="Its new name.")] = None,
    owner: Owners = None,
    no_owner: Annotated[bool, typer.Option("--no-owner", help="Nobody answers for it.")] = False,
    expires_at: Expires = None,
    no_expiry: Annotated[bool, typer.Option("--no-expiry", help="It never lapses.")] = False,
    label: Annotated[
        list[str] | None,
        typer.Option(
            "--label", metavar="KEY=VALUE", help="A label that it has from now on; several times for several."
        ),
    ] = None,
    no_label: Annotated[
        list[str] | None,
        typer.Option(
            "--no-label", metavar="KEY", help="A label that it has no longer; several times for several."
        ),
    ] = None,
    policy: PolicyChange,
    value_file: ValueFile = None,
    new_value: Annotated[bool, typer.Option("--value", help="Ask for a new value.")] = False,
    wanted: ItemFilter,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show what would change, and change nothing.")] = (
        False
    ),
    skips: Annotated[
        bool,
        typer.Option("--skip-refused", help="Of several: change the others where one cannot be changed."),
    ] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Of several: do not ask.")] = False,
    json: Json = False,
) -> None:
    """Change what is given, and show what that changed. A new value (--value or --value-file) is a new version,
    current at once; its expiry follows from the policy's lifetime, or is given (--expires-at, --no-expiry).

    Several items are named, meant by a pattern, or found by what they are: --where-owner, --where-label and the
    others select as item list does without the where. It shows what will happen to them, asks once, and changes
    them 200 at a time. Where one cannot be changed, none is.

    nightkey item update 'prod-*' --where-mode notify --lead 30d --dry-run

    nightkey item update --where-owner platform --owner operators --yes
    """
    if (owner and no_owner) or (expires_at is not None and no_expiry):
        raise InvalidInputError("an option and its opposite were given: choose one")
    labels = _read_labels(label or (), no_label or ())
    owners: Any = () if no_owner else owner or UNCHANGED

    def wish(now: datetime) -> ItemChange:
        expires = _read_expiry(expires_at, now, ends=not no_expiry)
        return ItemChange(name=rename, owners=owners, expires_at=expires, policy=policy, labels=labels)

    given = list(names or ())
    if dry_run or wanted != ItemFilter() or len(given) != 1 or is_pattern(given[0]):
        _refuse_own(rename, value=value_file is not None or new_value)
        foreseen = ask(
            lambda services: foresee_here(services, given, wanted, wish(services.clock())),
            lambda server: foresee_there(
                server, given, _leave_empty_out(query_of(wanted)), _show_wish(wish(server.clock()))
            ),
        )
        carry_out(foreseen, ChangeOptions(dry_run=dry_run, yes=yes, skips=skips, json=json))
        return
    name = given[0]

    def read() -> Secret:
        return read_value(value_file, what=f"new value of {name}")

    def update_here(services: "Services") -> Shape:
        change = wish(services.clock())
        value = None
        if value_file is not None or new_value:
            if services.items.updates.lacks_expiry(name, change):
                asked = ask_expiry(explain_missing_expiry(name), services.clock())
                change = replace(change, expires_at=asked)
            value = read()
        updated = services.items.updates.update(name, change, value=value, actor=who())
        warned = services.items.views.warn(updated.item, [] if value is None else [value])
        return describe_item_whole(services, updated.item.id) | {
            "changes": updated.changes,
            "ends_rotation": updated.ends,
            "follows": list(updated.follow),
            "unlike": list(updated.unlike),
            "warnings": word_warnings(updated.item.name, warned),
        }

    def update_there(server: "FarServer") -> Shape:
        change = dict(_show_wish(wish(server.clock())))
        if value_file is not None or new_value:
            change["secret"] = read()
        updated = server.patch(ITEMS, name, body=change)
        return {**updated, "changes": [read_change(row) for row in updated["changes"]]}

    _print_updated(ask(update_here, update_there), json=json)


def _refuse_own(rename: str | None, *, value: bool) -> None:
    """What one item has for itself alone is changed of one that is named, and not tried."""
    given = "--name" if rename is not None else "--value or --value-file" if value else None
    if given is not None:
        raise InvalidInputError(f"{given} goes with one item, by its name, and without --dry-run")


def _show_wish(change: ItemChange) -> Shape:
    """As the interface takes it."""
    said = {"name": change.name or UNCHANGED, "owners": change.owners, "expires_at": change.expires_at}
    shown = {part: given for part, given in said.items() if given is not UNCHANGED}
    return shown | split_policy(change.policy) | ({"labels": change.labels} if change.labels else {})


def _leave_empty_out(query: Shape) -> Shape:
    return {name: part for name, part in query.items() if part not in (None, [])}


def _read_labels(given: Iterable[str], taken: Iterable[str]) -> dict[str, str | None]:
    wanted: dict[str, str | None] = {one.key: one.value for one in parse_labels(given)}
    for key in map(check_key, taken):
        if key in wanted:
            raise InvalidInputError(f"label {key} is set and taken away: choose one")
        wanted[key] = None
    return wanted


def _read_expiry(given: str | None, now: datetime, *, ends: bool) -> Any:  # noqa: ANN401  # a time, None or UNCHANGED
    if given is None:
        return UNCHANGED if ends else None
    return parse_time(given, now)


def _print_updated(updated: Shape, *, json: bool) -> None:
    warn(updated["warnings"])
    follows, unlike, ends = (updated[part] for part in ("follows", "unlike", "ends_rotation"))
    if json:
        changes = describe_changes(updated["changes"])
        own = {"changes": changes, "ends_rotation": ends, "copies": follows, "unlike": unlike}
        print_json(flatten_item(updated) | own)
        return
    print_lines([item_line(updated)])
    print_changes(updated["changes"])
    if follows:
        print_lines([f"its copies follow it, and are of the same original now: {', '.join(follows)}"])
    if unlike:
        print_lines([f"with another value than {updated['policy']['copy_of']}: {', '.join(unlike)}"])
    if ends is not None:
        print_lines([f"its rotation ends on this value (nightkey rotation show {ends})"])
