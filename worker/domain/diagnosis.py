"""What is seen of an installation: of each part what is well, and what is missing. Pure.

Facts are read by `worker.doctor`, judged here, and said by `worker.wording.diagnosis`.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from enum import StrEnum
from typing import Final

from worker.domain.pulses import PulseKind
from worker.domain.signs import SignOfLife

SKEW_MAX: Final = timedelta(seconds=5)
"""So far may two clocks be apart that leases and due times are compared by."""
CONNECTIONS_EACH: Final = 5
"""To the database, that a process keeps open at most while nothing is unusual: its pool."""
RABBIT_LEAST: Final = (3, 10)
"""From which RabbitMQ on quorum queues have all that is asked of them."""


class Aspect(StrEnum):
    SETTINGS = "settings"
    DATA_FOLDER = "data folder"
    KEYRING = "keyring"
    DATABASE = "database"
    BROKER = "broker"
    WORKERS = "workers"
    ANCHORS = "anchors"


class Limit(StrEnum):
    """What allows so many connections to a server, and no more."""

    SERVER = "server"
    ROLE = "role"
    DATABASE = "database"


class Right(StrEnum):
    """What a user of RabbitMQ may do in a virtual host."""

    CONFIGURE = "configure"
    WRITE = "write"
    READ = "read"


class Symptom(StrEnum):
    SETTINGS_GIVEN = "settings-given"
    FOLDER_OURS = "folder-ours"
    KEYS = "keys"
    KEYS_RESTRICTED = "keys-restricted"
    DATABASE_KIND = "database-kind"
    WRITTEN_THROUGH = "written-through"
    SCHEMA = "schema"
    CLOCKS_AGREE = "clocks-agree"
    CONNECTIONS = "connections"
    POOLED = "pooled"
    BROKER_KIND = "broker-kind"
    QUEUE = "queue"
    QUEUE_TO_COME = "queue-to-come"
    KEPT = "kept"
    AT_WORK = "at-work"
    NOBODY_YET = "nobody-yet"
    ANCHORED = "anchored"
    NO_ANCHOR = "no-anchor"

    REFUSED = "refused"
    """As an error, or a warning, says it itself."""
    ONE_MACHINE = "one-machine"
    SETTING_OFF = "setting-off"
    CLOCKS_DIFFER = "clocks-differ"
    CONNECTIONS_FEW = "connections-few"
    RABBIT_OLD = "rabbit-old"
    NO_CONFIRMS = "no-confirms"
    BLOCKED = "blocked"
    NO_RIGHTS = "no-rights"
    QUEUE_DIFFERS = "queue-differs"
    NOBODY_TAKES = "nobody-takes"
    DEAD_LETTERS = "dead-letters"
    FORMER_QUEUE = "former-queue"
    NOT_APPENDED = "not-appended"
    NOT_WRITTEN = "not-written"
    EVICTS = "evicts"
    REPLICA = "replica"
    NOT_TOLD = "not-told"


_MISSING: Final = frozenset(list(Symptom)[list(Symptom).index(Symptom.REFUSED) :])


@dataclass(frozen=True, kw_only=True)
class Diagnosis:
    """One line. `given`: what its sentence names."""

    aspect: Aspect
    symptom: Symptom
    given: Mapping[str, str | int] = field(default_factory=dict)

    @property
    def is_well(self) -> bool:
        return self.symptom not in _MISSING


@dataclass(frozen=True, kw_only=True)
class DatabaseFacts:
    """`settings` are those that a crash must not meet switched off, as the database says them. `ahead`: of this
    machine's clock. `allowed`: connections, by each of the limits that hold for this user, if it is a server.
    `each`: those that one process may need. `pooled`: a pooler stands before it.
    """

    name: str
    version: str
    revision: str
    settings: Mapping[str, str] = field(default_factory=dict)
    ahead: timedelta | None = None
    allowed: Mapping[Limit, int] = field(default_factory=dict)
    each: int = CONNECTIONS_EACH
    pooled: bool = False


def judge_database(facts: DatabaseFacts, signs: Sequence[SignOfLife]) -> Iterator[Diagnosis]:
    """`signs`: of the processes that live."""

    def see(symptom: Symptom, **given: str | int) -> Diagnosis:
        return Diagnosis(aspect=Aspect.DATABASE, symptom=symptom, given=given)

    yield see(Symptom.DATABASE_KIND, name=facts.name, version=facts.version)
    yield see(Symptom.SCHEMA, revision=facts.revision)
    off = [name for name, value in facts.settings.items() if value == "off"]
    for name in off:
        yield see(Symptom.SETTING_OFF, setting=name)
    if not off:
        yield see(Symptom.WRITTEN_THROUGH, settings=", ".join(facts.settings))
    if not facts.allowed or facts.ahead is None:
        hosts = _name_hosts(signs)
        if len(hosts) > 1:
            yield see(Symptom.ONE_MACHINE, kept="SQLite", hosts=", ".join(hosts), setting="database_url")
        return
    seconds = round(abs(facts.ahead.total_seconds()))
    if abs(facts.ahead) > SKEW_MAX:
        ahead = "ahead of" if facts.ahead > timedelta(0) else "behind"
        yield see(Symptom.CLOCKS_DIFFER, seconds=seconds, ahead=ahead)
    else:
        yield see(Symptom.CLOCKS_AGREE)
    needed = max(len(signs), 1) * facts.each
    limit = min(facts.allowed, key=facts.allowed.__getitem__)
    most = facts.allowed[limit]
    if facts.pooled:  # it is the pooler that may have too few, and it tells nobody who asks the server
        yield see(Symptom.POOLED, needed=needed, most=most, limit=limit)
        return
    symptom = Symptom.CONNECTIONS if most >= needed else Symptom.CONNECTIONS_FEW
    yield see(symptom, most=most, limit=limit, needed=needed)


def judge_folder(where: str, waiting: Mapping[str, int], signs: Sequence[SignOfLife]) -> Iterator[Diagnosis]:
    """The folder as the broker."""
    yield Diagnosis(aspect=Aspect.BROKER, symptom=Symptom.BROKER_KIND, given={"name": where})
    for queue, number in waiting.items():
        yield _see_broker(Symptom.QUEUE, queue=queue, waiting=number, how="")
    hosts = _name_hosts(signs)
    if len(hosts) > 1:
        yield _see_broker(Symptom.ONE_MACHINE, kept="the folder", hosts=", ".join(hosts), setting="broker_url")


@dataclass(frozen=True, kw_only=True)
class QueueFacts:
    """`differs`: the argument that is another than ours; empty: none is. None of `waiting`: there is none."""

    name: str
    waiting: int | None
    consumers: int = 0
    differs: str = ""


@dataclass(frozen=True, kw_only=True)
class RabbitFacts:
    """`queues` are those for work; `dead` and `former`: how many lie among the dead letters, and in the queue
    of an older release, if it is there. `blocked`: why it takes no messages at present; empty: it takes them.
    `refused`: the rights that its user lacks.
    """

    where: str
    version: str
    confirms: bool
    queues: Sequence[QueueFacts]
    dead: int
    former: int | None
    blocked: str = ""
    refused: Sequence[Right] = ()


def judge_rabbit(facts: RabbitFacts, signs: Sequence[SignOfLife]) -> Iterator[Diagnosis]:
    name = f"RabbitMQ {facts.version} at {facts.where}"
    if read_version(facts.version) < RABBIT_LEAST:
        yield _see_broker(Symptom.RABBIT_OLD, name=name, least=".".join(map(str, RABBIT_LEAST)))
    else:
        yield _see_broker(Symptom.BROKER_KIND, name=name)
    if not facts.confirms:
        yield _see_broker(Symptom.NO_CONFIRMS, name=name)
    if facts.blocked:
        yield _see_broker(Symptom.BLOCKED, why=facts.blocked)
    if facts.refused:
        yield _see_broker(Symptom.NO_RIGHTS, rights=" or ".join(facts.refused))
    yield from _judge_queues(facts, works=any(sign.kind is PulseKind.WORKER for sign in signs))
    if facts.dead:
        yield _see_broker(Symptom.DEAD_LETTERS, number=facts.dead)
    if facts.former is not None:
        yield _see_broker(Symptom.FORMER_QUEUE, number=facts.former)


def _judge_queues(facts: RabbitFacts, *, works: bool) -> Iterator[Diagnosis]:
    """`works`: a worker lives."""
    for queue in facts.queues:
        if queue.waiting is None:
            if works or not facts.refused:
                yield _see_broker(Symptom.NOBODY_TAKES if works else Symptom.QUEUE_TO_COME, queue=queue.name)
        elif queue.differs:
            yield _see_broker(Symptom.QUEUE_DIFFERS, queue=queue.name, argument=queue.differs)
        elif works and not queue.consumers:
            yield _see_broker(Symptom.NOBODY_TAKES, queue=queue.name)
        else:
            how = "a quorum queue with a limit of deliveries and dead letters"
            yield _see_broker(Symptom.QUEUE, queue=queue.name, waiting=queue.waiting, how=how)


@dataclass(frozen=True, kw_only=True)
class RedisFacts:
    """As INFO says it, by its names; empty where this user may not ask."""

    where: str
    info: Mapping[str, str]
    waiting: Mapping[str, int]
    former: int


def judge_redis(facts: RedisFacts) -> Iterator[Diagnosis]:
    info = facts.info
    if not info:
        yield _see_broker(Symptom.BROKER_KIND, name=f"Valkey or Redis at {facts.where}")
        yield _see_broker(Symptom.NOT_TOLD)
        return
    server = "Valkey" if "valkey_version" in info else "Redis"
    version = info.get("valkey_version") or info.get("redis_version", "of an unknown version")
    yield _see_broker(Symptom.BROKER_KIND, name=f"{server} {version} at {facts.where}")
    if info.get("role") == "slave":
        yield _see_broker(Symptom.REPLICA)
    policy = info.get("maxmemory_policy", "")
    kept = info.get("aof_enabled") == "1"
    written = info.get("aof_last_write_status", "ok") == "ok"
    if not kept:
        yield _see_broker(Symptom.NOT_APPENDED)
    elif not written:
        yield _see_broker(Symptom.NOT_WRITTEN)
    if policy != "noeviction":
        yield _see_broker(Symptom.EVICTS, policy=policy or "unknown")
    if kept and written and policy == "noeviction":
        yield _see_broker(Symptom.KEPT)
    for queue, number in facts.waiting.items():
        yield _see_broker(Symptom.QUEUE, queue=queue, waiting=number, how="")
    if facts.former:
        yield _see_broker(Symptom.FORMER_QUEUE, number=facts.former)


def judge_workers(signs: Sequence[SignOfLife], absent: str) -> Diagnosis:
    """`absent`: who is missing, as `status` says it."""
    if absent:
        return Diagnosis(aspect=Aspect.WORKERS, symptom=Symptom.REFUSED, given={"why": absent})
    if not signs:
        return Diagnosis(aspect=Aspect.WORKERS, symptom=Symptom.NOBODY_YET)
    given: dict[str, str | int] = {
        "workers": sum(sign.kind is PulseKind.WORKER for sign in signs),
        "beats": sum(sign.kind is PulseKind.BEAT for sign in signs),
        "hosts": ", ".join(_name_hosts(signs)),
    }
    return Diagnosis(aspect=Aspect.WORKERS, symptom=Symptom.AT_WORK, given=given)


def read_version(text: str) -> tuple[int, ...]:
    """The numbers that it begins with."""
    numbers = []
    for word in text.split("."):
        if not word.isdecimal():
            break
        numbers.append(int(word))
    return tuple(numbers)


def _see_broker(symptom: Symptom, **given: str | int) -> Diagnosis:
    return Diagnosis(aspect=Aspect.BROKER, symptom=symptom, given=given)


def _name_hosts(signs: Sequence[SignOfLife]) -> list[str]:
    return sorted({sign.host for sign in signs})
