"""Notices, owners, findings, the record and principals in a browser: what each shows, and to whom."""

from datetime import timedelta
from functools import partial

import pytest
from sqlalchemy import insert, select, update

from tests.browsing import Browser, Page
from tests.integration.console.conftest import House
from tests.services.test_tampered import behind
from vaultcore.access import Role
from vaultcore.model import PrincipalKind
from vaultcore.secret import Secret
from vaultcore.tables import audit, principals
from worker.domain.findings import FindingKind, find_of_item
from worker.domain.policies import PolicyChange
from worker.domain.reasons import Code, Reason
from worker.rows import findings as finding_rows
from worker.rows.tables import deliveries, notices

MARKUP = "<b>bold</b>"


@pytest.fixture(scope="module")
def told(house: House) -> House:
    """Two items of two owners, a finding of each, and a notice to each, of which one was not taken."""
    services, now = house.services, house.clock()
    with services.database.write() as connection:
        services.owners.create(connection, "other", actor="test")
    for name, owner in (("prod-mail-password", "team"), ("prod-chat-token", "other")):
        item, _ = services.items.creation.create(
            name,
            read_value=partial(Secret, f"a-value-of-the-test-for-{name}"),
            owners=(owner,),
            expires_at=now + timedelta(days=90),
            policy=PolicyChange(),
            actor="test",
        )
        with services.database.write() as connection:
            found = find_of_item(FindingKind.NO_PLAN, item.id, item.name, detail=Reason.of(Code.NO_PLAN))
            finding_rows.record(connection, found, now)
    with services.database.write() as connection:
        for number, (owner, state) in enumerate([("team", "sent"), ("other", "failed")]):
            owner_id = services.owners.get(connection, owner).id
            notice_id = f"ntc_{number}"
            connection.execute(
                insert(notices).values(
                    id=notice_id,
                    owner_id=owner_id,
                    owner=owner,
                    kind="digest",
                    subject=f"Nightkey: {MARKUP} to look at ({owner})",
                    body=f"# {MARKUP}\n\nLook at it.",
                    dedupe_key=notice_id,
                    created_at=now,
                    routed=True,
                )
            )
            connection.execute(
                insert(deliveries).values(
                    notice_id=notice_id,
                    route_id="rte_1",
                    recipient="",
                    shown="json://127.0.0.1",
                    state=state,
                    attempts=3,
                    last_error="it answered 500" if state == "failed" else None,
                )
            )
    return house


def test_notices_are_shown_to_whom_they_concern(told: House) -> None:
    page = told.browser("operator").open("/console/notices")
    assert "(team)" in page.text
    assert "(other)" in page.text
    assert MARKUP not in page.source
    failed = told.browser("operator").open("/console/notices?state=failed")
    assert "(other)" in failed.text
    assert "(team)" not in failed.text
    mine = told.browser("owner")
    assert "(other)" not in mine.open("/console/notices").text
    assert mine.open("/console/notices/ntc_0").status == 200
    assert mine.open("/console/notices/ntc_1").status == 404
    assert told.browser("viewer").open("/console/notices").status == 403
    assert "No notice is like that" in told.browser("operator").open("/console/notices?state=waiting").text


def test_a_notice_is_sent_again_by_who_may(told: House) -> None:
    assert "Send again" not in [
        b for f in told.browser("auditor").open("/console/notices/ntc_1").forms for b in f.buttons
    ]
    browser = told.browser("operator")
    page = browser.open("/console/notices/ntc_1")
    assert "it answered 500" in page.text
    assert MARKUP not in page.source
    again = browser.press(page, "Send again")
    assert (again.status, "tried again" in again.text) == (200, True)
    with told.services.database.read() as connection:
        state = connection.execute(
            select(deliveries.c.state).where(deliveries.c.notice_id == "ntc_1")
        ).scalar_one()
    assert state == "withdrawn", "its route is gone by now, so it is not failed any more"


def test_an_owner_changes_their_own_hours_and_nobody_elses(told: House) -> None:
    browser = told.browser("owner")
    page = browser.open("/console/owners/team")
    assert "prod-mail-password" in page.text
    wrong = browser.press(page, "Save", quiet="late", zone="Nowhere/Else", deputy="nobody-there")
    assert wrong.status == 422
    for said in ("late", "Nowhere/Else", "there is no owner 'nobody-there'"):
        assert said in wrong.text or said in wrong.source
    done = browser.press(wrong, "Save", quiet="22:00-07:00", zone="Europe/Zurich", deputy="other")
    assert (done.status, "22:00-07:00" in done.text, "Europe/Zurich" in done.text) == (200, True, True)
    owner = told.services.notices.address_book.get("team")
    assert (str(owner.quiet), owner.zone, owner.deputy) == ("22:00-07:00", "Europe/Zurich", "other")
    theirs = browser.open("/console/owners/other")
    assert "Save" not in [button for form in theirs.forms for button in form.buttons]
    assert "prod-chat-token" not in theirs.text, "what is theirs is not shown to others"
    body = {"form_token": _token(theirs), "zone": "UTC"}
    assert browser.client.post("/console/owners/other", data=body).status_code == 403
    assert browser.open("/console/owners-digest/other").status == 403


