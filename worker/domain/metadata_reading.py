"""What files say, read strictly: everything that cannot be meant is told at once, each with its key. Pure."""

from collections.abc import Callable, Mapping
from typing import Any, Final, TypeVar

from vaultcore.errors import InvalidInputError
from vaultcore.labels import read_labels
from vaultcore.model import UNCHANGED
from vaultcore.names import normalise
from vaultcore.quiet import check_zone, parse_quiet
from worker.domain.metadata import (
    Document,
    Fault,
    ItemEntry,
    OwnerEntry,
    PlanEntry,
    PolicyEntry,
    Subject,
    WantedVault,
    find_fault,
)
from worker.domain.policies import FORMER_NAMES, PART_NAMES, build_policy, check_part, show_name
from worker.domain.policy_parts import write_parts
from worker.domain.strict_json import parse_json

T = TypeVar("T")
_NAMED: Final = "named"
_OWNER: Final = ("zone", "quiet", "deputy")
_ITEM: Final = ("owners", "labels", "policy")
_SECRETS: Final = frozenset({"value", "secret", "password", "token", "key"})
_ELSEWHERE: Final = {
    "routes": "routes are secret and stay in the vault: nightkey owner route gives one",
    "route": "routes are secret and stay in the vault: nightkey owner route gives one",
    "expires_at": "an expiry belongs to a value, and changes with it: nightkey item update sets it",
}


def read_metadata(document: Document) -> tuple[WantedVault, list[Fault]]:
    """What was meant, and what could not be: nothing is done while there is any of that."""
    reader = _TableReader()
    for name in sorted(set(document) - set(Subject)):
        says = f"{show_name(name)} is none of the tables here: owners, policies, items"
        reader.faults.append(Fault(subject=None, name="", key=show_name(name), says=says))
    read = WantedVault(
        owners=reader.read(Subject.OWNERS, document, reader.read_owner),
        policies=reader.read(Subject.POLICIES, document, reader.read_policy),
        items=reader.read(Subject.ITEMS, document, reader.read_item),
    )
    return read, reader.faults


