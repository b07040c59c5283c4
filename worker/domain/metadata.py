"""What files in git say of a vault: owners without their routes, named policies, items without values. Pure.

What a file does not name is left alone; but the policy of an item is one thing, and all of it is said.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from vaultcore.model import UNCHANGED, Label, Unchanged
from vaultcore.quiet import QuietHours
from worker.domain.policy_parts import Parts


class Subject(StrEnum):
    """What something is said of, as its table in a file is called."""

    OWNERS = "owners"
    POLICIES = "policies"
    ITEMS = "items"


@dataclass(frozen=True, kw_only=True)
class OwnerEntry:
    name: str
    zone: str | Unchanged = UNCHANGED
    quiet: QuietHours | Unchanged | None = UNCHANGED
    deputy: str | Unchanged | None = UNCHANGED


@dataclass(frozen=True, kw_only=True)
class PolicyEntry:
    name: str
    parts: Parts


@dataclass(frozen=True, kw_only=True)
class PlanEntry:
    """`own`: its own parts, over those of the policy that it follows (`named`), or over the defaults."""

    named: str | None
    own: Parts


@dataclass(frozen=True, kw_only=True)
class ItemEntry:
    name: str
    owners: tuple[str, ...] | Unchanged = UNCHANGED
    labels: tuple[Label, ...] | Unchanged = UNCHANGED
    plan: PlanEntry | Unchanged = UNCHANGED


@dataclass(frozen=True, kw_only=True)
class Fault:
    """Something that cannot be meant, or done. `key` leads to it: `items.prod-crm-token.policy.lead`."""

    subject: Subject | None
    name: str
    key: str
    says: str


@dataclass(frozen=True, kw_only=True)
class WantedVault:
    """By their names, in the one spelling in which names are kept."""

    owners: Mapping[str, OwnerEntry] = field(default_factory=dict)
    policies: Mapping[str, PolicyEntry] = field(default_factory=dict)
    items: Mapping[str, ItemEntry] = field(default_factory=dict)


def find_fault(subject: Subject, name: str, says: str, *path: str) -> Fault:
    return Fault(subject=subject, name=name, key=join_key([subject, name, *path]), says=says)


def join_key(path: Iterable[str]) -> str:
    """`items."api-key:orders".policy`: as TOML writes it."""
    return ".".join(part if _is_bare(part) else f'"{part}"' for part in path)


def _is_bare(part: str) -> bool:
    return part != "" and all(one.isascii() and (one.isalnum() or one in "-_") for one in part)


Document = Mapping[str, Mapping[str, Any]]
"""The same as files have it: `{"owners": {name: …}, "policies": {…}, "items": {…}}`."""
