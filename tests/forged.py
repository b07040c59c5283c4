"""What somebody else may put where messages lie: as bytes, as entries of a folder, and as frames of AMQP."""

import bz2
import itertools
import json
import os
import socket
import zlib
from base64 import b64encode
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from copy import deepcopy
from pathlib import Path
from typing import Any

from worker.domain.messages import MessageFault

ROTATION = "rot_01kb0000000000000000000000"
DEEP = 100_000
BOMB = 16 << 20


def genuine(task: str = "nightkey.resume", *ids: str) -> dict[str, Any]:
    """A message as kombu puts it into a file or a list; `tests/integration/test_broker.py` holds it to that."""
    return {
        "body": encode([list(ids), {}, {"callbacks": None, "errbacks": None, "chain": None, "chord": None}]),
        "content-encoding": "utf-8",
        "content-type": "application/json",
        "headers": {
            "lang": "py",
            "task": task,
            "id": "0f4ca21c-8a1c-4b7c-9b0b-6a1d3f3a3c11",
            "shadow": None,
            "eta": None,
            "expires": None,
            "group": None,
            "group_index": None,
            "retries": 0,
            "timelimit": [None, None],
            "root_id": "0f4ca21c-8a1c-4b7c-9b0b-6a1d3f3a3c11",
            "parent_id": None,
            "argsrepr": "()",
            "kwargsrepr": "{}",
            "origin": "gen1@host",
            "ignore_result": True,
            "replaced_task_nesting": 0,
            "stamped_headers": None,
            "stamps": {},
        },
        "properties": {
            "correlation_id": "0f4ca21c-8a1c-4b7c-9b0b-6a1d3f3a3c11",
            "reply_to": "8a1c4b7c-0f4c-3a21-9b0b-6a1d3f3a3c11",
            "delivery_mode": 2,
            "delivery_info": {"exchange": "nightkey", "routing_key": "nightkey"},
            "priority": 0,
            "body_encoding": "base64",
            "delivery_tag": "4f1e8a55-1d3f-4b7c-9b0b-6a1d3f3a3c11",
        },
    }


def encode(body: object) -> str:
    return b64encode(body if isinstance(body, bytes) else json.dumps(body).encode()).decode()


def _with(place: str, value: object, task: str = "nightkey.resume") -> bytes:
    """The genuine one with something else in one place (`headers.eta`)."""
    made: Any = deepcopy(genuine(task))
    *outer, last = place.split(".")
    part = made
    for name in outer:
        part = part[name]
    part[last] = value
    return json.dumps(made).encode()


def _without(place: str) -> bytes:
    made: Any = genuine()
    outer, _, last = place.rpartition(".")
    del (made[outer] if outer else made)[last]
    return json.dumps(made).encode()


def _body(
    args: object, keywords: object | None = None, embedded: object | None = None, task: str = ""
) -> bytes:
    given = [args, {} if keywords is None else keywords, {} if embedded is None else embedded]
    return _with("body", encode(given), task or "nightkey.rotate")


def _packed(pack: Callable[[bytes], bytes], name: str) -> bytes:
    """16 MB of blanks before a body that would be good."""
    made: Any = genuine()
    made["headers"]["compression"] = name
    made["body"] = encode(pack(b" " * BOMB + b"[[], {}, {}]"))
    return json.dumps(made).encode()


def _signature() -> dict[str, Any]:
    return {"task": "nightkey.night", "args": [], "kwargs": {}, "options": {}, "subtask_type": None}


