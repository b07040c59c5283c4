"""`nightkey node` and `nightkey rotator`: what there is, with its settings and an example that works."""

import inspect
import json as jsonlib
from collections.abc import Iterator
from typing import Any

from pydantic import BaseModel
from pydantic.json_schema import GenerateJsonSchema
from pydantic_core.core_schema import WithDefaultSchema

from vaultcore.errors import NightkeyError, NotFoundError
from worker.cli.commands import Commands
from worker.cli.output import print_json, print_lines, print_table, print_text
from worker.cli.session import Json

_Schema = dict[str, Any]
_WORDS = {
    "string": "text",
    "integer": "number",
    "number": "number",
    "boolean": "true or false",
    "null": "nothing",
    "object": "object",
    None: "anything",
}

nodes = Commands(no_args_is_help=True)
rotators = Commands(no_args_is_help=True)


@nodes.command("list")
def list_nodes(*, json: Json = False) -> None:
    """List the components that are installed."""
    from worker.workflows.nodes.catalog import component_ids, explain_missing, find_component  # noqa: PLC0415  # slow

    rows = []
    for component_id in component_ids():
        row = {"component": component_id, "type": "", "takes items in": ""}
        try:
            found = find_component(component_id)
        except NightkeyError as error:  # of somebody else's, perhaps: the others are listed all the same
            rows.append(row | {"does": str(error)})
            continue
        if found is not None:
            row |= {"type": found.kind.value, "takes items in": ", ".join(sorted(found.value_fields))}
            rows.append(row | {"does": explain_missing(found) or _first_line(found)})
    _print_list(rows, json=json)


@nodes.command("show")
def show_node(component: str, *, json: Json = False) -> None:
    """Show a component: what it does, its fields, its test. An example of its `data` comes last."""
    from worker.workflows.nodes.catalog import component_ids, explain_missing, find_component  # noqa: PLC0415  # slow

    found = find_component(component)
    if found is None:
        raise NotFoundError(f"no component {component[:60]!r}: there are {', '.join(component_ids())}")
    example = {"componentId": component, **found.example}
    _show(component, found, found.Fields, example, missing=explain_missing(found), json=json)


@rotators.command("list")
def list_rotators(*, json: Json = False) -> None:
    """List the rotators that are installed."""
    from worker.rotators.catalog import explain_missing, find_rotator, rotator_names  # noqa: PLC0415  # slow

    rows = []
    for name in rotator_names():
        try:
            found = find_rotator(name)
            missing = explain_missing(name)
        except NightkeyError as error:  # as above
            rows.append({"rotator": name, "items": "", "does": str(error)})
        else:
            rows.append({"rotator": name, "items": found.kind.value, "does": missing or _first_line(found)})
    _print_list(rows, json=json)


@rotators.command("show")
def show_rotator(rotator: str, *, json: Json = False) -> None:
    """Show a rotator: what it changes, and what it needs. Then what happens half-way, settings, an example."""
    from worker.rotators.catalog import explain_missing, find_rotator  # noqa: PLC0415  # slow

    found = find_rotator(rotator)
    example = {"mode": "auto", "rotator": rotator, "lifetime": "90d", "settings": found.example}
    _show(rotator, found, found.Settings, example, missing=explain_missing(rotator), json=json)


def _show(
    name: str,
    found: object,
    model: type[BaseModel],
    example: dict[str, Any],
    *,
    missing: str | None,
    json: bool,
) -> None:
    page = _read_page(found)
    settings = list(describe_fields(model))
    if json:
        print_json({"name": name, "page": page, "settings": settings, "example": example, "missing": missing})
        return
    print_lines([name, "", page, ""])
    print_table(settings, ("name", "type", "default", "means"), "nothing to set")
    print_lines(["", "example:"])
    print_text(jsonlib.dumps(example, indent=2))
    if missing is not None:
        print_lines(["", missing])


class _WithMadeDefaults(GenerateJsonSchema):
    """The standard one leaves out defaults that a function makes, such as an empty list."""

    def get_default_value(self, schema: WithDefaultSchema) -> Any:  # noqa: ANN401  # pydantic's
        make = schema.get("default_factory")
        return super().get_default_value(schema) if make is None else make()  # type: ignore[call-arg]  # none takes data


def describe_fields(model: type[BaseModel]) -> Iterator[dict[str, str]]:
    """A row for each field: its name as it is written, its type, its default, and what it means.

    The fields of a model inside it follow where it is met first.
    """
    schema = model.model_json_schema(schema_generator=_WithMadeDefaults)
    yield from _describe(schema, "", dict(schema.get("$defs", {})))


def _describe(schema: _Schema, prefix: str, unseen: dict[str, _Schema]) -> Iterator[dict[str, str]]:
    required = schema.get("required", ())
    for field, found in schema.get("properties", {}).items():
        yield {
            "name": prefix + field,
            "type": _show_type(found),
            "default": "required" if field in required else jsonlib.dumps(found.get("default")),
            "means": found.get("description", ""),
        }
        for part in (found, found.get("items", {}), *found.get("anyOf", ())):
            inner = unseen.pop(part.get("$ref", "").rpartition("/")[2], None)
            if inner is not None:
                yield from _describe(inner, f"{prefix}{field}.", unseen)


def _show_type(schema: _Schema) -> str:
    """As a person says it: `text or nothing`, `one of GET, POST`, `list of object`."""
    if "enum" in schema or "const" in schema:
        return f"one of {', '.join(map(str, schema.get('enum') or [schema['const']]))}"
    if "anyOf" in schema:
        return " or ".join(_show_type(part) for part in schema["anyOf"])
    if schema.get("type") == "array":
        return f"list of {_show_type(schema.get('items', {}))}"
    return "object" if "$ref" in schema else _WORDS[schema.get("type")]


def _first_line(found: object) -> str:
    return _read_page(found).partition("\n")[0]


def _read_page(found: object) -> str:
    """Its class's own docstring: that of a base says nothing of it."""
    return inspect.cleandoc(vars(type(found)).get("__doc__") or "")


def _print_list(rows: list[dict[str, Any]], *, json: bool) -> None:
    if json:
        print_json(rows)
    else:
        print_table(rows, tuple(rows[0]), "none")
