"""Lists for whoever looks: a page at a time, filtered and sorted by the database, and of what they may see.

A page of `PageRequest()` is the first one as it usually is. Its `next` leads on, with the same filter and
order. `InvalidInputError` for an order that is not offered and a cursor of another list, `NotFoundError` for an
owner, a workflow or a rotator of the filter that there is not.
"""

from collections.abc import Callable, Collection
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from sqlalchemy import Connection

from vaultcore.access import Action, Principal, whose
from vaultcore.audit_rows import AuditRow
from vaultcore.database import Database
from vaultcore.errors import InvalidInputError, NotFoundError, UnreadableError
from vaultcore.ids import find_prefix
from vaultcore.owners import Owners
from worker.domain.item_states import ItemFilter
from worker.domain.paging import LIMIT_MAX, Page, PageRequest
from worker.domain.rotation import Rotation
from worker.rotators.catalog import explain_unknown, rotator_names
from worker.rows.audit_lists import AuditFilter, page_audit
from worker.rows.finding_lists import FindingFilter, page_findings
from worker.rows.findings import ListedFinding
from worker.rows.id_beginnings import KINDS, complete
from worker.rows.item_lists import ListedItem, has_items_of, page_items
from worker.rows.notice_lists import NoticeFilter, page_notices
from worker.rows.notices import Notice
from worker.rows.rotation_lists import RotationFilter, page_rotations
from worker.rows.run_lists import ListedRun, RunFilter, page_runs
from worker.services.runs.definitions import Definitions


@dataclass(frozen=True, kw_only=True)
class SeenItems:
    """The items of who sees some alone."""

    ids: frozenset[str]
    names: frozenset[str]


class Lists:
    """`seen_by` is who looks: a principal sees what the table of permissions lets them."""

    def __init__(self, *, database: Database, owners: Owners, clock: Callable[[], datetime]) -> None:
        self._database = database
        self._owners = owners
        self._definitions = Definitions()
        self._clock = clock

    def page_items(self, wanted: ItemFilter, request: PageRequest, *, seen_by: Principal) -> Page[ListedItem]:
        _check_texts(vars(wanted))
        with self._database.read() as connection:
            user = wanted.used_by
            _check_rotator(connection, wanted.rotator)
            return page_items(
                connection,
                wanted,
                request,
                now=self._clock(),
                owner_ids=self._find_owners(connection, wanted.owners),
                user_id=None if user is None else self._definitions.get(connection, user).id,
                seen_by=self._find_seen(connection, seen_by, Action.ITEM_SEE),
            )

    def list_items(
        self, wanted: ItemFilter, request: PageRequest, *, seen_by: Principal, most: int | None = None
    ) -> Page[ListedItem]:
        """All of them, or the first so many, as one page: each of its parts is read by itself."""
        size = LIMIT_MAX if most is None else min(most, LIMIT_MAX)
        part = self.page_items(wanted, replace(request, limit=size), seen_by=seen_by)
        total, rows = part.total, [*part.rows]
        while part.next is not None and (most is None or len(rows) < most):
            following = PageRequest(sort=request.sort, limit=size, cursor=part.next)
            part = self.page_items(wanted, following, seen_by=seen_by)
            rows += part.rows
        return Page(rows=tuple(rows[:most]), next=None, total=total)

    def complete_id(self, given: str, *, seen_by: Principal) -> str:
        """The whole id of what the principal may see, for a beginning of it that nothing else has; a whole one,
        and a name, as they are. `AmbiguousError` names those that begin so.
        """
        kind = KINDS.get(find_prefix(given) or "")
        if kind is None:
            return given
        with self._database.read() as connection:
            return complete(connection, given, seen_by=self._find_seen(connection, seen_by, kind.action))

    def find_seen(self, principal: Principal) -> SeenItems | None:
        """What the principal sees alone; None: everything."""
        if principal.sees_all:
            return None
        page = self.list_items(ItemFilter(), PageRequest(), seen_by=principal)
        read = [one.item for one in page.rows if isinstance(one, ListedItem)]
        return SeenItems(ids=frozenset(item.id for item in read), names=frozenset(item.name for item in read))

    def page_rotations(
        self, wanted: RotationFilter, request: PageRequest, *, seen_by: Principal
    ) -> Page[Rotation]:
        _check_texts(vars(wanted))
        with self._database.read() as connection:
            return page_rotations(
                connection,
                wanted,
                request,
                owner_ids=self._find_owners(connection, wanted.owners),
                seen_by=self._find_seen(connection, seen_by, Action.ROTATION_SEE),
            )

    def page_findings(
        self, wanted: FindingFilter, request: PageRequest, *, seen_by: Principal
    ) -> Page[ListedFinding]:
        """Open ones."""
        _check_texts(vars(wanted))
        with self._database.read() as connection:
            return page_findings(
                connection,
                wanted,
                request,
                now=self._clock(),
                owner_ids=self._find_owners(connection, wanted.owners),
                seen_by=self._find_seen(connection, seen_by, Action.FINDING_SEE),
            )

    def page_notices(self, wanted: NoticeFilter, request: PageRequest, *, seen_by: Principal) -> Page[Notice]:
        _check_texts(vars(wanted))
        with self._database.read() as connection:
            return page_notices(
                connection,
                wanted,
                request,
                owner_ids=self._find_owners(connection, wanted.owners),
                seen_by=self._find_seen(connection, seen_by, Action.NOTICE_SEE),
            )

    def page_runs(self, wanted: RunFilter, request: PageRequest) -> Page[ListedRun]:
        """For whoever may see workflows: all of them."""
        _check_texts(vars(wanted))
        with self._database.read() as connection:
            workflow = wanted.workflow
            found = None if workflow is None else self._definitions.get(connection, workflow).id
            return page_runs(connection, wanted, request, workflow_id=found)

    def page_audit(self, wanted: AuditFilter, request: PageRequest) -> Page[AuditRow]:
        """For whoever may read the record: all of it. It is read as it stands; `AuditLog.verify` proves it."""
        _check_texts(vars(wanted))
        with self._database.read() as connection:
            return page_audit(connection, wanted, request)

    def list_audit(
        self, wanted: AuditFilter, request: PageRequest, *, most: int
    ) -> tuple[list[AuditRow | UnreadableError], bool]:
        """The first so many, read page by page, and whether there are more."""
        rows: list[AuditRow | UnreadableError] = []
        cursor = None
        while True:
            size = min(most - len(rows), LIMIT_MAX)
            page = self.page_audit(wanted, replace(request, limit=size, cursor=cursor))
            rows += page.rows
            cursor = page.next
            if cursor is None or len(rows) >= most:
                return rows, cursor is not None

    def _find_owners(self, connection: Connection, names: Collection[str]) -> list[str]:
        return [self._owners.get(connection, name).id for name in sorted(names)]

    def _find_seen(self, connection: Connection, principal: Principal, action: Action) -> list[str] | None:
        """The ids of the owners whose things are shown to the principal; None: everybody's."""
        names = whose(principal, action)
        return None if names is None else self._find_owners(connection, names)


def _check_rotator(connection: Connection, name: str | None) -> None:
    """One that is installed, or was when an item got it."""
    if name and name not in rotator_names() and not has_items_of(connection, name):
        raise NotFoundError(explain_unknown(name))


def _check_texts(given: dict[str, Any]) -> None:
    """A text that no database takes is part of no name."""
    for name, value in given.items():
        if isinstance(value, str) and "\0" in value:
            raise InvalidInputError(f"{name}: holds a character that no name has (NUL)")
