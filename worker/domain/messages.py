"""What a message is: the ring of one task, with one id of the right form or none. Pure.

Whoever may write to a broker can put anything there. So a message is taken for what it rings, and for nothing
that it says beside: when, how often, with what to follow. It is made anew from the task and the id, and what is
not one of ours, whole and well formed, is a `Fault`.
"""

import json
import re
from base64 import b64decode, b64encode
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any, Final

from vaultcore.errors import InvalidInputError
from worker.domain.strict_json import parse_json
from worker.domain.work import Task

BYTES_MAX: Final = 16_384
"""Of one message as it lies at the broker; ours have about a thousand."""

JSON_TYPE: Final = "application/json"
ENCODING: Final = "utf-8"

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

_MESSAGE_ID = re.compile("[0-9A-Za-z-]{1,64}")
_NOTHING: Final[tuple[object, ...]] = (None, "", 0, [], {}, [None, None])
_STEERS = frozenset(
    {"chain", "chord", "callbacks", "compression", "errbacks", "eta", "expires", "group", "shadow", "stamps"}
    | {"stamped_headers", "timelimit"}
)
"""What Celery would obey in a header, and we never send."""
_TEXTS = frozenset({"argsrepr", "kwargsrepr", "lang", "origin", "parent_id", "root_id"})
_EMBEDDED: Final = {"callbacks": None, "errbacks": None, "chain": None, "chord": None}


class MessageFault(StrEnum):
    """Why something that lay at the broker is no message of ours."""

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
    MessageFault.NO_TASK: "for a task that there is not",
    MessageFault.WRONG_ID: "with something that is not an id",
    MessageFault.CAME_TOO_OFTEN: "given out again and again, and taken by nobody to its end",
}


@dataclass(frozen=True, kw_only=True)
class Ring:
    """`id` is the message's own, `ids` what the task is called with: no more than one."""

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


def read_ring(
    *, content_type: object, encoding: object, headers: object, properties: object, body: object
) -> Ring | MessageFault:
    """What the parts of a message ring. Nothing is unpacked: what says that it is packed is none of ours."""
    if not isinstance(body, bytes):
        return MessageFault.ILL_FORMED
    if len(body) > BYTES_MAX:
        return MessageFault.TOO_LARGE
    if content_type != JSON_TYPE or encoding != ENCODING or not _is_well_formed(headers, properties):
        return MessageFault.ILL_FORMED
    assert isinstance(headers, Mapping)  # noqa: S101  # as was just seen
    task, message_id = headers.get("task"), headers.get("id")
    if not isinstance(task, str) or task not in ARGUMENTS:
        return MessageFault.NO_TASK
    if not isinstance(message_id, str) or _MESSAGE_ID.fullmatch(message_id) is None:
        return MessageFault.ILL_FORMED
    ids = _read_ids(body)
    if isinstance(ids, MessageFault):
        return ids
    return (
        Ring(task=task, id=message_id, ids=tuple(map(str, ids))) if fits(task, ids) else MessageFault.WRONG_ID
    )


def read_envelope(content: bytes) -> Ring | MessageFault:
    """The same for what lies in a file, or in a list of Redis: JSON with the body in base64."""
    if len(content) > BYTES_MAX:
        return MessageFault.TOO_LARGE
    raw = _parse(content)
    if not isinstance(raw, dict):
        return MessageFault.NO_JSON if raw is _NO_JSON else MessageFault.ILL_FORMED
    body, properties = raw.get("body"), raw.get("properties")
    if not isinstance(body, str) or not isinstance(properties, dict):
        return MessageFault.ILL_FORMED
    if properties.get("body_encoding") != "base64":
        return MessageFault.ILL_FORMED
    try:
        decoded = b64decode(body, validate=True)
    except ValueError:
        return MessageFault.NO_JSON
    return read_ring(
        content_type=raw.get("content-type"),
        encoding=raw.get("content-encoding"),
        headers=raw.get("headers"),
        properties=properties,
        body=decoded,
    )


def write_envelope(ring: Ring, *, queue: str, tag: str) -> dict[str, Any]:
    """A message as kombu takes it from a file or a list. `tag`: by which a process tells it from others."""
    return {
        "body": b64encode(ring.body).decode(),
        "content-type": JSON_TYPE,
        "content-encoding": ENCODING,
        "headers": ring.headers,
        "properties": {
            "correlation_id": ring.id,
            "delivery_mode": 2,
            "delivery_info": {"exchange": queue, "routing_key": queue},
            "delivery_tag": tag,
            "priority": 0,
            "body_encoding": "base64",
        },
    }


# Inside

_NO_JSON: Final = object()


def _parse(content: bytes) -> object:
    try:
        return parse_json(content.decode(), unique=True)
    except (UnicodeDecodeError, InvalidInputError):
        return _NO_JSON


def _is_well_formed(headers: object, properties: object) -> bool:
    if not isinstance(headers, Mapping) or not isinstance(properties, Mapping):
        return False
    return (
        all(headers.get(name) in _NOTHING for name in _STEERS)
        and all(isinstance(headers.get(name), str | None) for name in _TEXTS)
        and all(isinstance(properties.get(name), str | None) for name in ("correlation_id", "reply_to"))
        and isinstance(headers.get("retries", 0), int)
    )


def _read_ids(body: bytes) -> list[object] | MessageFault:
    """The arguments in a body: no keywords, and nothing that is to follow."""
    raw = _parse(body)
    if raw is _NO_JSON:
        return MessageFault.NO_JSON
    if not isinstance(raw, list) or len(raw) != 3:
        return MessageFault.ILL_FORMED
    ids, keywords, embedded = raw
    if not isinstance(ids, list) or keywords != {} or not isinstance(embedded, dict):
        return MessageFault.ILL_FORMED
    if any(value not in _NOTHING for value in embedded.values()):
        return MessageFault.ILL_FORMED
    return ids
