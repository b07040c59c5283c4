"""The morning after, without script: last night, a rotation's cause, decisions, workflows, the calendar."""

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from sqlalchemy import select

from tests.browsing import Browser
from tests.conftest import Clock
from tests.ingress import serve
from tests.integration.console.morning import DAY, HOSTILE, MAIL, SALES, TICKETS, Morning, make_morning
from tests.services.staging import stage
from vaultcore.access import Principal, Role
from vaultcore.tables import audit
from worker.domain.problems import Problem, ProblemKind
from worker.domain.reasons import Reason
from worker.domain.saga import State
from worker.web.console.frame import Visitor
from worker.web.console.needs import show_problem


@pytest.fixture(scope="module")
def morning(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Morning]:
    """For tests that look, or bring what the others do not look at: no rotation of it is decided."""
    with make_morning(tmp_path_factory.mktemp("morning")) as made:
        yield made


@pytest.fixture
def fresh(tmp_path: Path) -> Iterator[Morning]:
    """For tests that decide."""
    with make_morning(tmp_path) as made:
        yield made


def actions_of(morning: Morning, rotation_id: str) -> dict[str, str]:
    with morning.services.database.read() as connection:
        rows = connection.execute(select(audit.c.action, audit.c.actor).where(audit.c.subject == rotation_id))
        return {row.action: row.actor for row in rows}


def test_last_night_leads_to_the_cause_of_its_failure(morning: Morning) -> None:
    browser = morning.browser("viewer")
    first = browser.open("/console/")
    assert "Last night" in first.text
    assert "1 rolled back" in first.text
    assert "2 rotated" not in first.text
    assert "hx-trigger" not in first.source, "a night that has ended is not asked for again"
    page = browser.follow(first, "See why")
    assert (page.status, page.path) == (200, f"/console/rotations/{morning.rotation(MAIL)}")
    assert "not replaced: the old value is in use" in page.text
    assert "test failed" in page.text
    assert "404" in page.text, "what the test said"
    assert "<b onmouseover" not in page.source


def test_a_night_that_runs_is_followed_and_one_that_has_ended_is_not(fresh: Morning) -> None:
    fresh.clock.now += DAY
    slot = fresh.services.clock()
    fresh.services.night.nights.begin(slot)
    browser = fresh.browser("viewer")
    assert 'hx-trigger="every 5s"' in browser.open("/console/").source
    part = browser.open("/console/night", HX_Request="true")
    assert "<html" not in part.source
    assert "under way" in part.text
    fresh.organisation.drive()
    fresh.services.night.nights.close(slot)
    assert "hx-trigger" not in browser.open("/console/night", HX_Request="true").source


def test_rotations_are_filtered_by_what_stands_in_the_address(morning: Morning) -> None:
    browser = morning.browser("viewer")
    everything = browser.open("/console/rotations")
    assert {TICKETS, SALES, MAIL} <= set(everything.links)
    waiting = browser.press(everything, "Filter", group="needs-somebody")
    assert TICKETS in waiting.links
    assert SALES not in waiting.links
    assert MAIL in browser.open("/console/rotations?group=not-replaced").links
    one = browser.press(everything, "Filter", item=SALES)
    assert SALES in one.links
    assert MAIL not in one.links
    assert "No rotation is like that" in browser.open("/console/rotations?item=nothing-like-it").text
    night = next(rotation.night for rotation in morning.organisation.rotations())
    assert night is not None
    slot = night.isoformat().replace("+", "%2B")
    assert SALES in browser.open(f"/console/rotations?night={slot}").links
    assert SALES not in browser.open("/console/rotations?night=2020-01-01T00:00:00%2B00:00").links
    assert browser.open("/console/rotations?night=never&group=nonsense").status == 200
    assert browser.open("/console/rotations?cursor=nonsense").status == 422


def test_an_approver_approves_and_the_record_has_their_name(fresh: Morning) -> None:
    browser, page = fresh.open(TICKETS, "approver")
    rotation = fresh.rotation(TICKETS)
    assert f"nightkey rotation approve {rotation}" in page.text
    done = browser.press(page, "Approve")
    assert (done.status, done.path) == (200, f"/console/rotations/{rotation}")
    assert "Approved" in done.text
    assert fresh.state(TICKETS) is not State.REQUESTED
    assert actions_of(fresh, rotation)["rotation.approve"] == "person:approver"


def test_an_approver_rejects_though_they_may_cancel_nothing_else(fresh: Morning) -> None:
    browser, page = fresh.open(TICKETS, "approver")
    browser.press(page, "Reject")
    assert fresh.state(TICKETS) is State.CANCELLED
    again = browser.client.post(
        f"/console/rotations/{fresh.rotation(SALES)}/reject",
        content=f"form_token={form_token(browser)}",
        headers={"Content-Type": "application/x-www-form-urlencoded"},
    )
    assert again.status_code == 409
    assert fresh.state(SALES) is State.WATCHING


def form_token(browser: Browser) -> str:
    page = browser.open("/console/")
    return next(value for form in page.forms for name, value in form.fields if name == "form_token")


