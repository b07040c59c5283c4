"""A served vault with a principal for each role, and a real browser for what needs one."""

import shutil
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import pytest
from playwright.sync_api import Browser as Chromium
from playwright.sync_api import BrowserContext, ConsoleMessage, Page, expect, sync_playwright

from tests.browsing import Browser
from tests.conftest import Clock
from tests.ingress import Front, serve
from tests.services.staging import make_services
from vaultcore.access import Role
from vaultcore.model import PrincipalKind
from worker.bootstrap import Services
from worker.domain.policies import PolicyChange
from worker.rows import pickups as pickup_rows

_NAMES = ("chromium", "chromium-browser", "google-chrome")
_PATIENCE = 120_000
"""Milliseconds that a page may take on a machine with other work."""


@dataclass
class House:
    """A served vault, whose clock the test moves, and a principal for each role, by the role's name."""

    services: Services
    front: Front
    clock: Any
    browsers: dict[str, Browser] = field(default_factory=dict)

    def link(self, name: str | None = None) -> str:
        """The address that signs a browser in, once."""
        token = self.services.access.sign_ins.make_link(name, actor="user:test")
        return f"{self.front.url}/console/link/{token.expose()}"

    def browser(self, name: str | None = None, *, signed_in: bool = True) -> Browser:
        browser = Browser(self.front)
        if signed_in:
            assert browser.sign_in(self.services, name).status == 200
        return browser


def signed_in(house: House, name: str) -> Browser:
    """A browser in which this principal is signed in, the same one for all tests of a module."""
    if name not in house.browsers:
        house.browsers[name] = house.browser(name)
    return house.browsers[name]


def let_a_key_wait(house: House) -> str:
    """A new key of `team` that somebody is to collect: the token with which they do."""
    services = house.services
    item, first = services.items.creation.create(
        "api-key:waiting",
        read_value=None,
        owners=["team"],
        expires_at=house.clock.now + timedelta(days=30),
        policy=PolicyChange(parts={"mode": "auto", "lifetime": "30d", "lead": "5d"}),
        actor="test",
    )
    assert first is not None
    services.rotation.pickups.end_stored(first.pickup_id, actor="test")
    opened = services.rotation.opening.request(item.id, asked_by="test")
    rotation = services.night.inline_night.run_rotation(opened.id, lambda _: None)
    with services.database.read() as connection:
        waiting = pickup_rows.of_rotation(connection, rotation.id)
    assert waiting is not None
    return services.rotation.pickups.token(waiting.id)


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    clock = Clock()
    services = make_services(tmp_path_factory.mktemp("console") / "home", "", clock)
    with services.database.write() as connection:
        services.owners.create(connection, "team", actor="test")
    for role in Role:
        owners = ["team"] if role is Role.OWNER else []
        services.access.principals.create(
            role, kind=PrincipalKind.PERSON, roles=[role], owners=owners, actor="test"
        )
    with serve(services) as front:
        yield House(services, front, clock)
    services.close()


@pytest.fixture(scope="module")
def chromium() -> Iterator[Chromium]:
    """A real browser, without a window. Its driver has a loop of events in this thread, beside which others
    can begin none: so it ends with its module.
    """
    found = next(filter(None, map(shutil.which, _NAMES)), None)
    if found is None:
        pytest.skip("no Chromium is installed here: apt-get install chromium")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=found, args=["--no-sandbox"])
        expect.set_options(timeout=_PATIENCE)
        yield browser
        browser.close()


def _is_fault(message: ConsoleMessage) -> bool:
    """A refusal that a test asks for is none."""
    return message.type == "error" and "responded with a status of 4" not in message.text


def _without_replaced(said: list[str]) -> list[str]:
    """Who types on while a search is under way replaces it, which htmx tells as an error, in two lines."""
    kept: list[str] = []
    for one in said:
        if one.startswith("htmx:sendAbort") and kept and kept[-1].startswith("htmx:afterRequest"):
            kept.pop()
        else:
            kept.append(one)
    return kept


@pytest.fixture
def context(chromium: Chromium) -> Iterator[BrowserContext]:
    """A browser that has been nowhere; what its pages say of errors fails the test."""
    said: list[str] = []
    with chromium.new_context() as made:
        made.set_default_timeout(_PATIENCE)
        made.on("weberror", lambda error: said.append(str(error.error)))
        made.on("console", lambda one: said.append(one.text) if _is_fault(one) else None)
        yield made
    assert _without_replaced(said) == []


@pytest.fixture
def page(context: BrowserContext) -> Page:
    return context.new_page()
