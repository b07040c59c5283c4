"""The port by which a node starts runs of other workflows. The runner has no database: who runs it has."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Protocol

from vaultcore.errors import Cause
from worker.workflows.masking import Masker


@dataclass(frozen=True, kw_only=True)
class Given:
    """What a run is started with by another: its payload, what may be shown of that, and who masks it."""

    payload: Any = field(repr=False)
    shown: Any
    masker: Masker = field(repr=False)


@dataclass(frozen=True, kw_only=True)
class Resumption:
    """What another run of the workflow had begun with and done: this one goes on behind that.

    `shape`: of the workflow then (`worker.workflows.run.shape_of`). `steps` as `note_step` notes them, with
    their outputs by node.
    """

    shape: str
    context: Mapping[str, Any] = field(repr=False)
    steps: Sequence[Mapping[str, Any]] = field(repr=False)
    outputs: Mapping[str, Any] = field(repr=False)


@dataclass(frozen=True, kw_only=True)
class Ran:
    """How a run within a run ended. `output` is that of its last node as it is, `shown` what may be shown of
    it, and `masker` knows what has to be hidden from it.
    """

    workflow: str
    status: str
    error_message: str | None
    error_node: str | None
    cause: Cause | None
    output: Any = field(repr=False)
    shown: Any
    masker: Masker = field(repr=False)
    retry_at: datetime | None = None


class Others(Protocol):
    """Starts other workflows, named by id or name.

    `TargetError` with the cause `MISTAKE` says why one cannot be started: there is none of that name, it
    is not active, begins in another way, runs elsewhere, or the runs that lead to it are too many.
    """

    def find(self, workflow: str, *, trigger: str) -> str:
        """The name of one that could be started now; `trigger` is the component that it must begin with."""

    def begin(self, workflow: str, given: Given) -> str:
        """Opens a run that somebody else executes, beginning at once: its id."""

    def run(self, workflow: str, given: Given, *, seconds: float) -> Ran:
        """Executes a run, from its beginning to its end."""
