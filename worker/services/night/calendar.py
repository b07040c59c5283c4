"""Coming expiries as a calendar that other programs read (iCalendar, RFC 5545)."""

from collections.abc import Callable
from datetime import datetime, timedelta

from vaultcore import rules
from vaultcore.database import Database
from vaultcore.errors import UnreadableError
from vaultcore.model import Item, Mode
from vaultcore.owners import Owners
from vaultcore.stored import read_apart
from vaultcore.vault import Vault
from worker.domain.commands import quote_word, value_command
from worker.rows.coming_expiries import ComingExpiry, walk_coming_expiries
from worker.rows.unread import UnreadItem

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

            def write_event(row: ComingExpiry) -> Event | None:
                item = self._vault.get(connection, row.item_id)
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

            for row in walk_coming_expiries(connection, now, owner_id=owner_id):
                event = row if isinstance(row, UnreadItem) else read_apart(row, write_event)
                if isinstance(event, Event):
                    calendar.add_component(event)
                elif event is not None:
                    problems.append(str(UnreadableError(f"item {row.name}", event.problem)))
        written: bytes = calendar.to_ical()
        return written, problems


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
