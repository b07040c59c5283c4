"""`nightkey serve`: answers calls from outside and browsers over HTTP until it is told to stop."""

import socket
from collections.abc import Callable
from functools import partial
from importlib.util import find_spec
from typing import TYPE_CHECKING, Annotated

import typer

from vaultcore.errors import ConfigurationError
from worker.cli.output import note, note_at_once
from worker.cli.session import open_settings
from worker.config import Settings
from worker.domain.pulses import Sign
from worker.hardening import die_with
from worker.log import configure_logging

if TYPE_CHECKING:
    from worker.bootstrap import Services

_NEEDED = ("authlib", "fastapi", "joserfc", "prometheus_client", "uvicorn")


def serve(
    *,
    listen: Annotated[
        str | None,
        typer.Option(
            "--listen",
            metavar="HOST:PORT",
            help="Where to listen; port 0 takes a free one. Default: the setting listen.",
        ),
    ] = None,
    pipe: Annotated[int | None, typer.Option("--pipe", hidden=True)] = None,
    parent: Annotated[int | None, typer.Option("--parent", hidden=True)] = None,
    listener: Annotated[int | None, typer.Option("--listener", hidden=True)] = None,
) -> None:
    """Give the console, and answer calls over HTTP.

    It does so until SIGTERM or Ctrl-C; what is running is finished first. `nightkey up` does this, too, beside
    beat and workers.
    """
    settings = open_settings()
    configure_logging(settings.log_level)
    missing = find_missing()
    if missing is not None:
        raise ConfigurationError(f"serve {missing}")
    if pipe is not None and parent is not None and listener is not None:
        die_with(parent)
        from worker.supervision.pulse import Pulse  # noqa: PLC0415  # only `up` begins it so

        with socket.socket(fileno=listener) as given:
            heard = Pulse(pipe)

            def tell(text: str) -> None:
                note_at_once(text)
                heard.begin()  # it was told to stop: what is running is waited for

            _serve(_open(settings), given, tell=tell, tick=partial(heard.say, Sign.ALIVE))
        return
    from worker.web.serving import open_listener  # noqa: PLC0415  # an extra

    services = _open(settings)
    with open_listener(listen or settings.listen) as opened:
        _serve(services, opened, begun=partial(_say_where, opened))
    note("nightkey has stopped serving")


def _say_where(listener: socket.socket) -> None:
    from worker.web.serving import show_address  # noqa: PLC0415  # an extra

    warn(listener)
    note(f"nightkey serves {show_address(listener)}: stop with Ctrl-C or SIGTERM")


def find_missing() -> str | None:
    """What to install before anything can be served; None: nothing."""
    missing = [name for name in _NEEDED if find_spec(name) is None]
    return f"needs {' and '.join(missing)}: pip install 'nightkey[web]'" if missing else None


def warn(listener: socket.socket) -> None:
    """What to know of where it listens."""
    from worker.web.serving import is_loopback  # noqa: PLC0415  # an extra

    if not is_loopback(listener):
        note("nightkey: warning: keys arrive unencrypted here: put a proxy that speaks TLS in front of it")


def _open(settings: Settings) -> "Services":
    from worker.bootstrap import Services  # noqa: PLC0415  # --help must not wait for it

    services = Services(settings)
    services.check(needs_key=False)
    services.load()
    if services.keyring.is_restricted:
        note("nightkey: this keyring opens nothing: what needs a value is refused here (deploy/calls.md)")
    return services


def _serve(
    services: "Services",
    listener: socket.socket,
    *,
    tell: Callable[[str], None] = note_at_once,
    tick: Callable[[], None] = lambda: None,
    begun: Callable[[], None] = lambda: None,
) -> None:
    """`begun`: says so, once a signal ends it in order."""
    from worker.web.app import build_app  # noqa: PLC0415  # an extra
    from worker.web.serving import WebServer  # noqa: PLC0415  # an extra

    server = WebServer(build_app(services), tell=tell, tick=tick)
    server.listen_to_signals()
    begun()
    server.run(sockets=[listener])
    services.close()
