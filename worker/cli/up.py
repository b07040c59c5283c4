"""`nightkey up`: beat and workers, kept at work until they are told to stop."""

import os
from contextlib import AbstractContextManager, nullcontext, suppress
from typing import Annotated

import typer

from worker.cli.output import note_at_once
from worker.cli.session import open_settings
from worker.config import HOME_VARIABLE, Settings
from worker.domain.pulses import Kind, Patience
from worker.hardening import die_with
from worker.log import configure_logging

_BETWEEN_RINGS = 60


def up(
    *,
    only: Annotated[
        Kind | None,
        typer.Option("--only", help="Run only this: workers on another machine, or a beat of their own."),
    ] = None,
    pipe: Annotated[int | None, typer.Option("--pipe", hidden=True)] = None,
    parent: Annotated[int | None, typer.Option("--parent", hidden=True)] = None,
) -> None:
    """Run beat and workers until SIGTERM or Ctrl-C; running tasks are finished first, unless it comes twice.

    What dies or hangs is started again. 1: something cannot be started at all. 3: it is up already.
    """
    settings = open_settings()
    configure_logging(settings.log_level)
    if only is not None and pipe is not None and parent is not None:
        die_with(parent)
        from worker.supervision.process import become  # noqa: PLC0415  # only this command needs Celery

        raise typer.Exit(become(only, settings, pipe=pipe, parent=parent))
    _check_first(settings)
    os.environ[HOME_VARIABLE] = str(settings.home)
    kinds = [Kind.WORKER] * settings.concurrency if only is not Kind.BEAT else []
    kinds += [Kind.BEAT] if only is not Kind.WORKER else []
    raise typer.Exit(_keep_up(kinds, settings, whole=only is None))


def _check_first(settings: Settings) -> None:
    """What is wrong with the configuration is said once, here, and not by its children for ever."""
    from worker.bootstrap import Services  # noqa: PLC0415  # --help must not wait for it

    services = Services(settings)
    services.check()
    services.close()


def _keep_up(kinds: list[Kind], settings: Settings, *, whole: bool) -> int:
    """`whole`: it is the one of its home. Only one of its parts may run several times."""
    from worker.supervision.child import command_for  # noqa: PLC0415  # as above
    from worker.supervision.home_lock import hold_home  # noqa: PLC0415  # as above
    from worker.supervision.supervisor import Supervisor  # noqa: PLC0415  # as above

    alone: AbstractContextManager[None] = hold_home(settings.home) if whole else nullcontext()
    with alone:
        supervisor = Supervisor(
            kinds,
            command=command_for,
            tell=_tell,
            patience=Patience(ring=settings.ring_seconds + _BETWEEN_RINGS),
        )
        workers, beats = kinds.count(Kind.WORKER), kinds.count(Kind.BEAT)
        parts = [f"{workers} worker{'s' * (workers > 1)}"] * (workers > 0) + ["beat"] * beats
        _tell(f"nightkey is up: {' and '.join(parts)}, stop with Ctrl-C or SIGTERM")
        status = supervisor.run()
    if status == 0:
        _tell("nightkey is down")
    return status


def _tell(text: str) -> None:
    """It goes on, whether anybody reads it or not."""
    with suppress(OSError):
        note_at_once(text)
