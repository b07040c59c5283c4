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
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from vaultcore.crypto.envelope import Binding, seal
from vaultcore.crypto.keyring import KeyEncryptionKey, Keyring
from vaultcore.crypto.messages import MessageKeys
from vaultcore.secret import Secret
from worker.bootstrap import Services, utc_now
from worker.broker.sealing import Seals
from worker.config import load_settings
from worker.domain.messages import AGE_MAX, MessageFault, write_ring

ROTATION = "rot_01kb0000000000000000000000"
DEEP = 100_000
A_WHILE = timedelta(hours=12)
"""Longer than from when these are made until they are looked at."""
BOMB = 16 << 20


@dataclass(frozen=True)
class Sealer:
    """A vault as far as its messages go."""

    keyring: Keyring
    deployment_id: str = "dpl_01kb0000000000000000000000"

    @classmethod
    def of(cls, home: Path, **environment: Any) -> "Sealer":
        """The vault that is there."""
        services = Services(load_settings(home, **environment))
        try:
            return cls(services.keyring, services.deployment_id)
        finally:
            services.close()

    def seals(self, clock: Callable[[], datetime] = utc_now) -> Seals:
        return Seals(self.keyring, deployment_id=self.deployment_id, clock=clock)

    def seal(self, said: bytes, use: str = "ring") -> bytes:
        """Whatever it is, as a message of this vault."""
        return MessageKeys(self.keyring, deployment_id=self.deployment_id, use=use).seal(said)


def make_keyring(*numbers: int, active: int | None = None) -> Keyring:
    """One of keys that go by these numbers, the last of them active, if no other is."""
    keys = [KeyEncryptionKey(id=f"{number:032x}", material=bytes([number]) * 32) for number in numbers]
    ids = {number: key.id for number, key in zip(numbers, keys, strict=True)}
    return Keyring(active=ids[active or numbers[-1]], keys={key.id: key for key in keys}, roots={})


OURS = Sealer(make_keyring(1))
ANOTHER = Sealer(make_keyring(2))

SENT_AT = datetime(2026, 3, 1, 2, 0, tzinfo=UTC)
SENT = {
    "nightkey.resume": (
        "TktNMW/5WbjcnSuhzKbLesQceKuLYSECGM50QvuJ1omP8Ll+sWiw7PG1dgrjggevE7swwAke6MZCKO2scUzHYGffu7"
        "/pjrhEwCuG+esmvu0nTfwMkJyjRQLYPN6Lne1wfsZ52jbbiKJHoVFslPxdp5JpIKvc4pRb2IExvUaxaBzU/g=="
    ),
    "nightkey.rotate": (
        "TktNMW/5WbjcnSuhzKbLesQceKvGnNNo++hh232bJQjZYeAJsU+siCtHzwvE1sfx5MGBLgFvdLXNz06f7etrCTbtZZ"
        "m+rfsfrb3lq0eh3CkWtLzQgEDGEtTQZLvSykHvT9DVQat58yshKkthWzyzuy+olRXFSHqX009izjiS0DWxug=="
    ),
}
"""Messages of ours as they were once sealed, then: the same bytes for ever."""


def genuine(task: str = "nightkey.resume", *ids: str, of: Sealer = OURS) -> dict[str, Any]:
    """A message as kombu puts it into a file or a list; `tests/integration/test_broker.py` holds it to that."""
    return parcel(of.seals().seal(task, ids))


def parcel(body: bytes) -> dict[str, Any]:
    """The same with this in it."""
    return {
        "body": encode(body),
        "content-encoding": "binary",
        "content-type": "application/x-nightkey",
        "headers": {},
        "properties": {
            "delivery_mode": 2,
            "delivery_info": {"exchange": "nightkey", "routing_key": "nightkey"},
            "priority": 0,
            "body_encoding": "base64",
            "delivery_tag": "4f1e8a55-1d3f-4b7c-9b0b-6a1d3f3a3c11",
        },
    }


def unsealed(task: str = "nightkey.resume", *ids: str) -> dict[str, Any]:
    """A message as Celery would send it, in the clear: our builds did, before messages were sealed."""
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
    made: Any = unsealed(task)
    *outer, last = place.split(".")
    part = made
    for name in outer:
        part = part[name]
    part[last] = value
    return json.dumps(made).encode()


def _without(place: str) -> bytes:
    made: Any = unsealed()
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
    made: Any = unsealed()
    made["headers"]["compression"] = name
    made["body"] = encode(pack(b" " * BOMB + b"[[], {}, {}]"))
    return json.dumps(made).encode()


def _signature() -> dict[str, Any]:
    return {"task": "nightkey.night", "args": [], "kwargs": {}, "options": {}, "subtask_type": None}


def contents(vault: Sealer = OURS) -> dict[str, tuple[MessageFault, bytes]]:
    """What each is, what is wrong with it for that vault, and the bytes."""
    return in_the_clear() | {
        name: (fault, json.dumps(parcel(body)).encode()) for name, (fault, body) in sealed(vault).items()
    }


