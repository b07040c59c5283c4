"""Finds components by entry point, and says so where one is not there or lacks a package."""

from collections.abc import Mapping
from functools import cache
from importlib.metadata import EntryPoint, entry_points
from importlib.util import find_spec

from vaultcore.errors import ConfigurationError
from worker.workflows.nodes.base import Component

GROUP = "nightkey.nodes"
_ALSO_NAMED: Mapping[str, str] = {
    "scheduled_trigger": "schedule_trigger",
    "trigger_by_another_workflow": "workflow_trigger",
}
"""Other names under which the field knows a component of ours: where nothing else can be meant, and no field
can be meant differently. A document keeps the name that it was given with.
"""


def component_ids() -> list[str]:
    return sorted(_found())


def find_component(component_id: object) -> Component | None:
    """The component of that id, or of another name for it; None: there is none. `ConfigurationError` if it
    cannot be loaded.
    """
    if not isinstance(component_id, str):
        return None
    entry = _found().get(component_id) or _found().get(_ALSO_NAMED.get(component_id, ""))
    return None if entry is None else _load(entry)


def explain_missing(component: Component) -> str | None:
    """What must be installed before it can run; None: nothing."""
    if component.needs is None or find_spec(component.needs[0]) is not None:
        return None
    module, extra = component.needs
    return f"{component.component_id} needs {module}: pip install 'nightkey[{extra}]'"


@cache
def _load(entry: EntryPoint) -> Component:
    try:
        made: Component = entry.load()()
    except ImportError as error:
        missing = error.name or "a package"
        told = f"component {entry.name} cannot be loaded: {missing} is not installed"
        raise ConfigurationError(told) from None
    return made


@cache
def _found() -> dict[str, EntryPoint]:
    return {entry.name: entry for entry in entry_points(group=GROUP)}
