"""What the other side says of a new value's end, once it accepts it: asked of it, and kept with the version."""

from datetime import datetime

from sqlalchemy import Connection

from vaultcore.model import Item
from vaultcore.versions import Versions
from worker.domain.ends import bound_end, check_ahead
from worker.domain.reasons import Code, Reason
from worker.domain.rotation import Rotation
from worker.rotators.base import Job, Rotator
from worker.services.rotation.done import Done


def ask_end(rotator: Rotator, job: Job, now: datetime) -> datetime | None:
    """When the new value ends there; None: never, or the rotator cannot ask. One that is over rejects it."""
    ask = getattr(rotator, "read_end", None)
    end: datetime | None = None if ask is None else ask(job)
    check_ahead(end, now)
    return None if end is None else bound_end(end, now)


def note_end(versions: Versions, rotation: Rotation, item: Item, *, end: datetime | None, said: Reason) -> Done:
    """The step is done; where that end is the nearer one, the version lapses then."""

    def record(connection: Connection) -> None:
        if end is not None:
            versions.bring_end_nearer(connection, item.id, rotation.new_number or 0, end, actor=rotation.id)

    told = () if end is None else (Reason.of(Code.ENDS_THERE, at=end),)
    return Done(said=(said, *told), record=record)
