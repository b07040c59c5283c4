"""How large a schema becomes once its groups are written out: a short one can become endless."""

from collections import Counter
from dataclasses import dataclass, field
from graphlib import CycleError, TopologicalSorter
from importlib import import_module
from typing import Any

PARTS_MAX = 200_000
"""Seen: zeep takes 2 s and 90 MB for a million, of which a schema of 4 kB can hold any number."""
_GROUPS = ("group", "attributeGroup")


@dataclass(kw_only=True)
class _Holder:
    """A group or a type: what it holds itself, and the groups that it names."""

    own: int = 0
    named: Counter[str] = field(default_factory=Counter)


class SchemaMeter:
    """Counts across all documents of one WSDL, since groups refer to each other across them."""

    def __init__(self) -> None:
        self._holders: dict[str, _Holder] = {}

    def accepts(self, document: bytes) -> bool:
        """Whether the documents so far, and this one, stay within `PARTS_MAX`; what is not XML holds
        nothing.
        """
        etree = import_module("lxml.etree")  # comes with an extra
        try:
            root = etree.fromstring(document, etree.XMLParser(resolve_entities=False))
        except (etree.XMLSyntaxError, ValueError):
            return True
        for element in root.iter("{*}complexType", *(f"{{*}}{kind}" for kind in _GROUPS)):
            if element.get("ref") is None:
                self._add(element)
        return self._count() <= PARTS_MAX

    def _add(self, element: Any) -> None:  # noqa: ANN401  # lxml's
        """Types and groups inside it are holders of their own."""
        name = element.get("name") if _kind(element) in _GROUPS else None
        space = next((part.get("targetNamespace") for part in element.iterancestors("{*}schema")), None)
        key = f"type {len(self._holders)}" if name is None else f"{_kind(element)} {space or ''} {name}"
        holder = self._holders.setdefault(key, _Holder())
        below = list(element)
        while below:
            part = below.pop()
            kind = _kind(part)
            holder.own += 1
            if kind in _GROUPS and part.get("ref") is not None:
                prefix, _, local = part.get("ref").strip().rpartition(":")
                holder.named[f"{kind} {part.nsmap.get(prefix or None) or ''} {local}"] += 1
            elif kind != "complexType":
                below += part

    def _count(self) -> int:
        """Parts of all types and groups, written out; more than allowed where one holds itself."""
        named = {
            key: Counter(self._find(name) for name in holder.named.elements())
            for key, holder in self._holders.items()
        }
        sizes: dict[str, int] = {}
        try:
            for key in TopologicalSorter({key: list(found) for key, found in named.items()}).static_order():
                holder = self._holders.get(key)
                if holder is not None:
                    sizes[key] = holder.own + sum(sizes.get(name, 0) * n for name, n in named[key].items())
        except CycleError:
            return PARTS_MAX + 1
        return sum(sizes.values())

    def _find(self, name: str) -> str:
        """The holder of that name; one without a namespace takes that of who includes it."""
        if name in self._holders:
            return name
        kind, _, local = name.split(" ")
        return f"{kind}  {local}"


def _kind(element: Any) -> str:  # noqa: ANN401  # lxml's
    return element.tag.rpartition("}")[2] if isinstance(element.tag, str) else ""
