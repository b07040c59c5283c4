"""What stands above a column: words for the name of a field."""

from collections.abc import Mapping
from typing import Final

_HEADINGS: Final[Mapping[str, str]] = {
    "is_active": "active",
    "schedule_type": "starts by",
    "schedule_value": "schedule",
    "next_at": "goes on",
    "last_version": "last used",
    "proven_version": "proven",
    "last_run_at": "last run",
    "error_node": "failed at",
    "error_message": "error",
    "resolved_by": "resolved by",
    "routed_at": "since",
    "disabled_at": "let in until",
}
"""Where the name alone would not tell."""


def head(field: str) -> str:
    """`expires_at`: `expires`; `next_run_at`: `next run`."""
    return _HEADINGS.get(field) or field.removesuffix("_at").replace("_", " ")
