"""After an activation: which consumers have proven themselves on the new value, and who goes first."""

from collections.abc import Callable, Sequence
from datetime import datetime

from sqlalchemy import Connection

from vaultcore.errors import Cause, CounterpartError
from vaultcore.model import Item
from vaultcore.vault import Vault
from worker import consumers, records, store
from worker.domain.proof import Consumer, Standing, Watch, Watched, choose_canary, stand, watch
from worker.domain.saga import WATCHED, State
from worker.domain.windows import Window, find_moment, parse_window
from worker.store import Rotation


class Watching:
    """Looks at a rotation's consumers in the caller's transaction, and moves them one first."""

    def __init__(self, *, vault: Vault, freezes: Sequence[Window], clock: Callable[[], datetime]) -> None:
        self._vault = vault
        self._freezes = tuple(freezes)
        self._clock = clock

    def look(self, connection: Connection, rotation: Rotation) -> Watched:
        """What follows from the consumers as they are now.

        `CounterpartError` if a production run rejected the new value: its cause is `REJECTED`.
        """
        now = self._clock()
        item = self._vault.get(connection, rotation.item_id)
        activated_at = rotation.activated_at or rotation.created_at
        rejection = records.first_rejection(
            connection, item_id=item.id, number=rotation.new_number or 0, since=activated_at
        )
        if rejection is not None:
            workflow, node, message = rejection
            raise CounterpartError(
                f"production run of {workflow}, node {node}: {message}", cause=Cause.REJECTED
            )
        if rotation.hurried:
            return Watched(state=State.RETIRING, waits_for=(), next_at=now, widens=False, standings=())
        found = consumers.consumers_of(connection, item.id, rotation_id=rotation.id)
        return watch(self._watch(connection, rotation, item, found, now), found, now=now)

    def standings(self, connection: Connection, rotation: Rotation) -> tuple[Standing, ...]:
        """How each consumer stands towards the new value; none before the activation, and none in a hurry."""
        if rotation.state not in WATCHED or rotation.hurried:
            return ()
        item = self._vault.get(connection, rotation.item_id)
        found = consumers.consumers_of(connection, item.id, rotation_id=rotation.id)
        number, now = rotation.new_number or 0, self._clock()
        ends = self._watch(connection, rotation, item, found, now).ends
        return tuple(stand(consumer, number=number, ends=ends, now=now) for consumer in found)

    def when_allowed(self, item: Item, now: datetime) -> datetime | None:
        """The next moment at which windows and freezes allow a change; None: none within a year."""
        policy = item.policy
        freezes = [*self._freezes, *map(parse_window, policy.freezes)]
        return find_moment(map(parse_window, policy.windows), freezes, now)

    def begin_with_canary(self, connection: Connection, rotation: Rotation, item: Item) -> str | None:
        """At the activation: the others are held on the old version, if the policy wants one to go first.

        The id of the one that goes first; None: all move at once.
        """
        found = consumers.consumers_of(connection, item.id)
        chosen = choose_canary(found, item.policy.canary, number=rotation.new_number or 0)
        if chosen is None or rotation.hurried:
            return None
        others = [consumer.id for consumer in found if consumer.id != chosen.id]
        consumers.hold(connection, item.id, others, number=rotation.old_number, by=rotation.id)
        return chosen.id

    def let_go(self, connection: Connection, rotation: Rotation) -> None:
        """The others follow the current version again."""
        consumers.let_go(connection, rotation.item_id, by=rotation.id)

    def _watch(
        self,
        connection: Connection,
        rotation: Rotation,
        item: Item,
        found: Sequence[Consumer],
        now: datetime,
    ) -> Watch:
        activated_at = rotation.activated_at or rotation.created_at
        moved_at = rotation.widened_at or activated_at
        ends = max(moved_at + item.policy.overlap, rotation.overlap_until or moved_at)
        others = []
        if store.open_claim(connection, rotation.id) is not None:
            others.append("its owner, who has not collected the new key")
        others += [
            f"a run of {name} that began with the old value"
            for name in consumers.running_since_before(connection, item.id, moved_at)
        ]
        return Watch(
            number=rotation.new_number or 0,
            ends=None if any(consumer.held for consumer in found) else ends,
            opens=self.when_allowed(item, now) or now if rotation.gated else now,
            canary_id=rotation.canary_id,
            others=tuple(others),
        )
