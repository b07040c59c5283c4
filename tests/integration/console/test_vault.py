"""The vault in a browser without script: an item added, shown, changed, replaced and deleted; a key, once."""

import re
from datetime import timedelta
from html import unescape
from typing import Any

import pytest
from sqlalchemy import select

from tests.browsing import Browser, Page
from tests.integration.console.conftest import House, let_a_key_wait, signed_in
from vaultcore.access import Role
from vaultcore.model import Mode, PrincipalKind
from vaultcore.secret import Secret
from vaultcore.tables import audit, versions
from vaultcore.versions import Purpose
from worker.domain.policies import PolicyChange
from worker.domain.saga import State
from worker.wording.policies import explain_policy

VALUE = "the-value-that-nobody-sees"
ITEMS = "/console/items"
HOSTILE = "<img src=x>'&'"
LONG = "prod-" + "n" * 45


@pytest.fixture(scope="module", autouse=True)
def _owners(house: House) -> None:
    with house.services.database.write() as connection:
        house.services.owners.create(connection, "others", actor="test")


def add(house: House, name: str, owner: str = "team", **parts: Any) -> str:
    """An item, by the same service; its id."""
    item, _ = house.services.items.creation.create(
        name,
        read_value=None if name.startswith("api-key:") else lambda: Secret(f"{VALUE}-{name}"),
        owners=[owner],
        expires_at=house.clock.now + timedelta(days=30),
        policy=PolicyChange(parts=parts),
        actor="test",
    )
    return item.id


def add_replaced(house: House, name: str, **parts: Any) -> str:
    """One that Nightkey replaces by a value of its own making."""
    parts = {"mode": "auto", "rotator": "random", "consumers": "none", "lifetime": "30d", "lead": "5d"} | parts
    return add(house, name, **parts)


def fill(house: House, browser: Browser, **filled: Any) -> Page:
    page = browser.open(f"{ITEMS}-new")
    assert page.status == 200
    usual = {"value": f"{VALUE}-{filled['name']}", "owner": ["team"], "expires": "90"}
    return browser.press(page, "Add it", **{**usual, **filled})


def newest(house: House, action: str) -> Any:
    with house.services.database.read() as connection:
        query = select(audit).where(audit.c.action == action).order_by(audit.c.seq.desc())
        return connection.execute(query).first()


def test_an_item_is_added_as_the_guide_says(house: House) -> None:
    page = fill(house, signed_in(house, "operator"), name="prod-guide-api-token")
    assert (page.status, page.path) == (200, f"{ITEMS}/prod-guide-api-token")
    assert "It is in the vault" in page.text
    assert "in 90 days" in page.text or "in 3 months" in page.text
    assert VALUE not in page.source
    item = house.services.lookup.views.get_item("prod-guide-api-token")
    assert (item.owners, item.policy.mode, item.policy.stated) == (("team",), Mode.NOTIFY, True)
    assert item.expires_at == house.clock.now + timedelta(days=90)
    assert newest(house, "item.create").actor == "person:operator"


def test_a_value_of_several_lines_is_kept_as_it_was(house: House) -> None:
    pem = "-----BEGIN KEY-----\nYWJj\n-----END KEY-----\n"
    sent = pem.replace("\n", "\r\n")  # as a browser sends it
    browser = signed_in(house, "operator")
    page = fill(house, browser, name="prod-lines-key", value="", lines=sent)
    assert page.path == f"{ITEMS}/prod-lines-key"
    with house.services.database.read() as connection:
        item = house.services.vault.get(connection, "prod-lines-key")
        kept = house.services.versions.reveal(connection, item.id, 1, purpose=Purpose.RUN, actor="test")
    assert kept.expose() == pem
    twice = fill(house, browser, name="prod-twice-key", lines=sent)
    assert (twice.status, "given twice" in twice.text, "YWJj" in twice.source) == (422, True, False)


