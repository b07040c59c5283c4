"""Who is hurt when an item, or a target system, works no longer: read in one transaction."""

from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final

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
from worker.rotators.catalog import find_target
from worker.rows import impact as impact_rows
from worker.rows.consumers import consumers_of
from worker.rows.waiting_pickups import WaitingPickup, list_waiting
from worker.services.principals import PrincipalAccess

_NAMED_MAX: Final = 10


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

    @contextmanager
    def passing_over(self) -> Iterator[None]:
        """What cannot be read is told: it hides nobody else."""
        try:
            yield
        except UnreadableError as error:
            self.unread[str(error)] = None


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
            for other in self._read(connection, search, impact_rows.find_family(connection, item.id)):
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
            reached = search.waiting.popleft()
            with search.passing_over():
                search.hurt += self._hurt_users(connection, reached, now)
            if reached.item.kind is Kind.API_KEY and reached.since is None:
                search.hurt += _hurt_callers(connection, reached, pickups)
            changed: list[str] = []
            with search.passing_over():
                changed = impact_rows.find_changed_with(connection, reached.item.id)
            for item in self._read(connection, search, changed):
                if not self._principals.sees(principal, item.owners):
                    search.unseen.add(item.id)
                    continue
                hurt = hurt_item(_hanging(item), by=reached.by, since=reached.since)
                if hurt is None or item.id in search.met:
                    continue
                search.hurt.append(hurt)
                if hurt.since is not None:
                    search.reach(item, (*reached.by, item.name), hurt.since)

    def _hurt_users(self, connection: Connection, reached: _Reached, now: datetime) -> Iterator[Hurt]:
        consumers = consumers_of(connection, reached.item.id, now=now)
        counted = impact_rows.count_runs(connection, [one.id for one in consumers], now - COUNTED)
        for one in consumers:
            yield hurt_workflow(
                one,
                by=reached.by,
                owners=reached.item.owners,
                runs=counted.get(one.id, 0),
                since=reached.since,
            )

    def _read(self, connection: Connection, search: _Search, ids: list[str]) -> list[Item]:
        found = []
        for item_id in ids:
            with suppress(NotFoundError), search.passing_over():  # its row was taken out behind our back
                found.append(self._vault.get(connection, item_id))
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


def _hurt_callers(connection: Connection, reached: _Reached, pickups: list[WaitingPickup]) -> Iterator[Hurt]:
    item = reached.item
    yield Hurt(
        harm=Harm.REFUSED,
        id=f"callers of {item.id}",
        name=item.name,
        by=reached.by,
        owners=item.owners,
        last_run_at=impact_rows.last_presented(connection, item.id),
    )
    for one in pickups:
        if one.item_id == item.id:
            yield Hurt(harm=Harm.NOT_COLLECTED, id=one.id, name=item.name, by=reached.by, owners=item.owners)


def _explain_missing(target: str, known: set[str]) -> str:
    named = ", ".join(sorted(known)[:_NAMED_MAX])
    others = " and others" if len(known) > _NAMED_MAX else ""
    there = f"there are {named}{others}" if known else "no item has any"
    return f"no item is of a target system {target[:100]!r}: {there}"
