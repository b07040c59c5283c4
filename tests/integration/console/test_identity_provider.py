"""Signing in by a real identity provider, and what a hostile one, or somebody between, gets."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

import pytest
from playwright.sync_api import Page as ChromiumPage
from playwright.sync_api import expect
from sqlalchemy import func, select
from starlette.types import ASGIApp, Receive, Scope, Send

from tests.browsing import Browser, Page
from tests.ingress import Front, serve_app
from tests.provider import Provider, start_provider
from tests.vaults import copy_vault
from tests.ways_out import LOOPBACK
from vaultcore.tables import audit
from worker.bootstrap import Services, utc_now
from worker.config import load_settings
from worker.web.app import build_app
from worker.web.connections import ConnectionLimits

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of the provider's own
BACK = "/console/oidc/callback"
COOKIE = "nightkey-oidc"


@dataclass
class House:
    """A served vault that knows a provider. `since`: the last row of the record before this test."""

    services: Services
    front: Front
    provider: Provider
    numbers: Iterator[int]
    since: int = 0

    def add(self, *groups: str, **claims: Any) -> str:
        """Somebody new at the provider: what it calls them."""
        number = str(next(self.numbers))
        self.set_groups(number, *groups, **claims)
        return number

    def set_groups(self, number: str, *groups: str, **claims: Any) -> None:
        self.provider.set_user(number, **{"preferred_username": f"ada-{number}", "groups": groups, **claims})

    def leave(self, browser: Browser, path: str = "/console/oidc") -> str:
        """To where a browser is sent to sign in."""
        answer = browser.client.get(path, follow_redirects=False)
        assert answer.status_code == 303, answer.text
        return str(answer.headers["location"])

    def sign_in(self, subject: str, browser: Browser | None = None) -> Page:
        browser = browser or Browser(self.front)
        return browser.open(self.provider.authorize(self.leave(browser), subject))

    def rows(self, action: str) -> list[Any]:
        with self.services.database.read() as connection:
            return list(
                connection.execute(select(audit).where(audit.c.action == action, audit.c.seq > self.since))
            )


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    """The provider and the vault name each other: both listen before either is made."""
    apps: list[ASGIApp] = []
    home = tmp_path_factory.mktemp("provider") / "home"

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await apps[0](scope, receive, send)

    def build(front: Front) -> None:
        settings = load_settings(
            home,
            outbound_private=LOOPBACK,
            console_url=front.url,
            oidc_issuer=provider.url,
            oidc_client_id="nightkey",
            oidc_client_secret="the-secret-of-the-client",
            oidc_roles=("ops=operator", "sec=auditor", "pay=owner:billing"),
        )
        copy_vault(settings, utc_now)
        made.append(Services(settings))
        with made[0].database.write() as connection:
            made[0].owners.create(connection, "billing", actor="test")
        apps.append(build_app(made[0], ConnectionLimits(failures=1000)))

    made: list[Services] = []
    with start_provider() as provider:
        with serve_app(app, before=build) as front:
            yield House(made[0], front, provider, count(1))
        made[0].close()


@pytest.fixture
def house(served: House) -> House:
    served.provider.spoil = str
    served.provider.challenges.clear()
    with served.services.database.read() as connection:
        served.since = connection.execute(select(func.max(audit.c.seq))).scalar_one()
    return served


def test_somebody_signs_in_in_a_real_browser_and_stays_where_they_wanted(
    house: House, page: ChromiumPage
) -> None:
    number = house.add("ops")
    # The provider's page wants a style sheet from elsewhere
    page.route(
        lambda url: urlsplit(url).hostname not in ("127.0.0.1", "localhost"), lambda one: one.fulfill(body="")
    )
    page.goto(f"{house.front.url}/console/items?q=crm")
    page.get_by_role("link", name="Sign in with localhost").click()
    page.locator("input[name=sub]").fill(number)
    page.get_by_role("button", name="Authorize").click()
    expect(page).to_have_title("Vault · Nightkey")
    assert page.url == f"{house.front.url}/console/items?q=crm"
    expect(page.locator("details.you summary")).to_contain_text(f"ada-{number}")
    kept = {one["name"]: one for one in page.context.cookies() if one["name"].startswith("nightkey")}
    assert kept["nightkey"]["httpOnly"]
    assert COOKIE not in kept


def with_query(address: str, **changed: str | None) -> str:
    """The address with other parameters; None: without it."""
    parts = urlsplit(address)
    given = {name: values[0] for name, values in parse_qs(parts.query).items()} | changed
    return f"{parts.path}?{urlencode({name: value for name, value in given.items() if value is not None})}"


def test_somebody_signs_in_and_is_who_their_groups_say(house: House) -> None:
    browser = Browser(house.front)
    page = browser.open("/console/")
    assert page.path == "/console/sign-in"
    assert page.links["Sign in with localhost"].startswith("/console/oidc?next=")
    there = house.leave(browser, page.links["Sign in with localhost"])
    asked = {name: values[0] for name, values in parse_qs(urlsplit(there).query).items()}
    assert asked["response_type"] == "code"
    assert asked["redirect_uri"] == f"{house.front.url}{BACK}"
    assert asked["code_challenge_method"] == "S256"
    assert {"state", "nonce", "code_challenge"} <= set(asked)
    assert "code_verifier" not in asked
    home = browser.open(house.provider.authorize(there, house.add("ops")))
    assert (home.status, home.path) == (200, "/console/")
    assert "person:ada-" in home.text
    assert "operator" in home.text
    assert COOKIE not in browser.client.cookies
    (made,) = house.rows("principal.create")
    assert (made.actor, made.details["roles"]) == ("identity-provider", ["operator"])


def test_what_the_browser_keeps_is_short_and_says_nothing(house: House) -> None:
    browser = Browser(house.front)
    answer = browser.client.get("/console/oidc", follow_redirects=False)
    cookie = answer.headers["set-cookie"].lower()
    for part in ("httponly", "samesite=lax", "max-age=600", "path=/"):
        assert part in cookie
    state = parse_qs(urlsplit(answer.headers["location"]).query)["state"][0]
    assert state.lower() not in cookie
    assert "the-secret-of-the-client" not in answer.headers["location"]


def test_one_comes_back_to_where_one_wanted_to_go(house: House) -> None:
    browser = Browser(house.front)
    there = house.leave(browser, "/console/oidc?next=%2Fconsole%2F%3Fa%3Db")
    answer = browser.client.get(house.provider.authorize(there, house.add("ops")), follow_redirects=False)
    assert (answer.status_code, answer.headers["location"]) == (303, "/console/?a=b")


@pytest.mark.parametrize("path", ["https://evil.example/", "//evil.example", "/\\evil.example", "/console/\\e"])
def test_no_address_leads_elsewhere_afterwards(house: House, path: str) -> None:
    browser = Browser(house.front)
    there = house.leave(browser, f"/console/oidc?{urlencode({'next': path})}")
    answer = browser.client.get(house.provider.authorize(there, house.add("ops")), follow_redirects=False)
    assert (answer.status_code, answer.headers["location"]) == (303, "/console/")


def test_a_session_is_new_whatever_the_browser_presented(house: House) -> None:
    browser, ada = Browser(house.front), house.add("ops")
    browser.client.cookies.set("nightkey", "chosen-by-somebody-else", domain="127.0.0.1", path="/")
    house.sign_in(ada, browser)
    first = browser.client.cookies["nightkey"]
    assert first != "chosen-by-somebody-else"
    house.sign_in(ada, browser)
    assert browser.client.cookies["nightkey"] != first


def test_roles_follow_the_groups_at_each_sign_in(house: House) -> None:
    browser, ada = Browser(house.front), house.add("ops")
    house.sign_in(ada, browser)
    house.set_groups(ada, "sec", "pay")
    page = house.sign_in(ada)
    assert "auditor, owner" in page.text
    assert "auditor, owner" in browser.open("/console/").text, "and in the session that was there"
    (row,) = house.rows("principal.update")
    assert row.details["roles"] == ["auditor", "owner"]
    house.set_groups(ada)
    refused = house.sign_in(ada)
    assert refused.status == 403
    assert "none of your groups has a role here" in refused.text
    assert browser.open("/console/").status == 403, "what is taken away is gone at once"


def test_who_has_no_role_is_told_so_and_stands_in_the_record(house: House) -> None:
    browser, eve = Browser(house.front), house.add("nothing")
    page = house.sign_in(eve, browser)
    assert page.status == 403
    assert "none of your groups has a role here" in page.text
    assert "nightkey" not in browser.client.cookies
    (row,) = house.rows("session.refuse")
    assert (row.subject, row.details["why"]) == (eve, "no-role")
    assert house.rows("principal.create") == []


def test_who_was_revoked_stays_out(house: House) -> None:
    ada = house.add("ops")
    house.sign_in(ada)
    house.services.access.principals.revoke(f"ada-{ada}", actor="test")
    page = house.sign_in(ada)
    assert (page.status, "revoked" in page.text) == (403, True)
    assert house.rows("session.refuse")[-1].details["why"] == "revoked"


def test_a_sign_in_of_one_browser_signs_in_no_other(house: House) -> None:
    """Somebody sends another the end of a sign-in of theirs, to have them work as somebody else."""
    mine, theirs = Browser(house.front), Browser(house.front)
    back = house.provider.authorize(house.leave(mine), house.add("ops"))
    assert theirs.open(back).status == 403
    house.leave(theirs)
    assert theirs.open(back).status == 403, "even with one of their own begun"
    assert "nightkey" not in theirs.client.cookies


def test_a_sign_in_comes_back_once(house: House) -> None:
    browser = Browser(house.front)
    there = house.leave(browser)
    kept = browser.client.cookies[COOKIE]
    back = house.provider.authorize(there, house.add("ops"))
    assert browser.open(back).status == 200
    other = Browser(house.front)
    other.client.cookies.set(COOKIE, kept, domain="127.0.0.1", path="/")
    page = other.open(back)
    assert (page.status, "was used before" in page.text) == (403, True)


def test_what_is_kept_is_taken_as_we_made_it(house: House) -> None:
    for change in (lambda kept: kept[:-4] + "AAAA", lambda _: "x", lambda _: ""):
        browser = Browser(house.front)
        back = house.provider.authorize(house.leave(browser), house.add("ops"))
        kept = browser.client.cookies.pop(COOKIE)
        browser.client.cookies.set(COOKIE, change(kept), domain="127.0.0.1", path="/")
        assert browser.open(back).status == 403


@pytest.mark.parametrize(
    "changed",
    [
        {"state": "other"},
        {"state": None},
        {"code": "other"},
        {"code": None},
        {"error": "access_denied"},
        {"iss": "https://evil.example"},
    ],
    ids=str,
)
def test_an_answer_that_was_changed_on_its_way_is_refused(house: House, changed: dict[str, Any]) -> None:
    browser = Browser(house.front)
    back = house.provider.authorize(house.leave(browser), house.add("ops"))
    page = browser.open(with_query(back, **changed))
    assert page.status == 403
    assert "nightkey" not in browser.client.cookies


def test_a_parameter_that_comes_twice_is_none_that_the_provider_sent(house: House) -> None:
    browser = Browser(house.front)
    back = house.provider.authorize(house.leave(browser), house.add("ops"))
    assert browser.open(f"{back}&code=another").status == 403


def test_a_code_of_another_sign_in_is_refused(house: House) -> None:
    """Whoever gets hold of a code puts it into a sign-in of theirs: its verifier is another."""
    victim, thief = Browser(house.front), Browser(house.front)
    code = parse_qs(urlsplit(house.provider.authorize(house.leave(victim), house.add("ops"))).query)["code"][0]
    there = house.leave(thief)
    state = parse_qs(urlsplit(there).query)["state"][0]
    page = thief.open(f"{BACK}?{urlencode({'state': state, 'code': code})}")
    assert (page.status, "does not hold" in page.text) == (403, True)


def test_the_nonce_alone_tells_a_code_of_another_sign_in(house: House) -> None:
    """Of a provider that looks at no verifier."""
    victim, thief = Browser(house.front), Browser(house.front)
    there = house.leave(thief)
    asked = {name: values[0] for name, values in parse_qs(urlsplit(there).query).items()}
    house.provider.spoil = lambda _: asked["code_challenge"]
    code = parse_qs(urlsplit(house.provider.authorize(house.leave(victim), house.add("ops"))).query)["code"][0]
    page = thief.open(f"{BACK}?{urlencode({'state': asked['state'], 'code': code})}")
    assert (page.status, "does not hold" in page.text) == (403, True)


def test_somebody_who_changes_the_challenge_gets_nobody_in(house: House) -> None:
    house.provider.spoil = lambda challenge: challenge[::-1]
    assert house.sign_in(house.add("ops")).status == 403


def test_who_says_no_at_the_provider_is_back_at_the_beginning(house: House) -> None:
    browser = Browser(house.front)
    there = house.leave(browser)
    page = browser.open(
        with_query(house.provider.deny(there), state=parse_qs(urlsplit(there).query)["state"][0])
    )
    assert (page.status, "did not let you in" in page.text) == (403, True)
    assert "Sign in with localhost" in page.links


def test_hostile_names_are_shown_as_text(house: House) -> None:
    page = house.sign_in(house.add("ops", preferred_username="<b>Eve</b>"))
    assert page.status == 200
    assert "<b>Eve" not in page.source


def test_without_a_provider_there_is_no_such_way_in(tmp_path: Path) -> None:
    settings = load_settings(tmp_path / "home")
    copy_vault(settings, utc_now)
    services = Services(settings)
    with serve_app(build_app(services)) as front:
        for path in ("/console/oidc", BACK):
            assert Browser(front).open(path).status == 404
        assert "Sign in with" not in Browser(front).open("/console/sign-in").text
    services.close()


def test_a_provider_that_is_away_is_said_to_be(tmp_path: Path) -> None:
    settings = load_settings(
        tmp_path / "home",
        outbound_private=LOOPBACK,
        console_url="http://127.0.0.1:1",
        oidc_issuer="http://127.0.0.1:1",
        oidc_client_id="nightkey",
    )
    copy_vault(settings, utc_now)
    services = Services(settings)
    with serve_app(build_app(services)) as front:
        page = Browser(front).open("/console/oidc")
        assert (page.status, "does not answer now" in page.text) == (503, True)
    services.close()
