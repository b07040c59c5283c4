"""`nightkey doctor`: looks at an installation as it is, part by part, and changes nothing.

What a part's own code refuses is told in its words, and the other parts are looked at all the same.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from datetime import datetime

from vaultcore.errors import NightkeyError, RefusedError
from vaultcore.schema import find_revision
from vaultcore.troubles import explain
from worker.bootstrap import Services
from worker.broker.reaching import BrokerAwayError, explain_away
from worker.config import Settings, find_origins, unknown_variables
from worker.doctor.folder import look_at_folder
from worker.doctor.rabbit import look_at_rabbit
from worker.doctor.redis import look_at_redis
from worker.domain.broker_address import BrokerKind, kind_of_broker
from worker.domain.diagnosis import (
    Aspect,
    DatabaseFacts,
    Diagnosis,
    Symptom,
    judge_database,
    judge_folder,
    judge_rabbit,
    judge_redis,
    judge_workers,
)
from worker.domain.signs import SignOfLife
from worker.home import ANCHORS_FILE, find_warning
from worker.rows import server_facts
from worker.wording.problems import describe


class Doctor:
    def __init__(self, services: Services) -> None:
        self._services = services
        self._settings: Settings = services.settings

    def look(self) -> list[Diagnosis]:
        """Each part in turn, of what is well and of what is missing a line each."""
        found = [*self._look(Aspect.SETTINGS, self._settings_given), *self._look(Aspect.KEYRING, self._keyring)]
        signs: list[SignOfLife] = []
        database = list(self._look(Aspect.DATABASE, lambda: self._database(signs)))
        found += database
        found += self._look(Aspect.BROKER, lambda: self._broker(signs))
        if all(one.is_well or one.symptom is not Symptom.REFUSED for one in database):
            found += self._look(Aspect.WORKERS, lambda: self._workers(signs))
            found += self._look(Aspect.ANCHORS, self._anchors)
        return found

    def _look(self, aspect: Aspect, look: Callable[[], Iterable[Diagnosis]]) -> Iterator[Diagnosis]:
        try:
            yield from look()
        except (NightkeyError, OSError) as error:
            why = str(explain(error) or error) if isinstance(error, OSError) else str(error)
            yield Diagnosis(aspect=aspect, symptom=Symptom.REFUSED, given={"why": why})

    def _settings_given(self) -> Iterator[Diagnosis]:
        given = sum(source is not None for source in find_origins(self._settings).values())
        yield Diagnosis(aspect=Aspect.SETTINGS, symptom=Symptom.SETTINGS_GIVEN, given={"settings": given})
        for sentence in unknown_variables().values():
            yield Diagnosis(aspect=Aspect.SETTINGS, symptom=Symptom.REFUSED, given={"why": sentence})
        warning = find_warning(self._settings)
        if warning is not None:
            yield Diagnosis(aspect=Aspect.SETTINGS, symptom=Symptom.REFUSED, given={"why": warning})
        home = self._settings.home  # who may write it was looked at when the settings were read
        if home.is_dir():
            yield Diagnosis(aspect=Aspect.DATA_FOLDER, symptom=Symptom.FOLDER_OURS, given={"path": str(home)})
        else:
            why = f"there is no data folder {home}: `nightkey init` makes it"
            yield Diagnosis(aspect=Aspect.DATA_FOLDER, symptom=Symptom.REFUSED, given={"why": why})

    def _keyring(self) -> Iterator[Diagnosis]:
        keyring, path = self._services.keyring, str(self._settings.keyring_path)
        if keyring.is_restricted:
            yield Diagnosis(aspect=Aspect.KEYRING, symptom=Symptom.KEYS_RESTRICTED, given={"path": path})
        else:
            given = {"path": path, "key": keyring.active.id}
            yield Diagnosis(aspect=Aspect.KEYRING, symptom=Symptom.KEYS, given=given)

    def _database(self, signs: list[SignOfLife]) -> Iterator[Diagnosis]:
        """Fills in who lives, too, which the others are judged by."""
        services = self._services
        _ = services.deployment_id  # refuses another vault's keyring, and a schema of another release
        signs += services.upkeep.signs_of_life.list_living()
        yield from judge_database(self._read_database(), signs)

    def _read_database(self) -> DatabaseFacts:
        database = self._services.database
        revision = find_revision(database) or ""
        with database.read() as connection:
            facts = server_facts.read_facts(connection, revision=revision, now=self._services.clock())
        return replace(facts, each=max(facts.each, self._settings.rotations_at_once + 1))

    def _broker(self, signs: list[SignOfLife]) -> Iterator[Diagnosis]:
        url = self._settings.broker_url
        if kind_of_broker(url) is BrokerKind.FOLDER:
            return judge_folder(*look_at_folder(self._settings), signs)
        problem = ""
        try:
            return self._server(kind_of_broker(url), signs)
        except NightkeyError:
            raise
        except Exception as error:  # noqa: BLE001  # whatever the broker's library raises
            problem = explain_away(url, error)
        raise BrokerAwayError(problem)

    def _server(self, kind: BrokerKind, signs: list[SignOfLife]) -> Iterator[Diagnosis]:
        if kind is BrokerKind.RABBITMQ:
            return judge_rabbit(look_at_rabbit(self._settings), signs)
        return judge_redis(look_at_redis(self._settings))

    def _workers(self, signs: list[SignOfLife]) -> Iterator[Diagnosis]:
        services = self._services
        with services.database.read() as connection:
            absent = services.overview.problems.find_absent(connection)
        yield judge_workers(signs, " ".join(map(describe, absent)))

    def _anchors(self) -> Iterator[Diagnosis]:
        anchors, path = self._services.anchors, str(self._settings.home / ANCHORS_FILE)
        problem = anchors.explain_older()
        if problem is not None:
            raise RefusedError(problem)
        try:
            newest = anchors.find_newest()
        except FileNotFoundError:
            newest = None
        if newest is None:
            yield Diagnosis(aspect=Aspect.ANCHORS, symptom=Symptom.NO_ANCHOR, given={"path": path})
            return
        given: dict[str, str | int] = {"path": path, "at": _show(newest.at), "row": newest.seq}
        yield Diagnosis(aspect=Aspect.ANCHORS, symptom=Symptom.ANCHORED, given=given)


def _show(moment: datetime) -> str:
    return f"{moment:%Y-%m-%d %H:%M} UTC"
