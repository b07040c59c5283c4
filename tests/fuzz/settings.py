"""What people set: policies, windows, times and routes."""

from datetime import UTC, datetime
from typing import Any

from tests.fuzz.mutating import SEEDS, texts, trees, write
from tests.fuzz.surfaces import Surface
from tests.http_rotator import describe
from tests.ways_out import HTTP, NETWORK
from vaultcore.errors import InvalidInputError
from vaultcore.rules import parse_duration
from vaultcore.secret import Secret
from worker.cli.inputs import _FILE_MAX, parse_time
from worker.delivery.sender import AppriseSender
from worker.domain.ends import NoEndError, read_end
from worker.domain.policies import build_policy
from worker.domain.windows import find_moment, open_until, parse_window, show_window
from worker.rotators.catalog import find_accounts, parse_settings
from worker.workflows.schedule import next_run

_NOW = datetime(2026, 3, 4, 12, 30, tzinfo=UTC)


_SENDER = AppriseSender(NETWORK, HTTP)


class _Service:
    url = "https://tokens.example.test"


_POLICIES = (
    {"mode": "auto", "rotator": "http", "settings": describe(_Service()), "lifetime": "90d", "lead": "14d"},
    *SEEDS["policies"]["seeds"],
)


def _take_policy(given: Any) -> object:  # JSON
    if not isinstance(given, dict):
        raise InvalidInputError("a policy is an object")
    if len(write(given)) > _FILE_MAX:
        raise InvalidInputError("no file of a policy is that large")
    policy = build_policy(None, given)
    find_accounts(policy)
    return None if policy.rotator is None else parse_settings(policy.rotator, policy.settings)


def _take_window(text: str) -> object:
    window = parse_window(text)
    return show_window(window), open_until(window, _NOW), find_moment((window,), (), _NOW)


def _take_time(text: str) -> object:
    """By whoever reads times: each on its own, since what one refuses another may take."""
    for kind in ("interval", "cron", "daily", "weekly", "once"):
        _try(lambda kind=kind: next_run(kind, text, _NOW))
    for called in ("", "expires_in", "expires_at"):
        _try(lambda called=called: read_end(text, _NOW, called=called))
    _try(lambda: parse_duration(text))
    return parse_time(text, _NOW)


def _try(read: Any) -> None:  # a call of any answer
    try:
        read()
    except (InvalidInputError, NoEndError):
        return


POLICIES = Surface(inputs=trees(_POLICIES, SEEDS["policies"]["words"]), take=_take_policy)
WINDOWS = Surface(inputs=texts(**SEEDS["windows"]), take=_take_window)
DATES = Surface(inputs=texts(**SEEDS["dates"]), take=_take_time)
ROUTES = Surface(inputs=texts(**SEEDS["routes"]), take=lambda text: _SENDER.check(Secret(text)))
