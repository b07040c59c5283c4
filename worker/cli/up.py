"""`nightkey up`: beat, workers and the server, kept at work until they are told to stop."""

import os
import socket
from collections.abc import Collection
from contextlib import ExitStack, suppress
from functools import partial
from typing import Annotated

import typer

from vaultcore.errors import ConfigurationError
from worker.cli.output import note_at_once
from worker.cli.serve import find_missing, warn
from worker.cli.session import open_settings
from worker.config import HOME_VARIABLE, Settings
from worker.domain.lines import Line, share_lines
from worker.domain.pulses import Patience, PulseKind
from worker.hardening import die_with
from worker.log import configure_logging
from worker.wording.parts import say_count

_BETWEEN_RINGS = 60


def up(
    *,
    only: Annotated[
        PulseKind | None,
        typer.Option("--only", help="Run only this: workers on another machine, or a beat of their own."),
    ] = None,
    listen: Annotated[
        str | None,
        typer.Option(
            "--listen",
            metavar="HOST:PORT",
            help="Where the console and the interface are served. Default: the setting listen; empty: nowhere.",
        ),
    ] = None,
    pipe: Annotated[int | None, typer.Option("--pipe", hidden=True)] = None,
    parent: Annotated[int | None, typer.Option("--parent", hidden=True)] = None,
    lines: Annotated[list[Line] | None, typer.Option("--line", hidden=True)] = None,
) -> None:
    """Run beat, workers and the server until SIGTERM or Ctrl-C.

    Running tasks are finished first. A second signal ends them at once. What dies or hangs is started again.
    1: something cannot be started at all. 3: it is up already.
    """
    settings = open_settings()
    configure_logging(settings.log_level)
    if only is not None and pipe is not None and parent is not None:
        die_with(parent)
        from worker.supervision.child import Assignment  # noqa: PLC0415  # --help must not wait for it
        from worker.supervision.process import become  # noqa: PLC0415  # only this command needs Celery

        assignment = Assignment(only, frozenset(lines or Line))
        raise typer.Exit(become(assignment, settings, pipe=pipe, parent=parent))
    _check_first(settings)
    os.environ[HOME_VARIABLE] = str(settings.home)
    server = (settings.listen if listen is None else listen) if only is None else ""
    raise typer.Exit(_keep_up(only, settings, server))


def _check_first(settings: Settings) -> None:
    """What is wrong with the configuration is said once, here, and not by its children for ever."""
    from worker.bootstrap import Services  # noqa: PLC0415  # --help must not wait for it

    services = Services(settings)
    services.check()
    services.close()


def _keep_up(only: PulseKind | None, settings: Settings, server: str) -> int:
    """Without `only` it is the one of its home; its parts may run several times. `server`: where it serves, if
    anywhere.
    """
    from worker.supervision.child import Assignment, command_for  # noqa: PLC0415  # as above
    from worker.supervision.home_lock import hold_home  # noqa: PLC0415  # as above
    from worker.supervision.supervisor import Supervisor  # noqa: PLC0415  # as above

    shares = share_lines(settings.concurrency) if only is not PulseKind.BEAT else ()
    assignments = [Assignment(PulseKind.WORKER, lines) for lines in shares]
    assignments += [Assignment(PulseKind.BEAT)] if only is not PulseKind.WORKER else []
    with ExitStack() as held:
        if only is None:
            held.enter_context(hold_home(settings.home))
        listener = _listen(server)
        opened = [] if listener is None else [held.enter_context(listener).fileno()]
        supervisor = Supervisor(
            [*assignments, *(Assignment(PulseKind.SERVER) for _ in opened)],
            command=partial(command_for, listener=next(iter(opened), None)),
            tell=_tell,
            patience=Patience(ring=settings.ring_seconds + _BETWEEN_RINGS),
            inherited=opened,
        )
        _tell_away(settings)
        _tell(f"nightkey is up: {_name_parts(shares, only)}, stop with Ctrl-C or SIGTERM")
        if listener is not None:
            _tell_address(listener)
        status = supervisor.run()
    if status == 0:
        _tell("nightkey is down")
    return status


def _name_parts(shares: Collection[Collection[Line]], only: PulseKind | None) -> str:
    """As in "2 workers, one more for nights, and beat"."""
    at_targets = sum(Line.TARGETS in lines for lines in shares)
    parts = [say_count(at_targets, "worker")] if shares else []
    parts += ["one more for nights"] if len(shares) > at_targets else []
    parts += ["beat"] if only is not PulseKind.WORKER else []
    return f"{', '.join(parts[:-1])}, and {parts[-1]}" if len(parts) > 2 else " and ".join(parts)


def _listen(place: str) -> socket.socket | None:
    """Where it is served. Nights go on where it cannot be, and why is said."""
    if not place:
        return None
    missing = find_missing()
    if missing is not None:
        _tell(f"nightkey: nothing is served: that {missing}")
        return None
    from worker.web.serving import open_listener  # noqa: PLC0415  # an extra

    try:
        return open_listener(place)
    except ConfigurationError as error:
        _tell(f"nightkey: nothing is served, and nights go on: {error}")
        return None


def _tell_away(settings: Settings) -> None:
    """It is up all the same: a broker that starts later is no reason to end."""
    if not settings.broker_url:
        return
    from worker.broker.reaching import BrokerAwayError, check_broker  # noqa: PLC0415  # --help must not wait

    try:
        check_broker(settings)
    except BrokerAwayError as error:
        _tell(f"nightkey: {error}. Nothing is worked on until it answers; it is asked again and again")


def _tell_address(listener: socket.socket) -> None:
    from worker.web.serving import show_address  # noqa: PLC0415  # an extra

    warn(listener)
    _tell(f"the console is at {show_address(listener)}/console/, sign in with `nightkey console open`")


def _tell(text: str) -> None:
    """It goes on, whether anybody reads it or not."""
    with suppress(OSError):
        note_at_once(text)
