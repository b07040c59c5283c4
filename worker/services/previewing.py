"""Tonight's digest of an owner, before there is one: the night's own walk and words, and nothing is kept."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from datetime import datetime
from typing import Any, Protocol

from sqlalchemy import Connection, or_, select

from vaultcore.database import Database
from vaultcore.owners import Owners
from vaultcore.tables import item_owners, owners
from worker import finding_rows
from worker.domain.notices import Message, TonightLine
from worker.domain.plan import Action
from worker.services.addressing import Addressing
from worker.services.digesting import Digesting
from worker.services.night import Nights, Preview
from worker.services.scanning import SCANNED_KINDS

_DOES = {Action.ROTATE: "replaces it", Action.REQUEST: "asks for an approval to replace it"}


class Letters(Protocol):
    """Writes a message; `ConfigurationError` for a template of the organisation's that fails."""

    def try_out(self, kind: str, data: Mapping[str, Any], *, zone: str) -> Message: ...


class Previewing:
    def __init__(
        self,
        *,
        database: Database,
        owners: Owners,
        nights: Nights,
        addressing: Addressing,
        digesting: Digesting,
        letters: Letters,
    ) -> None:
        self._database = database
        self._owners = owners
        self._nights = nights
        self._addressing = addressing
        self._digesting = digesting
        self._letters = letters

    def preview(self, name: str, night: datetime) -> Message:
        """What the night that begins then would send to the owner, as far as that is known now.

        A template of the organisation's that fails is an error here, where somebody looks.
        """
        seen = self._nights.preview(night)
        with self._undone() as connection:
            owner = self._owners.get(connection, name)
            everything = owner.id == self._addressing.find_operators(connection)
            mine = _items_of(connection, owner.id)
            for finding in seen.findings:
                if everything or finding.item_id in mine:
                    finding_rows.record(connection, finding, night)
            _resolve_settled(connection, night)
            self._digesting.set_down(connection, night, night)
            hearer = self._addressing.find_hearer(connection, owner.id)
            tonight = _find_tonight(connection, seen, owner.id)
            data = self._digesting.collect(connection, hearer, night, night, tonight=tonight)
            return self._letters.try_out("digest", data, zone=owner.zone)

    @contextmanager
    def _undone(self) -> Iterator[Connection]:
        """A transaction of which nothing is kept."""
        with suppress(_Undone), self._database.write() as connection:
            yield connection
            raise _Undone


class _Undone(Exception):  # noqa: N818  # it is no error
    """Ends a transaction."""


def _items_of(connection: Connection, owner_id: str) -> set[str]:
    """Those of the owner, and of those whose deputy they are."""
    principals = select(owners.c.id).where(or_(owners.c.id == owner_id, owners.c.deputy_id == owner_id))
    found = select(item_owners.c.item_id).where(item_owners.c.owner_id.in_(principals))
    return set(connection.execute(found).scalars())


def _resolve_settled(connection: Connection, night: datetime) -> None:
    finding_rows.resolve_unseen(connection, SCANNED_KINDS, before=night, now=night)


def _find_tonight(connection: Connection, seen: Preview, owner_id: str) -> list[TonightLine]:
    owned = set(
        connection.execute(select(item_owners.c.item_id).where(item_owners.c.owner_id == owner_id)).scalars()
    )
    return [
        TonightLine(item=one.name, why=one.decision.why, does=_DOES[one.decision.action])
        for one in seen.due
        if one.decision is not None and one.decision.action in _DOES and one.item_id in owned
    ]
