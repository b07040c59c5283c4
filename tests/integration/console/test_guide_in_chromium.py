"""What people come for, in a real browser: a failure's cause, an approval, a key, one item among 10,000."""

import re
from collections.abc import Iterator

import pytest
from playwright.sync_api import Page, expect

from tests.integration.console.conftest import House, let_a_key_wait
from tests.integration.console.morning import MAIL, TICKETS, Morning, make_morning
from tests.many_items import fill
from worker.domain.saga import State


@pytest.fixture(scope="module")
def morning(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Morning]:
    with make_morning(tmp_path_factory.mktemp("guide")) as made:
        yield made


def sign_in(morning: Morning, page: Page, name: str) -> None:
    token = morning.services.access.sign_ins.make_link(name, actor="user:test")
    page.goto(f"{morning.front.url}/console/link/{token.expose()}")


def test_last_nights_failure_leads_to_its_cause(morning: Morning, page: Page) -> None:
    sign_in(morning, page, "viewer")
    row = page.locator("#night tr", has_text=MAIL)
    expect(row).to_contain_text("not replaced")
    row.get_by_role("link", name=MAIL).click()
    expect(page.get_by_role("heading", name="Step by step")).to_be_visible()
    failed = page.locator("tr", has_text="node test")
    expect(failed).to_contain_text("404")


def test_somebody_else_approves_what_waits(morning: Morning, page: Page) -> None:
    sign_in(morning, page, "approver")
    page.locator("li", has_text=TICKETS).get_by_role("link", name="Approve or reject").click()
    page.locator("summary.button", has_text="Approve").click()
    page.get_by_role("button", name="Approve", exact=True).click()
    expect(page.get_by_role("status")).to_be_visible()
    assert morning.state(TICKETS) is not State.REQUESTED
    page.goto(f"{morning.front.url}/console/")
    expect(page.get_by_text("Approve or reject")).to_have_count(0)


@pytest.mark.long
def test_one_item_is_found_among_ten_thousand(house: House, page: Page) -> None:
    fill(house.services.database, 10_000, house.services.clock())
    page.goto(house.link("viewer"))
    page.goto(f"{house.front.url}/console/items")
    expect(page.locator("tbody tr")).to_have_count(50)
    wanted = page.locator("tbody tr a.name").nth(30).inner_text()
    page.get_by_label("Name", exact=True).press_sequentially(wanted)
    expect(page.locator("tbody tr")).to_have_count(1)
    expect(page.locator("a.name", has_text=wanted)).to_be_visible()
    assert re.search(r"[?&]q=", page.url)
    page.get_by_label("Name", exact=True).fill("")
    expect(page.locator("tbody tr")).to_have_count(50)
    page.get_by_role("link", name="Next page").click()
    expect(page.locator("tbody tr")).to_have_count(50)
    expect(page.locator("a.name", has_text=wanted)).to_have_count(0)


def test_a_key_is_collected_once(house: House, page: Page) -> None:
    """By whom its notice says; the second time it is refused, with why."""
    token = let_a_key_wait(house)
    page.goto(house.link("owner"))
    page.goto(f"{house.front.url}/console/pickup#{token}")
    page.get_by_role("button", name="Show me the key").click()
    assert page.locator("#key").inner_text().startswith("wfk_")
    page.get_by_role("button", name="I have stored it").click()
    page.goto(f"{house.front.url}/console/pickup#{token}")
    page.get_by_role("button", name="Show me the key").click()
    expect(page.locator("#key")).to_have_count(0)
    expect(page.locator("main")).to_contain_text("was collected already")