@pytest.mark.parametrize(
    ("filled", "says"),
    [
        ({"name": "ab"}, "has 2 characters: use 3 to 50"),
        ({"name": "x" * 51}, "has 51 characters: use 3 to 50"),
        ({"name": 'prod-"quoted"'}, "which a template cannot name"),
        ({"value": ""}, "needs a value"),
        ({"value": "v" * 2001}, "2000 at most"),
        ({"owner": []}, "Say who answers for it"),
        ({"owner": ["nobody-there"]}, "No owner"),
        ({"expires": "day", "expires_on": "2020-01-01"}, "That day has begun"),
        ({"expires": "day", "expires_on": "soon"}, "is no day"),
        ({"expires": "day"}, "Say on which day"),
        ({"expires": "tomorrow"}, "Choose one of these"),
        ({"expires": "policy"}, "No lifetime says when it lapses"),
        ({"expires": "never", "lifetime": "90d"}, "lapses: choose a time"),
        ({"lifetime": "ninety"}, "is not a duration"),
        ({"mode": "auto"}, "needs a rotator"),
        ({"name": "api-key:given"}, "takes no value"),
    ],
)
def test_what_is_wrong_is_told_in_the_form_and_no_value_comes_back(
    house: House, filled: dict[str, Any], says: str
) -> None:
    given = {"name": "prod-wrong-token", "value": VALUE} | filled
    page = fill(house, signed_in(house, "operator"), **given)
    assert page.status in (404, 422), page.text
    assert says in page.text
    assert VALUE not in page.source
    assert "v" * 2001 not in page.source
    (form,) = [form for form in page.forms if "Add it" in form.buttons]
    assert ("name", given["name"]) in form.fields
    assert not [
        one for one in house.services.lookup.views.list_items() if getattr(one, "name", "") == given["name"]
    ]


def test_a_name_that_is_taken_is_told_while_it_is_typed_and_when_it_is_sent(house: House) -> None:
    add(house, "prod-taken-token")
    browser = signed_in(house, "operator")
    for name, says in [
        ("prod-taken-token", "exists already"),
        ("ab", "use 3 to 50"),
        ("password", "Name service and environment"),
        ("prod-free-token", "That name is free"),
        ("", ""),
    ]:
        shown = browser.open(f"{ITEMS}-new/name?shown=secret&name={name}")
        assert says in shown.text
        assert "hx-swap-oob" not in shown.source
    sent = fill(house, browser, name="prod-taken-token")
    assert (sent.status, "exists already" in sent.text) == (409, True)
    switched = browser.open(f"{ITEMS}-new/name?shown=secret&name=api-key:one")
    assert 'id="value-part" hx-swap-oob="true"' in switched.source
    assert "Its key is made here" in switched.text


def test_an_owner_adds_what_is_theirs_alone(house: House) -> None:
    browser = signed_in(house, "owner")
    assert fill(house, browser, name="prod-theirs-token", owner=["team"]).status == 200
    refused = fill(house, browser, name="prod-not-theirs-token", owner=["others"])
    assert refused.status == 403
    assert "you may not do this" in refused.text.lower()


def test_only_who_says_where_values_go_chooses_a_rotator(house: House) -> None:
    assert 'name="rotator"' not in signed_in(house, "operator").open(f"{ITEMS}-new").source
    assert 'name="rotator"' in signed_in(house, "admin").open(f"{ITEMS}-new").source
    refused = fill(house, signed_in(house, "operator"), name="prod-sent-token", rotator="random", mode="auto")
    assert (refused.status, "item.redirect" in refused.text) == (403, True)


def test_a_key_is_shown_once_and_kept_until_its_reader_has_it(house: House) -> None:
    browser = signed_in(house, "operator")
    page = fill(house, browser, name="api-key:portal", value="", mode="notify")
    assert (page.status, page.title) == (200, "The key of api-key:portal · Nightkey")
    (key,) = set(re.findall(r"wfk_[0-9A-Za-z_-]+", page.source))
    assert [form.buttons for form in page.forms if "Sign out" not in form.buttons and form.buttons] == [
        ["I have stored it"]
    ]
    item = house.services.lookup.views.get_item("api-key:portal")
    assert kept(house, item.id)
    (pickup,) = [value for form in page.forms for name, value in form.fields if name == "pickup"]
    stranger = signed_in(house, "admin")
    token = form_token(stranger.open("/console/pickup"))
    refused = post(stranger, "/console/keys/stored", form_token=token, pickup=pickup)
    assert refused.status_code == 409
    assert kept(house, item.id)
    stored = browser.press(page, "I have stored it")
    assert (stored.path, "kept here no longer" in stored.text) == (f"{ITEMS}/api-key%3Aportal", True)
    assert key not in stored.source
    assert not kept(house, item.id)
    assert house.services.runs.caller_keys.check(Secret(key)) is not None


