"""The vault in a real browser: what is quicker by script, and what script must not give away."""

from datetime import timedelta
from functools import partial
from urllib.parse import parse_qsl, urlsplit

import pytest
from playwright.sync_api import Page, Request, expect

from tests.integration.console.conftest import House
from vaultcore.secret import Secret
from worker.domain.policies import PolicyChange

VALUE = "the-value-that-nobody-sees"


@pytest.fixture(scope="module", autouse=True)
def _items(house: House) -> None:
    for name in ("prod-crm-token", "prod-mail-password", "test-crm-token"):
        house.services.items.creation.create(
            name,
            read_value=partial(Secret, f"value of {name}"),
            owners=["team"],
            expires_at=house.clock.now + timedelta(days=30),
            policy=PolicyChange(),
            actor="test",
        )


def test_an_item_is_added_and_its_name_judged_while_it_is_typed(house: House, page: Page) -> None:
    asked: list[Request] = []
    page.on("request", lambda one: asked.append(one))  # noqa: PLW0108  # it takes no builtin
    page.goto(house.link("operator"))
    page.goto(f"{house.front.url}/console/items-new")
    page.get_by_label("Value", exact=True).fill(VALUE)
    expect(page.get_by_text("26 of 2,000 characters")).to_be_visible()
    assert page.locator("#f-value").get_attribute("type") == "password"
    page.get_by_label("Show it while I type").check()
    assert page.locator("#f-value").get_attribute("type") == "text"
    page.get_by_label("Name").fill("prod-crm-token")
    expect(page.get_by_text("exists already")).to_be_visible()
    page.get_by_label("Name").fill("prod-crm-new-token")
    expect(page.get_by_text("That name is free")).to_be_visible()
    assert page.locator("#f-value").input_value() == VALUE  # what was typed stays
    page.get_by_label("team").check()
    page.get_by_role("button", name="Add it").click()
    expect(page.get_by_role("heading", name="prod-crm-new-token")).to_be_visible()
    assert not [one.url for one in asked if VALUE in one.url]
    assert VALUE not in page.content()


def test_the_name_of_a_key_switches_the_form_and_the_key_is_copied_once(house: House, page: Page) -> None:
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    page.goto(house.link("operator"))
    page.goto(f"{house.front.url}/console/items-new")
    page.get_by_label("Name").fill("api-key:partner")
    expect(page.get_by_text("Its key is made here")).to_be_visible()
    expect(page.locator("#f-value")).to_have_count(0)
    page.get_by_label("team").check()
    page.get_by_role("button", name="Add it").click()
    key = page.locator("#key").inner_text()
    assert key.startswith("wfk_")
    page.get_by_role("button", name="Copy it").click()
    expect(page.get_by_text("copied")).to_be_visible()
    assert page.evaluate("navigator.clipboard.readText()") == key
    page.get_by_role("button", name="I have stored it").click()
    expect(page.get_by_text("kept here no longer")).to_be_visible()
    assert key not in page.content()


def test_items_are_found_while_one_types_and_the_address_says_so(house: House, page: Page) -> None:
    page.goto(house.link("viewer"))
    page.goto(f"{house.front.url}/console/items?owner=team")
    page.get_by_label("Name", exact=True).press_sequentially("CRM")
    expect(page.get_by_role("link", name="prod-mail-password")).to_have_count(0)
    expect(page.get_by_role("link", name="test-crm-token")).to_be_visible()
    page.wait_for_url("**/console/items?q=CRM&owner=team")
    page.get_by_label("Without: owner team").click()
    page.wait_for_url("**/console/items?q=CRM")
    assert dict(parse_qsl(urlsplit(page.url).query)) == {"q": "CRM"}
    page.reload()
    expect(page.get_by_role("link", name="test-crm-token")).to_be_visible()
    expect(page.get_by_role("link", name="prod-mail-password")).to_have_count(0)


def test_items_are_labelled_and_found_by_what_they_are_labelled(house: House, page: Page) -> None:
    page.goto(house.link("operator"))
    page.goto(f"{house.front.url}/console/items-new")
    page.get_by_label("Name").fill("prod-labelled-token")
    page.get_by_label("Value", exact=True).fill(f"{VALUE}-either")
    page.get_by_label("team").check()
    page.get_by_label("Labels").fill("env=prod, tier=core")
    page.get_by_role("button", name="Add it").click()
    page.get_by_role("link", name="tier=core").click()
    page.wait_for_url("**/console/items?label=tier%3Dcore")
    expect(page.get_by_role("link", name="prod-labelled-token")).to_be_visible()
    expect(page.get_by_role("link", name="prod-mail-password")).to_have_count(0)
    page.get_by_label("Label", exact=True).fill("env=prod, region")
    page.get_by_label("Label", exact=True).press("Enter")
    expect(page.get_by_text("No item is like that")).to_be_visible()
    page.get_by_label("Without: label region").click()
    page.wait_for_url("**/console/items?label=env%3Dprod")
    expect(page.get_by_role("link", name="prod-labelled-token")).to_be_visible()
    page.get_by_label("Owner").select_option("team")  # the list follows each choice at once
    expect(page.get_by_label("Without: owner team")).to_be_visible()
    page.wait_for_url("**/console/items?owner=team&label=env%3Dprod")


def test_all_of_a_page_are_ticked_by_the_head(house: House, page: Page) -> None:
    page.goto(house.link("operator"))
    page.goto(f"{house.front.url}/console/items?q=crm")
    page.get_by_label("All of this page").check()
    page.get_by_role("button", name="Change their plan").click()
    expect(page.get_by_role("heading", name="Another plan for")).to_be_visible()


def test_the_token_of_a_link_comes_to_its_field_and_leaves_the_address(house: House, page: Page) -> None:
    asked: list[str] = []
    page.goto(house.link("owner"))
    page.on("request", lambda one: asked.append(one.url))
    page.goto(f"{house.front.url}/console/pickup#clm_some_token")
    expect(page.get_by_label("Token")).to_have_value("clm_some_token")
    assert page.url == f"{house.front.url}/console/pickup"
    assert not [one for one in asked if "clm_some_token" in one.split("#", maxsplit=1)[0]]
