"""Which items a node's fields name, and whether they may be named there. Pure."""

from collections.abc import Iterator, Mapping
from typing import Any

from vaultcore.errors import InvalidInputError
from vaultcore.references import Use
from vaultcore.rules import API_KEY_PREFIX
from worker.workflows.nodes.base import Component, NodeKind
from worker.workflows.templates import Path, check, find_reads


def find_node_uses(data: Mapping[str, Any], component: Component) -> Iterator[tuple[str, Use]]:
    """(field, use) of every item named; `InvalidInputError`, beginning with the field, where one may not be."""
    for field, text in find_texts(data):
        top = field.split(".", 1)[0]
        problem = ""
        try:
            uses = check(text, header=top == "headers")
        except InvalidInputError as error:
            problem = str(error)
            uses = ()
        if problem:
            raise InvalidInputError(f"{field}: {problem}")
        if uses and top not in component.value_fields:
            raise InvalidInputError(
                f"{field}: a vault item may not be used here: only in "
                + (", ".join(sorted(component.value_fields)) or "nodes that call out, such as webhook")
            )
        inbound = component.kind is NodeKind.TRIGGER
        if inbound and top in component.value_fields:
            _check_inbound(field, text, uses)
        for use in uses:
            if not inbound and use.name is not None and use.name.startswith(API_KEY_PREFIX):
                raise InvalidInputError(
                    f"{field}: {use.name} is a key for callers of ours, kept as a digest: "
                    "a key to send to somebody else is an ordinary item"
                )
            yield field, use


def find_data_paths(data: object) -> Iterator[Path]:
    """The paths of whatever else the templates inside a JSON-like structure read."""
    for _, text in find_texts(data):
        yield from find_reads(text)


def _check_inbound(field: str, text: str, uses: tuple[Use, ...]) -> None:
    (name,) = [use.name or "" for use in uses] if len(uses) == 1 else ("",)
    if (
        not name.startswith(API_KEY_PREFIX)
        or not text.strip().startswith("{{")
        or not text.strip().endswith("}}")
    ):
        raise InvalidInputError(
            f"{field}: name exactly one key that callers present: {{{{ vault['{API_KEY_PREFIX}NAME'] }}}}"
        )


def find_texts(data: object, path: str = "") -> Iterator[tuple[str, str]]:
    """Every string inside a JSON-like structure, with its dotted path; a key that is a template is refused."""
    if isinstance(data, str):
        yield path, data
    elif isinstance(data, Mapping):
        for key, part in data.items():
            below = f"{path}.{key}" if path else str(key)
            if "{{" in str(key) or "{%" in str(key):
                raise InvalidInputError(f"{path or 'data'}: a name of a field cannot be a template")
            yield from find_texts(part, below)
    elif isinstance(data, list):
        for number, part in enumerate(data):
            yield from find_texts(part, f"{path}.{number}")
