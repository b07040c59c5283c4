"""What `nightkey doctor` says of an installation: what is well; what is missing, and what to do about it."""

from typing import Final

from worker.domain.diagnosis import Diagnosis, Limit, Symptom
from worker.wording.parts import say_count

_SENTENCES: Final = {
    Symptom.SETTINGS_GIVEN: "{settings} given, all others have their default",
    Symptom.FOLDER_OURS: "{path}, which nobody else may write",
    Symptom.KEYS: "{path}, which seals with {key}",
    Symptom.KEYS_RESTRICTED: "{path}, restricted: it opens and seals nothing here",
    Symptom.DATABASE_KIND: "{name} {version}",
    Symptom.WRITTEN_THROUGH: "what is committed is on its disk ({settings})",
    Symptom.SCHEMA: "schema {revision}, which is that of this release",
    Symptom.CLOCKS_AGREE: "its clock agrees with this machine's",
    Symptom.CONNECTIONS: (
        "{most} connections are allowed by {limit}; who is at work keeps {needed} of them at most"
    ),
    Symptom.POOLED: (
        "a pooler stands before it: see that it takes {needed} clients at least (PgBouncer: max_client_conn), "
        "and keeps fewer than the {most} connections that {limit} allows (default_pool_size)"
    ),
    Symptom.BROKER_KIND: "{name}",
    Symptom.QUEUE: "{queue}{how}: {waiting}",
    Symptom.QUEUE_TO_COME: "{queue} is not there yet: the first worker makes it",
    Symptom.KEPT: "append-only, and nothing is dropped when memory is short",
    Symptom.AT_WORK: "{workers} and {beats} at work on {hosts}",
    Symptom.NOBODY_YET: "nobody works here: nights are begun by hand or by a timer, or by `nightkey up`",
    Symptom.ANCHORED: "{path}: the newest is of {at}, at row {row} of the audit log. Keep a copy elsewhere",
    Symptom.NO_ANCHOR: "{path} has none yet: the next night writes one",
    Symptom.REFUSED: "{why}",
    Symptom.ONE_MACHINE: (
        "{kept} serves one machine, and several work on this vault ({hosts}): set {setting} on all of them, "
        "deploy/databases.md"
    ),
    Symptom.SETTING_OFF: (
        "{setting} is off: what was committed may be lost, or damaged, when its machine stops. Set it on in "
        "postgresql.conf and for this user, then reload the server"
    ),
    Symptom.CLOCKS_DIFFER: (
        "its clock is {seconds} s {ahead} this machine's: let both be set by the same time service (NTP)"
    ),
    Symptom.CONNECTIONS_FEW: (
        "{most} connections are allowed by {limit}, and who is at work may keep {needed}: raise it"
    ),
    Symptom.RABBIT_OLD: "{name} is older than {least}: its quorum queues lack what is needed. Upgrade it",
    Symptom.NO_CONFIRMS: "{name} does not confirm what it is given: use a RabbitMQ that does",
    Symptom.BLOCKED: "it {why}. Nothing is lost meanwhile: what is due is found then",
    Symptom.NO_RIGHTS: (
        "its user may not {rights} what is Nightkey's in the virtual host of broker_url: give it the rights to "
        "configure, write and read there (rabbitmqctl set_permissions)"
    ),
    Symptom.QUEUE_DIFFERS: (
        "{queue} was not made by this release: its {argument} differs. Stop all workers, delete it (rabbitmqctl"
        " delete_queue {queue}), and start them: they make it anew, and what it rang for is found"
    ),
    Symptom.NOBODY_TAKES: (
        "nobody takes from {queue}, although workers live: look at their logs, and whether they have the same "
        "broker_url"
    ),
    Symptom.DEAD_LETTERS: (
        "{number} among the dead letters (nightkey.dead): beat moves what lies there to broker/aside, so "
        "see that it is up"
    ),
    Symptom.FORMER_QUEUE: (
        "the queue nightkey of an older release is still there, with {number} that nobody takes: delete it "
        "once no older release runs; what it rang for is found"
    ),
    Symptom.NOT_APPENDED: (
        "appendonly is no: what waits is gone when it restarts, and is late until the next sweep. Set "
        "appendonly yes, in its configuration and by CONFIG SET"
    ),
    Symptom.NOT_WRITTEN: "its append-only file cannot be written: look at its log, and at its disk's space",
    Symptom.EVICTS: (
        "maxmemory-policy is {policy}: messages may be dropped when memory is short. Set noeviction, in its "
        "configuration and by CONFIG SET"
    ),
    Symptom.REPLICA: "it is a replica, which cannot be written: name the primary in broker_url",
    Symptom.NOT_TOLD: (
        "it does not tell this user how it is set (INFO): allow that, or see yourself that appendonly is yes "
        "and maxmemory-policy is noeviction"
    ),
}
_LIMITS: Final[dict[str | int, str]] = {
    Limit.SERVER: "max_connections",
    Limit.ROLE: "this role's CONNECTION LIMIT",
    Limit.DATABASE: "this database's CONNECTION LIMIT",
}
_COUNTED: Final = {
    "settings": "setting",
    "workers": "worker",
    "beats": "beat",
    "number": "message",
}


def say_diagnosis(diagnosis: Diagnosis) -> str:
    given = dict(diagnosis.given)
    for name in given.keys() & _COUNTED.keys():
        if isinstance(given[name], int):
            given[name] = say_count(given[name], _COUNTED[name])
    if "limit" in given:
        given["limit"] = _LIMITS.get(given["limit"], "a limit")
    if diagnosis.symptom is Symptom.QUEUE:
        given["how"] = f", {given['how']}" if given["how"] else ""
        number = given["waiting"]
        given["waiting"] = f"{say_count(number, 'message')} waiting" if number else "nothing waits"
    return _SENTENCES[diagnosis.symptom].format(**given)
