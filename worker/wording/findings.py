"""What was found of an item, of a stored row or of a template."""

from typing import Final

from worker.domain.reasons import Code
from worker.wording.parts import UNREAD, Given, Sentences, say_ago

_ROWS: Final = {
    "deployment": "the vault's own row",
    "owners": "an owner",
    "routes": "a route",
    "items": "an item",
    "item_owners": "an owner of an item",
    "item_labels": "a label of an item",
    "versions": "a version of an item",
    "item_references": "a use of an item",
    "workflows": "a workflow",
    "rotations": "a rotation",
    "waivers": "an answer for a consumer of a rotation",
    "checks": "what is known of a check",
    "runs": "a run",
    "run_versions": "what a run used",
    "pickups": "a key that waits to be collected",
    "notices": "a notice",
    "deliveries": "a delivery of a notice",
    "heartbeats": "a heartbeat",
    "departures": "a departure",
    "departure_items": "an item of a departure",
    "comparisons": "what came of a comparison after a restore",
    "credential_checks": "what came of the check of a credential",
    "item_accounts": "what an item changes on the other side",
    "principals": "a principal",
    "tokens": "a token of a principal",
    "sessions": "who is signed in to the console",
    "row_checks": "how far the check of all rows has come",
}
"""What a row of each table is."""


def _name_node(given: Given) -> str:
    return ("node {node}" if "node" in given else "the document") + " of workflow {workflow}"


def _name_row(given: Given) -> str:
    return (
        _ROWS.get(str(given.get("table")), "{table}")
        + (" {name}" if "name" in given else "")
        + " ({table} {key})"
    )


_LOOK: Final = "nothing is done by it. Restore it from a backup, or look at it and answer for it"
_SHARED: Final = (
    "when one of them is replaced the other stops working. Let workflows name one of them and delete the "
    "other, or declare which is the copy"
)
_COPY: Final = (
    "One of the two stops working, and no value is ever read out of the vault: let what uses it name "
    "{original}, or give it the value that works"
)

FINDINGS: Final[Sentences] = {
    # What was found of an item, a row, a template
    Code.UNREADABLE: "what is stored of {what} cannot be read ({problem}): restore its row from a backup",
    Code.EDITED_ROW: lambda given: f"{_name_row(given)} was changed behind the vault's back: {_LOOK}",
    Code.SEALED_ROW: lambda given: f"{_name_row(given)} does not open: its sealed record was changed: {_LOOK}",
    Code.BAD_TEMPLATE: "the template {template} is passed over, ours is sent in its place: {problem}",
    Code.NAMED: lambda given: f"{_name_node(given)} {'mentions' if given.get('mentioned') else 'names'} it",
    Code.USED_LAPSED: lambda given: (
        f"{_name_node(given)} {'mentions' if given.get('mentioned') else 'uses'} it, and it lapsed "
        f"{say_ago(given)}"
    ),
    Code.PINNED_OLD: lambda given: (
        f"{_name_node(given)} is pinned to version {{version}}, and version {{current}} is current"
    ),
    Code.RAN_OLD: lambda given: (
        f"{_name_node(given)} last ran with version {{version}}, and version {{current}} is current"
    ),
    Code.HELD_IDLE: lambda given: (
        f"{_name_node(given)} holds it, and "
        + (f"last ran {say_ago(given)}" if "seconds" in given else "has never run")
    ),
    Code.NO_CONSUMER: f"no active workflow here uses it: {UNREAD}. Apply one that does; or, if nothing here "
    f"needs to read it, {{command}}; or leave its replacement to its owner",
    Code.UNUSED: "apply the workflow that uses it, or say that something else does; if nothing does, it can go",
    Code.NO_OWNER: "nobody but the operators hears of it",
    Code.NO_EXPIRY: "nobody will notice when it stops working",
    Code.NO_PLAN: "say how it is replaced: auto, approve or notify",
    Code.GENERIC_NAME: "name service and environment, as in prod-ticketing-api-token",
    Code.NO_VALUE: "it came in without its value: nothing here can use it before that is given",
    Code.MISFIT: lambda given: (
        "its last replacement lives {lasts}, and its policy counts on a lead of {lead}"
        + (" and an overlap of {overlap}" if "overlap" in given else "")
        + (": a night comes once a day, and may find it lapsed" if given.get("short") else "")
        + ". Have its service give longer ones, or say how long they live"
    ),
    Code.SAME_VALUE: f"it has the same value as {{items}}: {_SHARED}",
    Code.SAME_ACCOUNT: f"it changes {{account}}, as does {{items}}: {_SHARED}",
    Code.COPY_IS_OLD: f"its original {{original}} was replaced on {{at}}, and it still has the value from "
    f"before. {_COPY}",
    Code.COPY_DIFFERS: f"it has another value than its original {{original}}, which got its own on {{at}}. "
    f"{_COPY}",
    Code.AFTER_RESTORE: "after the restore: {detail}",
}
