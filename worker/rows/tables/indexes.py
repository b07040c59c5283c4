"""The indexes of the worker's tables, apart from them as those of the vault's are (`vaultcore.indexes`)."""

from typing import Final

from sqlalchemy import Index

from vaultcore.indexes import VAULT_INDEXES, only_where
from worker.rows.tables import (
    comparisons,
    credential_checks,
    deliveries,
    departures,
    findings,
    heartbeats,
    notices,
    pickups,
    rotations,
    run_versions,
    runs,
    sweeps,
    tellings,
    workflows,
)

_UNFINISHED: Final = only_where("finished_at IS NULL")
_UNRESOLVED: Final = only_where("resolved_at IS NULL")
_WAITING: Final = only_where("state = 'waiting'")
_OF_OPEN: Final = ("state", "id", "emergency", "failing_since", "item_id", "finished_at")
_RUNNING: Final = only_where("completed_at IS NULL")

_OF_CREDENTIALS: Final = (
    Index("ix_credential_checks_next_at", credential_checks.c.next_at, credential_checks.c.item_id),
    Index("ix_credential_checks_waits", credential_checks.c.target, **only_where("waits")),
    Index("ix_credential_checks_refused", credential_checks.c.item_id, **only_where("outcome = 'refused'")),
    Index("ix_credential_checks_night", credential_checks.c.night),
)
_OF_NIGHTS: Final = (
    Index("ix_sweeps_open", sweeps.c.job, sweeps.c.slot, **only_where("done_at IS NULL")),
    Index("uq_findings_open", findings.c.kind, findings.c.subject, unique=True, **_UNRESOLVED),
    Index("ix_findings_topic", findings.c.topic, **_UNRESOLVED),
    *(
        Index(
            f"ix_findings_by_{key}",
            *(findings.c[part] for part in dict.fromkeys((key, "id", "kind", "item_id", "workflow"))),
            **_UNRESOLVED,
        )
        for key in ("opened_at", "kind", "item")
    ),
    Index("ix_tellings_night", tellings.c.night, tellings.c.owner_id),
    Index("ix_tellings_topic", tellings.c.topic),
)
_OF_NOTICES: Final = (
    Index("ix_heartbeats_next", heartbeats.c.next_at, **_WAITING),
    Index("ix_notices_unrouted", notices.c.owner_id, **only_where("NOT routed")),
    Index("ix_notices_about", notices.c.about, **only_where("about IS NOT NULL")),
    Index("ix_notices_by_created_at", notices.c.created_at, notices.c.id, notices.c.owner_id),
    Index("ix_notices_owner", notices.c.owner_id, notices.c.created_at, notices.c.id),
    Index("ix_deliveries_failed", deliveries.c.tried_at, **only_where("state = 'failed'")),
    Index("ix_deliveries_next", deliveries.c.next_at, **_WAITING),
)
_OF_ROTATIONS: Final = (
    Index("uq_rotations_open", rotations.c.item_id, unique=True, **_UNFINISHED),
    Index("ix_rotations_next", rotations.c.next_at, **_UNFINISHED),
    Index("ix_rotations_night", *(rotations.c[part] for part in ("night", "state", "target", "id"))),
    Index(
        "ix_rotations_held",
        rotations.c.target,
        rotations.c.lease_until,
        **only_where("lease_until IS NOT NULL"),
    ),
    Index("ix_rotations_due_at_target", rotations.c.target, rotations.c.next_at, **_UNFINISHED),
    Index(
        "ix_rotations_by_created_at",
        *(rotations.c[part] for part in ("created_at", "id", "item_id", "state", "finished_at")),
    ),
    Index(
        "ix_rotations_by_item",
        *(rotations.c[part] for part in ("item", "id", "item_id", "state", "created_at", "finished_at")),
    ),
    Index(
        "ix_rotations_open",
        *(rotations.c[part] for part in _OF_OPEN),
        **_UNFINISHED,
    ),
    Index(
        "ix_rotations_ended",
        rotations.c.finished_at,
        rotations.c.state,
        **only_where("finished_at IS NOT NULL"),
    ),
    Index("ix_rotations_told", rotations.c.told_night, **only_where("told_night IS NOT NULL")),
    Index(
        "ix_rotations_untold",
        rotations.c.state,
        **only_where("told_night IS NULL AND night IS NOT NULL"),
    ),
    Index("ix_rotations_emergency", rotations.c.next_at, **only_where("emergency AND finished_at IS NULL")),
    Index("ix_rotations_leases_lost", rotations.c.leases_lost, **only_where("leases_lost > 0")),
    Index("uq_departures_open", departures.c.name, unique=True, **_UNFINISHED),
    Index("ix_pickups_version", pickups.c.item_id, pickups.c.number),
    Index("ix_pickups_waiting", pickups.c.id, **only_where("arrived_at IS NULL AND ended_at IS NULL")),
    Index(
        "ix_pickups_ending",
        pickups.c.arrived_at,
        **only_where("arrived_at IS NOT NULL AND ended_at IS NULL"),
    ),
)
_OF_RUNS: Final = (
    Index("uq_workflows_given_id", workflows.c.given_id, unique=True, **only_where("given_id IS NOT NULL")),
    Index("ix_workflows_next_run", workflows.c.next_run_at, **only_where("next_run_at IS NOT NULL")),
    Index("ix_runs_workflow", runs.c.workflow_id, runs.c.started_at),
    Index("ix_runs_open", runs.c.created_at, **_RUNNING),
    Index("ix_runs_pending", runs.c.created_at, **only_where("status = 'pending' AND completed_at IS NULL")),
    Index("ix_runs_begun", runs.c.started_at, **_RUNNING),
    Index("ix_runs_by_created_at", *(runs.c[part] for part in ("created_at", "id", "status", "purpose"))),
    Index(
        "ix_runs_of_workflow",
        *(runs.c[part] for part in ("workflow_id", "created_at", "id", "status", "purpose")),
    ),
    Index("ix_run_versions_item", run_versions.c.item_id, run_versions.c.number),
    Index("uq_runs_external", runs.c.external_id, unique=True, **only_where("external_id IS NOT NULL")),
)
_OF_UPKEEP: Final = (Index("ix_comparisons_open", comparisons.c.next_at, **_UNRESOLVED),)

INDEXES: Final = (
    *VAULT_INDEXES,
    *_OF_CREDENTIALS,
    *_OF_NIGHTS,
    *_OF_NOTICES,
    *_OF_ROTATIONS,
    *_OF_RUNS,
    *_OF_UPKEEP,
)
"""Those of the vault's tables with them: all that the schema has."""
