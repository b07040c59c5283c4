"""A path may have the beginning of an id in the place of the whole one: it is completed before its route is
called.
"""

from functools import partial
from typing import Final

from anyio import to_thread
from starlette.requests import Request

from vaultcore.access import Principal
from vaultcore.ids import find_prefix
from worker.bootstrap import Services

_IDS: Final = frozenset(
    {
        "rotation_id",
        "finding_id",
        "notice_id",
        "run_id",
        "item_id",
        "vault_id",
        "item",
        "workflow_id",
        "workflow",
    }
)
"""Parameters that are an id, or may be one. One that is called `name` is looked up with its beginnings."""


async def complete_path(request: Request, services: Services, principal: Principal) -> None:
    """Of what the principal may see."""
    parameters = request.scope.get("path_params", {})
    for name in _IDS & parameters.keys():
        given = str(parameters[name])
        if find_prefix(given) is not None:
            find = partial(services.lookup.lists.complete_id, given, seen_by=principal)
            parameters[name] = await to_thread.run_sync(find)
