"""Who is hurt when an item, or a target system, works no longer: read in one transaction."""

from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final, TypeVar

from sqlalchemy import Connection

from vaultcore.access import Action, Principal
from vaultcore.database import Database
from vaultcore.errors import NotFoundError, UnreadableError
from vaultcore.model import Item, Kind
from vaultcore.vault import Vault
from worker.domain.impact import (
    COUNTED,
    HangingItem,
    Harm,
    Hurt,
    Impact,
    hurt_item,
    hurt_workflow,
    rank,
)
from worker.domain.proof import Consumer
from worker.rotators.catalog import find_target
from worker.rows import impact as impact_rows
from worker.rows.consumers import consumers_of_each
from worker.rows.waiting_pickups import WaitingPickup, list_waiting
from worker.services.access.principals import PrincipalAccess

_NAMED_MAX: Final = 10
_AT_ONCE: Final = 500
"""Items of which is asked in one statement what hangs on them."""
T = TypeVar("T")


@dataclass(frozen=True, kw_only=True)
class _Reached:
    """An item that works no longer. `by`: over which others it comes, by name; `since`: None: at once."""

    item: Item
    by: tuple[str, ...]
    since: datetime | None


@dataclass
class _Search:
    """From item to item: each is looked at once, as it is reached first. `unseen`: those that are not shown;
    `unread`: what is wrong with those that cannot be read.
    """

    waiting: deque[_Reached] = field(default_factory=deque)
    met: set[str] = field(default_factory=set)
    unseen: set[str] = field(default_factory=set)
    unread: dict[str, None] = field(default_factory=dict)
    hurt: list[Hurt] = field(default_factory=list)

    def reach(self, item: Item, by: tuple[str, ...], since: datetime | None) -> None:
        if item.id not in self.met:
            self.met.add(item.id)
            self.waiting.append(_Reached(item=item, by=by, since=since))

    def take(self, number: int) -> list[_Reached]:
        return [self.waiting.popleft() for _ in range(min(number, len(self.waiting)))]

    def read(self, found: T | UnreadableError, otherwise: T) -> T:
        """What cannot be read is told: it hides nobody else."""
        if isinstance(found, UnreadableError):
            self.unread[str(found)] = None
            return otherwise
        return found


@dataclass(frozen=True, kw_only=True)
class _Hanging:
    """What hangs on items that were reached. By the ids of these: workflows, items that are changed with them,
    and, of keys of callers, when one was last presented. By their own: how often workflows ran, and the items.
    """

    users: Mapping[str, list[Consumer] | UnreadableError]
    runs: Mapping[str, int]
    presented: Mapping[str, datetime | None]
    changed: Mapping[str, list[str] | UnreadableError]
    items: Mapping[str, Item | UnreadableError]


