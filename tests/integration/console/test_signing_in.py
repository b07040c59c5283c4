"""Signing in to the console, and what keeps others out of it."""

import hashlib
from typing import Any

import pytest
from fastapi.routing import APIRoute
from sqlalchemy import select, update

from tests.browsing import Browser
from tests.integration.console.conftest import House, signed_in
from tests.services.test_tampered import behind
from vaultcore.access import Action, Role, may_ever
from vaultcore.model import PrincipalKind
from vaultcore.sessions import LINK_LIFETIME, SESSION_LIFETIME
from vaultcore.tables import audit, sessions
from worker.web.api.asking import ACTION
from worker.web.app import PAGES
from worker.web.console.visits import PageRoute

HOME = "/console/"


def test_a_link_signs_in_once(house: House) -> None:
    token = house.services.access.sign_ins.make_link("viewer", actor="user:test").expose()
    browser = Browser(house.front)
    page = browser.open(f"/console/link/{token}")
    assert (page.status, page.path) == (200, HOME)
    assert "person:viewer" in page.text
    again = Browser(house.front).open(f"/console/link/{token}")
    assert again.status == 403
    assert "This link signs nobody in" in again.text
    assert token not in again.source


def test_a_link_and_a_session_end(house: House) -> None:
    late = house.services.access.sign_ins.make_link("viewer", actor="user:test").expose()
    browser = house.browser("viewer")
    house.clock.now += LINK_LIFETIME
    assert Browser(house.front).open(f"/console/link/{late}").status == 403
    assert browser.open(HOME).path == HOME
    house.clock.now += SESSION_LIFETIME
    assert browser.open(HOME).path == "/console/sign-in"


def test_a_session_is_new_whatever_the_browser_presented(house: House) -> None:
    """Nobody can give somebody a session of his choice, and wait until they sign in with it."""
    browser = Browser(house.front)
    browser.client.cookies.set("nightkey", "chosen-by-somebody-else", domain="127.0.0.1", path="/")
    assert browser.open(HOME).path == "/console/sign-in"
    browser.sign_in(house.services, "viewer")
    first = browser.client.cookies["nightkey"]
    assert first != "chosen-by-somebody-else"
    browser.sign_in(house.services, "viewer")
    assert browser.client.cookies["nightkey"] != first


def test_signing_out_ends_the_session_itself(house: House) -> None:
    browser = house.browser("viewer")
    kept = browser.client.cookies["nightkey"]
    out = browser.press(browser.open(HOME), "Sign out")
    assert out.path == "/console/sign-in"
    assert "nightkey" not in browser.client.cookies
    browser.client.cookies.set("nightkey", kept, domain="127.0.0.1", path="/")
    assert browser.open(HOME).path == "/console/sign-in"


def test_who_is_let_in_no_more_is_signed_out_at_once(house: House) -> None:
    house.services.access.principals.create(
        "leaver", kind=PrincipalKind.PERSON, roles=[Role.VIEWER], owners=[], actor="t"
    )
    browser = house.browser("leaver")
    link = house.services.access.sign_ins.make_link("leaver", actor="t").expose()
    house.services.access.principals.revoke("leaver", actor="t")
    assert browser.open(HOME).path == "/console/sign-in"
    assert Browser(house.front).open(f"/console/link/{link}").status == 403


def test_a_session_that_none_of_us_wrote_lets_nobody_in(house: House) -> None:
    """Who may write to the database makes of a viewer's session one of whoever may read the keyring."""
    browser = house.browser("viewer")
    presented = hashlib.sha256(browser.client.cookies["nightkey"].encode()).digest()
    with behind(house.services) as connection:
        edited = connection.execute(
            update(sessions).where(sessions.c.digest == presented).values(principal_id=None, actor="user:root")
        )
        assert edited.rowcount == 1
    assert browser.open(HOME).path == "/console/sign-in"


