"""How runs, nodes, deliveries, heartbeats, nights and steps may stand, as rows have it. Pure."""

from enum import StrEnum
from typing import Final

RUN_SECONDS: Final = 3600.0
"""How long a run may be at work until it ends as one that took too long."""


class RunStatus(StrEnum):
    PENDING = "pending"
    """Opened, for whoever comes to execute it."""
    RUNNING = "running"
    """Under way, or waiting."""
    COMPLETED = "completed"
    FAILED = "failed"


class RunPurpose(StrEnum):
    PRODUCTION = "production"
    TEST = "test"
    """It tries a value or a workflow, and proves nothing for production."""
    CONTROLLED = "controlled"
    """A person begins it, to prove a new value."""


class RunTrigger(StrEnum):
    """What began a run."""

    MANUAL = "manual"
    """A person, who waits for its end."""
    BACKGROUND = "background"
    """A principal has asked for it, and does not wait for its end."""
    SCHEDULE = "schedule"
    WORKFLOW = "workflow"
    """Another run, and this one runs by itself."""
    SUBFLOW = "subflow"
    """Another run, within which this one runs."""
    API = "api"
    """A call from outside that names the workflow."""
    WEBHOOK = "webhook"
    """A call from outside, for each workflow that its key opens."""
    TEST = "test"
    """A rotation, which tries a new value."""
    REPORT = "report"
    """Another engine, which has run it and says how it ended."""


class NodeStatus(StrEnum):
    SUCCESS = "success"
    WARNING = "warning"
    """It failed, and its document says where to go on."""
    ERROR = "error"
    SKIPPED = "skipped"


class DeliveryState(StrEnum):
    WAITING = "waiting"
    SENT = "sent"
    FAILED = "failed"
    WITHDRAWN = "withdrawn"
    """What it was to tell is over."""


class Beat(StrEnum):
    """What a heartbeat says of a night."""

    START = "start"
    SUCCESS = "success"
    FAIL = "fail"


class BeatState(StrEnum):
    WAITING = "waiting"
    SENT = "sent"
    FAILED = "failed"
    OUTDATED = "outdated"
    """A later one says more."""


class NightOutcome(StrEnum):
    GOOD = "good"
    FAILED = "failed"


class StepResult(StrEnum):
    """How a try of a rotation's step ended, as its record has it."""

    DONE = "done"
    WAITS = "waits"
    RETRY = "retry"
    FAILED = "failed"