def test_a_key_that_was_not_stored_yet_is_there_when_its_page_is_loaded_again(house: House) -> None:
    browser = signed_in(house, "operator")
    form = browser.open(f"{ITEMS}-new")
    given = {"name": "api-key:reloaded", "owner": ["team"], "expires": "90"}
    shown = browser.press(form, "Add it", **given)
    (key,) = set(re.findall(r"wfk_[0-9A-Za-z_-]+", shown.source))
    again = browser.press(form, "Add it", **given)
    assert (again.status, key in again.source, "once more" in again.text) == (200, True, True)
    assert "clm_" not in again.text
    other = signed_in(house, "admin")
    refused = other.press(other.open(f"{ITEMS}-new"), "Add it", **given)
    assert (refused.status, key in refused.source, "exists already" in refused.text) == (409, False, True)
    browser.press(again, "I have stored it")
    after = browser.press(form, "Add it", **given)
    assert (after.status, key in after.source, "clm_" in after.source) == (409, False, False)


def test_what_may_not_be_meant_is_said_at_once(house: House) -> None:
    browser = signed_in(house, "operator")
    page = fill(house, browser, name="prod secret", expires="never")
    assert "has no expiry: nobody will notice when it stops working" in page.text
    assert "has a name that does not say what it opens" in page.text
    assert "no owner" not in page.text
    good = fill(house, browser, name="prod-meant-token")
    assert "As it is now" not in good.text


def test_a_value_that_cannot_be_masked_is_asked_about_once(house: House) -> None:
    browser = signed_in(house, "operator")
    asked = fill(house, browser, name="prod-short-token", value="abc")
    assert (asked.status, "shown as [masked] whole" in asked.text) == (422, True)
    assert browser.press(asked, "Add it", value="abc", short="1").path == f"{ITEMS}/prod-short-token"
    item = house.services.lookup.views.get_item("prod-short-token")
    form = browser.open(f"{ITEMS}/{item.id}/value")
    assert browser.press(form, "Make it current", value="ab", expires="30").status == 422
    assert browser.press(form, "Make it current", value="a-longer-one", expires="30").status == 200


def kept(house: House, item_id: str) -> bool:
    with house.services.database.read() as connection:
        found = connection.execute(select(versions.c.record).where(versions.c.item_id == item_id)).scalars()
        return any(one is not None for one in found)


def form_token(page: Page) -> str:
    return next(value for form in page.forms for name, value in form.fields if name == "form_token")


def post(browser: Browser, path: str, **sent: str) -> Any:
    return browser.client.post(path, data=sent)


def test_a_key_is_collected_once_and_refused_with_why_the_second_time(house: House) -> None:
    token = let_a_key_wait(house)
    operator = signed_in(house, "operator").open("/console/pickup")
    assert operator.status == 403  # a key is for who answers for its item
    browser = signed_in(house, "owner")
    page = browser.open("/console/pickup")
    wrong = browser.press(page, "Show me the key", token="clm_none_of_ours")
    assert (wrong.status, "No key waits for that token" in wrong.text) == (409, True)
    assert browser.press(page, "Show me the key", token=" ").status == 422
    shown = browser.press(page, "Show me the key", token=token)
    assert shown.status == 200
    (key,) = set(re.findall(r"wfk_[0-9A-Za-z_-]+", shown.source))
    assert token not in shown.source
    browser.press(shown, "I have stored it")
    again = browser.press(page, "Show me the key", token=token)
    assert again.status == 409
    assert "was collected already" in again.text
    assert "by you, and it is kept here no longer" in again.text
    assert key not in again.source
    assert token not in again.source


