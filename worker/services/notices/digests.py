"""Digests: what each owner has not been told yet is set down when a night closes, and put into words when the
digest leaves, which may be hours later: what was resolved meanwhile is not told.
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from datetime import datetime
from functools import partial
from itertools import chain
from typing import Any

from sqlalchemy import Connection

from vaultcore.stored import read_all
from worker.domain.audience import hearers, is_news
from worker.domain.notice_kinds import NoticeKind
from worker.domain.notices import Message, TonightLine, build_digest
from worker.rows import digests as digest_rows
from worker.rows import findings as finding_rows
from worker.rows.digests import Untold
from worker.services.notices.outbox import Outbox
from worker.services.notices.recipients import NOBODY, Hearer, Recipients
from worker.services.notices.wording import Wording

_PAGE = 1000


class Digests:
    def __init__(
        self,
        *,
        recipients: Recipients,
        outbox: Outbox,
        wording: Wording,
        clock: Callable[[], datetime],
    ) -> None:
        self._recipients = recipients
        self._outbox = outbox
        self._wording = wording
        self._clock = clock

    def post(self, connection: Connection, night: datetime) -> int:
        """A digest for each owner who has something to hear that they were not told before. How many.

        That is also what a night before had put off, and what was replaced since.
        """
        operators = self.set_down(connection, night, self._clock())
        to_tell = digest_rows.list_to_tell(connection, night, operators)
        return self._outbox.post_digests(connection, [one for one in to_tell if one != NOBODY], night)

    def set_down(self, connection: Connection, night: datetime, now: datetime) -> str:
        """Who is to read of what in the digest of that night. The id of the operators."""
        operators = self._recipients.find_operators(connection)
        for page in digest_rows.walk_untold(connection, operators=operators, now=now, page_size=_PAGE):
            told = finding_rows.told_levels(connection, {one.topic for one in page})
            news, _ = read_all(page, partial(_find_news, told=told, operators=operators))
            heard = (one for one in chain.from_iterable(news) if one[0] != NOBODY)
            finding_rows.mark_told(connection, heard, night=night, now=now)
        digest_rows.set_down_rotations(connection, night)
        return operators

    def compose_each(
        self, connection: Connection, owner_ids: Collection[str], night: datetime
    ) -> dict[str, Message | None]:
        """By the ids of these owners, the message as things stand now; None: nothing of it is left to tell.
        `NotFoundError` for one who was deleted.
        """
        hearers = self._recipients.find_hearers(connection, owner_ids)
        for missing in set(owner_ids) - hearers.keys():
            hearers[missing] = self._recipients.find_hearer(connection, missing)
        return self._write(connection, list(hearers.values()), night)

    def collect(
        self,
        connection: Connection,
        hearers: Sequence[Hearer],
        night: datetime,
        now: datetime,
        *,
        tonight: Sequence[TonightLine] = (),
    ) -> dict[str, dict[str, Any]]:
        """What was set down for these owners and that night, as far as it still holds: by their ids, the data
        of the message.
        """
        operators, names = self._recipients.find_operators(connection), {one.id: one.name for one in hearers}
        found = digest_rows.find_findings(connection, names, night=night, now=now, operators=operators)
        rotated = digest_rows.find_rotated(connection, names, night=night, operators=operators)
        return {
            hearer: build_digest(
                name, found[hearer].lines, rotated[hearer],
                night=night, now=now, numbers=found[hearer].numbers, tonight=tonight,
            )
            for hearer, name in names.items()
        }  # fmt: skip

    # Inside

    def _write(
        self, connection: Connection, hearers: Sequence[Hearer], night: datetime
    ) -> dict[str, Message | None]:
        """What failed was told at once: it is repeated among other things, but is no reason for a digest."""
        collected = self.collect(connection, hearers, night, self._clock())
        written: dict[str, Message | None] = {}
        for hearer in hearers:
            data = collected[hearer.id]
            written[hearer.id] = (
                self._wording.write(connection, NoticeKind.DIGEST, data, zone=hearer.zone)
                if data["found"] or data["replaced"]
                else None
            )
        return written


def _find_news(
    untold: Untold, *, told: Mapping[tuple[str, str], int], operators: str
) -> list[tuple[str, str, int]]:
    """Who is to hear of a finding that they do not know of, or not as bad as it is: owner, topic, level."""
    who = hearers(untold.level, owner=untold.owner_id, deputy=untold.deputy_id, operators=operators)
    return [
        (hearer, untold.topic, untold.level)
        for hearer in who
        if is_news(untold.level, told=told.get((hearer, untold.topic)))
    ]