class _TableReader:
    def __init__(self) -> None:
        self.faults: list[Fault] = []

    def read(
        self, subject: Subject, document: Document, read: Callable[[str, Mapping[str, Any]], T]
    ) -> dict[str, T]:
        table: object = document.get(subject, {})
        if not isinstance(table, Mapping):
            says = "it is a table, with a table for each name in it"
            self.faults.append(Fault(subject=subject, name="", key=subject, says=says))
            return {}
        found: dict[str, T] = {}
        for given, entry in sorted(table.items()):
            name = normalise(str(given))
            if not isinstance(entry, Mapping):
                self._tell(
                    subject, name, f"what is said of it is a table, such as [{subject}.{show_name(name)}]"
                )
            elif name in found:
                self._tell(subject, name, "it stands twice, in two spellings: leave one of them")
            else:
                found[name] = read(name, entry)
        return found

    def read_owner(self, name: str, entry: Mapping[str, Any]) -> OwnerEntry:
        self._check_keys(Subject.OWNERS, name, entry, _OWNER)

        def take(key: str, read: Callable[[str], Any], *, may_be_none: bool = True) -> Any:  # noqa: ANN401
            if key not in entry:
                return UNCHANGED
            given = entry[key]
            if may_be_none and given in (None, ""):
                return None
            return self._try(Subject.OWNERS, name, lambda: read(_text(given)), key, otherwise=UNCHANGED)

        return OwnerEntry(
            name=name,
            zone=take("zone", check_zone, may_be_none=False),
            quiet=take("quiet", parse_quiet),
            deputy=take("deputy", normalise),
        )

    def read_policy(self, name: str, entry: Mapping[str, Any]) -> PolicyEntry:
        if "copy_of" in entry:
            says = "of what an item is a copy is its own matter: say it in the item's policy"
            self._tell(Subject.POLICIES, name, says, "copy_of")
        parts = self._read_parts(Subject.POLICIES, name, {k: v for k, v in entry.items() if k != "copy_of"})
        if not entry:
            self._tell(Subject.POLICIES, name, 'it says nothing: give it a part, such as lifetime = "90d"')
        return PolicyEntry(name=name, parts=parts)

    def read_item(self, name: str, entry: Mapping[str, Any]) -> ItemEntry:
        self._check_keys(Subject.ITEMS, name, entry, _ITEM)

        def take(key: str, read: Callable[[Any], Any]) -> Any:  # noqa: ANN401
            if key not in entry:
                return UNCHANGED
            return self._try(Subject.ITEMS, name, lambda: read(entry[key]), key, otherwise=UNCHANGED)

        return ItemEntry(
            name=name,
            owners=take("owners", _read_owners),
            labels=take("labels", _read_labels),
            plan=self._read_plan(name, entry["policy"]) if "policy" in entry else UNCHANGED,
        )

    def _read_plan(self, name: str, given: object) -> Any:  # noqa: ANN401
        if isinstance(given, str):
            given = {_NAMED: given}
        if not isinstance(given, Mapping):
            self._tell(Subject.ITEMS, name, "it is the name of a policy, or a table of its parts", "policy")
            return UNCHANGED
        own = {key: part for key, part in given.items() if key != _NAMED}
        named = None
        if given.get(_NAMED) not in (None, ""):
            named = self._try(
                Subject.ITEMS, name, lambda: normalise(_text(given[_NAMED])), "policy", _NAMED, otherwise=None
            )
        return PlanEntry(named=named, own=self._read_parts(Subject.ITEMS, name, own, "policy"))

    def _read_parts(self, subject: Subject, name: str, entry: Mapping[str, Any], *path: str) -> dict[str, Any]:
        """In the one form in which they are kept."""
        parts: dict[str, Any] = {}
        for key, said in entry.items():
            given = said
            if key == "settings" and isinstance(given, str):
                given = self._try(
                    subject, name, lambda: parse_json(entry["settings"]), *path, key, otherwise={}
                )
            part = None if given == "" else given
            try:
                if key in PART_NAMES:
                    check_part(key, part)
                built = build_policy(None, {key: part})
                parts |= write_parts(built, (FORMER_NAMES.get(key, key),))
            except InvalidInputError as error:
                problem = str(error)
            else:
                continue
            self._tell(subject, name, problem, *path, show_name(key))
        return parts

    def _check_keys(
        self, subject: Subject, name: str, entry: Mapping[str, Any], known: tuple[str, ...]
    ) -> None:
        for key in sorted(set(entry) - set(known)):
            says = f"it is none of {', '.join(known)}"
            if key in _SECRETS:
                says = (
                    "a value has no place in these files: take it out, and replace that value if others saw it"
                )
            self._tell(subject, name, _ELSEWHERE.get(key, says), show_name(key))

    def _try(self, subject: Subject, name: str, read: Callable[[], T], *path: str, otherwise: T) -> T:
        try:
            return read()
        except InvalidInputError as error:
            problem = str(error)
        self._tell(subject, name, problem, *path)
        return otherwise

    def _tell(self, subject: Subject, name: str, says: str, *path: str) -> None:
        self.faults.append(find_fault(subject, show_name(name), says, *path))


def _text(given: object) -> str:
    if isinstance(given, str):
        return given
    raise InvalidInputError("it is a text, in quotes")


def _read_owners(given: object) -> tuple[str, ...]:
    if isinstance(given, list) and all(isinstance(one, str) for one in given):
        return tuple(sorted({normalise(one) for one in given}))
    raise InvalidInputError('it is a list of names, such as ["platform"]')


def _read_labels(given: object) -> Any:  # noqa: ANN401
    if isinstance(given, Mapping) and all(isinstance(one, str) for one in given.values()):
        return read_labels(given)
    raise InvalidInputError('it is a table of texts, such as { env = "prod" }')
