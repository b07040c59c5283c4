"""What a scan finds and what would be done, as command line and interface give it. Pure."""

from typing import Any

from worker.domain.findings import WORST_FIRST
from worker.wording.reasons import say


def describe_preview(preview: Any) -> dict[str, Any]:  # noqa: ANN401  # of `worker.services.night`, above
    """What is due, as it comes, and what was found, worst first."""
    found = sorted(preview.findings, key=lambda one: (WORST_FIRST[one.kind], one.item or one.subject))
    return {
        "at": preview.at,
        "actions": [
            {
                "item": seen.name,
                "item_id": seen.item_id,
                "action": "none" if seen.decision is None else seen.decision.action.value,
                "why": "it cannot be read" if seen.decision is None else say(seen.decision.why),
            }
            for seen in preview.due
        ],
        "findings": [
            {
                "kind": finding.kind,
                "item": finding.item,
                "item_id": finding.item_id,
                "workflow": finding.workflow,
                "detail": say(finding.detail),
            }
            for finding in found
        ],
    }
