"""The list of the vault in a browser without script: found, filtered, sorted, paged, and changed at once."""

from datetime import timedelta
from functools import partial
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import pytest

from tests.browsing import Page
from tests.integration.console.conftest import House, signed_in
from vaultcore.labels import join_line, parse_labels
from vaultcore.secret import Secret
from worker.domain.changes import ItemChange
from worker.domain.policies import PolicyChange

ITEMS = "/console/items"
NUMBER = 105


@pytest.fixture(scope="module", autouse=True)
def _many(house: House) -> None:
    with house.services.database.write() as connection:
        house.services.owners.create(connection, "others", actor="test")
    for number in range(NUMBER):
        house.services.items.creation.create(
            f"prod-many-{number:03}-token",
            read_value=partial(Secret, f"value-{number}"),
            owners=["team" if number % 3 else "others"],
            expires_at=house.clock.now + timedelta(days=1 + number),
            policy=PolicyChange(parts={"mode": "notify", "thresholds": [1, 0]}),
            labels=parse_labels([f"env={'prod' if number % 5 else 'stage'}", f"number={number}"]),
            actor="test",
        )


def names(page: Page) -> list[str]:
    return [name for name in page.links if name.startswith("prod-many-")]


def test_pages_hold_each_item_once(house: House) -> None:
    browser = signed_in(house, "viewer")
    page = browser.open(ITEMS)
    assert f"{NUMBER} items" in page.text
    seen: list[str] = []
    while True:
        seen += names(page)
        if "Next page" not in page.links:
            break
        page = browser.follow(page, "Next page")
    assert seen == sorted(seen)
    assert len(seen) == len(set(seen)) == NUMBER
    assert len(names(browser.follow(page, "First page"))) == 50


@pytest.mark.parametrize(
    ("filled", "number", "says"),
    [
        ({"q": "many-00"}, 10, "name has “many-00”"),
        ({"q": "MANY-00"}, 10, "name has “MANY-00”"),
        ({"q": "100%"}, 0, "name has “100%”"),
        ({"owner": "others"}, 35, "owner others"),
        ({"label": "env=stage"}, 21, "label env=stage"),
        ({"label": "team"}, 0, "label team"),
        ({"days": "7"}, 7, "lapses within 7 days"),
        ({"mode": "auto"}, 0, "replaced by itself"),
        ({"rotator": "-"}, NUMBER, "no rotator"),
        ({"owner": "others", "days": "7"}, 3, "owner others"),
    ],
)
def test_filters_stand_in_the_address_and_are_taken_away_by_a_word(
    house: House, filled: dict[str, str], number: int, says: str
) -> None:
    browser = signed_in(house, "viewer")
    page = browser.press(browser.open(ITEMS), "Find", **filled)
    assert dict(parse_qsl(urlsplit(page.url).query)) == filled  # nothing that was left empty
    assert says in page.text
    if number:
        assert f"{number} item" in page.text
        assert names(page) == names(browser.open(page.url))
    else:
        assert "No item is like that" in page.text
    without = browser.follow(page, "\u00d7")
    assert len(parse_qsl(urlsplit(without.url).query)) == len(filled) - 1


def test_a_head_sorts_and_turns_round(house: House) -> None:
    browser = signed_in(house, "viewer")
    page = browser.follow(browser.open(f"{ITEMS}?owner=team"), "Lapses")
    assert 'aria-sort="ascending"' in page.source
    assert names(page) == sorted(names(page))
    turned = browser.follow(page, "Lapses ↑")
    assert "sort=-expires_at" in turned.url
    assert "owner=team" in turned.url
    assert names(turned)[0] == f"prod-many-{NUMBER - 1:03}-token"


@pytest.mark.parametrize(
    ("query", "status"),
    [
        ("state=strange", 422),
        ("mode=strange", 422),
        ("days=soon", 422),
        ("label=%3Dx", 422),
        ("label=a%22b", 422),
        ("label=%00", 422),
        ("label=note%3D%22a%2C+b%22", 200),
        ("days=99999999", 200),
        ("sort=value", 422),
        ("cursor=AAAA", 422),
        ("owner=nobody-there", 422),
        ("used_by=nothing", 422),
        ("q=%00", 422),
        ("q=" + "x" * 251, 422),
        ("q=%25%5C_", 200),
    ],
)
def test_what_cannot_be_meant_is_told(house: House, query: str, status: int) -> None:
    page = signed_in(house, "viewer").open(f"{ITEMS}?{query}")
    assert page.status == status, page.text


def test_an_owner_finds_what_is_theirs(house: House) -> None:
    page = signed_in(house, "owner").open(ITEMS)
    assert "70 items" in page.text
    assert "prod-many-000-token" not in page.text