def test_an_owner_is_renamed_left_and_deleted_by_who_manages_owners(told: House) -> None:
    services = told.services
    for name in ("leaving/team", "heirs"):
        services.notices.address_book.create(name, actor="test")
    services.items.creation.create(
        "prod-leaving-password",
        read_value=partial(Secret, "the-value-of-who-leaves"),
        owners=["leaving/team"],
        expires_at=None,
        policy=PolicyChange(),
        actor="test",
    )
    browser = told.browser("admin")
    page = browser.open("/console/owners/leaving%2Fteam")
    page = browser.press(page, "Rename", name="left/team")
    assert (page.status, "They have another name now." in page.text) == (200, True)
    refused = browser.press(page, "Delete", to="")
    assert refused.status == 409
    assert "prod-leaving-password" in refused.text
    asked = browser.open("/console/owners-leave/left%2Fteam")
    assert "They could read 1 item" in asked.text
    begun = browser.press(asked, "Replace what they could read", to="heirs")
    assert "prod-leaving-password" in begun.text
    assert services.lookup.views.get_item("prod-leaving-password").owners == ("heirs",)
    gone = browser.press(browser.open("/console/owners/heirs"), "Delete", to="team")
    assert (gone.status, "The owner is deleted." in gone.text) == (200, True)
    assert services.lookup.views.get_item("prod-leaving-password").owners == ("team",)
    viewer = told.browser("viewer").open("/console/owners/other")
    assert not {"Rename", "Delete"} & {button for form in viewer.forms for button in form.buttons}
    assert told.browser("viewer").open("/console/owners-leave/other").status == 403


def test_the_digest_of_tonight_is_shown_and_nothing_is_sent(told: House) -> None:
    page = told.browser("owner").open("/console/owners-digest/team")
    assert page.status == 200
    assert "Nothing is sent" in page.text
    assert "prod-mail-password" in page.text


@pytest.mark.parametrize("name", ["a/digest", "../items", MARKUP])
def test_any_owner_has_a_page_and_a_digest(told: House, name: str) -> None:
    with told.services.database.write() as connection:
        told.services.owners.create(connection, name, actor="test")
    browser = told.browser("admin")
    listed = browser.open("/console/owners")
    page = browser.follow(listed, name)
    assert page.title == f"{name} · Nightkey"
    digest = browser.follow(page, "Preview tonight\u2019s digest")
    assert digest.title == f"Digest of {name} · Nightkey"
    saved = browser.press(page, "Save", quiet="22:00-07:00", zone="UTC", deputy="")
    assert (saved.status, saved.title) == (200, page.title)
    assert MARKUP not in listed.source + page.source + digest.source


def test_owners_are_listed_and_those_whom_nothing_reaches_are_marked(told: House) -> None:
    page = told.browser("viewer").open("/console/owners")
    assert "nothing reaches them" in page.text
    assert page.links["team"] == "/console/owners/team"


def test_a_finding_is_known_with_a_why_or_until_a_day(told: House) -> None:
    browser = told.browser("operator")
    page = browser.open("/console/findings")
    assert "prod-mail-password" in page.text
    assert "Has no rotation plan (2)" in page.text
    mine = told.browser("owner").open("/console/findings")
    assert "prod-chat-token" not in mine.text
    finding = told.browser("owner").follow(mine, "See what helps")
    assert "prod-mail-password" in finding.text
    without = browser.press(browser.open(finding.path), "I know of it", why="", until="2020-01-01")
    assert without.status == 422
    assert "Say why" in without.text
    assert "still to come" in without.text
    day = f"{told.clock() + timedelta(days=9):%Y-%m-%d}"
    known = browser.press(without, "I know of it", why="the vendor is told", until=day)
    assert (known.status, "before that day" in known.text, "the vendor is told" in known.text) == (
        200,
        True,
        True,
    )
    assert "the vendor is told" in browser.open("/console/findings?known=yes").text
    for_ever = browser.press(browser.open(finding.path), "I know of it", why="it is planned", until="")
    assert "unless it gets worse" in for_ever.text
    unknown = browser.open("/console/findings?owner=nobody-there")
    assert (unknown.status, "No owner has this name" in unknown.text) == (422, True)
    viewer = told.browser("viewer").open(finding.path)
    assert "I know of it" not in viewer.text
    theirs = told.browser("owner")
    other = [
        one.finding
        for one in told.services.lookup.views.list_findings()
        if one.finding.item == "prod-chat-token"
    ]
    assert theirs.open(f"/console/findings/{other[0].id}").status == 404


