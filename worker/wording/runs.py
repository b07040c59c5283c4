"""A run, as a program is given it and as a person reads it. Command line and interface share it. Pure."""

from collections.abc import Iterator
from typing import Any

from worker.domain.distances import show_length
from worker.domain.states import RunPurpose
from worker.wording.plain import Shape


def describe_run(view: Any) -> dict[str, Any]:  # noqa: ANN401  # of `worker.services.lookup.views`, above
    """A run with what it used, and what each of its nodes came to; outputs are masked."""
    return {**vars(view.run)} | {
        "used": dict(view.used),
        "logs": [
            {
                "node": log.node_id,
                "component": log.component_id,
                "status": log.status,
                "output": log.output,
                "at": log.created_at,
            }
            for log in view.logs
        ],
    }


def say_status(run: Shape) -> str:
    """`completed`; of what is no production run, what it is for, too."""
    return str(run["status"]) + ("" if run["purpose"] == RunPurpose.PRODUCTION else f", {run['purpose']}")


def tell_run(run: Shape) -> Iterator[str]:
    """What it came to, in sentences."""
    took = ""
    if run["started_at"] is not None and run["completed_at"] is not None:
        took = f" after {show_length(run['completed_at'] - run['started_at'])}"
    yield f"run {run['id']} of {run['workflow']}: {say_status(run)}{took}"
    yield f"begun by {run['trigger']}, {run['created_at']:%Y-%m-%d %H:%M:%S} UTC"
    if run["error_message"]:
        node = f"node {run['error_node']}" if run["error_node"] else "it"
        cause = f" ({run['cause']})" if run["cause"] else ""
        yield f"{node} failed{cause}: {run['error_message']}"
    used = ", ".join(f"{name} version {number}" for name, number in run["used"].items())
    yield f"used: {used or 'no item'}"
