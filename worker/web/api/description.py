"""`/openapi.json`: each call with an example of its body, and with every answer that it may give."""

from collections.abc import Iterator, Mapping
from typing import Any, Final

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi

from worker.web.api.answer_schemas import SCHEMAS, describe_error
from worker.web.api.asking import ONCE
from worker.web.api.inbound import INBOUND

_ALWAYS: Final = (400, 401, 403, 408, 409, 413, 415, 429, 500, 503)
_GENERATED: Final = ("HTTPValidationError", "ValidationError")
"""What FastAPI would answer for a wrong field; we answer in our own forms."""


def describe_calls(app: FastAPI) -> None:
    """From now on `app.openapi()` is whole; it is worked out once."""

    def openapi() -> dict[str, Any]:
        if app.openapi_schema is None:
            app.openapi_schema = _complete(
                get_openapi(title=app.title, version=app.version, summary=app.summary, routes=app.routes)
            )
        return app.openapi_schema

    app.openapi = openapi  # type: ignore[method-assign]  # FastAPI's documented way


def _complete(found: dict[str, Any]) -> dict[str, Any]:
    components = found.setdefault("components", {})
    schemas = components.setdefault("schemas", {})
    for name in _GENERATED:
        schemas.pop(name, None)
    schemas.update(SCHEMAS)
    components["securitySchemes"] = {"token": {"type": "http", "scheme": "bearer", "bearerFormat": "wfk_…"}}
    for path, methods in found["paths"].items():
        for call in methods.values():
            _complete_call(path, call, schemas)
    found["paths"].update(INBOUND)
    return found


def _complete_call(path: str, call: dict[str, Any], schemas: Mapping[str, Any]) -> None:
    call["security"] = [{"token": []}]
    body = call.get("requestBody", {}).get("content", {}).get("application/json")
    if body is not None:
        body["example"] = _find_example(body["schema"], schemas)
    answers = call["responses"]
    answers.pop("422", None)
    given = body is not None or call.get("parameters")
    named = body is not None or any(one["in"] != "header" for one in call.get("parameters", ()))
    changes = any(one["name"].lower() == "if-match" for one in call.get("parameters", ()))
    more = {404: named, 412: changes, 422: given or call.get(ONCE)}
    for status in (*_ALWAYS, *(status for status, may_be in more.items() if may_be)):
        answers[str(status)] = describe_error(path, status)


def _find_example(schema: Mapping[str, Any], schemas: Mapping[str, Any]) -> Any:  # noqa: ANN401  # JSON
    """Of a body: its own, or the examples of its fields together."""
    if "$ref" in schema:
        schema = schemas[schema["$ref"].rpartition("/")[2]]
    if schema.get("examples"):
        return schema["examples"][0]
    return dict(_find_examples(schema))


def _find_examples(schema: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    for name, field in schema["properties"].items():
        if field.get("examples"):
            yield name, field["examples"][0]
        elif field.get("default") is not None:
            yield name, field["default"]
