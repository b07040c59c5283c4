"""What owners read. Pure: rows in, text out; never a value, and nothing that a value was made from."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

from worker.domain.commands import quote_word
from worker.domain.findings import WORST_FIRST, FindingKind
from worker.domain.saga import State

CLAIM_MARK = "{claim}"
"""Stands in a stored body where the token of a claim is put when the notice leaves."""

_REPLACED = (State.CANARY, State.WATCHING, State.RETIRING, State.DONE)
_NOT_REPLACED = (State.ROLLED_BACK, State.STUCK)

_MEANS: dict[FindingKind, str] = {
    FindingKind.LAPSED: "can no longer be used",
    FindingKind.STUCK: "needs a person",
    FindingKind.ROTATION_FAILED: "was not replaced",
    FindingKind.UNREADABLE: "could not be looked at",
    FindingKind.EXPIRING: "will lapse",
    FindingKind.MISSING: "does not exist",
    FindingKind.EXPIRED: "is used after it lapsed",
    FindingKind.SUPERSEDED: "is used in an older version",
    FindingKind.UNPROVEN: "has not been used since it was replaced",
    FindingKind.IDLE: "is held by a workflow that no longer runs",
    FindingKind.UNUSED: "is used by no active workflow",
    FindingKind.NO_OWNER: "has no owner",
    FindingKind.NO_EXPIRY: "has no expiry",
    FindingKind.NO_PLAN: "has no rotation plan",
    FindingKind.GENERIC_NAME: "has a name that does not say what it opens",
}


@dataclass(frozen=True, kw_only=True)
class Message:
    subject: str
    body: str


@dataclass(frozen=True, kw_only=True)
class FoundLine:
    """An open finding, as a digest needs it. `users` are the active workflows that use the item."""

    kind: FindingKind
    subject: str
    detail: str
    workflow: str | None
    users: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class RotatedLine:
    """A rotation of this night, as a digest needs it."""

    id: str
    item: str
    state: State
    version: int | None
    error: str | None
    waits_for: tuple[str, ...]


def compose_digest(
    owner: str, found: Sequence[FoundLine], rotated: Sequence[RotatedLine], night: datetime
) -> Message:
    """One message for one owner and one night, worst first."""
    ordered = sorted(found, key=lambda line: (WORST_FIRST[line.kind], line.subject))
    replaced = [line for line in rotated if line.state in _REPLACED]
    failed = [line for line in rotated if line.state in _NOT_REPLACED]
    parts = [f"Nightkey looked at your credentials in the night of {night:%Y-%m-%d}."]
    if ordered:
        parts.append("To look at:\n" + "\n".join(_show_finding(line) for line in ordered))
    if failed:
        parts.append("Not replaced:\n" + "\n".join(_show_failed(line) for line in failed))
    if replaced:
        parts.append("Replaced:\n" + "\n".join(_show_replaced(line) for line in replaced))
    counts = (
        (len(ordered), "to look at"),
        (len(failed), "not replaced"),
        (len(replaced), "replaced"),
    )
    summary = ", ".join(f"{number} {what}" for number, what in counts if number)
    return Message(subject=f"Nightkey: {summary} ({owner})", body="\n\n".join(parts) + "\n")


def compose_failure(*, rotation_id: str, item: str, state: State, error: str, users: Iterable[str]) -> Message:
    """At once, when a rotation did not succeed: what happened, what works now, what to do."""
    used = ", ".join(users) or "no active workflow"
    if state is State.STUCK:
        return Message(
            subject=f"Nightkey: the rotation of {item} is stuck",
            body=(
                f"The rotation of {item} can go neither on nor back: {error}.\n"
                f"Both values are kept. It is used by {used}.\n"
                f"What happened, and what to do: nightkey rotation show {rotation_id}\n"
            ),
        )
    if state is State.CANCELLED:
        return Message(
            subject=f"Nightkey: {item} was not replaced",
            body=(
                f"The rotation of {item} could not begin: {error}.\n"
                f"Nothing was changed, and its value goes on working for {used}.\n"
                f"What happened: nightkey rotation show {rotation_id}\n"
            ),
        )
    return Message(
        subject=f"Nightkey: {item} was not replaced",
        body=(
            f"The replacement of {item} did not pass: {error}.\n"
            f"It was taken back, and the value from before goes on working for {used}.\n"
            f"What happened: nightkey rotation show {rotation_id}\n"
        ),
    )


def compose_approval(
    *,
    rotation_id: str,
    item: str,
    reason: str,
    asked_by: str,
    expires_at: datetime,
    users: Iterable[str],
) -> Message:
    """A rotation waits for a person."""
    used = ", ".join(users) or "no active workflow"
    return Message(
        subject=f"Nightkey: {item} waits for your approval",
        body=(
            f"A replacement of {item} is asked for by {asked_by}: {reason}.\n"
            f"It is used by {used}, and is tested with them before anything changes.\n"
            f"    nightkey rotation show {rotation_id}\n"
            f"    nightkey rotation approve {rotation_id}\n"
            f"    nightkey rotation cancel {rotation_id}\n"
            f"Without an answer the request ends at {expires_at:%Y-%m-%d %H:%M} UTC, and nothing changes.\n"
        ),
    )


def compose_unapproved(*, item: str, asked_by: str, asked_at: datetime) -> Message:
    """A request has ended without an answer."""
    return Message(
        subject=f"Nightkey: {item} was not replaced, for want of an approval",
        body=(
            f"{asked_by} asked at {asked_at:%Y-%m-%d %H:%M} UTC to replace {item}, and nobody answered.\n"
            f"Nothing has changed. Ask again with: nightkey item rotate {quote_word(item)}\n"
        ),
    )


def compose_failed_run(*, rotation_id: str, item: str, workflow: str, error: str) -> Message:
    """A production run failed with the new value, and it does not look like the value's fault."""
    return Message(
        subject=f"Nightkey: {workflow} failed with the new {item}",
        body=(
            f"{workflow} has run with the new value of {item}, and failed: {error}.\n"
            "Nothing says that the value was refused, so both values stay until it has run well.\n"
            f"    nightkey rotation show {rotation_id}\n"
            f"    nightkey rotation rollback {rotation_id}\n"
        ),
    )