def test_an_item_is_shown_whole_and_without_its_value(house: House) -> None:
    item_id = add_replaced(house, "prod-whole-token")
    opened = house.services.rotation.opening.request(item_id, asked_by="test")
    done = house.services.night.inline_night.run_rotation(opened.id, lambda _: None)
    assert done.state in (State.WATCHING, State.RETIRING, State.DONE)
    page = signed_in(house, "auditor").open(f"{ITEMS}/prod-whole-token")
    assert page.status == 200
    item = house.services.lookup.views.get_item(item_id)
    for part in explain_policy(item.policy, kind=item.kind, life=item.life):
        assert part.says[1:] in page.text
    assert "<desc" in page.source
    assert "Version 2: current" in page.text
    assert f"/console/rotations/{opened.id}" in page.source
    assert "version.activate" in page.text  # the record, for who may read it
    assert VALUE not in page.source
    viewer = signed_in(house, "viewer").open(f"{ITEMS}/prod-whole-token")
    assert "version.activate" not in viewer.text
    for button in ("Replace it now", "Give a new value", "Edit", "Delete prod-whole-token"):
        assert button not in viewer.text
    assert not [form for form in viewer.forms if form.method == "post" and "Sign out" not in form.buttons]
    assert signed_in(house, "owner").open(f"{ITEMS}/{item_id}").status == 200


def test_what_is_done_again_and_again_does_not_hide_the_record(house: House) -> None:
    item_id = add(house, "prod-read-often-token")
    with house.services.database.write() as connection:
        for _ in range(15):
            house.services.versions.reveal(connection, item_id, 1, purpose=Purpose.RUN, actor="schedule")
    browser = signed_in(house, "auditor")
    page = browser.open(f"{ITEMS}/prod-read-often-token")
    assert "version.reveal" not in page.text
    assert "Its value was read 15 times" in page.text
    assert "version.reveal" in browser.follow(page, "for what").text
    assert "item.create" in page.text


def test_who_may_not_see_an_item_is_told_that_there_is_none(house: House) -> None:
    item_id = add(house, "prod-others-token", owner="others")
    browser = signed_in(house, "owner")
    token = form_token(browser.open(ITEMS))
    for path in ("", "/edit", "/value"):
        assert browser.open(f"{ITEMS}/{item_id}{path}").status == 404
    for path in ("rotate", "check", "emergency", "delete", "first-key", "edit", "value"):
        assert post(browser, f"{ITEMS}/{item_id}/{path}", form_token=token).status_code == 404
    assert "prod-others-token" not in browser.open(ITEMS).source
    assert house.services.lookup.views.get_item(item_id)


@pytest.mark.parametrize("path", ["rotate", "check", "emergency", "delete", "edit", "value", "first-key"])
def test_who_only_looks_does_nothing(house: House, path: str) -> None:
    item_id = add(house, f"prod-looked-at-{path}")
    browser = signed_in(house, "viewer")
    token = form_token(browser.open(ITEMS))
    assert post(browser, f"{ITEMS}/{item_id}/{path}", form_token=token).status_code == 403
    assert house.services.lookup.views.get_item(item_id).version == 1


def test_a_new_value_is_current_at_once(house: House) -> None:
    item_id = add(house, "prod-given-token")
    browser = signed_in(house, "owner")
    page = browser.follow(browser.open(f"{ITEMS}/prod-given-token"), "Give a new value")
    unsaid = browser.press(page, "Make it current", value=VALUE + "2")
    assert (unsaid.status, "lapses" in unsaid.text) == (422, True)
    assert VALUE not in unsaid.source
    empty = browser.press(page, "Make it current", value="", expires="30")
    assert (empty.status, "is empty" in empty.text) == (422, True)
    taken = browser.press(page, "Make it current", value=VALUE + "2", expires="30")
    assert taken.path == f"{ITEMS}/prod-given-token"
    assert "The new value is current" in taken.text
    item = house.services.lookup.views.get_item(item_id)
    assert (item.version, item.expires_at) == (2, house.clock.now + timedelta(days=30))
    assert newest(house, "item.update").actor == "person:owner"


