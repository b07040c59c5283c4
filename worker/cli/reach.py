"""What is said at once of people who would be told something and cannot be."""

from collections.abc import Collection, Sequence
from typing import TYPE_CHECKING

from worker.cli.output import note
from worker.domain.reach import find_concerned
from worker.wording.people import describe_unreached
from worker.wording.plain import Shape

if TYPE_CHECKING:
    from worker.bootstrap import Services


def warn_of_unreached(services: "Services", *, about: Collection[str] | None = None) -> None:
    """A line on standard error for each: of the operators always, of others where they are named in `about`."""
    _warn([describe_unreached(one) for one in find_concerned(services.lookup.views.find_unreached(), about)])


def take_warnings(owner: Shape) -> Shape:
    """An owner as a server far away answered: its warnings are said as they are here, and are no part of it."""
    _warn(owner["warnings"])
    return {name: part for name, part in owner.items() if name != "warnings"}


def _warn(warnings: Sequence[str]) -> None:
    for one in warnings:
        note(f"warning: {one}")