def sealed(vault: Sealer = OURS) -> dict[str, tuple[MessageFault, bytes]]:
    """What says that it is sealed, and is no message of that vault, or none any more."""
    forged, foreign, stale = MessageFault.FORGED, MessageFault.FOREIGN, MessageFault.STALE
    whole = vault.seals().seal("nightkey.rotate", (ROTATION,))
    now = utc_now()
    record = seal(
        Secret(f"nightkey.rotate {ROTATION}"),
        key=vault.keyring.active,
        binding=Binding(deployment_id=vault.deployment_id, subject_id="", version=0, purpose="ring"),
    )
    other = Sealer(vault.keyring, "dpl_01kb0000000000000000000001")
    said = write_ring("nightkey.night", (), sent_at=now)

    def sent(ago: timedelta) -> bytes:
        return vault.seals(lambda: now - ago).seal("nightkey.night", ())

    return {
        "no seal": (forged, b"[[], {}, {}]"),
        "nothing in it": (forged, b""),
        "half a seal": (forged, whole[:66]),
        "a seal without what it seals": (forged, whole[:52]),
        "a seal and more": (forged, whole + b"x"),
        "a seal with another magic": (forged, b"NKM2" + whole[4:]),
        "a seal with another key": (foreign, whole[:4] + bytes(16) + whole[20:]),
        "a seal with another number": (forged, whole[:20] + bytes(16) + whole[36:]),
        "a seal of something else": (forged, whole[:-17] + bytes([whole[-17] ^ 1]) + whole[-16:]),
        "a seal with another tag": (forged, whole[:-1] + bytes([whole[-1] ^ 1])),
        "two seals": (forged, whole * 2),
        "zeros": (forged, bytes(len(whole))),
        "a value of the vault": (forged, record.record),
        "a key of a value of the vault": (forged, record.wrapped_key),
        "a seal of another vault": (foreign, ANOTHER.seals().seal("nightkey.night", ())),
        "a seal of another vault with the same keyring": (foreign, other.seals().seal("nightkey.night", ())),
        "a seal for another use": (foreign, vault.seal(said, use="letter")),
        "of the day before": (stale, sent(AGE_MAX + A_WHILE)),
        "of the year before": (stale, sent(timedelta(days=365))),
        "of a day to come": (stale, sent(-AGE_MAX - A_WHILE)),
        "of another release": (MessageFault.ILL_FORMED, vault.seal(said + b"more")),
        "of ours without a text": (MessageFault.ILL_FORMED, vault.seal(said[:-2] + b"\xff\xfe")),
        "of ours without a task": (MessageFault.NO_TASK, vault.seal(write_ring("", (), sent_at=now))),
        "for a task of a newer release": (
            MessageFault.NO_TASK,
            vault.seal(write_ring("nightkey.newer", (ROTATION,), sent_at=now)),
        ),
        "with an id of a newer release": (
            MessageFault.WRONG_ID,
            vault.seal(write_ring("nightkey.rotate", ("rot2_01kb",), sent_at=now)),
        ),
        "of ours without its id": (
            MessageFault.WRONG_ID,
            vault.seal(write_ring("nightkey.rotate", (), sent_at=now)),
        ),
    }


