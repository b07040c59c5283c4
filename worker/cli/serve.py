"""`nightkey serve`: answers calls from outside over HTTP until it is told to stop."""

from importlib.util import find_spec
from typing import Annotated

import typer

from vaultcore.errors import ConfigurationError
from worker.cli.output import note, note_at_once
from worker.cli.session import open_settings
from worker.log import configure_logging

_NEEDED = ("fastapi", "uvicorn")


def serve(
    *,
    listen: Annotated[
        str, typer.Option("--listen", metavar="HOST:PORT", help="Where to listen; port 0 takes a free one.")
    ] = "127.0.0.1:8321",
) -> None:
    """Answer calls to workflows over HTTP until SIGTERM or Ctrl-C; what is running is finished first."""
    settings = open_settings()
    configure_logging(settings.log_level)
    missing = [name for name in _NEEDED if find_spec(name) is None]
    if missing:
        raise ConfigurationError(f"serve needs {' and '.join(missing)}: pip install 'nightkey[web]'")
    from worker.bootstrap import Services  # noqa: PLC0415  # --help must not wait for it
    from worker.web.app import build_app  # noqa: PLC0415  # an extra
    from worker.web.serving import Server, is_loopback, open_listener, show_address  # noqa: PLC0415  # an extra

    services = Services(settings)
    services.check()
    with open_listener(listen) as listener:
        server = Server(build_app(services), tell=note_at_once)
        server.listen_to_signals()
        if not is_loopback(listener):
            note("nightkey: warning: keys arrive unencrypted here: put a proxy that speaks TLS in front of it")
        note(f"nightkey serves {show_address(listener)}: stop with Ctrl-C or SIGTERM")
        server.run(sockets=[listener])
    services.close()
    note("nightkey has stopped serving")
