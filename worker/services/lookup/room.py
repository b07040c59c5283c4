"""The room of what is looked up: lists and views, which change nothing and want no other room."""

from dataclasses import dataclass

from worker.services.core import Core
from worker.services.lookup.lists import Lists
from worker.services.lookup.views import Views
from worker.services.notices.recipients import Recipients


@dataclass(frozen=True, kw_only=True)
class Lookup:
    views: Views
    lists: Lists


def build_lookup(core: Core) -> Lookup:
    return Lookup(
        views=Views(
            database=core.database,
            vault=core.vault,
            owners=core.owners,
            references=core.references,
            recipients=Recipients(owners=core.owners, operators=core.settings.operators),
            clock=core.clock,
        ),
        lists=Lists(database=core.database, owners=core.owners, clock=core.clock),
    )
