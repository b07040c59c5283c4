"""What is well in an installation, what is missing, and how it is said."""

from datetime import UTC, datetime, timedelta
from string import Formatter
from typing import Any

import pytest

from worker.domain.diagnosis import (
    Aspect,
    DatabaseFacts,
    Diagnosis,
    Limit,
    QueueFacts,
    RabbitFacts,
    RedisFacts,
    Right,
    Symptom,
    judge_database,
    judge_folder,
    judge_rabbit,
    judge_redis,
    judge_workers,
    read_version,
)
from worker.domain.pulses import PulseKind
from worker.domain.signs import SignOfLife
from worker.wording.diagnosis import _SENTENCES, say_diagnosis

NOW = datetime(2026, 3, 1, 2, 0, tzinfo=UTC)
SETTINGS = {"fsync": "on", "full_page_writes": "on", "synchronous_commit": "local"}
POSTGRES = {"name": "PostgreSQL", "version": "18.6", "revision": "0035", "settings": SETTINGS}
AGREES = {"ahead": timedelta(seconds=-1), "allowed": {Limit.SERVER: 97, Limit.DATABASE: 100}}
KEPT = {"aof_enabled": "1", "aof_last_write_status": "ok", "maxmemory_policy": "noeviction", "role": "master"}


def live(*hosts: str, kind: PulseKind = PulseKind.WORKER) -> list[SignOfLife]:
    return [
        SignOfLife(
            id=f"sgn_{number}",
            kind=kind,
            host=host,
            pid=number,
            started_at=NOW,
            seen_at=NOW,
            every=timedelta(minutes=1),
        )
        for number, host in enumerate(hosts)
    ]


def missing(found: object) -> list[str]:
    return [one.symptom.value for one in found if not one.is_well]  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("facts", "hosts", "lacks"),
    [
        (POSTGRES | AGREES, ["a", "b"], []),
        (POSTGRES | AGREES | {"settings": SETTINGS | {"fsync": "off"}}, ["a"], ["setting-off"]),
        (POSTGRES | AGREES | {"settings": dict.fromkeys(SETTINGS, "off")}, ["a"], ["setting-off"] * 3),
        (POSTGRES | AGREES | {"ahead": timedelta(seconds=6)}, ["a"], ["clocks-differ"]),
        (POSTGRES | AGREES | {"ahead": timedelta(hours=-1)}, ["a"], ["clocks-differ"]),
        (POSTGRES | AGREES | {"allowed": {Limit.SERVER: 14}}, ["a"] * 3, ["connections-few"]),
        (POSTGRES | AGREES | {"allowed": {Limit.SERVER: 15}}, ["a"] * 3, []),
        (POSTGRES | AGREES | {"allowed": {Limit.SERVER: 97, Limit.ROLE: 14}}, ["a"] * 3, ["connections-few"]),
        (POSTGRES | AGREES | {"allowed": {Limit.SERVER: 97, Limit.DATABASE: 0}}, ["a"], ["connections-few"]),
        (POSTGRES | AGREES | {"allowed": {Limit.SERVER: 3}, "pooled": True}, ["a"] * 3, []),
        ({"name": "SQLite", "version": "3.40.1", "revision": "0035"}, ["a", "a"], []),
        ({"name": "SQLite", "version": "3.40.1", "revision": "0035"}, ["a", "b"], ["one-machine"]),
    ],
)
def test_what_a_database_lacks(facts, hosts, lacks):
    assert missing(judge_database(DatabaseFacts(**facts), live(*hosts))) == lacks


@pytest.mark.parametrize(
    ("allowed", "said"),
    [
        ({Limit.SERVER: 97}, "97 connections are allowed by max_connections; "),
        ({Limit.SERVER: 97, Limit.ROLE: 8, Limit.DATABASE: 9}, "8 connections are allowed by this role's "),
        ({Limit.SERVER: 97, Limit.ROLE: 9, Limit.DATABASE: 8}, "8 connections are allowed by this database's "),
    ],
)
def test_the_narrowest_limit_of_connections_counts_and_is_named(allowed, said):
    facts: dict[str, Any] = POSTGRES | AGREES | {"allowed": allowed}
    (found,) = [
        one for one in judge_database(DatabaseFacts(**facts), live("a")) if one.symptom is Symptom.CONNECTIONS
    ]
    assert say_diagnosis(found).startswith(said)


def test_whoever_lacks_rights_is_not_promised_the_queues():
    lacking = rabbit(refused=list(Right), queues=[QueueFacts(name="q", waiting=None)])
    (kind, lacks) = judge_rabbit(lacking, [])
    assert (kind.is_well, lacks.symptom) == (True, Symptom.NO_RIGHTS)
    assert say_diagnosis(lacks).startswith("its user may not configure or write or read what is Nightkey's ")


