"""A rotator as services hold it. What it says is searched for values: it is stored, shown and mailed.

And nothing of ours is open while it asks somebody, or makes what takes its time. Each verification is a call of
its own.
"""

from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager
from typing import Any, TypeVar, cast

from vaultcore.errors import TargetError
from vaultcore.secret import Secret
from worker.outbound import nothing_shared, only_looking
from worker.rotators.base import Candidate, FixedSentence, Job, Rotator, asks_nobody
from worker.workflows.kept_maskers import find_masker
from worker.workflows.masking import Masker

T = TypeVar("T")


def make_discreet(rotator: Rotator, *, apart: Callable[[], AbstractContextManager[None]]) -> Rotator:
    """The same rotator; in what it says and complains of, values are masked. While it may ask somebody, or
    makes a value that takes its time, all stands `apart`.
    """
    return cast("Rotator", _Discreet(rotator, apart))


class _Discreet:
    """Hands on all else, such as what the rotator declares of itself."""

    def __init__(self, rotator: Rotator, apart: Callable[[], AbstractContextManager[None]]) -> None:
        self._rotator = rotator
        self._apart = apart

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401  # whatever the rotator has
        found = getattr(self._rotator, name)
        if name == "list_outside":
            return lambda job, own: self._ask(job, lambda: found(job, own), *own)
        if name == "read_end":
            return lambda job: self._read_end(job, found)
        return found

    def create(self, job: Job) -> Candidate:
        if getattr(self._rotator, "creates_here", False):
            return _mask(job, lambda: self._rotator.create(job))
        with self._apart():
            return _mask(job, lambda: self._rotator.create(job))

    def install(self, job: Job) -> str:
        if getattr(self._rotator, "installs_nothing", False):
            return _mask(job, lambda: self._rotator.install(job))
        return self._ask(job, lambda: self._rotator.install(job))

    def verify(self, job: Job, value: Secret) -> str:
        with nothing_shared(), only_looking():
            return self._ask(job, lambda: self._rotator.verify(job, value), value)

    def revoke(self, job: Job) -> str:
        return self._ask(job, lambda: self._rotator.revoke(job))

    def undo(self, job: Job) -> str:
        return self._ask(job, lambda: self._rotator.undo(job))

    def _read_end(self, job: Job, ask: Callable[[Job], T]) -> T:
        with only_looking():
            return self._ask(job, lambda: ask(job))

    def _ask(self, job: Job, ask: Callable[[], T], *more: Secret) -> T:
        if asks_nobody(self._rotator, job.settings):
            return _mask(job, ask, *more)
        with self._apart():
            return _mask(job, ask, *more)


def _mask(job: Job, ask: Callable[[], T], *more: Secret) -> T:
    masked: TargetError | None = None
    try:
        answer = ask()
    except TargetError as error:
        message = _find_masker(job, more).mask(str(error))
        masked = TargetError(message, cause=error.cause, acted=error.acted, retry_at=error.retry_at)
    if masked is not None:  # outside of the block, so that nothing of the first one hangs on it
        raise masked
    if not isinstance(answer, str) or isinstance(answer, FixedSentence):
        return answer
    said: T = _find_masker(job, more).mask(answer)
    return said


def _find_masker(job: Job, more: Iterable[Secret]) -> Masker:
    return find_masker(value for value in (job.old, job.new, *job.values.values(), *more) if value is not None)
