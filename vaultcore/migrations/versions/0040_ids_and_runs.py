"""Versions are found by what the other side calls them, and runs by the versions that they used."""

import sqlalchemy as sa
from alembic import op

revision = "0040"
down_revision = "0039"

_STORED_ID = {
    "sqlite": (
        "(CASE WHEN NOT json_valid(external) OR instr(external, '\\') > 0 "
        "OR length(replace(external, '\"id\"', '')) < length(external) - 4 THEN 'other' "
        "WHEN json_type(external, '$.id') IN ('text', 'integer') "
        "THEN substr(json_extract(external, '$.id', '$.id'), 1, 200) "
        "WHEN json_type(external, '$.id') <> 'null' THEN 'other' END)"
    ),
    "postgresql": (
        "(CASE WHEN strpos(external::text, E'\\\\') > 0 "
        "OR length(replace(external::text, '\"id\"', '')) < length(external::text) - 4 THEN 'other' "
        "WHEN json_typeof(external -> 'id') = 'string' "
        "OR (json_typeof(external -> 'id') = 'number' AND (external -> 'id')::text ~ '^-?[0-9]+$') "
        "THEN left((external -> 'id')::text, 200) "
        "WHEN json_typeof(external -> 'id') <> 'null' THEN 'other' END)"
    ),
}


def upgrade() -> None:
    stored_id = _STORED_ID[op.get_bind().dialect.name]
    has_id = sa.text(f"{stored_id} IS NOT NULL AND stage != 'destroyed'")
    op.create_index(
        "ix_versions_external_id",
        "versions",
        [sa.text(stored_id)],
        sqlite_where=has_id,
        postgresql_where=has_id,
    )
    op.create_index("ix_run_versions_item", "run_versions", ["item_id", "number"])
