"""Uses of an item that stand in a workflow's document, and of which the references say nothing.

What has a digest can be told when it was edited, but not when its row was taken away. The documents have
digests of their own, so before an old value goes what they say is held against the references.
"""

from collections.abc import Iterator

from sqlalchemy import Connection

from vaultcore.consumers import find_linked
from vaultcore.model import Item
from vaultcore.names import spellings
from vaultcore.stored import Unread, read_apart
from worker.domain.commands import quote_word
from worker.domain.reasons import Code, Reason
from worker.rows import workflows as workflow_rows
from worker.rows.workflows import read_workflow
from worker.services.rotation.document_uses import DocumentUses
from worker.workflows.workflow import Workflow


def find_lost_uses(connection: Connection, item: Item, document_uses: DocumentUses) -> list[Reason]:
    """Whom to wait for: active workflows that use the item and have no reference to it of ours, and
    those of which nobody can say what they use, since they were edited themselves. `DocumentUses.find_naming`
    says of which moment that is.

    For when everything else says that nobody needs the old value.
    """
    return list(_find(connection, item, document_uses.find_naming(connection, item)))


def _find(connection: Connection, item: Item, workflow_ids: frozenset[str]) -> Iterator[Reason]:
    for stored, is_ours in workflow_rows.list_stored(connection, workflow_ids):
        if not is_ours:
            yield Reason.of(Code.EDITED_WORKFLOW, workflow=str(stored.name))
        elif stored.active is True:
            workflow = read_apart(stored, read_workflow)
            if not isinstance(workflow, Unread) and not _has_all(connection, workflow, item):
                command = f"nightkey workflow show {quote_word(workflow.name)}"
                yield Reason.of(Code.LOST_USE, workflow=workflow.name, item=item.name, command=command)


def _has_all(connection: Connection, workflow: Workflow, item: Item) -> bool:
    """Whether each of its uses of the item has a reference that leads to it."""
    wanted = {
        (use.node_id, written)
        for use in workflow.definition.uses(here=workflow.runs_here)
        if not use.mentioned and _is_meant(written := use.use.written, item)
    }
    if not wanted:
        return True
    return wanted <= find_linked(connection, workflow.id)


def _is_meant(written: str, item: Item) -> bool:
    return item.name in spellings(written) or written.lower() == item.id.lower()