def test_behind_a_pooler_it_is_told_how_many_clients_that_one_has_to_take():
    facts: dict[str, Any] = POSTGRES | AGREES | {"pooled": True}
    found = judge_database(DatabaseFacts(**facts), live("a", "a", "b"))
    (told,) = [one for one in found if one.symptom is Symptom.POOLED]
    assert "takes 15 clients at least" in say_diagnosis(told)
    assert "the 97 connections" in say_diagnosis(told)


def test_a_folder_serves_one_machine():
    waiting = {"nightkey.night": 1, "nightkey.targets": 0}
    assert missing(judge_folder("the folder /srv", waiting, live("a", "a"))) == []
    assert missing(judge_folder("the folder /srv", waiting, live("a", "b"))) == ["one-machine"]


def rabbit(**given):
    queues = [QueueFacts(name="nightkey.night", waiting=0, consumers=1)]
    usual: dict[str, Any] = {
        "where": "h:5672",
        "version": "3.10.8",
        "confirms": True,
        "queues": queues,
        "dead": 0,
        "former": None,
    }
    return RabbitFacts(**usual | given)


@pytest.mark.parametrize(
    ("facts", "hosts", "lacks"),
    [
        (rabbit(), ["a", "b"], []),
        (rabbit(version="4.1.0"), ["a"], []),
        (rabbit(version="3.9.29"), ["a"], ["rabbit-old"]),
        (rabbit(version="none"), ["a"], ["rabbit-old"]),
        (rabbit(confirms=False), ["a"], ["no-confirms"]),
        (rabbit(refused=[Right.WRITE]), ["a"], ["no-rights"]),
        (rabbit(blocked="takes no messages"), ["a"], ["blocked"]),
        (rabbit(dead=2), ["a"], ["dead-letters"]),
        (rabbit(former=0), ["a"], ["former-queue"]),
        (rabbit(queues=[QueueFacts(name="q", waiting=None)]), [], []),
        (rabbit(queues=[QueueFacts(name="q", waiting=None)]), ["a"], ["nobody-takes"]),
        (rabbit(queues=[QueueFacts(name="q", waiting=3)]), [], []),
        (rabbit(queues=[QueueFacts(name="q", waiting=3)]), ["a"], ["nobody-takes"]),
        (rabbit(queues=[QueueFacts(name="q", waiting=3, differs="x-queue-type")]), ["a"], ["queue-differs"]),
    ],
)
def test_what_a_rabbitmq_lacks(facts, hosts, lacks):
    assert missing(judge_rabbit(facts, live(*hosts))) == lacks


@pytest.mark.parametrize(
    ("info", "former", "lacks"),
    [
        (KEPT | {"redis_version": "7.2.4", "valkey_version": "9.1.2"}, 0, []),
        (KEPT | {"aof_enabled": "0"}, 0, ["not-appended"]),
        (KEPT | {"aof_last_write_status": "err"}, 0, ["not-written"]),
        (KEPT | {"maxmemory_policy": "allkeys-lru"}, 0, ["evicts"]),
        (KEPT | {"role": "slave"}, 0, ["replica"]),
        (KEPT, 4, ["former-queue"]),
        ({}, 0, ["not-told"]),
    ],
)
def test_what_a_redis_lacks(info, former, lacks):
    facts = RedisFacts(where="h:6379", info=info, waiting={"nightkey.night": 0}, former=former)
    assert missing(judge_redis(facts)) == lacks


def test_who_is_at_work():
    assert judge_workers(live("b", "a", "a"), "").given == {"workers": 3, "beats": 0, "hosts": "a, b"}
    assert judge_workers([], "").symptom is Symptom.NOBODY_YET
    assert say_diagnosis(judge_workers(live("a"), "workers wait, and no beat rings")) == (
        "workers wait, and no beat rings"
    )


def test_each_symptom_has_a_sentence_and_a_missing_one_says_what_to_do():
    assert set(_SENTENCES) == set(Symptom)
    for symptom in Symptom:
        names = {name for _, name, _, _ in Formatter().parse(_SENTENCES[symptom]) if name}
        said = say_diagnosis(Diagnosis(aspect=Aspect.BROKER, symptom=symptom, given=dict.fromkeys(names, 1)))
        assert said.count(".") <= 3
        assert not said.endswith(".")
        assert "{" not in said


def test_a_queue_says_how_many_wait():
    def say(waiting, how=""):
        given = {"queue": "nightkey.night", "waiting": waiting, "how": how}
        return say_diagnosis(Diagnosis(aspect=Aspect.BROKER, symptom=Symptom.QUEUE, given=given))

    assert say(0) == "nightkey.night: nothing waits"
    assert say(1) == "nightkey.night: 1 message waiting"
    assert say(2000, "a quorum queue") == "nightkey.night, a quorum queue: 2,000 messages waiting"


@pytest.mark.parametrize(
    ("text", "version"), [("3.10.8", (3, 10, 8)), ("4.1.0-rc.1", (4, 1)), ("", ()), ("x.1", ())]
)
def test_a_version_is_the_numbers_that_it_begins_with(text, version):
    assert read_version(text) == version
