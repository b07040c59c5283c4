"""What a shell offers for the word that is being written: names of items, owners, policies and workflows."""

import io
from collections.abc import Callable, Iterable
from contextlib import redirect_stderr
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from worker.bootstrap import Services
    from worker.cli.far.server import FarServer

_MOST: Final = 100
"""No shell shows more, and nobody reads them."""
Finder = Callable[[str], Iterable[str]]


def find_items(begins: str) -> list[str]:
    from worker.cli.item_filters import query_of  # noqa: PLC0415  # --help must not wait for it
    from worker.domain.item_states import ItemFilter  # noqa: PLC0415  # likewise
    from worker.domain.paging import PageRequest  # noqa: PLC0415  # likewise

    wanted = ItemFilter(begins=begins or None)

    def find_here(services: "Services") -> list[str]:
        page = services.lookup.lists.list_items(wanted, PageRequest(), seen_by=_me(), most=_MOST)
        return [row.item.name for row in page.rows if not isinstance(row, Exception)]

    def find_there(server: "FarServer") -> list[str]:
        rows, _ = server.pages("/nightkey/items", most=_MOST, **query_of(wanted))
        return [row["item"]["name"] for row in rows]

    return _ask(find_here, find_there)


def find_owners(begins: str) -> list[str]:
    def find_here(services: "Services") -> list[str]:
        return _readable(services.lookup.views.list_owners())

    return _keep(_ask(find_here, lambda server: _names(server.whole_list("/nightkey/owners"))), begins)


def find_workflows(begins: str) -> list[str]:
    def find_here(services: "Services") -> list[str]:
        return _readable(services.lookup.views.list_workflows())

    return _keep(_ask(find_here, lambda server: _names(server.whole_list("/nightkey/workflows"))), begins)


def find_policies(begins: str) -> list[str]:
    def find_here(services: "Services") -> list[str]:
        return [one[0].name for one in services.bulk.metadata.list_policies() if isinstance(one, tuple)]

    return _keep(_ask(find_here, lambda server: _names(server.whole_list("/nightkey/named-policies"))), begins)


def find_explained(begins: str) -> list[str]:
    return [*find_policies(begins), *find_items(begins)]


_BY_COMMAND: Final[dict[tuple[str, ...], Finder]] = {("policy", "explain"): find_explained}
_BY_NOUN: Final[dict[str, Finder]] = {
    "item": find_items,
    "owner": find_owners,
    "policy": find_policies,
    "workflow": find_workflows,
    "reconcile": find_items,
}
"""For `NAME` of a noun's commands."""
_BY_PARAMETER: Final[dict[str, Finder]] = {
    "item": find_items,
    "copy_of": find_items,
    "owner": find_owners,
    "owners": find_owners,
    "deputy": find_owners,
    "to": find_owners,
    "workflow": find_workflows,
    "used_by": find_workflows,
    "canary": find_workflows,
}
_NEW: Final = frozenset({"create", "token", "role"})
"""Commands whose `NAME` is a new one, or a principal's."""


def find_finder(path: tuple[str, ...], parameter: str) -> Finder | None:
    """Who knows what can stand there; None: nobody does."""
    if parameter in ("name", "names"):
        if path in _BY_COMMAND:
            return _BY_COMMAND[path]
        return None if path[-1] in _NEW else _BY_NOUN.get(path[0])
    return _BY_PARAMETER.get(parameter.removeprefix("where_"))


def complete(finder: Finder, begun: str) -> list[str]:
    """Nothing where something is wrong: the command itself will say so, and a shell has no room for it."""
    with redirect_stderr(io.StringIO()):
        try:
            return [name for name in finder(begun) if "\n" not in name]
        except Exception:  # noqa: BLE001  # as it says
            return []


def _ask(near: "Callable[[Services], list[str]]", far: "Callable[[FarServer], list[str]]") -> list[str]:
    from worker.cli.session import ask  # noqa: PLC0415  # --help must not wait for it

    return ask(near, far)


def _me() -> Any:  # noqa: ANN401  # a principal, whose module --help must not wait for
    from vaultcore.access import machine  # noqa: PLC0415  # likewise
    from worker.cli.session import who  # noqa: PLC0415  # likewise

    return machine(who())


def _readable(rows: Iterable[Any]) -> list[str]:
    return [row.name for row in rows if not isinstance(row, Exception)]


def _names(listed: tuple[list[Any], Any]) -> list[str]:
    return [row["name"] for row in listed[0]]


def _keep(names: Iterable[str], begins: str) -> list[str]:
    return [name for name in names if name.casefold().startswith(begins.casefold())][:_MOST]
