"""The first schema: the vault's tables and the worker's, in one database with one history.

There was no release before it. What stands here is what four steps made of an empty database.
"""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = None

_TIME = sa.DateTime(timezone=True)
_SEQUENCE = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    _create_tables_of_the_vault()
    _create_tables_of_the_worker()


def _create_tables_of_the_vault() -> None:
    op.create_table(
        "audit",
        sa.Column("seq", _SEQUENCE, autoincrement=False, nullable=False),
        sa.Column("at", _TIME, nullable=False),
        sa.Column("actor", sa.String(100), nullable=False),
        sa.Column("action", sa.String(60), nullable=False),
        sa.Column("subject", sa.String(100), nullable=False),
        sa.Column("details", sa.JSON(), nullable=False),
        sa.Column("hash", sa.LargeBinary(32), nullable=False),
        sa.PrimaryKeyConstraint("seq", name=op.f("pk_audit")),
    )
    op.create_table(
        "audit_head",
        sa.Column("id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("seq", sa.BigInteger(), nullable=False),
        sa.Column("hash", sa.LargeBinary(32), nullable=False),
        sa.CheckConstraint("id = 1", name=op.f("ck_audit_head_one_row")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_audit_head")),
    )
    op.create_table(
        "deployment",
        sa.Column("id", sa.String(40), nullable=False),
        sa.Column("keyring_check", sa.String(64), nullable=False),
        sa.Column("created_at", _TIME, nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_deployment")),
    )
    op.create_table(
        "items",
        sa.Column("id", sa.String(40), nullable=False),
        sa.Column("name", sa.String(50), nullable=False),
        sa.Column("kind", sa.String(10), nullable=False),
        sa.Column("policy", sa.JSON(), nullable=False),
        sa.Column("overlap_seconds", sa.BigInteger(), nullable=False),
        sa.Column("idle_seconds", sa.BigInteger(), nullable=False),
        sa.Column("hygiene", sa.String(100), nullable=False),
        sa.Column("expires_at", _TIME),
        sa.Column("due_at", _TIME),
        sa.Column("hold_until", _TIME),
        sa.Column("created_at", _TIME, nullable=False),
        sa.Column("updated_at", _TIME, nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_items")),
        sa.UniqueConstraint("name", name=op.f("uq_items_name")),
    )
    _index("ix_items_due", "items", ["due_at", "id"], where="due_at IS NOT NULL")
    _index("ix_items_hygiene", "items", ["id"], where="hygiene <> ''")
    op.create_table(
        "owners",
        sa.Column("id", sa.String(40), nullable=False),
        sa.Column("name", sa.String(100), nullable=False),
        sa.Column("created_at", _TIME, nullable=False),
        sa.Column("zone", sa.String(64), nullable=False, server_default="UTC"),
        sa.Column("quiet", sa.String(11)),
        sa.Column("deputy_id", sa.String(40)),
        sa.ForeignKeyConstraint(["deputy_id"], ["owners.id"], name=op.f("fk_owners_deputy_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_owners")),
        sa.UniqueConstraint("name", name=op.f("uq_owners_name")),
    )
    op.create_table(
        "item_owners",
        sa.Column("item_id", sa.String(40), nullable=False),
        sa.Column("owner_id", sa.String(40), nullable=False),
        sa.ForeignKeyConstraint(["item_id"], ["items.id"], name=op.f("fk_item_owners_item_id")),
        sa.ForeignKeyConstraint(["owner_id"], ["owners.id"], name=op.f("fk_item_owners_owner_id")),
        sa.PrimaryKeyConstraint("item_id", "owner_id", name=op.f("pk_item_owners")),
    )
    _index("ix_item_owners_owner_id", "item_owners", ["owner_id"])
    op.create_table(
        "item_references",
        sa.Column("consumer", sa.String(10), nullable=False),
        sa.Column("consumer_id", sa.String(40), nullable=False),
        sa.Column("consumer_name", sa.String(200), nullable=False),
        sa.Column("active", sa.Boolean(), nullable=False),
        sa.Column("node_id", sa.String(100), nullable=False),
        sa.Column("written", sa.String(60), nullable=False),
        sa.Column("item_id", sa.String(40)),
        sa.Column("pinned", sa.Integer()),
        sa.Column("last_version", sa.Integer()),
        sa.Column("last_run_at", _TIME),
        sa.Column("idle_at", _TIME),
        sa.Column("proven_version", sa.Integer()),
        sa.Column("proven_at", _TIME),
        sa.Column("held_by", sa.String(40)),
        sa.ForeignKeyConstraint(["item_id"], ["items.id"], name=op.f("fk_item_references_item_id")),
        sa.PrimaryKeyConstraint("consumer_id", "node_id", "written", name=op.f("pk_item_references")),
    )
    _index("ix_item_references_item_id", "item_references", ["item_id"])
    _index("ix_item_references_missing", "item_references", ["written"], where="item_id IS NULL")
    op.create_table(
        "routes",
        sa.Column("id", sa.String(40), nullable=False),
        sa.Column("owner_id", sa.String(40), nullable=False),
        sa.Column("shown", sa.Text(), nullable=False),
        sa.Column("key_id", sa.String(32), nullable=False),
        sa.Column("wrapped_key", sa.LargeBinary(), nullable=False),
        sa.Column("record", sa.LargeBinary(), nullable=False),
        sa.Column("created_at", _TIME, nullable=False),
        sa.ForeignKeyConstraint(["owner_id"], ["owners.id"], name=op.f("fk_routes_owner_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_routes")),
    )
    _index("ix_routes_owner_id", "routes", ["owner_id"])
    op.create_table(
        "versions",
        sa.Column("item_id", sa.String(40), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("stage", sa.String(10), nullable=False),
        sa.Column("expires_at", _TIME),
        sa.Column("created_at", _TIME, nullable=False),
        sa.Column("activated_at", _TIME),
        sa.Column("superseded_at", _TIME),
        sa.Column("destroyed_at", _TIME),
        sa.Column("key_id", sa.String(32)),
        sa.Column("wrapped_key", sa.LargeBinary()),
        sa.Column("record", sa.LargeBinary()),
        sa.Column("digest", sa.LargeBinary(32)),
        sa.Column("external", sa.JSON(), nullable=False),
        sa.CheckConstraint(
            "stage <> 'destroyed' OR (wrapped_key IS NULL AND record IS NULL)",
            name=op.f("ck_versions_destroyed_is_empty"),
        ),
        sa.CheckConstraint("(record IS NULL) = (wrapped_key IS NULL)", name=op.f("ck_versions_sealed_whole")),
        sa.CheckConstraint(
            "stage IN ('pending', 'current', 'previous', 'destroyed')", name=op.f("ck_versions_stage_known")
        ),
        sa.ForeignKeyConstraint(["item_id"], ["items.id"], name=op.f("fk_versions_item_id")),
        sa.PrimaryKeyConstraint("item_id", "number", name=op.f("pk_versions")),
        sa.UniqueConstraint("digest", name=op.f("uq_versions_digest")),
    )
    _index("ix_versions_previous", "versions", ["item_id"], where="stage = 'previous'")
    _index("uq_versions_one_current", "versions", ["item_id"], where="stage = 'current'", unique=True)
    _index("uq_versions_one_pending", "versions", ["item_id"], where="stage = 'pending'", unique=True)


def _create_tables_of_the_worker() -> None:
    op.create_table(
        "claims",
        sa.Column("id", sa.String(40), nullable=False),
        sa.Column("item_id", sa.String(40), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("rotation_id", sa.String(40), nullable=False),
        sa.Column("created_at", _TIME, nullable=False),
        sa.Column("claimed_at", _TIME),
        sa.Column("expires_at", _TIME),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_claims")),
    )
    _index("ix_claims_rotation_id", "claims", ["rotation_id"])
    op.create_table(
        "departures",
        sa.Column("id", sa.String(40), nullable=False),
        sa.Column("name", sa.String(100), nullable=False),
        sa.Column("asked_by", sa.String(100), nullable=False),
        sa.Column("hurried", sa.Boolean(), nullable=False),
        sa.Column("began_at", _TIME, nullable=False),
        sa.Column("finished_at", _TIME),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_departures")),
    )
    _index("uq_departures_open", "departures", ["name"], where="finished_at IS NULL", unique=True)
    op.create_table(
        "findings",
        sa.Column("id", sa.String(40), nullable=False),
        sa.Column("kind", sa.String(20), nullable=False),
        sa.Column("subject", sa.String(250), nullable=False),
        sa.Column("item_id", sa.String(40)),
        sa.Column("item", sa.String(60)),
        sa.Column("workflow", sa.String(200)),
        sa.Column("level", sa.Integer(), nullable=False),
        sa.Column("detail", sa.Text(), nullable=False),
        sa.Column("opened_at", _TIME, nullable=False),
        sa.Column("seen_at", _TIME, nullable=False),
        sa.Column("resolved_at", _TIME),
        sa.Column("quiet_until", _TIME),
        sa.Column("quiet_level", sa.Integer()),
        sa.Column("quiet_by", sa.String(100)),
        sa.Column("quiet_why", sa.Text()),
        sa.Column("topic", sa.String(100), nullable=False),
        sa.Column("deadline", _TIME),
        sa.Column("does", sa.Text()),
        sa.Column("command", sa.Text()),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_findings")),
    )
    _index("ix_findings_item_id", "findings", ["item_id"])
    _index("ix_findings_topic", "findings", ["topic"], where="resolved_at IS NULL")
    _index("uq_findings_open", "findings", ["kind", "subject"], where="resolved_at IS NULL", unique=True)
    op.create_table(
        "heartbeats",
        sa.Column("slot", _TIME, nullable=False),
        sa.Column("beat", sa.String(10), nullable=False),
        sa.Column("text", sa.Text(), nullable=False),
        sa.Column("state", sa.String(10), nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("next_at", _TIME),
        sa.Column("last_error", sa.Text()),
        sa.Column("posted_at", _TIME, nullable=False),
        sa.PrimaryKeyConstraint("slot", "beat", name=op.f("pk_heartbeats")),
    )
    op.create_table(
        "notices",
        sa.Column("id", sa.String(40), nullable=False),
        sa.Column("dedupe_key", sa.String(200), nullable=False),
        sa.Column("owner_id", sa.String(40), nullable=False),
        sa.Column("owner", sa.String(100), nullable=False),
        sa.Column("kind", sa.String(20), nullable=False),
        sa.Column("subject", sa.Text(), nullable=False),
        sa.Column("body", sa.Text()),
        sa.Column("claim_id", sa.String(40)),
        sa.Column("created_at", _TIME, nullable=False),
        sa.Column("night", _TIME),
        sa.Column("urgent", sa.Boolean(), nullable=False, server_default=sa.false()),
        sa.Column("about", sa.String(40)),
        sa.Column("routed", sa.Boolean(), nullable=False, server_default=sa.false()),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_notices")),
        sa.UniqueConstraint("dedupe_key", name=op.f("uq_notices_dedupe_key")),
    )
    _index("ix_notices_about", "notices", ["about"], where="about IS NOT NULL")
    _index("ix_notices_unrouted", "notices", ["owner_id"], where="NOT routed")
    op.create_table(
        "rotations",
        sa.Column("id", sa.String(40), nullable=False),
        sa.Column("item_id", sa.String(40), nullable=False),
        sa.Column("item", sa.String(50), nullable=False),
        sa.Column("rotator", sa.String(60), nullable=False),
        sa.Column("state", sa.String(20), nullable=False),
        sa.Column("reason", sa.String(100), nullable=False),
        sa.Column("asked_by", sa.String(100), nullable=False),
        sa.Column("night", _TIME),
        sa.Column("old_number", sa.Integer(), nullable=False),
        sa.Column("new_number", sa.Integer()),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("last_cause", sa.String(10)),
        sa.Column("last_error", sa.Text()),
        sa.Column("waits_for", sa.JSON(), nullable=False),
        sa.Column("next_at", _TIME),
        sa.Column("lease_until", _TIME),
        sa.Column("fence", sa.Integer(), nullable=False),
        sa.Column("created_at", _TIME, nullable=False),
        sa.Column("activated_at", _TIME),
        sa.Column("finished_at", _TIME),
        sa.Column("counterpart", sa.String(250)),
        sa.Column("stuck_in", sa.String(20)),
        sa.Column("approved_by", sa.String(100)),
        sa.Column("request_digest", sa.String(64)),
        sa.Column("hurried", sa.Boolean(), nullable=False, server_default=sa.false()),
        sa.Column("gated", sa.Boolean(), nullable=False, server_default=sa.false()),
        sa.Column("candidates", sa.Integer(), nullable=False, server_default="0"),
        sa.Column("issuing", sa.Boolean(), nullable=False, server_default=sa.false()),
        sa.Column("late_until", _TIME),
        sa.Column("outages", sa.Integer(), nullable=False, server_default="0"),
        sa.Column("failing_since", _TIME),
        sa.Column("polls", sa.Integer(), nullable=False, server_default="0"),
        sa.Column("settling_since", _TIME),
        sa.Column("canary_id", sa.String(40)),
        sa.Column("widened_at", _TIME),
        sa.Column("overlap_until", _TIME),
        sa.Column("told_night", _TIME),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_rotations")),
    )
    _index("ix_rotations_item_id", "rotations", ["item_id"])
    _index("ix_rotations_next", "rotations", ["next_at"], where="finished_at IS NULL")
    _index("ix_rotations_night", "rotations", ["night"])
    _index("uq_rotations_open", "rotations", ["item_id"], where="finished_at IS NULL", unique=True)
    op.create_table(
        "sweeps",
        sa.Column("job", sa.String(20), nullable=False),
        sa.Column("slot", _TIME, nullable=False),
        sa.Column("lease_until", _TIME, nullable=False),
        sa.Column("started_at", _TIME, nullable=False),
        sa.Column("scanned_at", _TIME),
        sa.Column("done_at", _TIME),
        sa.Column("outcome", sa.String(10)),
        sa.Column("counts", sa.JSON(), nullable=False),
        sa.PrimaryKeyConstraint("job", "slot", name=op.f("pk_sweeps")),
    )
    op.create_table(
        "workflows",
        sa.Column("id", sa.String(40), nullable=False),
        sa.Column("name", sa.String(200), nullable=False),
        sa.Column("definition", sa.JSON(), nullable=False),
        sa.Column("active", sa.Boolean(), nullable=False),
        sa.Column("schedule_type", sa.String(10), nullable=False),
        sa.Column("schedule_value", sa.String(100)),
        sa.Column("next_run_at", _TIME),
        sa.Column("created_at", _TIME, nullable=False),
        sa.Column("updated_at", _TIME, nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_workflows")),
        sa.UniqueConstraint("name", name=op.f("uq_workflows_name")),
    )
    _index("ix_workflows_next_run", "workflows", ["next_run_at"], where="next_run_at IS NOT NULL")
    op.create_table(
        "deliveries",
        sa.Column("notice_id", sa.String(40), nullable=False),
        sa.Column("route_id", sa.String(40), nullable=False),
        sa.Column("shown", sa.Text(), nullable=False),
        sa.Column("state", sa.String(10), nullable=False),
        sa.Column("attempts", sa.BigInteger(), nullable=False),
        sa.Column("last_error", sa.Text()),
        sa.Column("next_at", _TIME),
        sa.Column("tried_at", _TIME),
        sa.Column("sent_at", _TIME),
        sa.Column("stands_in", sa.Boolean(), nullable=False, server_default=sa.false()),
        sa.ForeignKeyConstraint(["notice_id"], ["notices.id"], name=op.f("fk_deliveries_notice_id")),
        sa.PrimaryKeyConstraint("notice_id", "route_id", name=op.f("pk_deliveries")),
    )
    _index("ix_deliveries_failed", "deliveries", ["tried_at"], where="state = 'failed'")
    _index("ix_deliveries_next", "deliveries", ["next_at"], where="state = 'waiting'")
    op.create_table(
        "departure_items",
        sa.Column("departure_id", sa.String(40), nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("item_id", sa.String(40), nullable=False),
        sa.Column("item", sa.String(50), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(
            ["departure_id"], ["departures.id"], name=op.f("fk_departure_items_departure_id")
        ),
        sa.PrimaryKeyConstraint("departure_id", "position", name=op.f("pk_departure_items")),
    )
    op.create_table(
        "rotation_steps",
        sa.Column("rotation_id", sa.String(40), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("step", sa.String(20), nullable=False),
        sa.Column("result", sa.String(10), nullable=False),
        sa.Column("cause", sa.String(10)),
        sa.Column("message", sa.Text(), nullable=False),
        sa.Column("at", _TIME, nullable=False),
        sa.ForeignKeyConstraint(["rotation_id"], ["rotations.id"], name=op.f("fk_rotation_steps_rotation_id")),
        sa.PrimaryKeyConstraint("rotation_id", "number", name=op.f("pk_rotation_steps")),
    )
    op.create_table(
        "runs",
        sa.Column("id", sa.String(40), nullable=False),
        sa.Column("workflow_id", sa.String(40), nullable=False),
        sa.Column("workflow_name", sa.String(200), nullable=False),
        sa.Column("purpose", sa.String(10), nullable=False),
        sa.Column("trigger", sa.String(10), nullable=False),
        sa.Column("rotation_id", sa.String(40)),
        sa.Column("status", sa.String(30), nullable=False),
        sa.Column("error_message", sa.Text()),
        sa.Column("error_node", sa.String(100)),
        sa.Column("error_cause", sa.String(10)),
        sa.Column("created_at", _TIME, nullable=False),
        sa.Column("started_at", _TIME),
        sa.Column("completed_at", _TIME),
        sa.Column("external_id", sa.String(200)),
        sa.ForeignKeyConstraint(["workflow_id"], ["workflows.id"], name=op.f("fk_runs_workflow_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_runs")),
    )
    _index("ix_runs_open", "runs", ["created_at"], where="completed_at IS NULL")
    _index("ix_runs_workflow", "runs", ["workflow_id", "started_at"])
    _index("uq_runs_external", "runs", ["external_id"], where="external_id IS NOT NULL", unique=True)
    op.create_table(
        "tellings",
        sa.Column("owner_id", sa.String(40), nullable=False),
        sa.Column("topic", sa.String(100), nullable=False),
        sa.Column("level", sa.Integer(), nullable=False),
        sa.Column("night", _TIME),
        sa.Column("at", _TIME, nullable=False),
        sa.ForeignKeyConstraint(["owner_id"], ["owners.id"], name=op.f("fk_tellings_owner_id")),
        sa.PrimaryKeyConstraint("owner_id", "topic", name=op.f("pk_tellings")),
    )
    _index("ix_tellings_night", "tellings", ["night", "owner_id"])
    op.create_table(
        "waivers",
        sa.Column("rotation_id", sa.String(40), nullable=False),
        sa.Column("workflow_id", sa.String(40), nullable=False),
        sa.Column("by", sa.String(100), nullable=False),
        sa.Column("why", sa.Text(), nullable=False),
        sa.Column("at", _TIME, nullable=False),
        sa.ForeignKeyConstraint(["rotation_id"], ["rotations.id"], name=op.f("fk_waivers_rotation_id")),
        sa.PrimaryKeyConstraint("rotation_id", "workflow_id", name=op.f("pk_waivers")),
    )
    op.create_table(
        "run_logs",
        sa.Column("id", sa.String(40), nullable=False),
        sa.Column("run_id", sa.String(40), nullable=False),
        sa.Column("node_id", sa.String(100), nullable=False),
        sa.Column("component_id", sa.String(100), nullable=False),
        sa.Column("status", sa.String(10), nullable=False),
        sa.Column("output", sa.JSON(), nullable=False),
        sa.Column("created_at", _TIME, nullable=False),
        sa.ForeignKeyConstraint(["run_id"], ["runs.id"], name=op.f("fk_run_logs_run_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_run_logs")),
    )
    _index("ix_run_logs_run_id", "run_logs", ["run_id"])
    op.create_table(
        "run_versions",
        sa.Column("run_id", sa.String(40), nullable=False),
        sa.Column("item_id", sa.String(40), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(["run_id"], ["runs.id"], name=op.f("fk_run_versions_run_id")),
        sa.PrimaryKeyConstraint("run_id", "item_id", name=op.f("pk_run_versions")),
    )


def _index(
    name: str, table: str, columns: list[str], *, where: str | None = None, unique: bool = False
) -> None:
    rows = None if where is None else sa.text(where)
    op.create_index(name, table, columns, unique=unique, sqlite_where=rows, postgresql_where=rows)
