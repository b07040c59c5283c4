"""What a message is: the ring of one task, with one id of the right form or none, and when it was sent. Pure.

Whoever may write to a broker can put anything there, and read what lies there. So what lies there is sealed,
and only what opens is a message: nothing that stands beside the seal is obeyed, but for the broker's word that
it delivers again. What is not one of ours, whole and well formed, is a `Fault`.

There are three forms of it: what a task is called with, as Celery has it (`Ring`); what is sealed, as bytes
(`write_ring`, `read_ring`); and what lies around these (`worker.domain.parcels`).
"""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Any, Final

from vaultcore.errors import InvalidInputError
from worker.domain.work import Task

AGE_MAX: Final = timedelta(days=1)
"""How long ago, or by a clock that is ahead how long from now, a message was sent at most.

Longer than whatever waits in a night, and more than any two clocks differ: who is a day off has another fault
than that. And short, since the number of each is remembered for twice as long.
"""

_ULID = "[0-9a-hjkmnp-tv-z]{26}"
_ROTATION = re.compile(f"rot_{_ULID}")
_ITEM = re.compile(f"vlt_{_ULID}")
_RUN = re.compile(f"fl_run_{_ULID}")
_HEARTBEAT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d{1,6})?\+00:00 (?:start|success|fail)", re.ASCII)

_FORMS: Final[Mapping[Task, tuple[re.Pattern[str], ...]]] = {
    Task.NIGHT: (),
    Task.RESUME: (),
    Task.SCHEDULE: (),
    Task.DELIVER: (),
    Task.ROTATE: (_ROTATION,),
    Task.CHECK: (_ITEM,),
    Task.RUN: (_RUN,),
    Task.BEAT: (_HEARTBEAT,),
}


def name_of(task: Task) -> str:
    """As a message names it."""
    return f"nightkey.{task}"


ARGUMENTS: Final = {name_of(task): forms for task, forms in _FORMS.items()}
"""Each task that a message may ring, and the form of each of its arguments."""

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND: Final = timedelta(milliseconds=1)
_WHEN: Final = 6
_CALL: Final = 72
"""Bytes of what is called, filled with zeros: how long a message is says nothing of what it rings."""
_ID_WHEN, _ID_NUMBER = 12, 20
"""Hex digits of an id: when the message was sent, in milliseconds, and of its number."""
_EMBEDDED: Final = {"callbacks": None, "errbacks": None, "chain": None, "chord": None}


class MessageFault(StrEnum):
    """Why something that lay at the broker is no message of ours, or none any more."""

    NO_FILE = "no-file"
    """A folder, a link, a pipe, a socket, a device."""
    NOT_OURS = "not-ours"
    """A file of another user, or one that others may write."""
    UNREADABLE = "unreadable"
    TOO_LARGE = "too-large"
    NO_JSON = "no-json"
    """Nor text, nor base64 where that is due; or nested too deeply."""
    ILL_FORMED = "ill-formed"
    """JSON of another form, or with something in it that is never sent."""
    UNSEALED = "unsealed"
    """In the clear, as builds sent them before messages were sealed."""
    FORGED = "forged"
    """It says that it is sealed, and does not open."""
    FOREIGN = "foreign"
    """Sealed with a key that this vault's keyring does not give: by another vault, or for another use."""
    STALE = "stale"
    """Sent more than `AGE_MAX` away from now."""
    REPLAYED = "replayed"
    """Taken before, and the broker does not say that it delivers again."""
    NO_TASK = "no-task"
    WRONG_ID = "wrong-id"
    """The task is one of ours, and what it is to be called with has not the form of its id."""
    CAME_TOO_OFTEN = "came-too-often"
    """The broker gave it out again and again, and nobody kept it."""


_FAULTS: Final = {
    MessageFault.NO_FILE: "no ordinary file",
    MessageFault.NOT_OURS: "a file of another user, or one that others may write",
    MessageFault.UNREADABLE: "not to be read",
    MessageFault.TOO_LARGE: "too large",
    MessageFault.NO_JSON: "no JSON",
    MessageFault.ILL_FORMED: "of another form",
    MessageFault.UNSEALED: "not sealed",
    MessageFault.FORGED: "with a seal that does not open",
    MessageFault.FOREIGN: "sealed by another vault",
    MessageFault.STALE: "sent more than a day ago",
    MessageFault.REPLAYED: "put there again",
    MessageFault.NO_TASK: "for a task that there is not",
    MessageFault.WRONG_ID: "with something that is not an id",
    MessageFault.CAME_TOO_OFTEN: "given out again and again, and taken by nobody to its end",
}

