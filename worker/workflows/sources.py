"""What a file holds: one document, or a list of them, such as the answer to `GET /workflows`. Pure."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from vaultcore.errors import InvalidInputError
from worker.domain.strict_json import parse_json, split_list
from worker.workflows.definition import Definition, load_definition


@dataclass(frozen=True, kw_only=True)
class Outline:
    """A document without nodes and edges, as lists of workflows have them: `fields` is all that it says."""

    name: str
    id: str | None
    fields: dict[str, Any]
    strict: bool = False


@dataclass(frozen=True, kw_only=True)
class Source:
    """One document of a file. `label` is the file's name, and the document's number if it is one of several."""

    label: str
    read: Definition | Outline


def read_sources(text: str, *, source: str, strict: bool = False) -> Iterator[Source | InvalidInputError]:
    """Each document of a file; in the place of one that is refused, the error that says why, as
    `load_definition` raises it.
    """
    try:
        documents = split_list(text.removeprefix("\ufeff"))
    except InvalidInputError as error:
        yield InvalidInputError(f"{source}: {error}")
        return
    if documents is None:
        yield _read(text, source, strict=strict)
        return
    if not documents:
        yield InvalidInputError(f"{source}: the list is empty")
    for number, one in enumerate(documents, start=1):
        label = f"{source} (number {number})"
        yield _read_outline(one, label, strict=strict) or _read(one, label, strict=strict)


def _read(text: str, label: str, *, strict: bool) -> Source | InvalidInputError:
    try:
        return Source(label=label, read=load_definition(text, source=label, strict=strict))
    except InvalidInputError as error:
        return error


def _read_outline(text: str, label: str, *, strict: bool) -> Source | None:
    try:
        raw = parse_json(text, unique=True)
    except InvalidInputError:
        return None
    if not isinstance(raw, dict) or raw.get("nodes") or not isinstance(raw.get("name"), str):
        return None
    given = raw.get("id")
    fields = {name: part for name, part in raw.items() if name not in ("nodes", "edges")}
    return Source(
        label=label,
        read=Outline(
            name=raw["name"], id=given if isinstance(given, str) else None, fields=fields, strict=strict
        ),
    )
