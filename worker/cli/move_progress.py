"""How far a move is, on standard error: a bar where a person watches, a line for each phase where none does."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from worker.cli.output import note
from worker.domain.moves import MoveProgress, Phase
from worker.wording.moves import PHASES
from worker.wording.parts import say_count


@contextmanager
def show_move() -> Iterator[Callable[[MoveProgress], None]]:
    """Gives what is to be told of each page."""
    if sys.stderr is not None and sys.stderr.isatty():
        with _bars() as tell:
            yield tell
        return
    seen: list[Phase] = []

    def say(progress: MoveProgress) -> None:
        if seen[-1:] != [progress.phase]:
            seen.append(progress.phase)
            note(f"{PHASES[progress.phase]}: {say_count(progress.total, 'row')}")

    yield say


@contextmanager
def _bars() -> Iterator[Callable[[MoveProgress], None]]:
    from rich.console import Console  # noqa: PLC0415  # only where a person watches
    from rich.progress import BarColumn, MofNCompleteColumn, TextColumn  # noqa: PLC0415  # as above
    from rich.progress import Progress as Bars  # noqa: PLC0415  # as above

    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(bar_width=24),
        MofNCompleteColumn(),
        TextColumn("{task.fields[table]}", markup=False),
    )
    with Bars(*columns, console=Console(stderr=True), transient=True) as bars:
        task = bars.add_task("", total=None, table="")

        def tell(progress: MoveProgress) -> None:
            counted = (
                {"completed": progress.done, "total": progress.total} if progress.table else {"total": None}
            )
            bars.update(task, description=PHASES[progress.phase], table=progress.table, **counted)

        yield tell
