"""The first page follows a night that runs, by itself, and stops when it has ended."""

from playwright.sync_api import Page, expect

from tests.integration.console.conftest import House


def test_the_first_page_follows_a_night_until_it_has_ended(house: House, page: Page) -> None:
    services = house.services
    slot = services.clock()
    services.night.nights.begin(slot)
    asked: list[str] = []
    page.on("request", lambda one: asked.append(one.url))
    page.goto(house.link("viewer"))
    night = page.locator("#night")
    expect(night).to_contain_text("under way")
    expect(night).to_contain_text("follows the night by itself")
    services.night.nights.close(slot)
    expect(night).to_contain_text("ended well")
    expect(night).not_to_have_attribute("hx-trigger", "every 5s")
    expect(page.get_by_role("heading", name="Next seven nights")).to_be_visible()
    assert {url for url in asked if url.endswith("/console/night")}
