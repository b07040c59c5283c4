"""Routes that are no principal's (`worker.web.ingress`, `…keysets`), as the OpenAPI document has them."""

from typing import Any, Final

from vaultcore.access import Action
from worker.web.api.answer_schemas import describe_error
from worker.web.api.asking import ACTION

_FROM_OUTSIDE: Final = (400, 401, 408, 413, 415, 422, 429, 500, 503)
_RUN: Final[dict[str, Any]] = {
    "type": "object",
    "required": ["id", "workflow", "status"],
    "properties": {"id": {"type": "string"}, "workflow": {"type": "string"}, "status": {"type": "string"}},
}
_RUNS: Final[dict[str, Any]] = {
    "type": "object",
    "required": ["runs"],
    "properties": {"runs": {"type": "array", "items": _RUN}},
}
_PAYLOAD: Final = {"content": {"application/json": {"schema": {}, "example": {"amount": 120}}}}


def _answers(path: str, *errors: int, **good: dict[str, Any]) -> dict[str, Any]:
    """Good ones by their status, behind an underscore."""
    described = {str(status): describe_error(path, status) for status in errors}
    return {name.removeprefix("_"): one for name, one in good.items()} | described


def _json(description: str, schema: dict[str, Any]) -> dict[str, Any]:
    return {"description": description, "content": {"application/json": {"schema": schema}}}


def _path_parameter(name: str) -> dict[str, Any]:
    return {"name": name, "in": "path", "required": True, "schema": {"type": "string"}}


_SYNC, _HOOK = "/workflows/sync/{workflow}", "/workflows/webhooks"
_CALLED: Final = _answers(
    _HOOK, *_FROM_OUTSIDE, _202=_json("How each run ended, or that it waits at a delay.", _RUNS)
)
INBOUND: Final[dict[str, Any]] = {
    _SYNC: {
        "post": {
            "tags": ["webhooks"],
            "summary": "Run one and answer with its last node's output",
            "description": "Opened by the key that its trigger names, as a bearer token or as X-API-Key; or by "
            "the token of a principal who may run workflows.",
            ACTION: Action.WORKFLOW_RUN.value,
            "parameters": [_path_parameter("workflow")],
            "requestBody": _PAYLOAD,
            "security": [{"token": []}],
            "responses": _answers(
                _SYNC,
                *_FROM_OUTSIDE,
                403,
                404,
                409,
                502,
                _200=_json("The output of its last node, masked.", {}),
                _202=_json("It came to a delay, and goes on by itself.", _RUN),
            ),
        }
    },
    _HOOK: {
        "post": {
            "tags": ["webhooks"],
            "summary": "Run every workflow that the key opens",
            "description": "Those that begin with webhook_trigger and name the key's item.",
            "requestBody": _PAYLOAD,
            "security": [{"token": []}],
            "responses": _CALLED,
        }
    },
    f"{_HOOK}/{{token}}": {
        "post": {
            "tags": ["webhooks"],
            "summary": "The same, with the key in the address",
            "parameters": [_path_parameter("token")],
            "requestBody": _PAYLOAD,
            "security": [],
            "responses": _CALLED,
        }
    },
    "/workflows/vault/{item}/jwks.json": {
        "get": {
            "tags": ["vault"],
            "summary": "The key set of an item that rotates by signing-key",
            "parameters": [_path_parameter("item")],
            "security": [],
            "responses": _answers(
                "/workflows",
                404,
                500,
                503,
                _200=_json("Public keys, for everybody.", {"type": "object", "required": ["keys"]}),
            ),
        }
    },
    "/health": {
        "get": {
            "tags": ["status"],
            "summary": "Whether the database answers",
            "security": [],
            "responses": _answers("/health", 503, _200=_json("It does.", {"type": "object"})),
        }
    },
}