def contents() -> dict[str, tuple[MessageFault, bytes]]:
    """What each is, what is wrong with it, and the bytes."""
    no_json, ill, large, task, wrong = (
        MessageFault.NO_JSON,
        MessageFault.ILL_FORMED,
        MessageFault.TOO_LARGE,
        MessageFault.NO_TASK,
        MessageFault.WRONG_ID,
    )
    whole = json.dumps(genuine())
    return {
        "nothing": (no_json, b""),
        "half": (no_json, whole.encode()[:200]),
        "two": (no_json, whole.encode() * 2),
        "no JSON": (no_json, b"no JSON"),
        "no text": (no_json, b"\xff\xfe\x00"),
        "utf-16": (no_json, whole.encode("utf-16")),
        "utf-8 with a mark": (no_json, whole.encode("utf-8-sig")),
        "NUL": (no_json, bytes(1000)),
        "NUL in it": (no_json, whole.encode().replace(b" ", b"\0", 1)),
        "null": (ill, b"null"),
        "true": (ill, b"true"),
        "17": (ill, b"17"),
        "NaN": (no_json, b"NaN"),
        "a long number": (no_json, b"1" * 10_000),
        "a text": (ill, b'"text"'),
        "[]": (ill, b"[]"),
        "{}": (ill, b"{}"),
        "a list of it": (ill, f"[{whole}]".encode()),
        "deep lists": (large, b"[" * DEEP),
        "deep lists, whole": (no_json, b"[" * 8000 + b"]" * 8000),
        "deep objects": (no_json, b'{"a":' * 2500 + b"1" + b"}" * 2500),
        "huge": (large, b"x" * (1 << 20)),
        "huge and good": (large, whole.encode() + b" " * (1 << 20)),
        "a kind of kombu's": (no_json, b'{"__type__": "uuid", "__value__": {}'),
        "kombu's uuid": (ill, b'{"__type__": "uuid", "__value__": 1}'),
        "twice the same field": (no_json, whole.encode()[:-1] + b', "headers": {}}'),
        "no properties": (ill, _without("properties")),
        "properties null": (ill, _with("properties", None)),
        "properties a list": (ill, _with("properties", [1])),
        "no body": (ill, _without("body")),
        "body null": (ill, _with("body", None)),
        "body an object": (ill, _with("body", {})),
        "body no base64": (no_json, _with("body", "!!!!")),
        "body of half a base64": (no_json, _with("body", "W1td")[:-2] + b"x}"),
        "body of another encoding": (ill, _with("properties.body_encoding", "rot13")),
        "body encoding a list": (ill, _with("properties.body_encoding", ["base64"])),
        "body encoding missing": (ill, _without("properties.body_encoding")),
        "body null inside": (ill, _with("body", encode(None))),
        "body a number": (ill, _with("body", encode(17))),
        "body an object inside": (ill, _with("body", encode({"args": [], "kwargs": {}}))),
        "body of two": (ill, _with("body", encode([[], {}]))),
        "body deep": (no_json, _with("body", encode(b"[" * 4000 + b"]" * 4000))),
        "body of utf-16": (no_json, _with("body", encode("[[], {}, {}]".encode("utf-16")))),
        "pickle": (ill, _with("content-type", "application/x-python-serialize")),
        "yaml": (ill, _with("content-type", "application/x-yaml")),
        "type null": (ill, _with("content-type", None)),
        "type a list": (ill, _with("content-type", ["application/json"])),
        "encoding utf-16": (ill, _with("content-encoding", "utf-16")),
        "encoding unknown": (ill, _with("content-encoding", "x-nobody")),
        "encoding binary": (ill, _with("content-encoding", "binary")),
        "16 MB as gzip": (large, _packed(zlib.compress, "application/x-gzip")),
        "16 MB as bzip2": (ill, _packed(bz2.compress, "bzip2")),
        "a task of ours, as xz": (ill, _with("headers.compression", "xz")),
        "compression unknown": (ill, _with("headers.compression", "nothing")),
        "compression a list": (ill, _with("headers.compression", ["gzip"])),
        "no headers": (ill, _without("headers")),
        "headers null": (ill, _with("headers", None)),
        "headers a list": (ill, _with("headers", ["task"])),
        "no task": (task, _without("headers.task")),
        "task null": (task, _with("headers.task", None)),
        "task an object": (task, _with("headers.task", {"a": 1})),
        "task a list": (task, _with("headers.task", ["nightkey.resume"])),
        "task of somebody else": (task, _with("headers.task", "os.system")),
        "task of Celery's": (task, _with("headers.task", "celery.backend_cleanup")),
        "task with a blank": (task, _with("headers.task", "nightkey.resume ")),
        "no id": (ill, _without("headers.id")),
        "id a list": (ill, _with("headers.id", [1])),
        "id an object": (ill, _with("headers.id", {"a": 1})),
        "id null": (ill, _with("headers.id", None)),
        "id long": (ill, _with("headers.id", "x" * 5000)),
        "id with a line break": (ill, _with("headers.id", "a\nb")),
        "eta in a year": (ill, _with("headers.eta", "2031-01-01T00:00:00+00:00")),
        "eta no date": (ill, _with("headers.eta", "soon")),
        "eta an object": (ill, _with("headers.eta", {"a": 1})),
        "expires": (ill, _with("headers.expires", "2001-01-01T00:00:00+00:00")),
        "expires a list": (ill, _with("headers.expires", [1])),
        "shadow": (ill, _with("headers.shadow", "nightkey.rotate")),
        "time limit": (ill, _with("headers.timelimit", [0.001, 0.001])),
        "time limit a text": (ill, _with("headers.timelimit", "now")),
        "group": (ill, _with("headers.group", "g")),
        "stamps": (ill, _with("headers.stamps", {"a": [1]})),
        "root a list": (ill, _with("headers.root_id", [1])),
        "retries a text": (ill, _with("headers.retries", "many")),
        "origin an object": (ill, _with("headers.origin", {})),
        "reply to a list": (ill, _with("properties.reply_to", ["a"])),
        "callbacks": (ill, _body([ROTATION], embedded={"callbacks": [_signature()]})),
        "errbacks": (ill, _body([ROTATION], embedded={"errbacks": [_signature()]})),
        "chain": (ill, _body([ROTATION], embedded={"chain": [_signature()]})),
        "chord": (ill, _body([ROTATION], embedded={"chord": _signature()})),
        "keywords": (ill, _body([], {"rotation_id": ROTATION})),
        "the old form": (ill, json.dumps({"task": {"a": 1}, "id": [1]}).encode()),
        "no argument": (wrong, _body([])),
        "two arguments": (wrong, _body([ROTATION, ROTATION])),
        "an argument too many": (wrong, _body([ROTATION], task="nightkey.night")),
        "argument a number": (wrong, _body([17])),
        "argument null": (wrong, _body([None])),
        "argument an object": (wrong, _body([{"a": 1}])),
        "argument empty": (wrong, _body([""])),
        "argument of another kind": (wrong, _body(["vlt_01kb0000000000000000000000"])),
        "argument with SQL": (wrong, _body(["'; DROP TABLE items; --"])),
        "argument with more behind": (wrong, _body([ROTATION + "\n"])),
        "argument with half a character": (wrong, _body(["rot_\ud800"])),
        "a run's for a rotation": (wrong, _body(["fl_run_01kb0000000000000000000000"])),
        "a heartbeat's path": (wrong, _body(["../../etc start"], task="nightkey.beat")),
    }


