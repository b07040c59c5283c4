"""What is printed of a workflow and of its document: named facts. Command line and interface share it."""

from collections.abc import Sequence
from typing import Any

from vaultcore.model import Item
from worker.workflows.remarks import OUTSIDE, Remark
from worker.workflows.workflow import Workflow


def describe_remark(remark: Remark) -> dict[str, Any]:
    return {"weight": remark.weight, "where": remark.where, "what": remark.what}


def describe_applied(one: Any) -> dict[str, Any]:  # noqa: ANN401  # of `worker.services`, above, or an error
    """What a document did, or would do. Without `workflow` it is left out, and `why` says why; or `refused`."""
    if isinstance(one, Exception):
        return {"name": None, "change": None, "why": None, "refused": str(one), "workflow": None}
    workflow = one.workflow
    described = (
        None if workflow is None else describe_document(workflow, missing=one.missing, unknown=one.unknown)
    )
    return {"name": one.name, "change": one.change, "why": one.why, "refused": None, "workflow": described}


def describe_document(
    workflow: Workflow, *, missing: Sequence[str] = (), unknown: Sequence[str] = ()
) -> dict[str, Any]:
    """Where it runs and why, and what of it has a value. `missing`: items that it names and there are not;
    `unknown`: workflows that it starts and there are not. `schedule`: by which it runs, where it was given out
    by an engine that has it; `tested`: nodes that can be tested here; `uses_elsewhere`: it runs where another
    engine needs values.
    """
    definition = workflow.definition
    return {
        "id": workflow.id,
        "name": workflow.name,
        "runs": workflow.runs,
        "why": workflow.explain_place(),
        "missing": list(missing),
        "unknown": list(unknown),
        "remarks": [describe_remark(remark) for remark in definition.remarks],
        "stays_away": workflow.stays_away,
        "schedule": _find_schedule(workflow),
        "tested": _find_tested(workflow),
        "uses": [
            {
                "node": None if one.node_id == OUTSIDE else one.node_id,
                "item": one.use.written,
                "mentioned": one.mentioned,
            }
            for one in definition.uses(here=workflow.runs_here)
        ],
        "uses_elsewhere": not workflow.runs_here and bool(definition.uses(here=False)),
    }


def _find_tested(workflow: Workflow) -> list[str]:
    definition = workflow.definition
    return [
        node_id
        for node_id in definition.node_ids()
        if definition.why_untested(node_id) is None and definition.component(node_id).value_fields
    ]


def _find_schedule(workflow: Workflow) -> str | None:
    document = workflow.definition.document
    retrieved = any((document.created_at, document.updated_at, document.next_run_at, document.webhook_url))
    if not workflow.active or workflow.schedule_type == "manual" or not retrieved:
        return None
    return f"{workflow.schedule_type} {workflow.schedule_value}"


def describe_whole_workflow(view: Any) -> dict[str, Any]:  # noqa: ANN401  # of `worker.services`, above
    """A workflow with its document as it was given, its references and its last runs."""
    workflow: Workflow = view.workflow
    return {
        "id": workflow.id,
        "name": workflow.name,
        "given_id": workflow.given_id,
        "text": workflow.text,
        "runs": workflow.runs,
        "why": workflow.explain_place(),
        "remarks": [describe_remark(remark) for remark in workflow.definition.remarks],
        "next_run_at": workflow.next_run_at,
        "references": [
            {
                "node": one.node_id,
                "item": one.written,
                "item_id": one.item_id,
                "mentioned": one.mentioned,
                "pinned": one.pinned,
                "last_version": one.last_version,
                "proven_version": one.proven_version,
                "last_run_at": one.last_run_at,
            }
            for one in view.references
        ],
        "last_runs": list(view.last_runs),
    }


def describe_listed_workflow(one: Any) -> dict[str, Any]:  # noqa: ANN401  # of `worker.rows`, above
    """Without its document. `items`: what it uses, by name."""
    workflow: Workflow = one.workflow
    return {
        "id": workflow.id,
        "name": workflow.name,
        "is_active": workflow.active,
        "schedule_type": workflow.schedule_type,
        "schedule_value": workflow.schedule_value,
        "next_run_at": workflow.next_run_at,
        "runs": workflow.runs,
        "items": list(one.items),
    }


def describe_pin(workflow: Workflow, item: Item, *, pinned: int | None) -> dict[str, Any]:
    """On which version of an item a workflow stays; None: it follows the current one."""
    return {"workflow": workflow.name, "item": item.name, "item_id": item.id, "pinned": pinned}


def describe_test(outcome: Any, *, node: str | None = None) -> dict[str, Any]:  # noqa: ANN401  # as above
    """What a test came to, of a whole workflow or of that `node` alone, of which no run is kept."""
    failed = outcome.error_message is not None
    return {
        "status": outcome.status,
        "output": outcome.output,
        "error_message": outcome.error_message,
        "error_node": (node if failed else None) if node is not None else outcome.error_node,
        "cause": outcome.cause,
        "run_id": None if node is not None else outcome.run_id,
    }
