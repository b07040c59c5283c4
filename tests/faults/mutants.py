"""Products that are broken on purpose, in the worker's process alone: the invariants must catch each."""

from collections.abc import Callable
from dataclasses import replace
from uuid import uuid4

from worker.rotators.base import Job
from worker.rotators.http import HttpRotator


def forget_to_undo() -> None:
    """What was issued stays accepted outside, while the vault destroys its copy."""
    setattr(HttpRotator, "undo", lambda _self, _job: "undone")  # noqa: B010  # a method


def label_each_try_anew() -> None:
    """What a lost answer had issued is not found again: shows at two or three points alone."""

    def forgetful(method: Callable[..., object]) -> Callable[..., object]:
        return lambda self, job: method(self, _relabel(job))

    for name in ("create", "undo"):
        setattr(HttpRotator, name, forgetful(getattr(HttpRotator, name)))


def revoke_without_proof() -> None:
    """Says that the old value is revoked, and has asked nobody."""
    setattr(HttpRotator, "revoke", lambda _self, _job: "revoked")  # noqa: B010  # a method


def _relabel(job: Job) -> Job:
    return replace(job, label=f"{job.label}-{uuid4()}")


MUTANTS = {made.__name__: made for made in (forget_to_undo, label_each_try_anew, revoke_without_proof)}
