"""Which items the texts of a node, or of anything else, name: and whether that can be followed here. Pure."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from vaultcore.errors import InvalidInputError
from vaultcore.liquid_text import ForeignError
from vaultcore.named import find_named
from vaultcore.references import UntoldError, Use
from vaultcore.rules import API_KEY_PREFIX
from worker.workflows.nodes.base import Component, NodeKind
from worker.workflows.remarks import Weight
from worker.workflows.templates import Path, check, find_reads
from worker.workflows.texts import Text, find_texts


@dataclass(frozen=True, kw_only=True, slots=True)
class FoundUse:
    """A text names an item. `mentioned`: that is all; nothing here looks it up there."""

    use: Use
    mentioned: bool


@dataclass(frozen=True, kw_only=True, slots=True)
class TextTrouble:
    """What is to be said of one text, by its dotted path."""

    weight: Weight
    path: str
    what: str


def find_node_uses(
    data: Mapping[str, Any], component: Component, *, idle: frozenset[str] = frozenset()
) -> Iterator[FoundUse | TextTrouble]:
    """What the fields of a component name, and what is wrong with a template of them, or cannot run here.
    `idle` are fields that it does not look at as the others stand.
    """
    for text in find_texts(data):
        for one in _read_field(text, component):
            if isinstance(one, FoundUse) and text.path.partition(".")[0] in idle:
                yield FoundUse(use=one.use, mentioned=True)
            else:
                yield one


def find_all_uses(
    data: object, *, mentioned: bool, noted: bool = False, path: str = ""
) -> Iterator[FoundUse | TextTrouble]:
    """What any texts name, known to us or not. An item that cannot be told is wrong, except where it is only
    `noted`: nothing renders that.
    """
    for text in find_texts(data, path):
        for one in _read_any(text, mentioned=mentioned):
            if noted and isinstance(one, TextTrouble):
                yield TextTrouble(weight=Weight.KEPT, path=one.path, what=one.what)
            else:
                yield one


def find_data_paths(data: object) -> Iterator[Path]:
    """The paths of whatever else the templates inside a JSON-like structure read."""
    for text in find_texts(data):
        if not text.is_key:
            yield from find_reads(text.text)


def _read_field(text: Text, component: Component) -> Iterator[FoundUse | TextTrouble]:
    top = text.path.partition(".")[0]
    header = top == "headers"
    if text.is_key and "{" in text.text:
        yield _away(text, "a name of a field cannot be a template here")
    if text.is_key:
        yield from _read_any(text, mentioned=True)
        return
    problem = ""
    try:
        uses = check(text.text, header=header)
    except ForeignError as error:
        problem, foreign = str(error), True
    except InvalidInputError as error:
        problem, foreign = str(error), False
    if problem and not foreign:
        yield TextTrouble(weight=Weight.WRONG, path=text.path, what=problem)
    elif problem:
        yield _away(text, problem)
        yield from _read_any(text, mentioned=False)
    else:
        yield from _place(text, uses, component, top)
        yield from _mention_bare_ids(text, uses)


def _mention_bare_ids(text: Text, uses: tuple[Use, ...]) -> Iterator[FoundUse]:
    """Outside headers an id stands for itself."""
    if "vlt_" in text.text:
        for use in find_named(text.text).uses:
            if use.item_id is not None and use not in uses:
                yield FoundUse(use=use, mentioned=True)


def _place(
    text: Text, uses: tuple[Use, ...], component: Component, top: str
) -> Iterator[FoundUse | TextTrouble]:
    """Whether these items may be named in this field."""
    inbound = component.kind is NodeKind.TRIGGER
    yield from (FoundUse(use=use, mentioned=False) for use in uses)
    if uses and top not in component.value_fields:
        allowed = ", ".join(sorted(component.value_fields)) or "nodes that call out, such as webhook"
        yield _away(text, f"a vault item may not be used here: only in {allowed}")
    elif inbound and top in component.value_fields and not _is_one_key(text.text, uses):
        example = f"{{{{ vault['{API_KEY_PREFIX}NAME'] }}}}"
        what = f"name exactly one key that callers present: {example}"
        yield TextTrouble(weight=Weight.WRONG, path=text.path, what=what)
    elif not inbound:
        for use in uses:
            if use.name is not None and use.name.startswith(API_KEY_PREFIX):
                yield _away(
                    text,
                    f"{use.name} is a key for callers of ours, kept as a digest: a key to send to somebody "
                    "else is an ordinary item",
                )


def _is_one_key(text: str, uses: tuple[Use, ...]) -> bool:
    (name,) = [use.name or "" for use in uses] if len(uses) == 1 else ("",)
    whole = text.strip().startswith("{{") and text.strip().endswith("}}")
    return whole and name.startswith(API_KEY_PREFIX)


def _read_any(text: Text, *, mentioned: bool) -> Iterator[FoundUse | TextTrouble]:
    try:
        named = find_named(text.text)
    except UntoldError as error:
        problem = str(error)
    else:
        yield from (FoundUse(use=use, mentioned=mentioned) for use in named.uses)
        for impossible in named.impossible:
            yield TextTrouble(weight=Weight.KEPT, path=text.path, what=impossible)
        return
    yield TextTrouble(weight=Weight.WRONG, path=text.path, what=problem)


def _away(text: Text, what: str) -> TextTrouble:
    return TextTrouble(weight=Weight.ELSEWHERE, path=text.path, what=what)
