"""Whom a route leads to, one by one. Pure."""

from dataclasses import dataclass

from vaultcore.errors import TargetError

WHOLE = ""
"""The recipient of a route that leads to one place, or that its service serves as one."""


@dataclass(frozen=True, kw_only=True)
class Recipient:
    """`name` is shown: a mail address, a channel; never a token. `problem`: why nothing can be sent there."""

    name: str
    problem: str | None = None


class RecipientRefusedError(TargetError):
    """The other side refused this recipient, now or for good: it says nothing of the others of the route."""
