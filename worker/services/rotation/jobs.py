"""What a rotator is given for one step: settings, values and the way out, revealed for this rotation alone."""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection

from vaultcore.consumers import References
from vaultcore.database import Database
from vaultcore.errors import NightkeyError, RefusedError
from vaultcore.item_writing import ROTATOR_NODE
from vaultcore.model import Item, Kind, Stage, Version
from vaultcore.secret import Secret
from vaultcore.vault import Vault
from vaultcore.versions import Purpose, Versions
from worker.domain.commands import explain_waiting, value_command
from worker.domain.consumption import unread_rotation
from worker.domain.orders import explain_forbidden
from worker.domain.reasons import Code, Reason
from worker.domain.rotation import Rotation
from worker.domain.saga import next_step
from worker.outbound import HttpClient, Network
from worker.rotators.base import Job, Rotator
from worker.rotators.catalog import load_rotator, parse_settings
from worker.rotators.discreet import make_discreet
from worker.services.rotation.external_ids import IdsInUse, share_ids

HOLD_VALUES = frozenset(Stage) - {Stage.DESTROYED}


@dataclass(frozen=True, kw_only=True)
class TargetQuestion:
    """What is needed to ask the other side of an item without changing anything: a job, each version that holds
    a value, with it, and what the other side calls those and all before them.
    """

    job: Job
    values: Sequence[tuple[Version, Secret]]
    known: frozenset[str]


