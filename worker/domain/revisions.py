"""Which state of a thing somebody has seen: a mark that changes with whatever of it can be changed. Pure.

Who changes something may say which state they mean. What goes by itself (when it is due, when it runs next) is
no part of it.
"""

import hashlib
import json
from collections.abc import Iterable, Mapping
from typing import Any, Final

from vaultcore.errors import ChangedError
from vaultcore.model import Item, NamedPolicy, Owner

Expected = frozenset[str]
"""Revisions, one of which a thing must have to be changed."""
ANY: Final = "*"
"""In the place of a revision: whichever it has."""


def revision_of_item(item: Item) -> str:
    return _digest(
        "item",
        {
            "id": item.id,
            "name": item.name,
            "owners": sorted(item.owners),
            "labels": [(one.key, one.value) for one in item.labels],
            "policy": vars(item.policy),
            "version": item.version,
            "expires_at": item.expires_at,
            "updated_at": item.updated_at,
        },
    )


def revision_of_owner(owner: Owner) -> str:
    routes = [(route.id, route.shown) for route in owner.routes]
    return _digest("owner", {**vars(owner), "routes": routes})


def revision_of_policy(policy: NamedPolicy) -> str:
    return _digest("policy", {**vars(policy)})


def revision_of_principal(
    *,
    id: str,  # noqa: A002  # its name
    name: str,
    roles: Iterable[str],
    owners: Iterable[str],
    is_let_in: bool,
) -> str:
    facts = {"id": id, "name": name, "roles": sorted(roles), "owners": sorted(owners), "is_let_in": is_let_in}
    return _digest("principal", facts)


def revision_of_workflow(*, id: str, given_id: str | None, name: str, text: str, runs: str) -> str:  # noqa: A002  # its name
    """`text`: the document; `runs`: where."""
    return _digest("workflow", {"id": id, "given_id": given_id, "name": name, "text": text, "runs": runs})


def check_revision(expected: Expected | None, revision: str | None, what: str) -> None:
    """To be asked in the transaction that changes it. `ChangedError` where it is not as whoever asks has seen
    it; `revision` None: there is none. `expected` None: they do not say.
    """
    if expected is None or (revision is not None and (ANY in expected or revision in expected)):
        return
    raise ChangedError(f"{what} is not as you have seen it (If-Match): get it again, then decide")


def _digest(kind: str, facts: Mapping[str, Any]) -> str:
    text = json.dumps([kind, facts], sort_keys=True, default=str, separators=(",", ":"))
    return hashlib.sha256(text.encode(errors="surrogatepass")).hexdigest()[:32]
