"""`nightkey item rotate` of several items: each is opened, then driven; far away by the workers there."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from vaultcore.access import machine
from vaultcore.errors import RefusedError
from worker.cli.deeds_at_once import DeedOptions, ForeseenDeeds, ask_and_do, body_of, print_document, read_deed
from worker.cli.output import note, print_lines
from worker.cli.progress import show_progress
from worker.cli.rotation import is_good, print_outcome
from worker.cli.session import ask, who
from worker.domain.deeds import DeedKind, ForeseenDeed
from worker.domain.item_states import ItemFilter
from worker.wording.parts import say_count
from worker.wording.plain import Shape
from worker.wording.shapes import describe_rotation

if TYPE_CHECKING:
    from worker.bootstrap import Services
    from worker.cli.far.server import FarServer

_PATH: Final = "/nightkey/rotations"
_Came = Shape | RefusedError
"""The rotation of an item, or why there is none after all."""


@dataclass(frozen=True, kw_only=True)
class _How:
    emergency: bool
    in_freeze: bool


def rotate_several(
    names: Sequence[str], wanted: ItemFilter, options: DeedOptions, *, emergency: bool, in_freeze: bool
) -> None:
    how = _How(emergency=emergency, in_freeze=in_freeze)
    foreseen = ask(
        lambda services: _foresee_here(services, names, wanted, how),
        lambda server: _foresee_there(server, names, wanted, how),
    )
    if any(one.deed is DeedKind.REVOKE and one.why is None for one in foreseen.items) and not options.json:
        note("The values are revoked as soon as there are new ones; no workflow is tested before.")

    def carry_out(items: Sequence[ForeseenDeed]) -> bool:
        came = list(zip(items, foreseen.do(items), strict=True))
        opened = {item.id: one for item, one in came if not isinstance(one, RefusedError)}
        for _, one in came:
            if isinstance(one, RefusedError):
                note(f"nightkey: {one}")
        good = sum(is_good(one) for one in opened.values())
        if options.json:
            print_document(foreseen.items, {key: _show(one) for key, one in opened.items()}, dry_run=False)
        else:
            _print_all(list(opened.values()), good=good, of=len(items))
        return good == len(items)

    ask_and_do(foreseen.items, foreseen.unread, options, carry_out)


def _foresee_here(
    services: "Services", names: Sequence[str], wanted: ItemFilter, how: _How
) -> ForeseenDeeds[_Came]:
    principal, inline = machine(who()), services.night.inline_night
    found, unread = services.bulk.items_at_once.select(principal, names, wanted)

    def do(items: Sequence[ForeseenDeed]) -> list[_Came]:
        ids = [one.id for one in items]
        with show_progress(inline) as tell:
            came = inline.run_several(ids, tell, asked_by=who(), **vars(how))
        return [one if isinstance(one, RefusedError) else describe_rotation(one) for one in came]

    foreseen = services.bulk.deeds_at_once.foresee_rotations(principal, list(found), **vars(how))
    return ForeseenDeeds(items=foreseen, unread=[str(one) for one in unread], do=do)


def _foresee_there(
    server: "FarServer", names: Sequence[str], wanted: ItemFilter, how: _How
) -> ForeseenDeeds[_Came]:
    answer = server.post(_PATH, "preview", body=body_of(names, wanted) | vars(how), long=True)

    def open_one(one: ForeseenDeed) -> _Came:
        try:
            opened: Shape = server.post(_PATH, body={"item": one.id, **vars(how)})
        except RefusedError as error:
            return error
        return opened

    return ForeseenDeeds(
        items=[read_deed(row) for row in answer["items"]],
        unread=answer["unread"],
        do=lambda items: [open_one(one) for one in items],
    )


def _print_all(rotations: Sequence[Shape], *, good: int, of: int) -> None:
    for one in rotations:
        print_outcome(one)
    rest = f", {of - good:,} not" if good < of else ""
    verb = "is" if good == 1 else "are"
    print_lines([f"{say_count(good, 'item')} {verb} replaced, or on the way{rest}"])


def _show(rotation: Shape) -> Shape:
    return {"rotation": {part: rotation[part] for part in ("id", "state", "waits_for", "error", "new_version")}}
