"""Workflows whose nodes follow each other, written in a line each."""

import json
from itertools import pairwise
from typing import Any

from worker.bootstrap import Services
from worker.workflows.nodes.catalog import find_component


def chain(
    name: str, *nodes: dict[str, Any], trigger: str = "manual_trigger", key: str | None = None, **extra: Any
) -> tuple[str, str]:
    """Its file's name and text. Each node is its fields with an `id` and a `componentId`. `key`: callers
    present that of this item.
    """
    begins = {} if key is None else {"apiKey": f"{{{{ vault['{key}'] }}}}"}
    all_nodes = [{"id": "start", "componentId": trigger, **begins}, *nodes]
    document = {
        "name": name,
        "nodes": [
            {
                "id": node["id"],
                "type": find_component(node["componentId"]).kind.value,
                "data": {key: value for key, value in node.items() if key != "id"},
            }
            for node in all_nodes
        ],
        "edges": [
            {"id": f"e{number}", "source": one["id"], "target": other["id"]}
            for number, (one, other) in enumerate(pairwise(all_nodes))
        ],
        **extra,
    }
    return f"{name}.json", json.dumps(document)


def apply(services: Services, *files: tuple[str, str]) -> None:
    services.runs.documents.apply(list(files), actor="test")


def post(url: str, node_id: str = "post", **data: Any) -> dict[str, Any]:
    return {"id": node_id, "componentId": "webhook", "method": "POST", "url": url, **data}


def wait(duration: int = 5, unit: str = "minutes", node_id: str = "wait") -> dict[str, Any]:
    return {"id": node_id, "componentId": "delay", "duration": duration, "unit": unit}


def say(node_id: str = "say", **mapping: Any) -> dict[str, Any]:
    return {"id": node_id, "componentId": "data_mapper", "mapping": mapping}


def begin(workflow: str, payload: Any = None, node_id: str = "begin") -> dict[str, Any]:
    return {"id": node_id, "componentId": "trigger_workflow", "workflowId": workflow, "payload": payload}


def each(array: Any, workflow: str, node_id: str = "each") -> dict[str, Any]:
    return {"id": node_id, "componentId": "iterator", "array": array, "workflowId": workflow}
