"""The worker's tables, beside the vault's in one database: one file a subject.

Every row that a process may hold has a lease and, where it is written back, a fence: who lost the
lease cannot commit. Ids of items stand without foreign keys: a record outlives what it is about.
"""

from worker.rows.tables.credentials import check_turns, credential_checks
from worker.rows.tables.nights import findings, sweeps, tellings
from worker.rows.tables.notices import deliveries, heartbeats, notices
from worker.rows.tables.rotations import (
    checks,
    departure_items,
    departures,
    pickups,
    rotation_steps,
    rotations,
    waivers,
)
from worker.rows.tables.runs import run_logs, run_payloads, run_states, run_versions, runs, workflows
from worker.rows.tables.upkeep import (
    comparisons,
    held_places,
    requests,
    restorations,
    row_checks,
    signs_of_life,
    taken_messages,
)

__all__ = [
    "check_turns",
    "checks",
    "comparisons",
    "credential_checks",
    "deliveries",
    "departure_items",
    "departures",
    "findings",
    "heartbeats",
    "held_places",
    "notices",
    "pickups",
    "requests",
    "restorations",
    "rotation_steps",
    "rotations",
    "row_checks",
    "run_logs",
    "run_payloads",
    "run_states",
    "run_versions",
    "runs",
    "signs_of_life",
    "sweeps",
    "taken_messages",
    "tellings",
    "waivers",
    "workflows",
]