LEFT_OVER: Final = frozenset({MessageFault.STALE})
"""Faults that need nobody else: nobody took them in time, or a clock was set."""


@dataclass(frozen=True, kw_only=True)
class Ring:
    """`id` is the message's own, and begins with when it was sent; `ids`: what the task is called with, no more
    than one.
    """

    task: str
    id: str
    ids: tuple[str, ...]

    @property
    def headers(self) -> dict[str, Any]:
        """All that Celery reads."""
        return {
            "lang": "py",
            "task": self.task,
            "id": self.id,
            "root_id": self.id,
            "parent_id": None,
            "group": None,
            "shadow": None,
            "eta": None,
            "expires": None,
            "retries": 0,
            "timelimit": [None, None],
            "argsrepr": "",
            "kwargsrepr": "",
            "origin": "",
            "ignore_result": True,
        }

    @property
    def body(self) -> bytes:
        return json.dumps([list(self.ids), {}, _EMBEDDED]).encode()


def fits(task: str, ids: Sequence[object]) -> bool:
    """Whether the task may be called with these."""
    forms = ARGUMENTS.get(task)
    return (
        forms is not None
        and len(forms) == len(ids)
        and all(
            isinstance(each, str)
            and form.fullmatch(each) is not None
            and (form is not _HEARTBEAT or _is_time(each))
            for form, each in zip(forms, ids, strict=True)
        )
    )


def _is_time(heartbeat: str) -> bool:
    """Whether its night is a day of the calendar."""
    try:
        datetime.fromisoformat(heartbeat.partition(" ")[0])
    except ValueError:
        return False
    return True


def describe_fault(code: str) -> str:
    """In a few words, also for a code of another release."""
    return _FAULTS[MessageFault(code)] if code in set(MessageFault) else code[:20]


# What is sealed


def read_call(headers: Mapping[str, Any], body: bytes | str) -> tuple[str, tuple[str, ...]]:
    """What Celery is about to send: the task and what it is called with. `InvalidInputError` for anything that
    we do not ring.
    """
    task = headers.get("task")
    match json.loads(body):
        case [[*ids], {**keywords}, {**embedded}] if (
            isinstance(task, str) and fits(task, ids) and not keywords and not any(embedded.values())
        ):
            return task, tuple(ids)
    raise InvalidInputError("a message rings one of our tasks, with one id or none: this one does not")


def write_ring(task: str, ids: Sequence[str], *, sent_at: datetime) -> bytes:
    """What is sealed: as many bytes for each. The task may be called with these."""
    called = " ".join((task, *ids)).encode()
    return _count(sent_at).to_bytes(_WHEN, "big") + called.ljust(_CALL, b"\0")


def read_ring(said: bytes, *, number: str, now: datetime) -> Ring | MessageFault:
    """What was sealed, by one of us, in the message of that number: if it is not stale, and this release knows
    what it rings.
    """
    if len(said) != _WHEN + _CALL:
        return MessageFault.ILL_FORMED
    sent = int.from_bytes(said[:_WHEN], "big")
    if abs(_count(now) - sent) > AGE_MAX // _MILLISECOND:
        return MessageFault.STALE
    try:
        task, *ids = said[_WHEN:].rstrip(b"\0").decode().split(" ", 1)
    except UnicodeDecodeError:
        return MessageFault.ILL_FORMED
    if task not in ARGUMENTS:
        return MessageFault.NO_TASK
    if not fits(task, ids):
        return MessageFault.WRONG_ID
    return Ring(task=task, id=f"{sent:0{_ID_WHEN}x}{number[:_ID_NUMBER]}", ids=tuple(ids))


def beginning_of_ids(sent_at: datetime) -> str:
    """What ids begin with of messages that were sent then. In their order, those of before stand before it."""
    return f"{_count(sent_at):0{_ID_WHEN}x}"


def _count(at: datetime) -> int:
    """Milliseconds since 1970; none for what was before."""
    return max((at - _EPOCH) // _MILLISECOND, 0)