def ids(house: House, *numbers: int) -> list[str]:
    return [house.services.lookup.views.get_item(f"prod-many-{number:03}-token").id for number in numbers]


def press(house: House, who: str, button: str, chosen: list[str], what: str) -> tuple[Any, Page]:
    browser = signed_in(house, who)
    page = browser.open(ITEMS)
    return browser, browser.press(page, button, item=chosen, what=what)


def test_several_get_another_owner_after_a_look(house: House) -> None:
    chosen = ids(house, 1, 2, 4)
    browser, page = press(house, "operator", "Give them another owner", chosen, "owner")
    asked = browser.press(page, "Show what will happen", owner=["others"])
    assert asked.text.count("owners: team -> others") == 3
    assert house.services.lookup.views.get_item(chosen[0]).owners == ("team",)  # nothing has happened yet
    done = browser.press(asked, "Give another owner to 3 items")
    assert "3 items done" in done.text
    assert [house.services.lookup.views.get_item(one).owners for one in chosen] == [("others",)] * 3


def test_each_label_is_a_word_that_can_be_taken_away(house: House) -> None:
    browser = signed_in(house, "viewer")
    page = browser.open(f"{ITEMS}?label=env%3Dprod&label=number%3D7")  # as a link of somebody's own has it
    assert names(page) == ["prod-many-007-token"]
    assert "label env=prod" in page.text
    without = browser.follow(page, "\u00d7")
    assert dict(parse_qsl(urlsplit(without.url).query)) == {"label": "number=7"}
    item = browser.follow(page, "prod-many-007-token")
    others = browser.follow(item, "env=prod")
    assert dict(parse_qsl(urlsplit(others.url).query)) == {"label": "env=prod"}
    assert "84 items" in others.text


def test_several_get_other_labels_after_a_look(house: House) -> None:
    chosen = ids(house, 31, 32)
    browser, page = press(house, "operator", "Change their labels", chosen, "labels")
    for wrong, says in (
        ({}, "Say which labels are set"),
        ({"labels": "a b=x"}, "Label key"),
        ({"labels": "env=x", "no_labels": "env"}, "is set and taken away"),
        ({"no_labels": "env=prod"}, "Name it by its key alone: env"),
    ):
        refused = browser.press(page, "Show what will happen", **wrong)
        assert (refused.status, says in refused.text) == (422, True), refused.text
    asked = browser.press(page, "Show what will happen", labels='env=test, note="a, b"', no_labels="number")
    assert asked.text.count("label env: prod -> test") == 2
    assert "label number: 31 -> none" in asked.text
    done = browser.press(asked, "Change the labels of 2 items")
    assert "2 items done" in done.text
    for one in chosen:
        assert join_line(house.services.lookup.views.get_item(one).labels) == 'env=test, note="a, b"'
    house.services.items.updates.update(chosen[0], ItemChange(labels={"env": "prod"}), actor="test")
    house.services.items.updates.update(chosen[1], ItemChange(labels={"env": "prod"}), actor="test")


def test_labels_are_edited_in_one_line(house: House) -> None:
    browser = signed_in(house, "operator")
    path = f"{ITEMS}/{ids(house, 41)[0]}/edit"
    refused = browser.press(browser.open(path), "Change it", labels="number=41, a b")
    assert (refused.status, "Label key" in refused.text) == (422, True)
    assert "number=41, a b" in refused.source
    changed = browser.press(browser.open(path), "Change it", labels='number=41, note="a, ""b"""')
    assert 'note=a, "b"' in changed.text
    again = browser.press(browser.open(path), "Change it")
    assert (
        join_line(house.services.lookup.views.get_item("prod-many-041-token").labels)
        == 'note="a, ""b""", number=41'
    )
    assert "othing" in again.text
    house.services.items.updates.update("prod-many-041-token", ItemChange(labels={"env": "prod"}), actor="test")


def test_what_stands_in_the_way_of_one_is_no_matter_to_the_others(house: House) -> None:
    chosen = [*ids(house, 7, 8), "vlt_00000000000000000000000000", "nothing"]
    browser, page = press(house, "operator", "Change their plan", chosen, "plan")
    empty = browser.press(page, "Show what will happen")
    assert (empty.status, "Say what is to be changed" in empty.text) == (422, True)
    asked = browser.press(page, "Show what will happen", lifetime="60d", lead="10d")
    assert asked.text.count("lifetime: none -> 60d") == 2
    assert asked.text.count("there is no item") == 2
    done = browser.press(asked, "Change the plan of 2 items")
    assert "2 items done" in done.text
    assert house.services.lookup.views.get_item(chosen[0]).policy.lead == timedelta(days=10)
    contradicts = browser.press(page, "Show what will happen", lifetime="5d", lead="10d")
    assert "Nothing of it can be done" in contradicts.text