def in_the_clear() -> dict[str, tuple[MessageFault, bytes]]:
    """What is not sealed, and would steer Celery or kombu if they saw it."""
    no_json, ill, large, clear = (
        MessageFault.NO_JSON,
        MessageFault.ILL_FORMED,
        MessageFault.TOO_LARGE,
        MessageFault.UNSEALED,
    )
    whole = json.dumps(unsealed())
    return {
        "as Celery sends it": (clear, whole.encode()),
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
        "no properties": (clear, _without("properties")),
        "properties null": (clear, _with("properties", None)),
        "properties a list": (clear, _with("properties", [1])),
        "no body": (ill, _without("body")),
        "body null": (ill, _with("body", None)),
        "body an object": (ill, _with("body", {})),
        "body no base64": (no_json, _with("body", "!!!!")),
        "body of half a base64": (no_json, _with("body", "W1td")[:-2] + b"x}"),
        "body of another encoding": (clear, _with("properties.body_encoding", "rot13")),
        "body encoding a list": (clear, _with("properties.body_encoding", ["base64"])),
        "body encoding missing": (clear, _without("properties.body_encoding")),
        "body null inside": (clear, _with("body", encode(None))),
        "body a number": (clear, _with("body", encode(17))),
        "body an object inside": (clear, _with("body", encode({"args": [], "kwargs": {}}))),
        "body of two": (clear, _with("body", encode([[], {}]))),
        "body deep": (clear, _with("body", encode(b"[" * 4000 + b"]" * 4000))),
        "body of utf-16": (clear, _with("body", encode("[[], {}, {}]".encode("utf-16")))),
        "pickle": (ill, _with("content-type", "application/x-python-serialize")),
        "yaml": (ill, _with("content-type", "application/x-yaml")),
        "type null": (ill, _with("content-type", None)),
        "type a list": (ill, _with("content-type", ["application/json"])),
        "encoding utf-16": (clear, _with("content-encoding", "utf-16")),
        "encoding unknown": (clear, _with("content-encoding", "x-nobody")),
        "encoding binary": (clear, _with("content-encoding", "binary")),
        "16 MB as gzip": (large, _packed(zlib.compress, "application/x-gzip")),
        "16 MB as bzip2": (clear, _packed(bz2.compress, "bzip2")),
        "a task of ours, as xz": (clear, _with("headers.compression", "xz")),
        "compression unknown": (clear, _with("headers.compression", "nothing")),
        "compression a list": (clear, _with("headers.compression", ["gzip"])),
        "no headers": (clear, _without("headers")),
        "headers null": (clear, _with("headers", None)),
        "headers a list": (clear, _with("headers", ["task"])),
        "no task": (clear, _without("headers.task")),
        "task null": (clear, _with("headers.task", None)),
        "task an object": (clear, _with("headers.task", {"a": 1})),
        "task a list": (clear, _with("headers.task", ["nightkey.resume"])),
        "task of somebody else": (clear, _with("headers.task", "os.system")),
        "task of Celery's": (clear, _with("headers.task", "celery.backend_cleanup")),
        "task with a blank": (clear, _with("headers.task", "nightkey.resume ")),
        "no id": (clear, _without("headers.id")),
        "id a list": (clear, _with("headers.id", [1])),
        "id an object": (clear, _with("headers.id", {"a": 1})),
        "id null": (clear, _with("headers.id", None)),
        "id long": (clear, _with("headers.id", "x" * 5000)),
        "id with a line break": (clear, _with("headers.id", "a\nb")),
        "eta in a year": (clear, _with("headers.eta", "2031-01-01T00:00:00+00:00")),
        "eta no date": (clear, _with("headers.eta", "soon")),
        "eta an object": (clear, _with("headers.eta", {"a": 1})),
        "expires": (clear, _with("headers.expires", "2001-01-01T00:00:00+00:00")),
        "expires a list": (clear, _with("headers.expires", [1])),
        "shadow": (clear, _with("headers.shadow", "nightkey.rotate")),
        "time limit": (clear, _with("headers.timelimit", [0.001, 0.001])),
        "time limit a text": (clear, _with("headers.timelimit", "now")),
        "group": (clear, _with("headers.group", "g")),
        "stamps": (clear, _with("headers.stamps", {"a": [1]})),
        "root a list": (clear, _with("headers.root_id", [1])),
        "retries a text": (clear, _with("headers.retries", "many")),
        "origin an object": (clear, _with("headers.origin", {})),
        "reply to a list": (clear, _with("properties.reply_to", ["a"])),
        "callbacks": (clear, _body([ROTATION], embedded={"callbacks": [_signature()]})),
        "errbacks": (clear, _body([ROTATION], embedded={"errbacks": [_signature()]})),
        "chain": (clear, _body([ROTATION], embedded={"chain": [_signature()]})),
        "chord": (clear, _body([ROTATION], embedded={"chord": _signature()})),
        "keywords": (clear, _body([], {"rotation_id": ROTATION})),
        "the old form": (ill, json.dumps({"task": {"a": 1}, "id": [1]}).encode()),
        "no argument": (clear, _body([])),
        "two arguments": (clear, _body([ROTATION, ROTATION])),
        "an argument too many": (clear, _body([ROTATION], task="nightkey.night")),
        "argument a number": (clear, _body([17])),
        "argument null": (clear, _body([None])),
        "argument an object": (clear, _body([{"a": 1}])),
        "argument empty": (clear, _body([""])),
        "argument of another kind": (clear, _body(["vlt_01kb0000000000000000000000"])),
        "argument with SQL": (clear, _body(["'; DROP TABLE items; --"])),
        "argument with more behind": (clear, _body([ROTATION + "\n"])),
        "argument with half a character": (clear, _body(["rot_\ud800"])),
        "a run's for a rotation": (clear, _body(["fl_run_01kb0000000000000000000000"])),
        "a heartbeat's path": (clear, _body(["../../etc start"], task="nightkey.beat")),
    }


@contextmanager
def put(folder: Path, queue: str, vault: Sealer = OURS) -> Iterator[dict[str, MessageFault]]:
    """Each of these as an entry of the folder, as long as the block lasts, with what is wrong with it."""
    found = {}
    names = (f"{number:020d}_forged.{queue}.msg" for number in itertools.count(1))
    for fault, content in contents(vault).values():
        name = next(names)
        write(folder / name, content)
        found[name] = fault
    whole = json.dumps(genuine(of=vault)).encode()
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
