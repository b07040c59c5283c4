"""The room of items: made, changed, deleted and shown, for command line, interface and console."""

from dataclasses import dataclass

from worker.services.core import Core
from worker.services.items.copies import Copies
from worker.services.items.creation import ItemCreation
from worker.services.items.deletion import ItemDeletion
from worker.services.items.update_checks import UpdateChecks
from worker.services.items.updates import ItemUpdates
from worker.services.items.views import ItemViews
from worker.services.rotation.room import RotationRoom
from worker.services.rotation.supersession import Supersession


@dataclass(frozen=True, kw_only=True)
class ItemsRoom:
    creation: ItemCreation
    updates: ItemUpdates
    deletion: ItemDeletion
    views: ItemViews


def build_items(core: Core, *, rotation: RotationRoom) -> ItemsRoom:
    database, clock = core.database, core.clock
    vault, versions, audit, references = core.vault, core.versions, core.audit, core.references
    copies = Copies(vault=vault)
    return ItemsRoom(
        creation=ItemCreation(
            database=database,
            vault=vault,
            versions=versions,
            owners=core.owners,
            references=references,
            pickups=rotation.pickups,
            copies=copies,
            audit=audit,
            clock=clock,
        ),
        updates=ItemUpdates(
            database=database,
            vault=vault,
            owners=core.owners,
            references=references,
            copies=copies,
            checks=UpdateChecks(
                versions=versions,
                references=references,
                named_policies=core.named_policies,
                copies=copies,
                audit=audit,
            ),
            audit=audit,
            supersession=Supersession(versions=versions, clock=clock),
            clock=clock,
        ),
        deletion=ItemDeletion(database=database, vault=vault, opening=rotation.opening, clock=clock),
        views=ItemViews(
            database=database,
            vault=vault,
            versions=versions,
            references=references,
            named_policies=core.named_policies,
            copies=copies,
        ),
    )