@contextmanager
def put(folder: Path, queue: str) -> Iterator[dict[str, MessageFault]]:
    """Each of these as an entry of the folder, as long as the block lasts, with what is wrong with it."""
    found = {}
    names = (f"{number:020d}_forged.{queue}.msg" for number in itertools.count(1))
    for fault, content in contents().values():
        name = next(names)
        write(folder / name, content)
        found[name] = fault
    whole = json.dumps(genuine()).encode()
    elsewhere = folder.parent / "elsewhere"
    write(elsewhere, whole)
    links: dict[str, str | Path | None] = {
        "nowhere": "/nowhere/at/all",
        "a message": elsewhere,
        "a device": "/dev/zero",
        "a loop": None,
    }
    for target in links.values():
        name = next(names)
        (folder / name).symlink_to(name if target is None else target)
        found[name] = MessageFault.NO_FILE
    pipe, to_pipe, full, empty, plain = (next(names) for _ in range(5))
    os.mkfifo(folder / pipe)
    os.mkfifo(folder.parent / "pipe")
    (folder / to_pipe).symlink_to(folder.parent / "pipe")
    (folder / empty).mkdir()
    (folder / full).mkdir()
    write(folder / full / f"1.{queue}.msg", whole)
    found |= dict.fromkeys((pipe, to_pipe, full, empty), MessageFault.NO_FILE)
    write(folder / plain, whole, mode=0o666)
    found[plain] = MessageFault.NOT_OURS
    if os.geteuid() == 0:
        name = next(names)
        write(folder / name, whole)
        os.chown(folder / name, 65534, 65534)
        found[name] = MessageFault.NOT_OURS
    else:
        name = next(names)
        write(folder / name, whole, mode=0)
        found[name] = MessageFault.UNREADABLE
    for stray in ("a-file-of-somebody", "1_x.another-queue.msg", ".hidden", os.fsdecode(b"\xff\xfe")):
        write(folder / stray, whole)
        found[stray] = MessageFault.NO_FILE
    with socket.socket(socket.AF_UNIX) as listening:
        name = next(names)
        here = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
        try:
            listening.bind(f"/proc/self/fd/{here}/{name}")  # a path of a socket may not be long
        finally:
            os.close(here)
        found[name] = MessageFault.NO_FILE
        yield found


def write(file: Path, content: bytes, *, mode: int = 0o600) -> None:
    file.write_bytes(content)
    file.chmod(mode)
