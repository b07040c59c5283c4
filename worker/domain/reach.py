"""Who is named to hear something, and reached by nobody's route. Pure."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from enum import StrEnum

from vaultcore.names import spellings


class Gap(StrEnum):
    """What is missing, worst first."""

    NO_OPERATORS = "no-operators"
    """Nobody has the name that the setting `operators` gives."""
    OPERATORS_UNROUTED = "operators-unrouted"
    UNREACHED = "unreached"
    """An owner without a route, whose deputy and the operators have none either."""
    DEPUTY_UNROUTED = "deputy-unrouted"


@dataclass(frozen=True, kw_only=True)
class Person:
    """An owner, as far as it matters who reaches them."""

    name: str
    deputy: str | None
    routed: bool


@dataclass(frozen=True, kw_only=True)
class Unreached:
    """`name`: who has no route; `of`: for whom they stand in, where that is what they are missed for."""

    gap: Gap
    name: str
    of: str | None = None


def find_unreached(people: Sequence[Person], operators: str) -> list[Unreached]:
    """Everybody who would be told something and could not be, worst first, then by name."""
    by_name = {person.name: person for person in people}
    operators = next((name for name in spellings(operators) if name in by_name), operators)
    found = []
    if operators not in by_name:
        found.append(Unreached(gap=Gap.NO_OPERATORS, name=operators))
    elif not by_name[operators].routed:
        found.append(Unreached(gap=Gap.OPERATORS_UNROUTED, name=operators))
    caught = not found
    for person in sorted(people, key=lambda one: one.name):
        deputy = None if person.deputy is None else by_name.get(person.deputy)
        stands_in = deputy is not None and deputy.routed
        if person.name != operators and not person.routed and not stands_in and not caught:
            found.append(Unreached(gap=Gap.UNREACHED, name=person.name))
        if person.deputy is not None and not stands_in and person.deputy != operators:
            found.append(Unreached(gap=Gap.DEPUTY_UNROUTED, name=person.deputy, of=person.name))
    order = list(Gap)
    return sorted(found, key=lambda one: order.index(one.gap))


def find_concerned(found: Sequence[Unreached], about: Collection[str] | None) -> list[Unreached]:
    """Of these what concerns the owners of these names, and the operators always; None: all."""
    always = (Gap.NO_OPERATORS, Gap.OPERATORS_UNROUTED)
    return [one for one in found if about is None or one.gap in always or {one.name, one.of} & set(about)]