class Impacts:
    def __init__(
        self,
        *,
        database: Database,
        vault: Vault,
        principals: PrincipalAccess,
        clock: Callable[[], datetime],
    ) -> None:
        self._database = database
        self._vault = vault
        self._principals = principals
        self._clock = clock

    def of_item(self, principal: Principal, name: str) -> Impact:
        """When its value is accepted no longer, and with it that of whoever holds the same credential."""
        found = self._principals.find_item(principal, name, Action.ITEM_SEE)
        with self._database.read() as connection:
            item = self._vault.get(connection, found.id)
            search = _Search()
            search.reach(item, (item.name,), None)
            family = [item.name]
            relatives = self._read(connection, impact_rows.find_family(connection, item.id))
            for one in relatives.values():
                other = search.read(one, None)
                if other is None:
                    continue
                if not self._principals.sees(principal, other.owners):
                    search.unseen.add(other.id)
                    continue
                family.append(other.name)
                search.hurt.append(
                    Hurt(harm=Harm.DEAD, id=other.id, name=other.name, by=(item.name,), owners=other.owners)
                )
                search.reach(other, (other.name,), None)
            self._follow(connection, search, principal)
            return self._conclude(search, item.name, find_target(item.policy), family, item.owners)

    def of_target(self, principal: Principal, target: str) -> Impact:
        """When that system is away: nothing of it is replaced, and what calls it with its credentials fails.
        `NotFoundError` names some that there are.
        """
        with self._database.read() as connection:
            search = _Search()
            found, known = [], set()
            for one in self._vault.walk(connection):
                if isinstance(one, UnreadableError):
                    search.unread[str(one)] = None
                    continue
                its_target = find_target(one.policy)
                is_seen = self._principals.sees(principal, one.owners)
                if is_seen and its_target is not None:
                    known.add(its_target)
                if is_seen and its_target == target:
                    found.append(one)
                elif its_target == target:
                    search.unseen.add(one.id)
            if not found:
                raise NotFoundError(_explain_missing(target, known))
            for item in found:
                search.reach(item, (item.name,), None)
                hangs = hurt_item(_hanging(item), by=(target,), since=None)
                search.hurt += [] if hangs is None else [hangs]
            self._follow(connection, search, principal)
            owners = [owner for item in found for owner in item.owners]
            return self._conclude(search, target, target, [item.name for item in found], owners, of_target=True)

    def _follow(self, connection: Connection, search: _Search, principal: Principal) -> None:
        """From what works no longer to all that hangs on it, the nearest first."""
        now = self._clock()
        pickups = [one for one in list_waiting(connection, now) if isinstance(one, WaitingPickup)]
        while search.waiting:
            some = search.take(_AT_ONCE)
            hanging = self._look_up(connection, some, now)
            for reached in some:
                users = search.read(hanging.users[reached.item.id], [])
                search.hurt += [
                    hurt_workflow(
                        one,
                        by=reached.by,
                        owners=reached.item.owners,
                        runs=hanging.runs.get(one.id, 0),
                        since=reached.since,
                    )
                    for one in users
                ]
                if reached.item.id in hanging.presented:
                    search.hurt += _hurt_callers(reached, hanging.presented[reached.item.id], pickups)
                for item_id in search.read(hanging.changed[reached.item.id], []):
                    self._hurt_item(search, reached, hanging.items.get(item_id), principal)

    def _hurt_item(
        self, search: _Search, reached: _Reached, found: Item | UnreadableError | None, principal: Principal
    ) -> None:
        """`found`: an item that is changed with the one that was reached."""
        item = search.read(found, None)
        if item is None:
            return
        if not self._principals.sees(principal, item.owners):
            search.unseen.add(item.id)
            return
        hurt = hurt_item(_hanging(item), by=reached.by, since=reached.since)
        if hurt is None or item.id in search.met:
            return
        search.hurt.append(hurt)
        if hurt.since is not None:
            search.reach(item, (*reached.by, item.name), hurt.since)

    def _look_up(self, connection: Connection, some: Sequence[_Reached], now: datetime) -> _Hanging:
        ids = [one.item.id for one in some]
        users = consumers_of_each(connection, ids, now=now)
        workflows = {user.id for found in users.values() if isinstance(found, list) for user in found}
        changed = impact_rows.find_changed_with(connection, ids)
        named = {item_id for found in changed.values() if isinstance(found, list) for item_id in found}
        keys = [one.item.id for one in some if one.item.kind is Kind.API_KEY and one.since is None]
        return _Hanging(
            users=users,
            runs=impact_rows.count_runs(connection, workflows, now - COUNTED),
            presented=impact_rows.last_presented(connection, keys) if keys else {},
            changed=changed,
            items=self._read(connection, sorted(named)),
        )

    def _read(self, connection: Connection, ids: Sequence[str]) -> dict[str, Item | UnreadableError]:
        """Without what is not there: its row was taken out behind our back."""
        found: dict[str, Item | UnreadableError] = {}
        for start in range(0, len(ids), _AT_ONCE):
            some = self._vault.get_all(connection, ids[start : start + _AT_ONCE])
            found |= {one: item for one, item in some.items() if not isinstance(item, NotFoundError)}
        return found

    def _conclude(
        self,
        search: _Search,
        name: str,
        target: str | None,
        items: list[str],
        owners: list[str] | tuple[str, ...],
        *,
        of_target: bool = False,
    ) -> Impact:
        hurt = rank(search.hurt)
        told = dict.fromkeys([*owners, *(owner for one in hurt for owner in one.owners)])
        return Impact(
            name=name,
            target=target,
            items=tuple(items),
            owners=tuple(told),
            hurt=hurt,
            unseen=len(search.unseen),
            unread=tuple(search.unread),
            is_target=of_target,
        )


def _hanging(item: Item) -> HangingItem:
    return HangingItem(
        id=item.id,
        name=item.name,
        mode=item.policy.mode,
        expires_at=item.expires_at,
        owners=item.owners,
    )


def _hurt_callers(
    reached: _Reached, presented: datetime | None, pickups: Sequence[WaitingPickup]
) -> Iterator[Hurt]:
    item = reached.item
    yield Hurt(
        harm=Harm.REFUSED,
        id=f"callers of {item.id}",
        name=item.name,
        by=reached.by,
        owners=item.owners,
        last_run_at=presented,
    )
    for one in pickups:
        if one.item_id == item.id:
            yield Hurt(harm=Harm.NOT_COLLECTED, id=one.id, name=item.name, by=reached.by, owners=item.owners)


def _explain_missing(target: str, known: set[str]) -> str:
    named = ", ".join(sorted(known)[:_NAMED_MAX])
    others = " and others" if len(known) > _NAMED_MAX else ""
    there = f"there are {named}{others}" if known else "no item has any"
    return f"no item is of a target system {target[:100]!r}: {there}"
