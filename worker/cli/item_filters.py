"""The options that say which items are meant, written once for every command that takes them.

A command that changes items has the same ones behind `--where-`, since `--owner` there says who is to answer
for them from now on.
"""

from collections.abc import Callable, Iterable
from copy import copy
from datetime import UTC, datetime
from enum import StrEnum
from typing import Annotated, Any, Final, TypeVar, get_args

import typer

from vaultcore.errors import InvalidInputError
from vaultcore.labels import parse_match, show_label
from vaultcore.model import Mode
from worker.cli.commands import Options, add_options
from worker.cli.inputs import NONE, parse_time
from worker.domain.item_states import ItemFilter, ItemState

E = TypeVar("E", bound=StrEnum)
_WHERE: Final = "where_"
_ALSO: Final = {"--used-by": ("--where-used",)}
"""Shorter forms of what stands behind `--where-`."""

_OPTIONS: Final[Options] = {
    "search": (Annotated[str | None, typer.Option("--name", metavar="TEXT", help="A part of its name.")], None),
    "owners": (
        Annotated[list[str] | None, typer.Option("--owner", help="Who answers for it; of several, one.")],
        None,
    ),
    "labels": (
        Annotated[
            list[str] | None,
            typer.Option("--label", metavar="KEY[=VALUE]", help="It has this label; of several, each."),
        ],
        None,
    ),
    "states": (
        Annotated[
            list[str] | None,
            typer.Option("--state", metavar="STATE", help=f"Of several, one: {', '.join(ItemState)}."),
        ],
        None,
    ),
    "modes": (
        Annotated[
            list[str] | None,
            typer.Option("--mode", metavar="|".join(Mode), help="How it is replaced; of several, one."),
        ],
        None,
    ),
    "rotator": (
        Annotated[
            str | None,
            typer.Option(
                "--rotator", metavar="NAME|none", help="What makes the replacement; none: nothing does."
            ),
        ],
        None,
    ),
    "expires_before": (
        Annotated[
            str | None,
            typer.Option(
                "--expires-before", metavar="TIME", help="It lapses before: 30d from now, or 2026-12-24."
            ),
        ],
        None,
    ),
    "expires_after": (
        Annotated[
            str | None,
            typer.Option(
                "--expires-after", metavar="TIME", help="It lapses then or later: 30d, or 2026-12-24."
            ),
        ],
        None,
    ),
    "used_by": (
        Annotated[str | None, typer.Option("--used-by", metavar="WORKFLOW", help="This workflow uses it.")],
        None,
    ),
}


def takes_filter(*, before: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Gives a command these options, before its parameter of that name; what they say comes as its `wanted`."""
    return lambda command: add_options(command, _OPTIONS, _read, gives="wanted", before=before)


def takes_where(*, before: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """The same for a command that changes items: each behind `--where-`."""
    options = {f"{_WHERE}{name}": _put_behind_where(*option) for name, option in _OPTIONS.items()}

    def read(said: dict[str, Any]) -> dict[str, Any]:
        plain = {name.removeprefix(_WHERE): value for name, value in said.items()}
        return _read(plain, prefix="--where-")

    return lambda command: add_options(command, options, read, gives="wanted", before=before)


def takes_selection(*, before: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """The same for a command that changes items by no option of these names: as of a list, too."""
    options = {name: _put_beside_where(*option) for name, option in _OPTIONS.items()}
    return lambda command: add_options(command, options, _read, gives="wanted", before=before)


def _put_beside_where(annotation: Any, default: Any) -> tuple[Any, Any]:  # noqa: ANN401  # as typer reads them
    kind, option = get_args(annotation)
    named = copy(option)
    name = option.default
    named.param_decls = (name.replace("--", "--where-", 1), *_ALSO.get(name, ()))
    named.help = f"Which items: {option.help[:1].lower()}{option.help[1:]}"
    return Annotated[kind, named], default


def _put_behind_where(annotation: Any, default: Any) -> tuple[Any, Any]:  # noqa: ANN401  # as typer reads them
    kind, option = get_args(annotation)
    named = copy(option)
    name = option.default  # where typer keeps the first name of an option
    named.default, named.param_decls = name.replace("--", "--where-", 1), _ALSO.get(name, ())
    named.help = f"Which items: {option.help[:1].lower()}{option.help[1:]}"
    return Annotated[kind, named], default


def _read(said: dict[str, Any], *, prefix: str = "--") -> dict[str, Any]:
    rotator, now = said["rotator"], datetime.now(UTC)
    after, before = said["expires_after"], said["expires_before"]
    wanted = ItemFilter(
        search=said["search"],
        owners=frozenset(said["owners"] or ()),
        labels=frozenset(map(parse_match, said["labels"] or ())),
        states=_read_each(ItemState, f"{prefix}state", said["states"] or ()),
        modes=_read_each(Mode, f"{prefix}mode", said["modes"] or ()),
        rotator="" if rotator == NONE else rotator,
        expires_after=None if after is None else parse_time(after, now),
        expires_before=None if before is None else parse_time(before, now),
        used_by=said["used_by"],
    )
    return {"wanted": wanted}


def _read_each(kind: type[E], option: str, given: Iterable[str]) -> frozenset[E]:
    offered = {one.value: one for one in kind}
    for word in given:
        if word not in offered:
            raise InvalidInputError(f"{option} {word[:40]!r}: use one of {', '.join(offered)}")
    return frozenset(offered[word] for word in given)


def query_of(wanted: ItemFilter) -> dict[str, Any]:
    """As the interface is asked for the same."""
    return {
        "search": wanted.search,
        "begins": wanted.begins,
        "owner": sorted(wanted.owners),
        "label": sorted(map(show_label, wanted.labels)),
        "state": sorted(wanted.states),
        "mode": sorted(wanted.modes),
        "rotator": wanted.rotator,
        "expires_after": _show_time(wanted.expires_after),
        "expires_before": _show_time(wanted.expires_before),
        "used_by": wanted.used_by,
    }


def _show_time(time: datetime | None) -> str | None:
    return None if time is None else time.isoformat()
