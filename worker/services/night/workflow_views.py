"""Workflows for who looks: what they use, which of it is stale by now, and what helps."""

from collections import defaultdict
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from sqlalchemy import Connection

from vaultcore.access import Action, Principal, may
from vaultcore.consumers import References
from vaultcore.database import Database
from vaultcore.errors import UnreadableError
from vaultcore.model import Item, Reference, Stage
from vaultcore.rows import owners_of
from vaultcore.versions import Versions
from worker.domain.findings import Finding
from worker.rows import runs as run_rows
from worker.rows.whole_items import read_items
from worker.services.night.stale import walk_stale
from worker.services.runs.definitions import Definitions
from worker.workflows.workflow import Workflow

PAGE: Final = 50
_STALE_PAGE: Final = 500
_ITEMS_PAGE: Final = 500
_IN_USE: Final = frozenset({Stage.CURRENT, Stage.PREVIOUS})


@dataclass(frozen=True, kw_only=True)
class WorkflowStanding:
    """`items`: the names and ids that its nodes have of what they use. `stale`: what is found of those now."""

    workflow: Workflow
    items: tuple[str, ...]
    stale: tuple[Finding, ...]


@dataclass(frozen=True, kw_only=True)
class WorkflowPage:
    """In the place of one that cannot be read is the error that says so. `next`: behind which name the page
    after it begins; None: there is none.
    """

    rows: tuple[WorkflowStanding | UnreadableError, ...]
    next: str | None


@dataclass(frozen=True, kw_only=True)
class Used:
    """A reference with its item; None: there is no such item, or it is not shown to who looks (`hidden`).
    `versions`: those that it could be pinned to. `stale`: what is found of it now.
    """

    reference: Reference
    item: Item | None
    hidden: bool
    versions: tuple[int, ...]
    stale: tuple[Finding, ...]


@dataclass(frozen=True, kw_only=True)
class WorkflowPicture:
    """`last_runs`: newest first."""

    workflow: Workflow
    uses: tuple[Used, ...]
    last_runs: tuple[dict[str, Any], ...]


class WorkflowViews:
    """Each reads in one transaction. Of items that are not shown to who looks nothing is said but the name that
    the document has.
    """

    def __init__(
        self,
        *,
        database: Database,
        versions: Versions,
        references: References,
        clock: Callable[[], datetime],
    ) -> None:
        self._database = database
        self._versions = versions
        self._references = references
        self._definitions = Definitions()
        self._clock = clock

    def page(self, *, after: str | None, seen_by: Principal) -> WorkflowPage:
        """By name: those behind that one."""
        with self._database.read() as connection:
            found = list(self._definitions.walk(connection, after=after, limit=PAGE + 1))
            page = found[:PAGE]
            stale = self._find_stale(
                connection, [one.id for one in page if isinstance(one, Workflow)], seen_by=seen_by
            )
            stale_in: dict[str | None, list[Finding]] = defaultdict(list)
            for finding in stale:
                stale_in[finding.workflow].append(finding)
            rows = tuple(
                one
                if isinstance(one, UnreadableError)
                else WorkflowStanding(
                    workflow=one,
                    items=tuple(self._references.written_by(connection, one.id)),
                    stale=tuple(stale_in[one.name]),
                )
                for one in page
            )
        last = next((one.name for one in reversed(page) if isinstance(one, Workflow)), None)
        return WorkflowPage(rows=rows, next=last if len(found) > PAGE else None)

    def view(self, name_or_id: str, *, seen_by: Principal) -> WorkflowPicture:
        with self._database.read() as connection:
            workflow = self._definitions.get(connection, name_or_id)
            stale = self._find_stale(connection, [workflow.id], seen_by=seen_by)
            stale_of: dict[str | None, list[Finding]] = defaultdict(list)
            for finding in stale:
                stale_of[finding.item].append(finding)
            references = self._references.of_consumer(connection, workflow.id)
            items, versions = self._find_items(connection, references, seen_by=seen_by)
            uses = []
            for reference in references:
                item = items.get(reference.item_id or "")
                hidden = item is not None and not may(seen_by, Action.ITEM_SEE, owners=item.owners)
                name = reference.written if item is None else item.name
                uses.append(
                    Used(
                        reference=reference,
                        item=None if hidden else item,
                        hidden=hidden,
                        versions=() if item is None else versions.get(item.id, ()),
                        stale=tuple(stale_of[name]),
                    )
                )
            return WorkflowPicture(
                workflow=workflow,
                uses=tuple(uses),
                last_runs=tuple(run_rows.last_runs(connection, workflow.id)),
            )

    def _find_items(
        self, connection: Connection, references: Sequence[Reference], *, seen_by: Principal
    ) -> tuple[dict[str, Item], dict[str, tuple[int, ...]]]:
        """What these use, by id; and of what is shown to who looks, the versions that it could be pinned to."""
        ids = sorted({one.item_id for one in references if one.item_id is not None})
        items: dict[str, Item] = {}
        versions: dict[str, tuple[int, ...]] = {}
        for start in range(0, len(ids), _ITEMS_PAGE):
            for one in read_items(connection, ids[start : start + _ITEMS_PAGE]).values():
                if isinstance(one, UnreadableError):
                    raise one
                items[one.id] = one
        shown = [one.id for one in items.values() if may(seen_by, Action.ITEM_SEE, owners=one.owners)]
        for start in range(0, len(shown), _ITEMS_PAGE):
            found = self._versions.of_items(connection, shown[start : start + _ITEMS_PAGE])
            versions |= {
                item_id: tuple(one.number for one in those if one.filled and one.stage in _IN_USE)
                for item_id, those in found.items()
            }
        return items, versions

    def _find_stale(
        self, connection: Connection, workflow_ids: Collection[str], *, seen_by: Principal
    ) -> list[Finding]:
        if not workflow_ids:
            return []
        pages = walk_stale(connection, self._clock(), page_size=_STALE_PAGE, consumer_ids=workflow_ids)
        found = [finding for page in pages for finding in page]
        if may(seen_by, Action.FINDING_SEE):
            return found
        owners = owners_of(connection, sorted({one.item_id for one in found if one.item_id is not None}))
        return [
            one
            for one in found
            if one.item_id is not None and may(seen_by, Action.FINDING_SEE, owners=owners[one.item_id])
        ]