def test_a_window_is_given_to_several_and_nobody_is_overruled(house: House) -> None:
    chosen = ids(house, 20, 21, 22)
    browser, page = press(house, "operator", "Change their plan", chosen, "plan")
    wrong = browser.press(page, "Show what will happen", windows="at night")
    assert (wrong.status, "is not a cron expression" in wrong.text) == (422, True)
    window = "0 2 * * 1-5 for 4h in UTC"
    asked = browser.press(page, "Show what will happen", windows=window, thresholds="9, 3")
    assert asked.text.count("windows: none -> ") == 3, asked.text
    house.services.items.updates.update(
        chosen[0], ItemChange(policy=PolicyChange(parts={"windows": ["0 5 * * * for 1h in UTC"]})), actor="test"
    )
    done = browser.press(asked, "Change the plan of 3 items")
    assert "2 items done, 1 not" in done.text
    assert "not as you have seen it" in done.text
    first, second = (house.services.lookup.views.get_item(one).policy for one in chosen[:2])
    assert (first.windows, second.windows) == (("0 5 * * * for 1h in UTC",), (window,))
    assert second.thresholds == (9, 3)
    again = browser.press(page, "Show what will happen", windows=window, item=chosen[1:])
    assert "They are like that already" in again.text


def test_approvals_are_not_done_away_with_at_once_either(house: House) -> None:
    chosen = ids(house, 25, 26)
    parts = {"mode": "approve", "rotator": "random", "consumers": "none"}
    for one in chosen:
        house.services.items.updates.update(one, ItemChange(policy=PolicyChange(parts=parts)), actor="test")
    browser, page = press(house, "operator", "Change their plan", chosen, "plan")
    asked = browser.press(page, "Show what will happen", mode="auto")
    assert asked.text.count("nobody is asked before it is replaced") == 2
    sent = {"form_token": token_of(asked), "what": "plan", "mode": "auto", "item": chosen[0]}
    tried = browser.client.post(f"{ITEMS}-at-once/do", data=sent)
    assert "nobody is asked before it is replaced" in tried.text
    assert house.services.lookup.views.get_item(chosen[0]).policy.mode == "approve"


def token_of(page: Page) -> str:
    return next(v for form in page.forms for n, v in form.fields if n == "form_token")


def test_what_only_its_owner_replaces_is_not_replaced_at_once(house: House) -> None:
    _, page = press(house, "operator", "Replace them", ids(house, 10, 11), "rotate")
    assert page.text.count("is replaced by its owner alone") == 2
    assert "Nothing of it can be done" in page.text


def test_several_are_replaced_at_once(house: House) -> None:
    for number in (1, 2):
        house.services.items.creation.create(
            f"prod-made-{number}-token",
            read_value=partial(Secret, f"made-{number}"),
            owners=["team"],
            expires_at=house.clock.now + timedelta(days=30),
            policy=PolicyChange(
                parts={
                    "mode": "auto",
                    "rotator": "random",
                    "consumers": "none",
                    "lifetime": "30d",
                    "four_eyes": number == 2,
                }
            ),
            actor="test",
        )
    chosen = [house.services.lookup.views.get_item(f"prod-made-{number}-token").id for number in (1, 2)]
    browser, page = press(house, "operator", "Replace them", chosen, "rotate")
    assert "it is replaced now" in page.text
    assert "it waits for somebody else's approval" in page.text
    done = browser.press(page, "Replace 2 items")
    assert "2 items done" in done.text
    again = browser.press(page, "Replace 2 items")
    assert "0 items done, 2 not" in again.text


def test_nobody_changes_at_once_what_they_may_not_change_alone(house: House) -> None:
    owner = signed_in(house, "owner")
    theirs, others = ids(house, 13)[0], ids(house, 0)[0]
    listed = owner.open(ITEMS)
    asked = owner.press(listed, "Change their plan", item=[theirs, others], what="plan")
    shown = owner.press(asked, "Show what will happen", lead="3d")
    assert shown.text.count("lead: ") == 1
    assert shown.text.count("there is no item") == 1
    viewer = signed_in(house, "viewer")
    assert "With those that are ticked" not in viewer.open(ITEMS).text
    token = next(v for form in viewer.open(ITEMS).forms for n, v in form.fields if n == "form_token")
    tried = viewer.client.post(
        f"{ITEMS}-at-once/do", data={"form_token": token, "what": "plan", "lead": "3d", "item": [theirs]}
    )
    assert "you may not do this" in tried.text
    assert house.services.lookup.views.get_item(theirs).policy.lead == timedelta(days=14)


def test_nothing_chosen_says_so(house: House) -> None:
    _, page = press(house, "operator", "Replace them", [], "rotate")
    assert "No item was chosen" in page.text
