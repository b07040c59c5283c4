"""Somebody leaves: what they could read is replaced item by item, in this process or by the workers."""

from collections.abc import Callable

from worker.domain.rotation import Rotation
from worker.services.night.inline import InlineNight
from worker.services.rotation.offboarding import Departure, LeftItem, Offboarding


class Departures:
    def __init__(self, *, offboarding: Offboarding, inline_night: InlineNight) -> None:
        self._offboarding = offboarding
        self._inline_night = inline_night

    def leave(
        self,
        name: str,
        tell: Callable[[Rotation], None],
        say: Callable[[LeftItem, int], None],
        *,
        emergency: bool,
        in_freeze: bool,
        to: str | None = None,
        actor: str,
    ) -> Departure:
        """Begins the departure of an owner or login, or goes on with it, and says how it stands then. `to`: the
        owner who has what is theirs from now on.

        `say` hears of each item before it is tried, with the number of all; `tell` of each step. Its
        `finished_at` is None while anything is left: called again, it goes on there.
        """
        departure = self._offboarding.begin(name, emergency=emergency, to=to, actor=actor)
        after = 0
        while opened := self._offboarding.open_next(departure, after=after, actor=actor, in_freeze=in_freeze):
            left, rotation = opened
            say(left, len(departure.items))
            if departure.emergency:
                self._inline_night.run_emergency(left.item_id, tell, asked_by=actor)
            else:
                self._inline_night.run_rotation(rotation.id, tell)
            after = left.position
        return self._offboarding.finish(departure.id)

    def begin(
        self, name: str, *, emergency: bool, in_freeze: bool, to: str | None = None, actor: str
    ) -> Departure:
        """The same, and opens alone what is to be replaced: whoever works on the vault goes on with that."""
        departure = self._offboarding.begin(name, emergency=emergency, to=to, actor=actor)
        after = 0
        while opened := self._offboarding.open_next(departure, after=after, actor=actor, in_freeze=in_freeze):
            after = opened[0].position
        return self._offboarding.finish(departure.id)