class Jobs:
    """Makes jobs for whoever holds the rotation."""

    def __init__(
        self,
        *,
        database: Database,
        vault: Vault,
        versions: Versions,
        references: References,
        http: HttpClient,
        network: Network,
        clock: Callable[[], datetime],
    ) -> None:
        self._database = database
        self._vault = vault
        self._versions = versions
        self._references = references
        self._http = http
        self._network = network
        self._clock = clock

    def load(self, rotation: Rotation) -> tuple[Item, Rotator]:
        """`NotFoundError` if the item is gone."""
        with self._database.read() as connection:
            item = self._vault.get(connection, rotation.item_id)
        return item, self.load_rotator(rotation.rotator)

    def load_rotator(self, name: str) -> Rotator:
        """By its name. No transaction is open while it is asked."""
        return make_discreet(load_rotator(name), apart=self._database.apart)

    def explain_unready(self, rotation: Rotation, item: Item) -> Reason | None:
        """What it lacks to begin: somebody here who reads what it replaces (unless it is in an emergency), a
        package, settings that fit, or the value of an item that these name. None: nothing.
        """
        try:
            parse_settings(rotation.rotator, item.policy.settings)
        except NightkeyError as error:
            return Reason.of(Code.BAD_SETTINGS, text=str(error))
        with self._database.read() as connection:
            named = self._find_named(connection, item)
            unread = not rotation.emergency and self._vault.is_unread(connection, item)
            lacking = [
                lack
                for name, item_id in named.items()
                if (lack := self._explain_lack(connection, name, item_id))
            ]
        if unread:
            return unread_rotation(item.name)
        return Reason.of(Code.NAMES_NO_VALUE, names=tuple(sorted(lacking))) if lacking else None

    def _explain_lack(self, connection: Connection, name: str, item_id: str | None) -> str | None:
        """The name of what a rotator cannot be given, and the command that gives it where it waits for it."""
        if item_id is None:
            return name
        named = self._vault.get(connection, item_id)
        if named.kind is not Kind.SECRET:
            return name
        return None if named.version is not None else f"{name} ({value_command(named, self._clock())})"

    def make(self, rotation: Rotation, item: Item) -> Job:
        """Everything that the rotator may use, revealed and audited in one transaction. What a person has given
        since stands for the old value: that is what works on, and what is to be put back.

        `RefusedError` where its step would take away what is in use here, whatever its row says.
        """
        with self._database.append() as connection:
            named = self._find_named(connection, item)
            self._versions.learn(connection, [item.id, *filter(None, named.values())])
            by_number = {version.number: version for version in self._versions.of_item(connection, item.id)}
            kept = item.version if rotation.is_overtaken(item.version) else rotation.old_number
            old = by_number.get(kept or 0)
            new = by_number.get(rotation.new_number or 0)
            _check_order(rotation, old, new)
            values = self._reveal_named(connection, named, rotation.id)
            return Job(
                label=f"nightkey-{rotation.id}",
                item=item.name,
                settings=parse_settings(rotation.rotator, item.policy.settings),
                old=self._reveal(connection, old, rotation),
                new=self._reveal(connection, new, rotation),
                old_external={} if old is None else old.external,
                new_external={} if new is None else new.external,
                values=values,
                http=self._http,
                network=self._network,
                unanswered=rotation.may_take_effect,
                accepted=rotation.activated_at is not None,
                held=self._hold(item, rotation.new_number),
                shown=rotation.shown_by is not None,
                expires_at=None if new is None else new.expires_at,
                now=self._clock(),
            )

    def make_question(
        self,
        item: Item,
        *,
        rotation: Rotation | None,
        actor: str,
        purpose: Purpose = Purpose.ROTATION,
        stages: Collection[Stage] = HOLD_VALUES,
    ) -> TargetQuestion:
        """For whoever asks, and changes nothing: a rotation need not be open, nor held. Values of versions in
        these stages are opened, and those of the items that the settings name.
        """
        with self._database.write() as connection:
            versions = self._versions.of_item(connection, item.id)
            values = [
                (
                    version,
                    self._versions.reveal(connection, item.id, version.number, purpose=purpose, actor=actor),
                )
                for version in versions
                if version.stage in stages and version.filled
            ]
            by_number = {version.number: (version, value) for version, value in values}
            numbers = (item.version, None) if rotation is None else (rotation.old_number, rotation.new_number)
            old, new = (by_number.get(number or 0) for number in numbers)
            named = self._reveal_named(connection, self._find_named(connection, item), actor, purpose=purpose)
        rotator = item.policy.rotator or ""
        job = Job(
            label=f"nightkey-{'none' if rotation is None else rotation.id}",
            item=item.name,
            settings=parse_settings(rotator, item.policy.settings),
            old=None if old is None else old[1],
            new=None if new is None else new[1],
            old_external={} if old is None else old[0].external,
            new_external={} if new is None else new[0].external,
            values=named,
            http=self._http,
            network=self._network,
            unanswered=rotation is not None and rotation.issuing,
            accepted=True,
            held=self._hold(item, None),
        )
        known = frozenset(str(one.external["id"]) for one in versions if one.external.get("id") is not None)
        return TargetQuestion(job=job, values=values, known=known)

    def _hold(self, item: Item, new_number: int | None) -> IdsInUse:
        """What is in use at this target, but the version that is this rotation's to take away."""
        beside = None if new_number is None else (item.id, new_number)

        def counts(connection: Connection, item_id: str) -> bool:
            return item_id == item.id or share_ids(item, self._vault.get(connection, item_id))

        return IdsInUse(self._database, beside=beside, counts=counts)

    def _reveal(self, connection: Connection, version: Version | None, rotation: Rotation) -> Secret | None:
        if version is None or not version.filled:
            return None
        return self._versions.reveal(
            connection, version.item_id, version.number, purpose=Purpose.ROTATION, actor=rotation.id
        )

    def _find_named(self, connection: Connection, item: Item) -> dict[str, str | None]:
        """The items that its settings name, by how they name them; None: there is none."""
        return {
            reference.written: reference.item_id
            for reference in self._references.of_consumer(connection, item.id)
            if reference.node_id == ROTATOR_NODE
        }

    def _reveal_named(
        self,
        connection: Connection,
        named: Mapping[str, str | None],
        actor: str,
        *,
        purpose: Purpose = Purpose.ROTATION,
    ) -> dict[str, Secret]:
        """The current values of those that there are."""
        return {
            name: self._reveal_now(connection, item_id, actor, purpose=purpose)
            for name, item_id in named.items()
            if item_id is not None
        }

    def _reveal_now(self, connection: Connection, item_id: str, actor: str, *, purpose: Purpose) -> Secret:
        item = self._vault.get(connection, item_id)
        if item.version is None:
            raise RefusedError(explain_waiting(item, self._clock()))
        return self._versions.reveal(connection, item_id, item.version, purpose=purpose, actor=actor)


def _check_order(rotation: Rotation, old: Version | None, new: Version | None) -> None:
    step = next_step(rotation.state, emergency=rotation.emergency)
    problem = step and explain_forbidden(
        step,
        old=None if old is None else old.stage,
        new=None if new is None else new.stage,
        same=rotation.new_number == rotation.old_number,
        activated=rotation.activated_at is not None,
    )
    if problem:
        raise RefusedError(f"{rotation.id} asks nothing of the other side: {problem}")