@pytest.mark.parametrize("path", ["approve", "reject", "cancel", "rollback", "accept", "extend", "waive"])
def test_who_may_only_look_sees_no_button_and_is_refused(morning: Morning, path: str) -> None:
    browser, page = morning.open(TICKETS, "viewer")
    assert "What you can do" not in page.text
    refused = browser.client.post(
        f"/console/rotations/{morning.rotation(TICKETS)}/{path}",
        content=f"form_token={form_token(browser)}&why=x&until=2099-01-01",
        headers={"Content-Type": "application/x-www-form-urlencoded"},
    )
    assert refused.status_code == 403
    assert morning.state(TICKETS) is State.REQUESTED


def test_an_owner_sees_what_is_theirs_alone(morning: Morning) -> None:
    browser, page = morning.open(SALES, "owner")
    assert page.status == 200
    assert browser.open(f"/console/rotations/{morning.rotation(MAIL)}").status == 404
    assert MAIL not in browser.open("/console/rotations").text
    assert MAIL not in browser.open("/console/").text
    used = browser.open("/console/workflows")
    assert used.status == 200
    assert "sales-sync" in used.links


def test_a_watched_rotation_is_taken_back(fresh: Morning) -> None:
    browser, page = fresh.open(SALES)
    assert "Go back to the old value" in page.text
    assert "sales-sync" in page.text
    back = browser.press(page, "Go back to the old value")
    assert "It goes back to the old value" in back.text
    fresh.organisation.drive()
    assert fresh.state(SALES) is State.ROLLED_BACK
    _, after = fresh.open(SALES)
    assert "What you can do" not in after.text


def test_a_workflow_that_never_runs_is_answered_for_or_proven(fresh: Morning) -> None:
    fresh.clock.now += 2 * DAY
    fresh.organisation.drive()
    browser, page = fresh.open(SALES)
    wrong = browser.press(page, "Keep the old value until then", until="2020-01-01")
    assert wrong.status == 422
    assert "must lie in the future" in wrong.text
    assert 'aria-invalid="true"' in wrong.source
    assert browser.press(page, "Keep the old value until then", until="tomorrow").status == 422
    assert browser.press(page, "Answer for sales-sync", why="x" * 501).status == 422
    assert fresh.state(SALES) is State.WATCHING
    proven = browser.press(page, "Run sales-sync now")
    assert "ran well with the new value" in proven.text
    fresh.organisation.drive()
    assert fresh.state(SALES) in (State.DONE, State.RETIRING, State.WATCHING)


def test_somebody_answers_for_a_workflow(fresh: Morning) -> None:
    fresh.clock.now += 2 * DAY
    fresh.organisation.drive()
    browser, page = fresh.open(SALES)
    done = browser.press(page, "Answer for sales-sync", why="it was tried by hand")
    assert "you answer for it" in done.text
    assert "rotation.waive" in actions_of(fresh, fresh.rotation(SALES))


def test_a_workflow_is_drawn_with_what_it_uses_and_pinned(morning: Morning) -> None:
    browser = morning.browser("operator")
    listed = browser.open("/console/workflows")
    assert HOSTILE in listed.links
    hostile = browser.follow(listed, HOSTILE)
    assert hostile.status == 200
    assert "<b onmouseover" not in hostile.source
    page = browser.follow(listed, "sales-sync")
    assert "call (webhook) uses prod-sales-api-token" in page.text
    pinned = browser.press(page, f"Pin {SALES}", version="1")
    assert "pinned to 1" in pinned.text
    assert "1 stale reference" in pinned.text
    assert f"nightkey workflow unpin sales-sync {SALES}" in pinned.text
    followed = browser.press(pinned, f"Unpin {SALES}")
    assert "nothing stale" in followed.text
    viewer = morning.browser("viewer").open("/console/workflows/sales-sync")
    assert not [button for form in viewer.forms for button in form.buttons if "Pin" in button]


def test_a_workflow_that_names_what_is_not_there_says_the_way_out(morning: Morning) -> None:
    morning.organisation.add_workflow("a/b", "prod-gone-token")
    browser = morning.browser("viewer")
    listed = browser.open("/console/workflows")
    assert "does not exist" in listed.text
    assert "uses something stale: each says on its page what helps" in listed.text
    page = browser.follow(listed, "a/b")
    assert "prod-gone-token" in page.text
    assert "Add this item" not in page.links, "who may add none is not sent to a refusal"
    page = morning.browser("operator").open(listed.links["a/b"])
    assert page.links["Add this item"] == "/console/items-new?name=prod-gone-token"
    assert browser.open("/console/workflows/nothing-like-it").status == 404


