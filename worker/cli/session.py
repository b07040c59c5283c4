"""What every command shares: its answer as JSON, whom it asks (the services of its data folder, or a server far
away), and who is asking.
"""

import atexit
import os
import pwd
from collections.abc import Callable
from datetime import UTC
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TypeVar

import typer

from vaultcore.errors import ConfigurationError
from worker.cli.output import note
from worker.cli.screen import screen
from worker.config import SETTINGS_FILE, Settings, load_settings, unknown_variables
from worker.log import configure_logging
from worker.origins import TOKEN_VARIABLE, URL_VARIABLE, WARNED_VARIABLE

if TYPE_CHECKING:  # imported when a command needs it: it takes most of the start-up time
    from worker.bootstrap import Services
    from worker.cli.far.server import FarServer

T = TypeVar("T")

_LOGIN_UID = Path("/proc/self/loginuid")
_NO_LOGIN = 2**32 - 1


Json = Annotated[bool, typer.Option("--json", help="Answer with one JSON document.")]


def ask(near: Callable[["Services"], T], far: Callable[["FarServer"], T]) -> T:
    """What a command is answered with: by the services of this machine, with every right, or by the server of
    `NIGHTKEY_URL`, with those of the token's principal. Either gives the same shape, and whatever goes wrong
    there as one of our errors.
    """
    server = open_server()
    return near(open_services()) if server is None else far(server)


def open_server() -> "FarServer | None":
    """The server that the variables name; None: the command works on the vault of this machine."""
    if not is_far():
        return None
    from worker.cli.far.address import find_address  # noqa: PLC0415  # --help must not wait for it
    from worker.cli.far.server import EVERYWHERE, FarServer  # noqa: PLC0415  # likewise
    from worker.outbound.network import Network  # noqa: PLC0415  # likewise

    address = find_address(os.environ)
    if address is None:
        return None
    configure_logging("ERROR")
    settings = _read_settings()
    return FarServer(
        address,
        clock=screen().clock,
        network=Network(EVERYWHERE, ca_file=settings.outbound_ca),
        timeout=settings.http_timeout_seconds,
        proxy=settings.outbound_proxy,
    )


def is_far() -> bool:
    return any(os.environ.get(name, "").strip() for name in (URL_VARIABLE, TOKEN_VARIABLE))


def open_settings() -> Settings:
    """The settings of the vault on this machine, and of nothing far away."""
    refuse_far()
    return _read_settings()


def refuse_far() -> None:
    """`ConfigurationError` where the variables name a server: the command works beside the vault alone."""
    if is_far():
        from worker.cli.far.address import find_address  # noqa: PLC0415  # as above

        find_address(os.environ)
        raise ConfigurationError(
            f"{URL_VARIABLE} is set, and this command works on the vault's machine alone: unset it there"
        )


def _read_settings() -> Settings:
    """Once what is theirs is found to be this user's own. Variables that are none are told once, also to the
    children of `up`.
    """
    from worker.home import check_home, find_warning  # noqa: PLC0415  # --help must not wait for it

    settings = load_settings()
    screen().zone = settings.zone if settings.time_zone != "UTC" else UTC
    check_home(settings)
    unknown = unknown_variables()
    warning = find_warning(settings)
    if warning is not None and SETTINGS_FILE not in os.environ.get(WARNED_VARIABLE, "").split():
        unknown[SETTINGS_FILE] = warning
    for sentence in unknown.values():
        note(f"nightkey: warning: {sentence}")
    if unknown:
        os.environ[WARNED_VARIABLE] = " ".join([os.environ.get(WARNED_VARIABLE, ""), *unknown]).strip()
    return settings


def open_services() -> "Services":
    """The services of the data folder that the command names; logs are left to the worker."""
    from worker.bootstrap import Services  # noqa: PLC0415  # --help must not wait for it

    configure_logging("ERROR")
    services = Services(open_settings(), screen().clock)
    atexit.register(services.close)  # SQLite tidies its files where its last connection is closed
    return services


def who() -> str:
    """Who is asking, for the audit log and for four eyes: the login, as the kernel knows it.

    Variables such as USER are not asked: anybody can set them. Who became another user (sudo) is still
    known by the login that they began with, where the system keeps that.
    """
    uid = _login_uid()
    try:
        return f"user:{pwd.getpwuid(uid).pw_name}"
    except KeyError:
        return f"user:{uid}"


def _login_uid() -> int:
    try:
        uid = int(_LOGIN_UID.read_text())
    except (OSError, ValueError):
        return os.getuid()
    return os.getuid() if uid == _NO_LOGIN else uid