def test_a_change_is_of_what_was_shown(house: House) -> None:
    item_id = add(house, "prod-edited-token")
    browser = signed_in(house, "operator")
    page = browser.open(f"{ITEMS}/{item_id}/edit")
    same = browser.press(page, "Change it")
    assert "Nothing was to be changed" in same.text
    changed = browser.press(
        page, "Change it", lead="7d", lifetime="60d", owner=["team", "others"], expires="never"
    )
    assert (changed.path, "It is changed" in changed.text) == (f"{ITEMS}/prod-edited-token", True)
    item = house.services.lookup.views.get_item(item_id)
    assert (item.policy.lead, item.policy.lifetime) == (timedelta(days=7), timedelta(days=60))
    assert (set(item.owners), item.expires_at) == ({"team", "others"}, None)
    late = browser.press(page, "Change it", lead="9d")
    assert late.status in (409, 412)
    assert "not as you have seen it" in late.text
    assert house.services.lookup.views.get_item(item_id).policy.lead == timedelta(days=7)


def test_where_a_value_is_sent_takes_an_admin(house: House) -> None:
    item_id = add_replaced(house, "prod-directed-token")
    operator = signed_in(house, "operator")
    page = operator.open(f"{ITEMS}/{item_id}/edit")
    assert 'name="settings"' not in page.source
    for part in ({"rotator": "http"}, {"target": "elsewhere"}, {"settings": '{"length": 20}'}):
        refused = operator.press(page, "Change it", **part)
        assert (refused.status, "item.redirect" in refused.text) == (403, True)
    admin = signed_in(house, "admin")
    page = admin.open(f"{ITEMS}/{item_id}/edit")
    broken = admin.press(page, "Change it", settings="{not json")
    assert (broken.status, "This is not JSON" in broken.text) == (422, True)
    changed = admin.press(page, "Change it", settings='{"length": 20}', target="crm")
    assert changed.status == 200, changed.text
    policy = house.services.lookup.views.get_item(item_id).policy
    assert (policy.settings, policy.target) == ({"length": 20}, "crm")


WINDOW, FREEZE = "0 2 * * 1-5 for 4h in Europe/Zurich", "0 0 20 12 * for 14d in UTC"


def test_every_part_of_a_plan_is_changed_and_shown_as_it_is(house: House) -> None:
    item_id = add_replaced(house, "prod-planned-token")
    browser = signed_in(house, "operator")
    page = browser.open(f"{ITEMS}/{item_id}/edit")
    lines = f"{WINDOW}\r\n{WINDOW.replace('4h', '5h')}"  # as a browser sends them
    filled = {
        "windows": lines,
        "freezes": FREEZE,
        "thresholds": "7, 30",
        "canary": "auto",
        "expiry_first": "yes",
    }
    changed = browser.press(page, "Change it", **filled, answers="5", spread="1d", approval="3d")
    assert "It is changed" in changed.text, changed.text
    policy = house.services.lookup.views.get_item(item_id).policy
    assert (len(policy.windows), len(policy.freezes), policy.thresholds) == (2, 1, (30, 7))
    assert (policy.canary, policy.expiry_first, policy.answers) == ("auto", True, 5)
    assert (policy.spread, policy.approval) == (timedelta(days=1), timedelta(days=3))
    page = browser.open(f"{ITEMS}/{item_id}/edit")
    assert "Nothing was to be changed" in browser.press(page, "Change it").text
    browser.press(page, "Change it", windows="", freezes="none", canary="")
    policy = house.services.lookup.views.get_item(item_id).policy
    assert (policy.windows, policy.freezes, policy.canary, policy.thresholds) == ((), (), None, (30, 7))


