"""What may hang on a rotation's item, and on most hangs nothing: where a drive begins, one look tells what of
it there is not. That is not read any more, neither then nor in the next transaction, while it is still so.
"""

from typing import Any, Final

from sqlalchemy import Connection

from vaultcore.item_parts import COPIES, USERS, USES
from vaultcore.known_items import ItemPart, learn_absent
from worker.domain.rotation import Rotation
from worker.rows.comparisons import COMPARISON
from worker.rows.consumers import WAIVERS
from worker.rows.findings import OPEN_FINDINGS

_OF_ITEM: Final[tuple[ItemPart[Any], ...]] = (COMPARISON, USES, USERS, COPIES, OPEN_FINDINGS)


def look_around(connection: Connection, rotation: Rotation) -> None:
    learn_absent(connection, [*((rotation.item_id, part) for part in _OF_ITEM), (rotation.id, WAIVERS)])
