"""`nightkey item impact`: who is hurt when an item, or a target system, works no longer."""

from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from vaultcore.access import machine
from vaultcore.errors import InvalidInputError, NightkeyError
from worker.cli.facts import print_facts, say_when
from worker.cli.output import print_json, print_lines, print_table, tell_unreadable
from worker.cli.session import Json, ask, who
from worker.wording.impact import describe_impact
from worker.wording.parts import say_count
from worker.wording.plain import Shape

if TYPE_CHECKING:
    from worker.bootstrap import Services

_PATH: Final = "/nightkey/impact"
_COLUMNS: Final = (
    "name",
    "what_happens",
    "next_run_at",
    "lapses_at",
    "runs",
    "last_run_at",
    "by_way_of",
    "owners",
)
_SPARE: Final = ("owners", "last_run_at", "by_way_of", "runs", "lapses_at", "next_run_at")
_HIDDEN: Final = ("says", "by", "harm")
_OWNERS_MAX: Final = 12


def impact(
    name: Annotated[str | None, typer.Argument(metavar="ITEM", help="Its name or id.")] = None,
    *,
    target: Annotated[
        str | None, typer.Option("--target", metavar="NAME", help="A target system in the place of an item.")
    ] = None,
    json: Json = False,
) -> None:
    """Show who is hurt when an item works no longer, the worst first.

    Workflows that run soonest come first, then copies, items that could not be replaced any more, and what
    fails once those lapse. Runs are counted for 30 days.

    nightkey item impact prod-crm-token

    nightkey item impact --target crm.example.com
    """
    if (name is None) == (target is None):
        raise InvalidInputError("say which item is meant, or which --target: one of both")

    def find_here(services: "Services") -> Shape:
        seen_by = machine(who())
        found = (
            services.bulk.impacts.of_item(seen_by, name)
            if name is not None
            else services.bulk.impacts.of_target(seen_by, target or "")
        )
        return describe_impact(found)

    found = ask(find_here, lambda server: server.get(_PATH, item=name, target=target))
    if json:
        print_json(found)
    else:
        _print(found)
    tell_unreadable([NightkeyError(sentence) for sentence in found["unread"]])


def _print(found: Shape) -> None:
    print_lines([f"{found['name']}: {found['says']}"])
    first, unseen = found["first_run_at"], found["unseen"]
    print_facts(
        [
            ("target", None if found["is_target"] else found["target"]),
            ("first run", None if first is None else say_when(first)),
            ("items", say_count(len(found["items"]), "item") if found["is_target"] else None),
            ("who to tell", _name(found["owners"])),
            ("not shown", f"{say_count(unseen, 'item')} that you may not see" if unseen else None),
        ]
    )
    print_lines([""])
    rows = [_row(one, found["name"]) for one in found["hurt"]]
    print_table(rows, _COLUMNS, "nothing here uses it", spare=_SPARE, hidden=_HIDDEN)


def _row(one: Shape, asked: str) -> dict[str, Any]:
    """`by_way_of`: what lies between it and what was asked about."""
    name = f"{one['name']} (critical)" if one["critical"] else one["name"]
    return {**one, "name": name, "what_happens": one["says"], "by_way_of": [b for b in one["by"] if b != asked]}


def _name(owners: list[str]) -> str:
    named = ", ".join(owners[:_OWNERS_MAX])
    more = len(owners) - _OWNERS_MAX
    return f"{named} and {more} more" if more > 0 else named or "nobody answers for it"
