"""The components that there are, by id."""

from worker.workflows.nodes.base import Component
from worker.workflows.nodes.conditions import (
    ArrayCondition,
    BooleanCondition,
    DateCondition,
    NumberCondition,
    StatusCondition,
    SwitchCondition,
    TagCondition,
)
from worker.workflows.nodes.data import DataMapper, JsonParser, TextTransform
from worker.workflows.nodes.terminate import Terminate
from worker.workflows.nodes.triggers import ManualTrigger, ScheduleTrigger, WebhookTrigger
from worker.workflows.nodes.webhook import Webhook

_ALL: tuple[Component, ...] = (
    ManualTrigger(),
    ScheduleTrigger(),
    WebhookTrigger(),
    Webhook(),
    StatusCondition(),
    TagCondition(),
    NumberCondition(),
    DateCondition(),
    BooleanCondition(),
    ArrayCondition(),
    SwitchCondition(),
    JsonParser(),
    TextTransform(),
    DataMapper(),
    Terminate(),
)

COMPONENTS: dict[str, Component] = {component.component_id: component for component in _ALL}
