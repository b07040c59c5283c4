"""Progress on standard error: bars where a person watches, plain lines where none does."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from worker.cli.output import note
from worker.domain.saga import FINISHED, State
from worker.store import Rotation

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
def show_progress() -> Iterator[Callable[[Rotation], None]]:
    """Gives what is to be told of each step of each rotation."""
    if not sys.stderr.isatty():
        yield lambda rotation: note(f"{rotation.item}: {rotation.state}")
        return
    from rich.console import Console  # noqa: PLC0415  # only where a person watches
    from rich.progress import BarColumn, Progress, TaskID, TextColumn  # noqa: PLC0415  # as above

    tasks: dict[str, TaskID] = {}
    columns = (TextColumn("{task.description}"), BarColumn(bar_width=24), TextColumn("{task.fields[state]}"))
    with Progress(*columns, console=Console(stderr=True)) as bars:

        def tell(rotation: Rotation) -> None:
            if rotation.id not in tasks:
                tasks[rotation.id] = bars.add_task(rotation.item, total=len(_ORDER) - 1, state="")
            bars.update(tasks[rotation.id], state=rotation.state.value, completed=_reached(rotation.state))

        yield tell


def _reached(state: State) -> int:
    if state in FINISHED:
        return len(_ORDER) - 1
    return _ORDER.index(state) if state in _ORDER else 0
