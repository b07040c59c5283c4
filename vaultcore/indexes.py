"""The indexes of the vault's tables, as migrations make them. Those of one column stand with the column.

No statement needs to know them, and a partial one loads the dialects of both databases. So they stand apart
from `vaultcore.tables`, which every command loads: for who makes a schema of its `metadata`, or compares it.
"""

from typing import Any, Final

from sqlalchemy import ColumnElement, Index, text

from vaultcore.external_ids import HAS_ID, STORED_ID
from vaultcore.tables import LISTED, audit, item_labels, items, references, versions


def only_where(condition: str | ColumnElement[bool]) -> dict[str, Any]:
    """Says of an index, to both databases, which rows it has."""
    those = text(condition) if isinstance(condition, str) else condition
    return {"sqlite_where": those, "postgresql_where": those}


_ORDERS: Final = {
    "name": "sought",
    "expires_at": "expires_at",
    "created_at": "created_at",
    "updated_at": "updated_at",
    "owner": "first_owner",
}
"""What a list of items is sorted by, and the column that has it."""
_SUSPECT: Final = "item_id IS NULL OR coalesce(pinned, last_version) <> current_version"
"""Of references: it leads to no item, or to a version that is not current. An index is used where a statement
has its condition by the letter."""

VAULT_INDEXES: Final = (
    Index(None, item_labels.c.key, item_labels.c.value, item_labels.c.item_id),
    Index("ix_items_due", items.c.due_at, items.c.id, **only_where("due_at IS NOT NULL")),
    Index("ix_items_copy_of", items.c.id, items.c.copy_of, **only_where("copy_of IS NOT NULL")),
    Index("ix_items_copies", items.c.copy_of, **only_where("copy_of IS NOT NULL")),
    Index("ix_items_hygiene", items.c.id, **only_where("hygiene <> ''")),
    *(
        Index(f"ix_items_by_{name}", *(items.c[part] for part in dict.fromkeys((column, "id", *LISTED))))
        for name, column in _ORDERS.items()
    ),
    Index("ix_versions_likeness", versions.c.likeness, versions.c.stage),
    *(
        Index(f"uq_versions_one_{stage}", versions.c.item_id, unique=True, **only_where(f"stage = '{stage}'"))
        for stage in ("pending", "current")
    ),
    Index("ix_versions_external_id", STORED_ID, **only_where(HAS_ID)),
    Index("ix_versions_previous", versions.c.item_id, **only_where("stage = 'previous'")),
    Index("ix_item_references_missing", references.c.written, **only_where("item_id IS NULL")),
    Index(
        "ix_item_references_suspect",
        *(references.c[part] for part in ("consumer_id", "node_id", "written")),
        **only_where(_SUSPECT),
    ),
    Index(
        "ix_item_references_idle",
        *(references.c[part] for part in ("idle_at", "consumer_id", "node_id", "written")),
        **only_where("idle_at IS NOT NULL"),
    ),
    Index("ix_audit_at", audit.c.at, audit.c.seq),
    *(
        Index(f"ix_audit_{part}", audit.c[part], audit.c.at, audit.c.seq)
        for part in ("subject", "actor", "action")
    ),
)