def test_the_record_is_filtered_and_proven(told: House) -> None:
    browser = told.browser("auditor")
    page = browser.open("/console/audit?action=owner.create")
    assert "owner.create" in page.text
    assert "item.create" not in page.text
    item = browser.open("/console/audit?item=prod-mail-password")
    assert "item.create" in item.text
    assert "owner.create" not in item.text
    wrong = browser.open("/console/audit?after=yesterday&actor=test")
    assert (wrong.status, wrong.title) == (422, "Audit · Nightkey")
    assert 'aria-describedby="h-after"' in wrong.source
    assert "That is no day: write a day like 2027-03-01." in wrong.text
    assert 'value="test"' in wrong.source, "what else was filled in is still there"
    assert "No row is like that" in browser.open("/console/audit?actor=nobody").text
    whole = browser.press(browser.open("/console/audit"), "Verify the record")
    assert "Whole:" in whole.text
    assert told.browser("viewer").open("/console/audit").status == 403


def test_a_broken_record_is_said_to_be_where_it_breaks(told: House) -> None:
    row = audit.c.action == "owner.create"
    with behind(told.services) as connection:
        kept = connection.execute(select(audit).where(row)).first()
        connection.execute(update(audit).where(audit.c.seq == kept.seq).values(actor="somebody"))
    try:
        browser = told.browser("auditor")
        page = browser.press(browser.open("/console/audit"), "Verify the record")
        assert f"row {kept.seq} was edited" in page.text
    finally:
        with behind(told.services) as connection:
            connection.execute(update(audit).where(audit.c.seq == kept.seq).values(actor=kept.actor))


def test_an_admin_makes_a_principal_with_a_token_that_is_shown_once(told: House) -> None:
    browser = told.browser("admin")
    form = browser.open("/console/principals-new")
    refused = browser.press(form, "Create the principal", name="deploy-bot", role=["owner"])
    assert (refused.status, "give both, or neither" in refused.text) == (422, True)
    made = browser.press(refused, "Create the principal", name="deploy-bot", role=["operator"])
    assert (made.status, made.path) == (200, "/console/principals/deploy-bot")
    shown = browser.press(made, "Make a token", lifetime="30d")
    (key,) = [word for word in shown.text.split() if word.startswith("wfk_")]
    assert told.front.ask("GET", "/nightkey/owners", key=key).status == 200
    back = browser.follow(shown, "I have stored it")
    assert key not in back.source
    assert "api-key:deploy-bot" in back.text
    roles = browser.press(back, "Save the roles", role=["viewer"])
    assert "It may do that from now on" in roles.text
    assert browser.press(roles, "Revoke it").status == 200
    assert told.front.ask("GET", "/nightkey/owners", key=key).status == 401
    gone = browser.press(browser.open("/console/principals/deploy-bot"), "Revoke deploy-bot")
    assert "let in no more" in gone.text
    wrong = browser.press(browser.open("/console/principals/viewer"), "Make a token", lifetime="soon")
    assert wrong.status == 422


@pytest.mark.parametrize("name", ["new", "repo:shop/app:main", "a/../b"])
def test_a_principal_of_whichever_name_has_its_page(told: House, name: str) -> None:
    browser = told.browser("admin")
    browser.press(browser.open("/console/principals-new"), "Create the principal", name=name)
    page = browser.follow(browser.open("/console/principals"), name)
    assert (page.status, page.title) == (200, f"{name} · Nightkey"), page.url
    shown = browser.press(page, "Make a token")
    back = browser.follow(shown, "I have stored it")
    assert "opens nothing any more" in browser.press(back, "Revoke it").text
    assert "let in no more" in browser.press(browser.open(back.path), f"Revoke {name}").text


def test_who_may_do_what_is_shown_to_the_auditor_who_changes_nothing(told: House) -> None:
    browser = told.browser("auditor")
    page = browser.open("/console/principals")
    assert "item.redirect" in page.text
    assert "New principal" not in page.links
    one = browser.open("/console/principals/viewer")
    assert "Make a token" not in [button for form in one.forms for button in form.buttons]
    sent = {"form_token": _token(one)}
    for path in ("token", "roles", "revoke", "tokens/x/revoke"):
        assert browser.client.post(f"/console/principals/viewer/{path}", data=sent).status_code == 403, path


def test_a_principal_that_was_edited_is_told_of_and_the_others_are_there(told: House) -> None:
    told.services.access.principals.create(
        "edited", kind=PrincipalKind.SERVICE, roles=[Role.VIEWER], owners=[], actor="t"
    )
    with behind(told.services) as connection:
        connection.execute(update(principals).where(principals.c.name == "edited").values(roles=["admin"]))
    page = told.browser("admin").open("/console/principals")
    assert (page.status, "changed behind" in page.text, "viewer" in page.text) == (200, True, True)
    with behind(told.services) as connection:
        connection.execute(update(principals).where(principals.c.name == "edited").values(roles=["viewer"]))


def _token(page: Page) -> str:
    return next(value for form in page.forms for name, value in form.fields if name == "form_token")


def test_what_is_not_there_is_said_to_be_not_there(told: House) -> None:
    browser: Browser = told.browser("admin")
    for path in ("notices/x", "owners/x", "owners-digest/x", "findings/x", "principals/x"):
        assert browser.open(f"/console/{path}").status == 404, path
    for path in ("notices?cursor=x", "audit?cursor=x", "findings?kind=lapsed&cursor=x"):
        assert browser.open(f"/console/{path}").status == 422, path