@pytest.mark.parametrize(
    ("filled", "says"),
    [
        ({"lifetime": "ninety"}, "is not a duration"),
        ({"windows": "at night"}, "is not a cron expression"),
        ({"thresholds": "30 soon"}, "whole days before expiry"),
        ({"expiry_first": "perhaps"}, "is true or false"),
        ({"answers": "many"}, "whole number"),
        ({"lead": "99d"}, "not shorter than the lifetime"),
    ],
)
def test_what_is_wrong_with_a_plan_is_told_at_its_field(
    house: House, filled: dict[str, str], says: str
) -> None:
    item_id = add_replaced(house, f"prod-wrong-plan-{next(iter(filled))}".replace("_", "-"))
    browser = signed_in(house, "operator")
    page = browser.press(browser.open(f"{ITEMS}/{item_id}/edit"), "Change it", **filled)
    (name,) = filled
    hint = re.search(rf'id="h-{name}">(.*?)</p>', page.source, re.DOTALL)
    assert (page.status, hint is not None) == (422, True)
    assert says in (page.text if name == "lead" else unescape(hint[1] if hint else ""))


def test_four_eyes_are_an_admins_to_change(house: House) -> None:
    item_id = add_replaced(house, "prod-eyed-token")
    operator = signed_in(house, "operator")
    page = operator.open(f"{ITEMS}/{item_id}/edit")
    assert 'name="four_eyes"' not in page.source
    refused = operator.press(page, "Change it", four_eyes="yes")
    assert (refused.status, "item.redirect" in refused.text) == (403, True)
    admin = signed_in(house, "admin")
    assert admin.press(admin.open(f"{ITEMS}/{item_id}/edit"), "Change it", four_eyes="yes").status == 200
    assert house.services.lookup.views.get_item(item_id).policy.four_eyes


def test_who_may_not_approve_is_told_so_where_nobody_would_be_asked(house: House) -> None:
    item_id = add_replaced(house, "prod-loosened-token", mode="approve")
    operator = signed_in(house, "operator")
    refused = operator.press(operator.open(f"{ITEMS}/{item_id}/edit"), "Change it", mode="auto")
    assert (refused.status, "nobody is asked before it is replaced" in refused.text) == (403, True)
    owner = signed_in(house, "owner")
    assert owner.press(owner.open(f"{ITEMS}/{item_id}/edit"), "Change it", mode="auto").status == 200


def test_a_replacement_is_asked_for_by_a_button(house: House) -> None:
    item_id = add_replaced(house, "prod-asked-token")
    browser = signed_in(house, "operator")
    page = browser.open(f"{ITEMS}/prod-asked-token")
    asked = browser.press(page, "Replace it now")
    assert "Its replacement is begun" in asked.text
    (rotation,) = [
        one for one in house.services.lookup.views.list_rotations() if getattr(one, "item_id", "") == item_id
    ]
    assert getattr(rotation, "asked_by", "") == "person:operator"
    twice = browser.press(page, "Replace it now")
    assert (twice.status, "is being rotated already" in twice.text) == (409, True)


def test_whether_it_still_works_is_asked_by_a_button_and_stands_among_its_facts(house: House) -> None:
    nobody: dict[str, Any] = {"host": "127.0.0.1", "port": 9, "roles": ["orders"], "tls": "off"}
    add(house, "prod-asked-of-token", rotator="postgres-role", settings=nobody)
    add(house, "prod-made-here-token", rotator="random")
    browser = signed_in(house, "operator")
    page = browser.open(f"{ITEMS}/prod-asked-of-token")
    assert "Checked" not in page.text
    asked = browser.press(page, "Check that it still works")
    assert "The other side could not be asked: whether it works is not known." in asked.text
    assert "not reached" in asked.text
    assert "127.0.0.1:9 could not be asked" in asked.text
    assert newest(house, "item.check").actor == "person:operator"
    assert "Check that it still works" not in browser.open(f"{ITEMS}/prod-made-here-token").text
    assert (
        "Check that it still works" not in signed_in(house, "viewer").open(f"{ITEMS}/prod-asked-of-token").text
    )


def test_in_a_hurry_it_says_who_is_hurt(house: House) -> None:
    item_id = add_replaced(house, "prod-known-token")
    browser = signed_in(house, "owner")
    page = browser.open(f"{ITEMS}/prod-known-token")
    assert "no workflow uses it: nothing here can hand out the new value" in page.text
    asked = browser.press(page, "Somebody else knows it: revoke it now")
    assert "the old value is revoked" in asked.text
    (rotation,) = [
        one for one in house.services.lookup.views.list_rotations() if getattr(one, "item_id", "") == item_id
    ]
    assert getattr(rotation, "emergency", False)


