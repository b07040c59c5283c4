"""The console in a real browser: what its script and style add, and that neither stands in the way."""

from playwright.sync_api import Page, expect

from tests.integration.console.conftest import House


def test_one_signs_in_by_a_link_and_out_again(house: House, page: Page) -> None:
    page.goto(house.link("viewer"))
    expect(page).to_have_title("Overview · Nightkey")
    assert page.url == f"{house.front.url}/console/"
    page.get_by_text("viewer", exact=True).click()
    page.get_by_role("button", name="Sign out").click()
    expect(page.get_by_role("heading", name="Sign in")).to_be_visible()


def test_the_scheme_is_switched_and_kept(house: House, page: Page) -> None:
    page.emulate_media(color_scheme="light")
    page.goto(house.link("viewer"))
    page.get_by_text("viewer", exact=True).click()
    page.get_by_role("button", name="Light or dark").click()
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(20, 22, 26)"
    page.reload()
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(20, 22, 26)"


def test_the_head_of_a_long_table_stays_in_sight_where_the_table_fits(house: House, page: Page) -> None:
    page.set_viewport_size({"width": 1120, "height": 400})
    page.goto(house.link("auditor"))
    page.goto(f"{house.front.url}/console/principals")
    row = page.get_by_role("row", name="principal.manage")
    row.scroll_into_view_if_needed()
    table = page.get_by_role("table").filter(has=row)
    head = table.locator("thead th").first
    expect(table.locator("xpath=..")).to_have_class("scrolls fits")
    box = head.bounding_box()
    assert box is not None
    assert 0 <= box["y"] < 1, "it stays at the top of the window"
    page.set_viewport_size({"width": 740, "height": 400})
    page.evaluate("document.querySelectorAll('.scrolls').forEach((one) => { one.style.width = '200px'; })")
    expect(table.locator("xpath=..")).to_have_class("scrolls")
