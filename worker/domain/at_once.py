"""Several items changed at once: which are meant, what becomes of each, and that in few lines. Pure."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any, Final

from worker.domain.changes import Change

PAGE: Final = 200
"""So many are changed in one transaction."""
SELECTED_MAX: Final = 10_000
_SIGNS: Final = frozenset("*?[")
_LINES: Final = 12
"""Of a change of many that is told in few lines."""


@dataclass(frozen=True, kw_only=True)
class ItemOutcome:
    """Of one item: what will change, or has. `why`: it is refused, and so. `revision`: as it was looked at."""

    id: str
    name: str
    changes: tuple[Change, ...] = ()
    why: str | None = None
    revision: str = ""

    @property
    def stays(self) -> bool:
        """It is so already."""
        return not self.changes and self.why is None


@dataclass(frozen=True, kw_only=True)
class ChangeGroup:
    """Changes of one field that are alike. `items` are names. `befores` and `afters`: how many values they
    have; `before` and `after` are that of all, where it is one.
    """

    field: str
    before: Any
    after: Any
    befores: int
    afters: int
    items: tuple[str, ...]


def is_pattern(name: str) -> bool:
    """Whether it may mean several items, as a shell has it: `prod-*`, `prod-?-token`, `prod-[ab]*`."""
    return bool(_SIGNS & set(name))


def choose(names: Mapping[str, str], patterns: Iterable[str]) -> dict[str, list[str]]:
    """For each pattern the ids of the items that it means, by the `names` of those that there are, by id. One
    that is the very name of an item means that alone.
    """
    ids = {name: item_id for item_id, name in names.items()}
    return {
        pattern: [ids[pattern]]
        if pattern in ids
        else [item_id for item_id, name in names.items() if fnmatchcase(name, pattern)]
        for pattern in patterns
    }


def group_refused(whys: Iterable[tuple[str, str | None]]) -> list[tuple[str, tuple[str, ...]]]:
    """Why items are refused, each with the names of those for which it is so, the most first. `whys`: of each
    item, by its name; None: it is not.
    """
    alike: dict[str, list[str]] = {}
    for name, why in whys:
        if why is not None:
            alike.setdefault(shorten_why(name, why), []).append(name)
    return sorted(((why, tuple(names)) for why, names in alike.items()), key=lambda pair: -len(pair[1]))


def shorten_why(name: str, why: str) -> str:
    """Without the name at its beginning, for where that stands beside it."""
    return why.removeprefix(f"{name}: ").removeprefix(f"{name} ")


def group_changes(outcomes: Iterable[ItemOutcome], *, most: int = _LINES) -> list[ChangeGroup]:
    """What changes, in about so many lines: by field, before and after; what would take more, without telling
    before, or neither, apart. The field that changes most comes first.
    """
    alike: dict[tuple[str, str, str], list[tuple[str, Change]]] = {}
    for outcome in outcomes:
        for change in outcome.changes:
            key = (change.field, repr(change.before), repr(change.after))
            alike.setdefault(key, []).append((outcome.name, change))
    for told in (2, 1):
        if len(alike) <= most:
            break
        alike = _merge(alike, told, most)
    groups = [_describe(parts) for parts in alike.values()]
    return sorted(groups, key=lambda one: -len(one.items))


def _merge(
    alike: Mapping[tuple[str, str, str], list[tuple[str, Change]]], told: int, most: int
) -> dict[tuple[str, str, str], list[tuple[str, Change]]]:
    """Fields of which there are many lines get one for each value afterwards (2), or one alone (1)."""
    fields = {key[0] for key in alike}
    lines = {field: sum(key[0] == field for key in alike) for field in fields}
    room = max(most // len(fields), 1)
    merged: dict[tuple[str, str, str], list[tuple[str, Change]]] = {}
    for (field, before, after), parts in alike.items():
        key = (field, before, after)
        if lines[field] > room:
            key = (field, "", after) if told == 2 else (field, "", "")
        merged.setdefault(key, []).extend(parts)
    return merged


def _describe(parts: Sequence[tuple[str, Change]]) -> ChangeGroup:
    first = parts[0][1]
    return ChangeGroup(
        field=first.field,
        before=first.before,
        after=first.after,
        befores=len({repr(change.before) for _, change in parts}),
        afters=len({repr(change.after) for _, change in parts}),
        items=tuple(name for name, _ in parts),
    )
