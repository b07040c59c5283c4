"""Progress on standard error: bars where a person watches, plain lines where none does; and how it stops."""

import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from types import FrameType
from typing import TYPE_CHECKING

import typer

from worker.cli.output import note, note_at_once
from worker.cli.screen import show_moment
from worker.cli.terminal import fit_cell
from worker.domain.rotation import Rotation
from worker.domain.saga import FINISHED, State
from worker.wording.reasons import say

if TYPE_CHECKING:  # imported with the services
    from worker.services.night.inline import InlineNight

_ORDER = [
    State.PLANNED,
    State.CREATED,
    State.INSTALLED,
    State.ACCEPTED,
    State.NODE_TESTED,
    State.WORKFLOW_TESTED,
    State.ACTIVATED,
    State.CANARY,
    State.WATCHING,
    State.RETIRING,
]


@contextmanager
def show_progress(inline_night: "InlineNight") -> Iterator[Callable[[Rotation], None]]:
    """Gives what is to be told of each step of each rotation.

    Ctrl-C or SIGTERM ends what is driven after the step under way, a second one at once. Either says what
    is left unfinished and how it goes on, and ends the command with the status that shells give such an end.
    """
    with _stoppable(inline_night), _told() as tell:
        yield tell


@contextmanager
def _stoppable(inline_night: "InlineNight") -> Iterator[None]:
    told: list[int] = []

    def stop(signum: int, _: FrameType | None) -> None:
        told.append(signum)
        if len(told) > 1:
            raise KeyboardInterrupt
        note_at_once(f"{signal.Signals(signum).name}: finishing the step under way; once more stops at once")
        inline_night.stop()

    before = {signum: signal.signal(signum, stop) for signum in (signal.SIGINT, signal.SIGTERM)}
    try:
        with suppress(KeyboardInterrupt):
            yield
    finally:
        for signum, handler in before.items():
            signal.signal(signum, handler)
    if told:
        _explain_rest(inline_night)
        raise typer.Exit(128 + told[0])


def _explain_rest(inline_night: "InlineNight") -> None:
    """What stays under way, and how it goes on: nothing of it is lost."""
    left = inline_night.find_moving()
    for rotation in left:
        held = "" if rotation.lease_until is None else f" after {show_moment(rotation.lease_until)}"
        show = f"nightkey rotation show {rotation.id}"
        note(f"nightkey: {rotation.item} is {rotation.state}, and goes on{held} ({show})")
    note(f"nightkey: stopped; {_GO_ON if left else 'nothing is under way'}")


_GO_ON = "`nightkey up` or the next `nightkey night` goes on with what is under way"


@contextmanager
def _told() -> Iterator[Callable[[Rotation], None]]:
    if not sys.stderr.isatty():
        yield lambda rotation: note(f"{rotation.item}: {_describe(rotation)}")
        return
    from rich.console import Console  # noqa: PLC0415  # only where a person watches
    from rich.markup import escape  # noqa: PLC0415  # as above
    from rich.progress import BarColumn, Progress, TaskID, TextColumn  # noqa: PLC0415  # as above

    tasks: dict[str, TaskID] = {}
    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(bar_width=24),
        TextColumn("{task.fields[state]}"),
    )
    with Progress(*columns, console=Console(stderr=True)) as bars:

        def tell(rotation: Rotation) -> None:
            if rotation.id not in tasks:
                tasks[rotation.id] = bars.add_task(
                    escape(fit_cell(rotation.item)), total=len(_ORDER) - 1, state=""
                )
            bars.update(tasks[rotation.id], state=rotation.state.value, completed=_reached(rotation.state))
            if rotation.last_error:
                bars.console.print(escape(fit_cell(f"{rotation.item}: {_describe(rotation)}")), soft_wrap=True)

        yield tell


def _describe(rotation: Rotation) -> str:
    """The state, and why it is no better: at once, and not at the end."""
    if rotation.state is State.DONE or not rotation.last_error:
        return rotation.state.value
    again = ""
    if rotation.failing_since is not None and rotation.next_at is not None:
        again = f"; next try {show_moment(rotation.next_at)}"
    return f"{rotation.state}, {say(rotation.last_error)}{again}"


def _reached(state: State) -> int:
    if state in FINISHED:
        return len(_ORDER) - 1
    return _ORDER.index(state) if state in _ORDER else 0
