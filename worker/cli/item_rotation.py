"""`nightkey item rotate`: an item is replaced now, or in an emergency at once."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

import typer

from vaultcore.model import Kind
from worker.cli.deeds_at_once import DeedOptions, SkipRefused
from worker.cli.handover import check_output
from worker.cli.inputs import demand_yes
from worker.cli.item_answers import ITEMS, show_key
from worker.cli.item_filters import takes_selection
from worker.cli.output import note, print_json
from worker.cli.progress import show_progress
from worker.cli.rotation import is_good, print_outcome
from worker.cli.rotations_at_once import rotate_several
from worker.cli.session import Json, ask, who
from worker.domain.at_once import is_pattern
from worker.domain.item_states import ItemFilter
from worker.wording.harm import list_harm
from worker.wording.plain import Shape
from worker.wording.shapes import describe_rotation

if TYPE_CHECKING:
    from worker.bootstrap import Services
    from worker.cli.far.server import FarServer


@takes_selection(before="dry_run")
def rotate(
    names: Annotated[
        list[str] | None,
        typer.Argument(metavar="ITEM", help="Names, ids, or patterns such as 'prod-*'."),
    ] = None,
    *,
    compromised: Annotated[
        bool,
        typer.Option("--compromised", help="Somebody else knows it: revoke it as soon as there is a new one."),
    ] = False,
    in_freeze: Annotated[bool, typer.Option("--in-freeze", help="Rotate although a freeze holds.")] = False,
    wanted: ItemFilter,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Show what would be rotated, and rotate nothing.")
    ] = False,
    skips: SkipRefused = False,
    yes: Annotated[bool, typer.Option("--yes", help="With --compromised, or of several: do not ask.")] = False,
    json: Json = False,
) -> None:
    """Replace an item now: create, test and activate a new version. The old one works on meanwhile.

    An api-key: item that came in without a key gets its first one, which is printed.

    Several items are named, meant by a pattern, or found by what they are, as item list does. It shows which
    are replaced, and why others cannot be, and asks once. A rotation of each is opened before the first begins;
    where one cannot be, none is.

    nightkey item rotate --rotator postgres-role --expires-before 30d --dry-run
    """
    given = list(names or ())
    if dry_run or wanted != ItemFilter() or len(given) != 1 or is_pattern(given[0]):
        options = DeedOptions(dry_run=dry_run, yes=yes, skips=skips, json=json)
        rotate_several(given, wanted, options, emergency=compromised, in_freeze=in_freeze)
    else:
        _rotate_one(given[0], compromised=compromised, in_freeze=in_freeze, yes=yes, json=json)


def _rotate_one(name: str, *, compromised: bool, in_freeze: bool, yes: bool, json: bool) -> None:
    def rotate_here(services: "Services") -> Shape | None:
        item = services.lookup.views.get_item(name)
        if item.kind is Kind.API_KEY and item.version is None:
            check_output()
            made, first = services.items.creation.make_first_key(item.id, actor=who())
            show_key(services, made, first, json=json)
            return None
        if compromised and item.version is not None:
            _confirm_harm(item.name, list_harm(item, services.lookup.views.list_consumers(item)), yes=yes)
        with show_progress(services.night.inline_night) as tell:
            if compromised:
                return describe_rotation(services.night.inline_night.run_emergency(name, tell, asked_by=who()))
            opened = services.rotation.opening.request(name, asked_by=who(), in_freeze=in_freeze)
            return describe_rotation(services.night.inline_night.run_rotation(opened.id, tell))

    def rotate_there(server: "FarServer") -> Shape | None:
        if compromised:
            item = server.get(ITEMS, name)
            _confirm_harm(item["name"], item["harm"], yes=yes)
        wanted = {"item": name, "emergency": compromised, "in_freeze": in_freeze}
        opened: Shape = server.post("/nightkey/rotations", body=wanted)
        return opened

    rotation = ask(rotate_here, rotate_there)
    if rotation is None:
        return
    if json:
        shown = ("id", "item", "item_id", "state", "waits_for", "error")
        print_json({**{part: rotation[part] for part in shown}, "version": rotation["new_version"]})
    else:
        print_outcome(rotation)
    if not is_good(rotation):
        raise typer.Exit(1)


def _confirm_harm(name: str, harm: Sequence[str], *, yes: bool) -> None:
    """Which workflows it may break, before it is done."""
    note(f"The value of {name} is revoked as soon as there is a new one; no workflow is tested before.")
    for line in harm:
        note(f"  {line}")
    demand_yes("Go on?", yes=yes)
