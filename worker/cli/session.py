"""What every command shares: its answer as JSON, the services of its data folder, and who is asking."""

import os
import pwd
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from worker.cli.output import note
from worker.config import SETTINGS_FILE, Settings, load_settings, unknown_variables
from worker.log import configure_logging
from worker.origins import WARNED_VARIABLE

if TYPE_CHECKING:  # imported when a command needs it: it takes most of the start-up time
    from worker.bootstrap import Services


_LOGIN_UID = Path("/proc/self/loginuid")
_NO_LOGIN = 2**32 - 1


Json = Annotated[bool, typer.Option("--json", help="Answer with one JSON document.")]


def open_settings() -> Settings:
    """The settings, once what is theirs is found to be this user's own. Variables that are none are told once,
    also to the children of `up`.
    """
    from worker.home import check_home, find_warning  # noqa: PLC0415  # --help must not wait for it

    settings = load_settings()
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
    return Services(open_settings())


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