def test_the_calendar_has_what_lapses_and_more_than_fits_on_a_page_of_its_own(morning: Morning) -> None:
    for number in range(5):
        morning.organisation.add_item(f"prod-many-token-{number}", "value", days=40, mode="notify")
    when = morning.services.clock() + 40 * DAY
    browser = morning.browser("viewer")
    month = browser.open(f"/console/calendar?month={when:%Y-%m}")
    assert month.status == 200
    assert "prod-many-token-0" in month.links
    assert "prod-many-token-4" not in month.links
    more = f"+2 more on {when.day} {when:%B}"
    assert more in month.text
    day = browser.open(f"/console/calendar/{when:%Y-%m-%d}")
    assert {f"prod-many-token-{number}" for number in range(5)} <= set(day.links)
    coming = browser.open("/console/calendar")
    assert "In the coming 90 nights" in coming.text
    assert browser.follow(coming, "This month").title.startswith(f"{morning.services.clock():%B %Y}")
    assert browser.follow(month, "Next month").status == 200
    assert browser.follow(month, "Previous month").status == 200
    for wrong in (
        "/console/calendar?month=2026-13",
        "/console/calendar?month=9999-12",
        "/console/calendar/soon",
    ):
        assert browser.open(wrong).status == 422, wrong
    owner = morning.browser("owner").open(f"/console/calendar/{when:%Y-%m-%d}")
    assert "prod-many-token-0" not in owner.text


def test_a_vault_in_which_nothing_happened_says_what_comes_first(tmp_path: Path) -> None:
    with stage(tmp_path, "", Clock()) as (organisation, _), serve(organisation.services) as front:
        browser = Browser(front)
        browser.sign_in(organisation.services)
        first = browser.open("/console/").text
        assert "There was none yet" in first
        assert "The vault is empty. Add the first item" in first
        assert "Nothing was replaced yet" in browser.open("/console/rotations").text
        assert "nightkey workflow apply" in browser.open("/console/workflows").text
        assert "Nothing lapses" in browser.open("/console/calendar").text


def test_each_is_shown_the_button_that_they_may_press(morning: Morning) -> None:
    path = f"/console/rotations/{morning.rotation(TICKETS)}"
    approver = morning.browser("approver").open("/console/")
    assert "Needs you" in approver.text
    assert approver.links["Approve or reject"] == f"{path}#decide"
    viewer = morning.browser("viewer").open("/console/")
    assert "Needs somebody" in viewer.text
    assert "Approve or reject" not in viewer.links
    assert path in viewer.links.values()
    assert not [button for form in viewer.forms for button in form.buttons if "night" in button]


def test_times_are_the_readers_in_sentences_too(morning: Morning) -> None:
    browser = morning.browser("viewer")
    browser.client.cookies.set("nightkey_zone", "Asia/Kolkata", path="/")
    for path in ("/console/", f"/console/rotations/{morning.rotation(SALES)}"):
        page = browser.open(path)
        assert " UTC" not in page.text, path
        assert " IST" in page.text, path


def test_a_night_is_begun_from_the_first_page(fresh: Morning) -> None:
    """Last night did not end well: another one is the way out, for who may begin it."""
    fresh.clock.now += timedelta(hours=1)
    browser = fresh.browser("operator")
    page = browser.open("/console/")
    assert "did not end well" in page.text
    begun = browser.press(page, "Begin a night now")
    assert (begun.path, "A night is begun" in begun.text) == ("/console/", True)
    assert "Since then, begun by hand" in begun.text
    refused = fresh.browser("viewer")
    answered = refused.client.post("/console/night", data={"form_token": form_token(refused)})
    assert answered.status_code == 403


@pytest.mark.parametrize(
    ("kind", "role", "words", "path"),
    [
        (ProblemKind.USES_EXPIRED, Role.OPERATOR, "Replace its value", "/console/items/{id}/value"),
        (ProblemKind.USES_EXPIRED, Role.VIEWER, "See the item", f"/console/items/{SALES}"),
        (ProblemKind.NO_VALUE, Role.OPERATOR, "Add its value", "/console/items/{id}/value"),
        (ProblemKind.MISSING, Role.OPERATOR, "Add this item", f"/console/items-new?name={SALES}"),
        (ProblemKind.MISSING, Role.VIEWER, "See who uses it", "/console/workflows/sales-sync"),
        (ProblemKind.TAMPERED, Role.AUDITOR, "Check the record", "/console/audit"),
        (ProblemKind.TAMPERED, Role.VIEWER, "See what was found", "/console/findings?kind=tampered"),
        (ProblemKind.STUCK, Role.OPERATOR, "Decide", "/console/rotations/sales-sync#decide"),
        (ProblemKind.STUCK, Role.VIEWER, "See why", "/console/rotations/sales-sync"),
        (ProblemKind.NOTICE_FAILED, Role.VIEWER, None, ""),
    ],
)
def test_what_helps_is_what_its_reader_may_do(
    morning: Morning, kind: ProblemKind, role: Role, words: str | None, path: str
) -> None:
    principal = Principal(actor="person:p", roles=frozenset({role}))
    visitor = Visitor(principal=principal, form_token="", zone=ZoneInfo("UTC"))
    problem = Problem(kind=kind, subject=SALES, id="sales-sync", error=Reason.failed("it failed"))
    way = show_problem(morning.services, problem, visitor).way
    item_id = morning.services.lookup.views.get_item(SALES).id
    assert (way and way.words, way.path if way else "") == (words, path.format(id=item_id))