def test_what_is_used_is_not_deleted_and_says_by_whom(house: House) -> None:
    add(house, "prod-used-token")
    add_replaced(
        house,
        "prod-user-token",
        rotator="http",
        settings={
            "issue": {
                "method": "POST",
                "url": "https://x.example.org/t",
                "headers": {"A": '{{ vault["prod-used-token"] }}'},
            },
            "verify": {"method": "GET", "url": "https://x.example.org/t"},
            "revoke": {"method": "DELETE", "url": "https://x.example.org/t"},
            "value": "token",
        },
    )
    browser = signed_in(house, "operator")
    refused = browser.press(browser.open(f"{ITEMS}/prod-used-token"), "Delete prod-used-token")
    assert (refused.status, "is used by rotator of prod-user-token" in refused.text) == (409, True)
    gone = browser.press(browser.open(f"{ITEMS}/prod-user-token"), "Delete prod-user-token")
    assert (gone.path, "every value of it" in gone.text) == (ITEMS, True)
    assert browser.open(f"{ITEMS}/prod-user-token").status == 404


def test_what_was_found_is_acknowledged_with_a_why(house: House) -> None:
    add(house, "password")  # which says nothing of what it opens
    house.services.night.nights.begin(house.clock.now, by_hand=True)
    browser = signed_in(house, "owner")
    page = browser.open(f"{ITEMS}/password")
    assert "What was found of it" in page.text
    finding = browser.follow(page, "Say that you know of it")
    bare = browser.press(finding, "I know of it", why="")
    assert (bare.status, "Say why" in bare.text) == (422, True)
    past = browser.press(finding, "I know of it", why="in spring", until="2000-01-01")
    assert (past.status, "still to come" in past.text, "in spring" in past.source) == (422, True, True)
    known = browser.press(finding, "I know of it", why="the vendor is told")
    assert "Nobody is told of it again" in known.text
    back = browser.open(f"{ITEMS}/password")
    assert "the vendor is told" in back.text


@pytest.mark.parametrize(
    "name",
    [
        HOSTILE,
        LONG,
        "with/slash/edit2",
        "Ünï & #1? cost",
        "...dots",
        "new",
        "new/name",
        "at-once",
        "x/edit",
        "y/value",
        "../owners",
        "My App's API Token",
    ],
)
def test_any_name_has_its_page_and_is_shown_as_text(house: House, name: str) -> None:
    add(house, name)
    browser = signed_in(house, "operator")
    listed = browser.open(f"{ITEMS}?q=" + name.replace("&", "%26").replace("#", "%23"))
    assert listed.status == 200
    assert name in listed.links
    page = browser.follow(listed, name)
    assert (page.status, name in page.text) == (200, True)
    assert page.title == f"{name} · Nightkey"
    assert "<img src=x>" not in page.source + listed.source
    assert browser.open(f"{ITEMS}/{house.services.lookup.views.get_item(name).id}/edit").status == 200


def test_the_form_has_the_name_that_somebody_came_to_add(house: House) -> None:
    browser = signed_in(house, "operator")
    page = browser.open(f"{ITEMS}-new?name=prod-came-to-add-token")
    (form,) = [form for form in page.forms if "Add it" in form.buttons]
    assert ("name", "prod-came-to-add-token") in form.fields
    key = browser.open(f"{ITEMS}-new?name=api-key:came")
    assert "Its key is made here" in key.text


def test_pages_tell_what_is_missing(house: House) -> None:
    browser = signed_in(house, "viewer")
    assert browser.open(f"{ITEMS}/no-such-item").status == 404
    assert "No item is like that" in browser.open(f"{ITEMS}?q=nothing-has-this").text


def test_what_a_service_does_here_carries_its_name(house: House) -> None:
    house.services.access.principals.create(
        "bot", kind=PrincipalKind.SERVICE, roles=[Role.OPERATOR], owners=[], actor="t"
    )
    assert fill(house, signed_in(house, "bot"), name="prod-by-a-bot-token").status == 200
    assert newest(house, "item.create").actor == "service:bot"
