"""A rotation as a row of a page: its state by word and shape, and its small track."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from markupsafe import Markup

from vaultcore.errors import UnreadableError
from worker.bootstrap import Services
from worker.domain.rotation import Rotation
from worker.domain.rotation_groups import RotationGroup, group_of
from worker.domain.saga import State
from worker.web.drawings.track import draw_small_track
from worker.wording.item_states import Tone
from worker.wording.reasons import say
from worker.wording.rotation_states import say_state

_KINDS: Final = {
    RotationGroup.NEEDS_SOMEBODY: Tone.WAITS,
    RotationGroup.MOVING: Tone.REST,
    RotationGroup.WAITING: Tone.REST,
    RotationGroup.REPLACED: Tone.WELL,
    RotationGroup.NOT_REPLACED: Tone.WRONG,
    RotationGroup.CANCELLED: Tone.REST,
}
_WRONG: Final = frozenset({State.STUCK, State.UNDOING})


@dataclass(frozen=True, kw_only=True)
class RotationRow:
    """`problem`: why it cannot be read, or that it was edited; then nothing else of it is shown."""

    rotation: Rotation | None
    kind: Tone
    state: str
    reason: str
    track: Markup
    problem: str = ""


def find_kind(rotation: Rotation) -> Tone:
    """Which of the four states of the console it is in."""
    wrong = rotation.state in _WRONG or rotation.failing_since is not None
    return Tone.WRONG if wrong else _KINDS[group_of(rotation.state)]


def show_rotations(services: Services, found: Sequence[Rotation | UnreadableError]) -> list[RotationRow]:
    """In the order in which they are given."""
    tracks = services.lookup.views.trace_rotations([one for one in found if isinstance(one, Rotation)])
    return [
        RotationRow(
            rotation=None,
            kind=Tone.WRONG,
            state="cannot be read",
            reason="",
            track=Markup(""),
            problem=str(one),
        )
        if isinstance(one, UnreadableError)
        else RotationRow(
            rotation=one,
            kind=find_kind(one),
            state=say_state(one),
            reason=say(one.reason),
            track=draw_small_track(tracks[one.id]),
        )
        for one in found
    ]
