"""How long is waited before another try: one rule for rotations, holds, deliveries and heartbeats. Pure."""

from datetime import timedelta

from vaultcore.rules import fraction_of

_DOUBLINGS_MAX = 30


def double(tries: int, *, pause: timedelta, most: timedelta) -> timedelta:
    """`pause` after the first try that failed, doubled after each further one, and `most` at the most."""
    doubled: int = 2 ** min(max(tries, 1) - 1, _DOUBLINGS_MAX)
    return most if pause and most / pause <= doubled else pause * doubled


def backoff(tries: int, *, pause: timedelta, most: timedelta, key: str) -> timedelta:
    """As `double`, of which up to half is taken off by a stable hash of `key`, so that what failed together
    does not come back together.
    """
    return double(tries, pause=pause, most=most) * (1 - fraction_of(f"{key} {tries}") / 2)