def compose_breaker(night: datetime, failed: Sequence[str]) -> Message:
    """For the operators: a night in which too many rotations failed starts no more of them."""
    lines = "\n".join(f"- {one}" for one in failed)
    return Message(
        subject=f"Nightkey: the night of {night:%Y-%m-%d} was stopped",
        body=(
            f"Too many of its rotations have failed:\n{lines}\n\n"
            "No other is begun in this night; those under way end by themselves, and every value that was "
            "not replaced goes on working. The next night begins anew.\nLook with: nightkey status\n"
        ),
    )


def compose_departure(*, item: str, name: str) -> Message:
    """Somebody left who could read a value that only its owner can replace."""
    return Message(
        subject=f"Nightkey: replace {item}, {name} has left",
        body=(
            f"{name} could read {item}, and only its owner can replace it. Get a new value, then:\n"
            f"    nightkey item update {quote_word(item)} --value-file PATH\n"
            f"How the rest of it stands: nightkey owner leave {quote_word(name)}\n"
        ),
    )


def compose_claim(*, item: str, overlap: str, expires_at: datetime | None) -> Message:
    """A generated key waits for its owner. The token is filled in when the message leaves."""
    until = "" if expires_at is None else f"by {expires_at:%Y-%m-%d %H:%M} UTC, "
    kept = (
        "The key from before works no more.\n"
        if expires_at is None
        else f"The key from before works until you have, and for at least {overlap}. A new key that nobody\n"
        "collects in that time is taken back, and the one from before stays.\n"
    )
    return Message(
        subject=f"Nightkey: collect the new key of {item}",
        body=f"{item} has a new key. Collect it {until}once, with:\n    nightkey claim {CLAIM_MARK}\n{kept}",
    )


def compose_chase(*, item: str, expires_at: datetime, left: str) -> Message:
    """The same key waits still, and will not for long."""
    return Message(
        subject=f"Nightkey: the new key of {item} is not collected, and is taken back {left}",
        body=(
            f"The new key of {item} still waits for you. Collect it, once, by "
            f"{expires_at:%Y-%m-%d %H:%M} UTC, with:\n"
            f"    nightkey claim {CLAIM_MARK}\n"
            "After that it is taken back, and the key from before stays, which will be due again.\n"
        ),
    )


def compose_night_failed(night: datetime, problems: Sequence[str]) -> Message:
    """For the operators: what in the night did not succeed."""
    lines = "\n".join(f"- {problem}" for problem in problems)
    return Message(
        subject=f"Nightkey: the night of {night:%Y-%m-%d} did not end well",
        body=f"What failed:\n{lines}\n\nLook with: nightkey status\n",
    )


def _show_finding(line: FoundLine) -> str:
    users = f" Used by {', '.join(line.users)}." if line.users else ""
    return f"- {line.subject} {_MEANS[line.kind]}: {line.detail}.{users}"


def _show_failed(line: RotatedLine) -> str:
    if line.state is State.STUCK:
        return f"- {line.item} is stuck, both values are kept: {line.error} ({line.id})"
    return f"- {line.item} keeps its value from before: {line.error} ({line.id})"


def _show_replaced(line: RotatedLine) -> str:
    if line.state is State.DONE:
        return f"- {line.item} is now version {line.version}; the one before it is gone."
    waits = f", waiting for {'; '.join(line.waits_for)}" if line.waits_for else ""
    return f"- {line.item} is now version {line.version}; the one before it works on{waits}."
