"""A value that a person gives: until when it works."""

from datetime import datetime

from vaultcore.errors import InvalidInputError
from vaultcore.secret import Secret
from worker.domain.ends import find_nearest, find_own_end


def find_expiry_of(value: Secret, expires_at: datetime | None, *, name: str, now: datetime) -> datetime | None:
    """What was said of it, or the end that it bears in itself, where that is nearer."""
    own = find_own_end(value.expose())
    if own is not None and own <= now:
        raise InvalidInputError(
            f"the value of {name} carries an expiry of its own, {own:%Y-%m-%dT%H:%M:%SZ}, which is over: "
            "give one that works"
        )
    return find_nearest(expires_at, own)
