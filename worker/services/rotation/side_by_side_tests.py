"""Tests of one rotation that need no order among them: their calls are made side by side, by threads.

Whoever drives the rotation begins each test, and records what came of it; so all of that stays in its unit of
work, under its fence. Threads call, and do nothing else. What is told is what one test after the other would
have told: the first failure in their order, whichever came first.
"""

from collections.abc import Hashable, Iterable, Sequence
from contextvars import copy_context
from dataclasses import dataclass
from queue import SimpleQueue
from threading import Lock, Thread
from typing import Any, Final, Generic, TypeVar

from vaultcore.database import Database
from vaultcore.errors import ConflictError
from worker.outbound import permitted_by
from worker.services.rotation.drive import Drive
from worker.services.runs.calls import Call, Calls, do_alone

T = TypeVar("T")
AT_ONCE_MAX: Final = 4
"""Calls of one rotation's tests."""


@dataclass(frozen=True, kw_only=True)
class CandidateTest(Generic[T]):
    """`lane`: those of one lane come one after the other, in their order."""

    lane: Hashable
    work: Calls[T]


def do_tests(database: Database, drive: Drive, tests: Sequence[CandidateTest[T]], *, at_once: int) -> list[T]:
    """What each comes to, in their order; or what the first of them raised that failed. No test begins, or
    calls again, once one before it has failed.

    `at_once`: so many call at the same moment, at most, as long as this permits.
    """
    if min(at_once, len({test.lane for test in tests})) < 2:
        return [do_alone(database, test.work) for test in tests]
    return _TestsTogether(database, drive, tests, min(at_once, AT_ONCE_MAX)).do_all()


@dataclass(frozen=True, kw_only=True)
class _CallEnded:
    """Of the call of the test at this place."""

    place: int
    made: Any = None
    error: BaseException | None = None


class _TestsTogether(Generic[T]):
    def __init__(
        self, database: Database, drive: Drive, tests: Sequence[CandidateTest[T]], at_once: int
    ) -> None:
        self._database = database
        self._drive = drive
        self._tests = tests
        self._at_once = at_once
        self._waiting = list(range(len(tests)))
        self._calling: set[int] = set()
        """Places of tests whose call is under way, about to be, or not taken up yet."""
        self._under_way = 0
        self._ended: dict[int, T] = {}
        self._failed: dict[int, Exception] = {}
        self._answers = SimpleQueue[_CallEnded]()
        self._turn = Lock()
        """Of who uses the drive: its own thread, or a call that asks it for permission."""
        self._is_over = False

    def do_all(self) -> list[T]:
        try:
            calls = self._go_on(None)
            while self._calling:
                for place, call in calls:
                    self._start(place, call)
                calls = self._go_on(self._wait())
        except Exception:
            self._is_over = True
            while self._under_way:
                self._wait()
            raise
        finally:  # who is told to stop does not wait: whatever is under way calls no more
            self._is_over = True
            for test in self._tests:
                test.work.close()
        if self._failed:
            raise self._failed[min(self._failed)]
        return [self._ended[place] for place in range(len(self._tests))]

    def _go_on(self, answer: _CallEnded | None) -> list[tuple[int, Call]]:
        """The calls that are to be made now; what was written before them is committed."""
        with self._turn:
            calls = [] if answer is None else [*self._take_up(answer)]
            calls += self._begin()
            if self._calling:
                with self._database.apart():
                    pass
            return calls

    def _take_up(self, answer: _CallEnded) -> Iterable[tuple[int, Call]]:
        """The next call of that test, if it goes on."""
        self._calling.discard(answer.place)
        if answer.error is not None:
            self._fail(answer.place, answer.error)
        else:
            yield from self._advance(answer.place, answer.made)

    def _begin(self) -> Iterable[tuple[int, Call]]:
        """The first calls of as many as there is room for, in order."""
        for place in list(self._waiting):
            busy = {self._tests[other].lane for other in self._calling}
            if len(self._calling) < self._at_once and self._tests[place].lane not in busy:
                self._waiting.remove(place)
                if not self._is_decided(place):
                    yield from self._advance(place, None)

    def _advance(self, place: int, made: Any) -> Iterable[tuple[int, Call]]:  # noqa: ANN401  # its call's
        try:
            call = self._tests[place].work.send(made)
        except StopIteration as end:
            self._ended[place] = end.value
        except Exception as error:  # noqa: BLE001  # for whoever asked for all of them
            self._fail(place, error)
        else:
            if not self._is_decided(place):
                self._calling.add(place)
                yield place, call

    def _fail(self, place: int, error: BaseException) -> None:
        """Raises what is no outcome of a test: the rotation was taken over, or what was written is undone."""
        if not isinstance(error, Exception) or isinstance(error, ConflictError) or self._drive.is_undone:
            raise error
        self._failed[place] = error

    def _is_decided(self, place: int) -> bool:
        """Whatever came of it, nobody would hear: one before it has failed."""
        return any(failed < place for failed in self._failed)

    # Threads

    def _start(self, place: int, call: Call) -> None:
        """The process need not wait for its end."""
        context = copy_context()
        Thread(target=context.run, args=(self._call, place, call), name=f"test-{place}", daemon=True).start()
        self._under_way += 1

    def _call(self, place: int, call: Call) -> None:
        try:
            with permitted_by(self._check):
                answer = _CallEnded(place=place, made=call())
        except BaseException as error:  # noqa: BLE001  # for whoever waits to raise
            answer = _CallEnded(place=place, error=error)
        self._answers.put(answer)

    def _check(self) -> None:
        with self._turn:
            if self._is_over:
                raise ConflictError(f"the tests of {self._drive.rotation.id} were given up")
            self._drive.check()

    def _wait(self) -> _CallEnded:
        answer = self._answers.get()
        self._under_way -= 1
        return answer