@pytest.mark.parametrize(
    "path",
    [
        "https://evil.example/",
        "//evil.example/",
        "/\\evil.example",
        "/console/\\evil",
        "/other",
        "javascript:1",
        "",
    ],
)
def test_no_address_leads_elsewhere_after_signing_in(house: House, path: str) -> None:
    browser = house.browser("viewer")
    answered = browser.client.get("/console/sign-in", params={"next": path}, follow_redirects=False)
    assert (answered.status_code, answered.headers["location"]) == (303, HOME)


def test_a_form_of_another_site_does_nothing(house: House) -> None:
    browser = house.browser("viewer")
    page = browser.open(HOME)
    (form,) = [one for one in page.forms if "Sign out" in one.buttons]
    (token,) = [value for name, value in form.fields if name == "form_token"]
    sent = {"Content-Type": "application/x-www-form-urlencoded"}
    for body, headers in [
        ("", sent),
        ("form_token=", sent),
        ("form_token=" + "0" * 64, sent),
        (f"form_token={token}", {**sent, "Sec-Fetch-Site": "cross-site"}),
        (f"form_token={token}", {**sent, "Sec-Fetch-Site": "same-site"}),
        (f'{{"form_token": "{token}"}}', {"Content-Type": "application/json"}),
        (f"form_token={token}", {"Content-Type": "text/plain"}),
    ]:
        refused = browser.client.post("/console/sign-out", content=body, headers=headers)
        assert refused.status_code in (403, 415), (body, headers)
    assert browser.open(HOME).path == HOME


def test_no_other_site_frames_a_page_or_runs_in_it(house: House) -> None:
    for browser, path in [(house.browser("viewer"), HOME), (Browser(house.front), "/console/sign-in")]:
        page = browser.open(path)
        policy = page.headers["content-security-policy"]
        assert "default-src 'none'" in policy
        assert "frame-ancestors 'none'" in policy
        assert "unsafe" not in policy
        assert page.headers["x-frame-options"] == "DENY"
        assert page.headers["cache-control"] == "no-store"
        assert "style=" not in page.source
        assert "onclick" not in page.source


def test_the_vault_keeps_no_token(house: House) -> None:
    browser = house.browser("viewer")
    link = house.services.access.sign_ins.make_link("viewer", actor="user:test").expose()
    cookie = browser.client.cookies["nightkey"]
    with house.services.database.read() as connection:
        stored = repr(connection.execute(select(sessions)).all())
    for token in (link, cookie):
        assert token not in stored
        assert token.encode().hex() not in stored


PAGES_OF_OURS = [route for noun in PAGES for route in noun.router.routes if isinstance(route, PageRoute)]


@pytest.mark.parametrize("route", PAGES_OF_OURS, ids=lambda one: f"{min(one.methods)} {one.path}")
def test_each_page_is_for_whom_the_table_says(house: House, route: APIRoute) -> None:
    """Without a session it leads to where one signs in; who may never do what it is for is told so."""
    action = Action((route.openapi_extra or {})[ACTION])
    path = route.path_format.format_map(_Nothing())
    (method,) = route.methods
    assert Browser(house.front).client.request(method, path).url.path == "/console/sign-in"
    before = len(refusals(house))
    refused = 0
    for role in Role:
        browser = signed_in(house, role)
        sent = {"Content-Type": "application/x-www-form-urlencoded"}
        answered = browser.client.request(method, path, headers=sent)
        found = house.services.access.principals._principals  # as the server finds it
        with house.services.database.read() as connection:
            principal = found.get(connection, role).as_asker()
        is_refused = answered.status_code == 403 and "Not for you" in answered.text
        if not may_ever(principal, action):
            assert is_refused, role
            refused += 1
    assert len(refusals(house)) == before + refused


def refusals(house: House) -> list[Any]:
    with house.services.database.read() as connection:
        return list(connection.execute(select(audit).where(audit.c.action == "access.refuse")))


class _Nothing(dict[str, str]):
    def __missing__(self, name: str) -> str:
        return "vlt_" + "0" * 26 if name == "item_id" else "nothing"
