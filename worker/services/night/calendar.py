"""Coming expiries as a calendar that other programs read (iCalendar, RFC 5545)."""

from collections.abc import Callable, Iterator, Sequence
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection, Row, or_, select

from vaultcore import rules
from vaultcore.damage import is_sound
from vaultcore.database import Database
from vaultcore.model import Item, Mode
from vaultcore.owners import Owners
from vaultcore.paging import walk_pages
from vaultcore.stored import Unread, check_row, read_apart
from vaultcore.tables import item_owners, items
from vaultcore.vault import Vault
from worker.domain.commands import quote_word, value_command

_PAGE = 500
_LENGTH = timedelta(minutes=30)


class Calendar:
    def __init__(
        self, *, database: Database, vault: Vault, owners: Owners, clock: Callable[[], datetime]
    ) -> None:
        self._database = database
        self._vault = vault
        self._owners = owners
        self._clock = clock

    def write(self, owner: str | None) -> tuple[bytes, list[str]]:
        """The coming expiries of an owner's items, or of all, one event each; and, as sentences, what is wrong
        with items that cannot be read.

        An event keeps its id while its item keeps its version, so that a calendar that reads it again moves it
        instead of showing it twice.
        """
        from icalendar import Calendar, Event  # noqa: PLC0415  # only this command needs it

        calendar = Calendar()
        calendar.add("prodid", "-//nightkey//expiries//EN")
        calendar.add("version", "2.0")
        calendar.add("x-wr-calname", f"Nightkey: {owner or 'all credentials'}")
        now, problems = self._clock(), list[str]()
        with self._database.read() as connection:
            owner_id = None if owner is None else self._owners.get(connection, owner).id

            def write_event(row: Row[*tuple[Any, ...]]) -> Event | None:
                check_row(row, f"item {row.name}")
                item = self._vault.get(connection, row.id)
                if item.expires_at is None:
                    return None
                event = Event()
                event.add("uid", f"{item.id}-{item.version or 0}@nightkey")
                event.add("dtstamp", now)
                event.add("dtstart", item.expires_at)
                event.add("dtend", item.expires_at + _LENGTH)
                event.add("summary", f"{item.name} lapses")
                event.add("description", _explain(item, now))
                event.add("categories", [str(item.policy.mode)])
                event.add("transp", "TRANSPARENT")
                return event

            for row in self._walk(connection, owner_id, now):
                event = read_apart(row, write_event)
                if isinstance(event, Unread):
                    problems.append(str(event.explain(f"item {row.name}")))
                elif event is not None:
                    calendar.add_component(event)
        written: bytes = calendar.to_ical()
        return written, problems

    def _walk(
        self, connection: Connection, owner_id: str | None, now: datetime
    ) -> Iterator[Row[*tuple[Any, ...]]]:
        """By their expiry; at the end those whose expiry is no time."""
        sound = is_sound(items.c.expires_at, connection.dialect.name)
        every = select(items.c.id, items.c.name, items.c.expires_at)
        if owner_id is not None:
            mine = select(item_owners.c.item_id).where(item_owners.c.owner_id == owner_id)
            every = every.where(items.c.id.in_(mine))
        query = (
            every.where(items.c.expires_at > now, sound).order_by(items.c.expires_at, items.c.id).limit(_PAGE)
        )

        def read(last: tuple[datetime, str] | None) -> Sequence[Row[*tuple[Any, ...]]]:
            if last is None:
                return list(connection.execute(query))
            further = or_(
                items.c.expires_at > last[0], (items.c.expires_at == last[0]) & (items.c.id > last[1])
            )
            return list(connection.execute(query.where(further)))

        for rows in walk_pages(read, lambda row: (row.expires_at, row.id), size=_PAGE):
            yield from rows
        yield from connection.execute(every.where(~sound).order_by(items.c.id))


def _explain(item: Item, now: datetime) -> str:
    owners = ", ".join(item.owners) or "nobody"
    show = f"nightkey item show {quote_word(item.name)}"
    if item.version is None:
        does = f"It waits for its value: {value_command(item, now)}"
    elif item.policy.mode is Mode.NOTIFY or item.expires_at is None:
        does = f"Only its owner can replace it: {value_command(item, now)}"
    else:
        since = rules.rotate_from(item.policy, item.expires_at, item_id=item.id, life=item.life)
        what = "asks for an approval to replace it" if item.policy.mode is Mode.APPROVE else "replaces it"
        does = f"Nightkey {what} from {since:%Y-%m-%d %H:%M} UTC on."
    return f"{does}\nOwner: {owners}\n{show}"
