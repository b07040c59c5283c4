"""Versions that an owner replaced by hand: taken away once nobody needs them, like a rotation's."""

from collections.abc import Callable, Sequence
from datetime import datetime, timedelta

from sqlalchemy import Connection

from vaultcore.database import Database
from vaultcore.errors import NightkeyError, RefusedError, UnreadableError
from vaultcore.model import Item, Mode
from vaultcore.paging import walk_pages
from vaultcore.stored import do_apart
from vaultcore.vault import Vault
from vaultcore.versions import Versions
from worker.domain.findings import Finding, find_unreadable
from worker.domain.proof import Overlap, judge
from worker.domain.saga import State
from worker.rotators.catalog import load_rotator
from worker.rows.consumers import consumers_of
from worker.rows.replaced_versions import ReplacedVersion, UnreadVersion, list_replaced
from worker.services.rotation.comparison import Comparison
from worker.services.rotation.document_uses import DocumentUses
from worker.services.rotation.lost_uses import find_lost_uses
from worker.services.rotation.opening import Opening
from worker.wording.reasons import say


class ReplacedVersions:
    """Takes away what is previous, out of its overlap, and held by no open rotation or reference."""

    def __init__(
        self,
        *,
        database: Database,
        vault: Vault,
        opening: Opening,
        versions: Versions,
        comparison: Comparison,
        document_uses: DocumentUses,
        clock: Callable[[], datetime],
    ) -> None:
        self._database = database
        self._vault = vault
        self._opening = opening
        self._versions = versions
        self._comparison = comparison
        self._document_uses = document_uses
        self._clock = clock

    def retire(self, *, actor: str, page_size: int) -> tuple[int, list[Finding]]:
        """Goes through the candidates in pages, a transaction each. How many nobody needs any more, and what
        cannot be read.

        What the other side had issued is revoked there first, by a rotation that has that step alone.
        """
        retired, unreadable = 0, list[Finding]()

        def retire_page(last: tuple[str, int] | None) -> Sequence[ReplacedVersion | UnreadVersion]:
            nonlocal retired
            with self._database.write() as connection:
                page = list_replaced(connection, after=last, limit=page_size)
                items = sorted({version.item_id for version in page})
                self._vault.get_all(connection, items, lock=True)  # who pins to one of them waits
                for version in page:
                    done = (
                        version
                        if isinstance(version, UnreadVersion)
                        else do_apart(connection, version, lambda one: self._retire(connection, one, actor))
                    )
                    if isinstance(done, bool):
                        retired += done
                    else:
                        unreadable.append(_find(version, done.problem))
            return page

        for _ in walk_pages(retire_page, lambda version: (version.item_id, version.number), size=page_size):
            pass
        if retired:
            self._database.scrub()
        return retired, unreadable

    def _retire(self, connection: Connection, version: ReplacedVersion, actor: str) -> bool:
        now = self._clock()
        ends = version.superseded_at + timedelta(seconds=version.overlap_seconds)
        if self._comparison.is_open(connection, version.item_id):
            return False
        try:
            item = self._vault.get(connection, version.item_id)
            unread = self._vault.is_unread(connection, item, active=False)
            overlap = Overlap(number=version.current, ends=ends, opens=now, canary_id=None, unread=unread)
            if judge(overlap, consumers_of(connection, version.item_id), now=now).state is not State.RETIRING:
                return False
            lost = find_lost_uses(connection, item, self._document_uses)
            if lost:
                raise UnreadableError(f"what uses {item.name}", f"it is kept for {say(lost[0])}")
            if _is_outside(item):
                self._opening.open_retirement(connection, item, number=version.number, asked_by=actor)
                return True
        except RefusedError:  # another of its versions goes first
            return False
        self._versions.destroy(connection, version.item_id, version.number, actor=actor, reason="replaced")
        return True


def _find(version: ReplacedVersion | UnreadVersion, problem: str) -> Finding:
    return find_unreadable(
        f"versions {version.item_id} {version.number}",
        problem,
        item_id=version.item_id,
        item=str(version.name),
        what=f"version {version.number} of it",
    )


def _is_outside(item: Item) -> bool:
    """Whether the other side issues its values, and we may take them away there."""
    if item.policy.rotator is None or item.policy.mode is Mode.NOTIFY:
        return False
    try:
        return load_rotator(item.policy.rotator).issues
    except NightkeyError:  # it is not installed: the rotation will say so, and keep the version
        return True
