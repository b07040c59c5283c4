"""What is said at once of people who would be told something and cannot be."""

from collections.abc import Collection
from typing import TYPE_CHECKING

from worker.cli.output import note
from worker.domain.commands import quote_word
from worker.domain.reach import Gap, Unreached

if TYPE_CHECKING:
    from worker.bootstrap import Services


def warn_of_unreached(services: "Services", *, about: Collection[str] | None = None) -> None:
    """A line on standard error for each: of the operators always, of others where they are named in `about`."""
    for one in services.views.find_unreached():
        if (
            about is None
            or one.gap in (Gap.NO_OPERATORS, Gap.OPERATORS_UNROUTED)
            or {one.name, one.of} & set(about)
        ):
            note(f"warning: {describe_unreached(one)}")


def describe_unreached(one: Unreached) -> str:
    """What is missing, what comes of it, and the command that mends it."""
    word = quote_word(one.name)
    route = f"nightkey owner route {word} --route-file PATH"
    match one.gap:
        case Gap.NO_OPERATORS:
            return (
                f"the setting operators names {one.name!r}, which no owner is called, so nobody hears of whole "
                f"nights or of what nobody owns: change it, or nightkey owner create {word} --route-file PATH"
            )
        case Gap.OPERATORS_UNROUTED:
            return f"{one.name}, who hear of what nobody owns and of whole nights, have no route: {route}"
        case Gap.UNREACHED:
            return f"{one.name} has no route, and neither a deputy nor the operators have one: {route}"
        case Gap.DEPUTY_UNROUTED:
            return f"{one.name}, deputy of {one.of}, has no route: {route}"
