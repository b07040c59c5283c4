"""The room of many items at once: what hangs on them, changes and deeds by a list, all metadata by a file."""

from dataclasses import dataclass

from worker.services.access.room import Access
from worker.services.bulk.deeds_at_once import DeedsAtOnce
from worker.services.bulk.impacts import Impacts
from worker.services.bulk.items_at_once import ItemsAtOnce
from worker.services.bulk.metadata import MetadataExchange
from worker.services.bulk.page_changes import PageChanges
from worker.services.core import Core
from worker.services.items.room import ItemsRoom
from worker.services.lookup.room import Lookup
from worker.services.notices.room import Notices
from worker.services.rotation.room import RotationRoom


@dataclass(frozen=True, kw_only=True)
class Bulk:
    impacts: Impacts
    items_at_once: ItemsAtOnce
    deeds_at_once: DeedsAtOnce
    metadata: MetadataExchange


def build_bulk(
    core: Core, *, items: ItemsRoom, rotation: RotationRoom, notices: Notices, access: Access, lookup: Lookup
) -> Bulk:
    database, principals = core.database, access.principals
    page_changes = PageChanges(database=database, items=items, principals=principals)
    return Bulk(
        impacts=Impacts(database=database, vault=core.vault, principals=principals, clock=core.clock),
        items_at_once=ItemsAtOnce(
            database=database,
            items=items,
            lists=lookup.lists,
            principals=principals,
            page_changes=page_changes,
        ),
        deeds_at_once=DeedsAtOnce(
            database=database, items=items, opening=rotation.opening, principals=principals
        ),
        metadata=MetadataExchange(
            database=database,
            vault=core.vault,
            owners=core.owners,
            policies=core.named_policies,
            audit=core.audit,
            items=items,
            address_book=notices.address_book,
            principals=principals,
            page_changes=page_changes,
        ),
    )
