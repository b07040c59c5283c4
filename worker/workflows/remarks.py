"""What is to be said of a document: what in it is wrong, what cannot run here, what is kept. Pure."""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

OUTSIDE: Final = "(document)"
"""In the place of a node's id: what stands outside all nodes."""


class Weight(StrEnum):
    WRONG = "wrong"
    """It cannot be right anywhere: the document is refused."""
    ELSEWHERE = "elsewhere"
    """It cannot run here: the workflow runs elsewhere."""
    KEPT = "kept"
    """It is kept as it was given, and the workflow runs here without it."""


@dataclass(frozen=True, kw_only=True)
class Remark:
    """`where` names the node or edge and the field, or the document's; `node_id` where it is a node's."""

    weight: Weight
    where: str
    what: str
    node_id: str | None = None

    def __str__(self) -> str:
        line = f"{self.where}: {self.what}"
        return "".join(c if c.isprintable() else "?" for c in line)


def of_weight(remarks: Iterable[Remark], *weights: Weight) -> list[Remark]:
    return [remark for remark in remarks if remark.weight in weights]
