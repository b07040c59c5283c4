"""Commands that a text tells its reader to run, written so that they can be pasted. Pure."""

import shlex
from collections.abc import Collection
from datetime import datetime, timedelta

from vaultcore.model import Item, Kind, Policy
from vaultcore.rules import expiry_of_next, kind_of

LIVES = "90d"
"""How long a value that a person gives is taken to live in the commands that we write: theirs to correct."""


def quote_word(word: str) -> str:
    """The word as a shell takes it: quoted where it must be."""
    return shlex.quote(word)


def create_command(item: str, owners: Collection[str]) -> str:
    """What adds an item with its value, whole but for PATH."""
    owned = "".join(f" --owner {quote_word(one)}" for one in owners)
    value = "" if kind_of(item) is Kind.API_KEY else f" --value-file PATH --expires-at {LIVES}"
    return f"nightkey item create {quote_word(item)}{owned}{value}"


def replace_command(item: str, lifetime: timedelta | None) -> str:
    """What gives an item of its owner's a new value, whole but for PATH; `lifetime` is its policy's.

    Without one a value needs an expiry of its own. A key for callers of ours is given by nobody: we make it.
    """
    update = f"nightkey item update {quote_word(item)}"
    if kind_of(item) is Kind.API_KEY:
        return f"{update} --mode auto"
    return f"{update} --value-file PATH" + (f" --expires-at {LIVES}" if lifetime is None else "")


def first_value_command(item: str, policy: Policy, *, expires_at: datetime | None, now: datetime) -> str:
    """What gives an item the value that it waits for, whole but for PATH; `expires_at` is what it came in with.

    A key for callers of ours is made here: the one that callers have elsewhere opens nothing here. It may have
    no expiry, as one of a new item; but one that is over is first put right.
    """
    name, says = quote_word(item), expiry_of_next(policy, now, awaited=expires_at)
    if kind_of(item) is Kind.API_KEY:
        first = f"nightkey item update {name} --expires-at {LIVES} && "
        return (first if says is None and expires_at is not None else "") + f"nightkey item rotate {name}"
    return f"nightkey item update {name} --value-file PATH" + (f" --expires-at {LIVES}" if says is None else "")


def value_command(item: Item, now: datetime) -> str:
    """What gives an item a value, its first one or a new one."""
    if item.version is None:
        return first_value_command(item.name, item.policy, expires_at=item.expires_at, now=now)
    return replace_command(item.name, item.policy.lifetime)


def explain_waiting(item: Item, now: datetime) -> str:
    """Why nothing can be done with an item that waits for its value."""
    return (
        f"{item.name} waits for its value, and nothing here can use or replace it before that: give it by "
        f"`{value_command(item, now)}`"
    )


def explain_missing_expiry(name: str) -> str:
    return (
        f"nothing says when the new value of {name} lapses: add --expires-at TIME (such as {LIVES}), "
        "--lifetime TIME for this one and those to come, or --no-expiry if it never does"
    )


def explain_lapsed_metadata(item: Item, now: datetime) -> str:
    """Of a key that is to be made for an item whose expiry is over."""
    return (
        f"the expiry with which {item.name} came in is over: say when its key lapses, or --no-expiry, and then "
        f"make it: {value_command(item, now)}"
    )
