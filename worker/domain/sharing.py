"""Two items that hold one credential: what is told of that, and what is refused. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from vaultcore.errors import RefusedError
from vaultcore.model import Twin
from worker.domain.commands import quote_word
from worker.domain.findings import Finding, FindingKind, find_of_item
from worker.domain.reasons import Code, Reason

_NAMED_MAX = 3


@dataclass(frozen=True, kw_only=True)
class Sharer:
    """One of the items that hold a credential, the oldest first. Its copies are of its family. `original`: the
    name of that of which it is a copy, which may hold another credential by now.
    """

    item_id: str
    item: str
    copy_of: str | None
    original: str | None = None

    @property
    def family(self) -> str:
        return self.copy_of or self.item_id

    @property
    def root(self) -> str:
        """The name of the one of its family that is no copy, and may be declared another's original."""
        return self.original or self.item


class SharedError(RefusedError):
    """Another item has the same credential: `item_id`, which not everybody may see who is told of this."""

    def __init__(self, item_id: str, message: str) -> None:
        super().__init__(message)
        self.item_id = item_id


def refuse_twins(twins: Sequence[Twin], name: str) -> None:
    """`SharedError` where there are any."""
    if twins:
        raise SharedError(twins[0].item_id, explain_twin(twins[0], name))


def explain_twin(twin: Twin, name: str) -> str:
    """Why an item of that name would not be taken, beside the other."""
    declare = f"--mode notify --copy-of {quote_word(twin.item)}"
    return f"{_say_second(twin, name)}, or declare it a copy, which is not replaced by itself: {declare}"


def explain_second_entry(twin: Twin, name: str) -> str:
    """The same of an entry of a file, which takes no such options."""
    declare = f"{quote_word(name)} --owner OWNER --mode notify --copy-of {quote_word(twin.item)}"
    return (
        f"{_say_second(twin, name)}, or make it a copy, which is not replaced by itself: "
        f"`nightkey item create {declare}`"
    )


def _say_second(twin: Twin, name: str) -> str:
    what = "the same value" if twin.name is None else f"what changes {twin.name}"
    return (
        f"{name} would be the second item with {what}, beside {twin.item}: when one of them is replaced the "
        f"other is dead. Let workflows name {twin.item}"
    )


def refuse_to_part(twins: Sequence[Twin], name: str) -> None:
    """`RefusedError` where a copy is to be none any more, and still has the value of another."""
    if twins and twins[0].name is None:
        raise RefusedError(
            f"{name} still has the value of {twins[0].item}: give it a value of its own in the same command, "
            f"`nightkey item update {quote_word(name)} --copy-of none --value`"
        )


def find_shared(sharers: Sequence[Sharer], account: str | None) -> list[Finding]:
    """A finding for each item that shares a credential with one of another family. `account`: what they
    change on the other side; None: they have the same value.
    """
    families = list(dict.fromkeys(one.family for one in sharers))
    if len(families) < 2:
        return []
    heads = {
        family: next(one for one in sharers if one.family == family) for family in families[: _NAMED_MAX + 1]
    }
    return [_tell(one, sharers, heads, account) for one in sharers]


def _find_root(sharers: Sequence[Sharer]) -> Sharer:
    """One of the family whose original the others are to name: one with copies goes first; else the oldest."""
    return next((one for one in sharers if one.copy_of is not None), sharers[0])


def _tell(one: Sharer, sharers: Sequence[Sharer], heads: dict[str, Sharer], account: str | None) -> Finding:
    others = [head for family, head in heads.items() if family != one.family][:_NAMED_MAX]
    first = _find_root(sharers)
    names = tuple(other.item for other in others)
    code = Code.SAME_VALUE if account is None else Code.SAME_ACCOUNT
    copy = _find_head(one if one.family != first.family else others[0], sharers)
    declare = f"--mode notify --copy-of {quote_word(first.root)}"
    return find_of_item(
        FindingKind.SHARED,
        one.item_id,
        one.item,
        detail=Reason.of(code, items=names, account=account),
        command=f"nightkey item update {quote_word(copy.item)} {declare}",
    )


def _find_head(one: Sharer, sharers: Sequence[Sharer]) -> Sharer:
    """The original of its family, whose copies follow it, where that holds the credential, too; else itself."""
    return next((other for other in sharers if other.item_id == one.family), one)


@dataclass(frozen=True, kw_only=True)
class StaleCopy:
    """A declared copy with another value than its original, which got its own at `replaced_at`. `known`: both
    were compared; otherwise the original was replaced after the copy had its value.
    """

    item_id: str
    item: str
    original: str
    replaced_at: datetime
    known: bool = True


def find_stale_copy(copy: StaleCopy) -> Finding:
    code = Code.COPY_DIFFERS if copy.known else Code.COPY_IS_OLD
    return find_of_item(
        FindingKind.STALE_COPY,
        copy.item_id,
        copy.item,
        detail=Reason.of(code, original=copy.original, at=copy.replaced_at),
        command=f"nightkey item show {quote_word(copy.item)}",
    )
