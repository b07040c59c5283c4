"""What a stored time can mean, seen from the wall clock as it is now. Pure.

The wall clock may have been ahead by hours or years when a row was written, and set right since. Three rules
hold for whatever is stored: what was done "later than now" was done now at the latest; what was put off from a
time later than now is put off from now; and a lease does not end later than it lasts. Clocks of several
machines differ a little, and that is no reason to doubt anybody: hence `SKEW`.
"""

from datetime import datetime, timedelta

SKEW = timedelta(minutes=5)


def is_ahead(at: datetime | None, now: datetime) -> bool:
    """Whether this was written by a clock that has been set back since."""
    return at is not None and at - now > SKEW


def at_the_latest(at: datetime | None, now: datetime) -> datetime | None:
    """When it was done, if it can have been."""
    return now if is_ahead(at, now) else at


def put_off_again(until: datetime | None, since: datetime, now: datetime) -> datetime | None:
    """Until when it is put off that was put off since then: by as much, and from now at the latest."""
    if until is None or not is_ahead(since, now):
        return until
    return now + max(until - since, timedelta(0))


def end_of_lease(until: datetime | None, lease: timedelta, now: datetime) -> datetime | None:
    """When a lease ends: who lives renews it long before that."""
    if until is None or until - now <= lease + SKEW:
        return until
    return now + lease
