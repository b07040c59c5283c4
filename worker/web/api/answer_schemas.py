"""Errors as the OpenAPI document has them: their two forms, and what each status means."""

from typing import Any, Final

from worker.web.answers import DOCS, OURS
from worker.web.codes import CODES

_SDX: Final = "SdxError"
_PROBLEM: Final = "Problem"
_FIELDS: Final[dict[str, Any]] = {
    "type": "array",
    "items": {
        "type": "object",
        "required": ["field", "message"],
        "properties": {"field": {"type": "string"}, "message": {"type": "string"}},
        "example": {"field": "name", "message": "Field required"},
    },
}
SCHEMAS: Final[dict[str, Any]] = {
    _SDX: {
        "type": "object",
        "description": "An error in SDX's form; the message and errors name the fields at fault.",
        "required": ["type", "code", "message", "doc_url"],
        "properties": {
            "type": {"type": "string"},
            "code": {"type": "string", "enum": sorted(CODES)},
            "message": {"type": "string"},
            "doc_url": {"type": "string", "format": "uri-reference"},
            "errors": _FIELDS,
        },
        "additionalProperties": False,
        "example": {
            "type": "invalid_request_error",
            "code": "invalid",
            "message": "name: Field required",
            "doc_url": f"{DOCS}#invalid",
            "errors": [_FIELDS["items"]["example"]],
        },
    },
    _PROBLEM: {
        "type": "object",
        "description": "A problem by RFC 9457; its title is the code, and errors name the fields at fault.",
        "required": ["type", "title", "status", "detail"],
        "properties": {
            "type": {"type": "string", "format": "uri-reference"},
            "title": {"type": "string", "enum": sorted(CODES)},
            "status": {"type": "integer"},
            "detail": {"type": "string"},
            "errors": _FIELDS,
        },
        "additionalProperties": False,
        "example": {
            "type": f"{DOCS}#invalid",
            "title": "invalid",
            "status": 422,
            "detail": "until: Field required",
            "errors": [{"field": "until", "message": "Field required"}],
        },
    },
}


def describe_error(path: str, status: int) -> dict[str, Any]:
    """What is answered with this status on this path."""
    ours = path.startswith(OURS)
    codes = [code for code, meaning in CODES.items() if meaning.startswith(f"{status}.")]
    schema = {"$ref": f"#/components/schemas/{_PROBLEM if ours else _SDX}"}
    return {
        "description": " ".join(CODES[code].partition(" ")[2] for code in codes),
        "content": {"application/problem+json" if ours else "application/json": {"schema": schema}},
    }
