"""What may not be meant of an item, said as soon as it is so: the night makes findings of it only later."""

from collections.abc import Collection

from vaultcore.model import Item
from worker.bootstrap import Services
from worker.domain.findings import FindingKind
from worker.domain.lacks import LACKS, find_lacks
from worker.domain.notices import name_finding
from worker.domain.reasons import Reason
from worker.wording.reasons import say
from worker.wording.warnings import word_warnings


def list_remarks(services: Services, item: Item, told: Collection[FindingKind]) -> list[str]:
    """A sentence for each; `told`: what was found of it already, and stands on the page as that."""
    lacks = [lack for lack in find_lacks(item) if FindingKind(lack) not in told]
    return [
        *(f"It {name_finding(FindingKind(lack))}: {say(Reason.of(LACKS[lack][0]))}" for lack in lacks),
        *(one[:1].upper() + one[1:] for one in word_warnings(item.name, services.items.views.warn(item, ()))),
    ]
