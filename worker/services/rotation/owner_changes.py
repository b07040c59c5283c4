"""What is an owner's becomes another's; an owner gets another name, or is deleted once nothing needs them."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Final

from sqlalchemy import Connection

from vaultcore.database import Database
from vaultcore.errors import InvalidInputError, RefusedError
from vaultcore.model import Owner
from vaultcore.owners import Owners
from vaultcore.vault import Vault
from worker.domain.commands import quote_word
from worker.rows import addressees as addressee_rows
from worker.rows import departures as departure_rows
from worker.rows import owner_ties as tie_rows
from worker.services.notices.outbox import Outbox
from worker.wording.parts import say_count

_NAMED: Final = 5


@dataclass(frozen=True, kw_only=True)
class Handover:
    """What went from one owner to another: names of items, names of those whose deputy they were, notices."""

    to: str | None
    items: tuple[str, ...] = ()
    stood_in_for: tuple[str, ...] = ()
    notices: int = 0


class OwnerChanges:
    """`operators` and `roles` are owners that the settings name: these keep their names until the settings say
    otherwise.
    """

    def __init__(
        self,
        *,
        database: Database,
        vault: Vault,
        owners: Owners,
        outbox: Outbox,
        operators: str,
        roles: Collection[str],
    ) -> None:
        self._database = database
        self._vault = vault
        self._owners = owners
        self._outbox = outbox
        self._operators = operators
        self._roles = roles

    def rename(self, name: str, new: str, *, actor: str) -> Owner:
        """Items, routes, deputies and roles stay theirs. `RefusedError` where a setting or an open departure
        has the old name.
        """
        with self._database.write() as connection:
            owner = self._owners.get(connection, name)
            self._refuse_settings(owner)
            self._refuse_departure(connection, owner)
            return self._owners.rename(connection, owner, new, actor=actor)

    def delete(self, name: str, *, to: str | None, actor: str) -> Handover:
        """`RefusedError`, with names, while anything hangs on them that does not go `to` another owner. Who may
        sign in for them is never passed on: that gives rights.
        """
        with self._database.write() as connection:
            owner = self._owners.get(connection, name)
            self._refuse_settings(owner)
            self._refuse_departure(connection, owner)
            self._refuse_principals(connection, owner)
            handed = Handover(to=None)
            if to is None:
                self._refuse_ties(connection, owner)
            else:
                handed = self.hand_over(connection, owner, self._owners.get(connection, to), actor=actor)
            for route in owner.routes:
                self._owners.remove_route(connection, owner, route.id, actor=actor)
            tie_rows.forget_tellings(connection, owner.id)
            self._owners.delete(connection, owner, actor=actor, to=handed.to)
            return handed

    def hand_over(self, connection: Connection, owner: Owner, other: Owner, *, actor: str) -> Handover:
        """Items, what they stand in for, and notices that did not arrive. Done again it does nothing more."""
        self.refuse_same(owner, other)
        names = []
        for item_id in sorted(addressee_rows.list_owned(connection, owner.id)):
            kept = {one.owner_id for one in addressee_rows.list_answering(connection, item_id)} - {owner.id}
            item = self._vault.update(connection, item_id, owner_ids=kept | {other.id}, actor=actor)
            names.append(item.name)
        stood_in_for = tie_rows.list_stood_in_for(connection, owner.id)
        for one in stood_in_for:
            deputy = None if one == other.name else other.name
            self._owners.update(connection, one, deputy=deputy, actor=actor)
        moved = tie_rows.list_undelivered(connection, owner.id)
        tie_rows.move_notices(connection, moved, owner_id=other.id, owner=other.name)
        for notice_id in moved:
            self._outbox.route_again(connection, notice_id)
        return Handover(
            to=other.name, items=tuple(sorted(names)), stood_in_for=tuple(stood_in_for), notices=len(moved)
        )

    def refuse_same(self, owner: Owner, other: Owner) -> None:
        if owner.id == other.id:
            raise InvalidInputError(f"to: {other.name} is who it comes from: name another owner")

    def refuse_operators(self, owner: Owner) -> None:
        """Who hears of failed nights must not be without a route."""
        if owner.name == self._operators:
            raise _named_by("operators", owner)

    # Inside

    def _refuse_settings(self, owner: Owner) -> None:
        self.refuse_operators(owner)
        if owner.name in self._roles:
            raise _named_by("oidc_roles", owner)

    def _refuse_departure(self, connection: Connection, owner: Owner) -> None:
        if departure_rows.find_open(connection, owner.name) is not None:
            raise RefusedError(
                f"{owner.name} leaves, and not all that they could read is replaced: "
                f"`nightkey owner leave {quote_word(owner.name)}` goes on with it"
            )

    def _refuse_principals(self, connection: Connection, owner: Owner) -> None:
        answering = tie_rows.list_answering_for(connection, owner.id)
        if answering:
            raise RefusedError(
                f"{_list(answering)} may sign in for {owner.name}: take that away first "
                f"(`nightkey principal role {quote_word(answering[0])} --take owner`)"
            )

    def _refuse_ties(self, connection: Connection, owner: Owner) -> None:
        owned = tie_rows.name_items(connection, owner.id)
        stood_in_for = tie_rows.list_stood_in_for(connection, owner.id)
        undelivered = tie_rows.list_undelivered(connection, owner.id)
        ties = [
            *([f"{say_count(len(owned), 'item')} ({_list(owned)})"] if owned else []),
            *([f"they are the deputy of {_list(stood_in_for)}"] if stood_in_for else []),
            *([f"{say_count(len(undelivered), 'notice')} that did not arrive"] if undelivered else []),
        ]
        if ties:
            raise RefusedError(
                f"{owner.name} is still needed: {', '.join(ties)}; "
                f"`nightkey owner delete {quote_word(owner.name)} --to OTHER` gives all of it to OTHER"
            )


def _named_by(setting: str, owner: Owner) -> RefusedError:
    return RefusedError(
        f"{owner.name} is named by the setting {setting}: name another there first, for who keeps the nights "
        "going"
    )


def _list(names: Sequence[str]) -> str:
    rest = len(names) - _NAMED
    return ", ".join(names[:_NAMED]) + (f" and {rest} more" if rest > 0 else "")
