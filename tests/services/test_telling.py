"""Owners hear in time, once: who is told of what, when it leaves, and what was resolved meanwhile."""

import os
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from sqlalchemy import select

from tests.every_item import every_item
from tests.organisation import Organisation, read_token
from tests.services.staging import add_route, stage
from vaultcore.model import UNCHANGED
from vaultcore.quiet import parse_quiet
from worker.delivery.formats import to_text
from worker.domain.notice_kinds import NoticeKind
from worker.rows import findings as finding_rows
from worker.rows.notices import Notice
from worker.rows.tables import tellings
from worker.wording.reasons import say

pytestmark = pytest.mark.rules

DAY = timedelta(days=1)
HOUR = timedelta(hours=1)
CRM = "prod-crm-password"
TOKEN = "prod-ticketing-api-token"


@pytest.fixture
def organisation(tmp_path: Path, database_url: str, clock: Any) -> Iterator[Organisation]:
    with stage(tmp_path, database_url, clock, patience_hours=200) as (made, _):
        add_route(made, "operators")
        yield made


def digests(organisation: Organisation, owner: str) -> list[str]:
    """Oldest first, as plain text: those that have left."""
    return [
        to_text(one.body)
        for one in reversed(organisation.notices())
        if one.kind == "digest" and one.owner == owner and one.body is not None
    ]


def kinds(organisation: Organisation, owner: str) -> list[str]:
    return [one.kind for one in reversed(organisation.notices()) if one.owner == owner]


def change(organisation: Organisation, name: str, **given: Any) -> None:
    services = organisation.services
    with services.database.write() as connection:
        services.owners.update(
            connection,
            name,
            zone=given.get("zone", UNCHANGED),
            quiet=parse_quiet(given["quiet"]) if "quiet" in given else UNCHANGED,
            deputy=given.get("deputy", UNCHANGED),
            actor="test",
        )


def share(organisation: Organisation, item: str, *names: str) -> None:
    services = organisation.services
    with services.database.write() as connection:
        ids = [services.owners.get(connection, name).id for name in names]
        services.vault.update(connection, item, owner_ids=ids, actor="test")


def state_of(organisation: Organisation, kind: str) -> str:
    return next(one.state for one in organisation.notices() if one.kind == kind)


# Who


def test_each_owner_of_a_shared_item_hears_of_it(organisation: Organisation) -> None:
    organisation.add_owner("billing")
    organisation.add_item(CRM, f"a-value-of-{CRM}", days=3, mode="notify")
    organisation.add_workflow("crm-contacts", CRM)
    share(organisation, CRM, "support", "billing")
    organisation.night()
    for owner in ("support", "billing"):
        (digest,) = digests(organisation, owner)
        assert f"{CRM} lapses in 3 days" in digest
        assert "Used by crm-contacts." in digest
        assert f"nightkey item update {CRM} --value-file PATH" in digest
    assert organisation.item(CRM).owners == ("billing", "support")


def test_an_owner_who_comes_later_hears_what_the_others_know(organisation: Organisation, clock: Any) -> None:
    organisation.add_owner("billing")
    organisation.add_item(CRM, f"a-value-of-{CRM}", days=6, mode="notify")
    organisation.night()
    clock.advance(DAY)
    share(organisation, CRM, "support", "billing")
    organisation.night()
    assert len(digests(organisation, "support")) == 1
    assert f"{CRM} lapses in 5 days" in digests(organisation, "billing")[0]


def test_what_nobody_owns_is_a_finding_and_the_operators_hear_of_it(organisation: Organisation) -> None:
    organisation.add_item(CRM, f"a-value-of-{CRM}", days=3, owner=None, mode="notify")
    organisation.night()
    (digest,) = digests(organisation, "operators")
    assert f"{CRM} lapses in 3 days" in digest
    assert f"{CRM} has no owner" in digest
    assert f"nightkey item update {CRM} --owner OWNER" in digest


def templates_found(organisation: Organisation) -> list[str]:
    with organisation.services.database.read() as connection:
        return [say(row.detail) for row in finding_rows.list_open(connection) if row.kind == "passed-over"]


def test_a_template_that_is_passed_over_at_night_is_told_to_the_operators_once_until_it_works(
    organisation: Organisation, clock: Any
) -> None:
    folder = organisation.services.settings.templates_path
    folder.mkdir()
    template = folder / "digest.md"
    template.write_text('{% extends "nightkey/digest.md" %}{% block subject %}{{ nobody }}{% endblock %}')
    organisation.add_item(CRM, f"a-value-of-{CRM}", days=40, mode="notify", thresholds=[3])
    clock.advance(37 * DAY)
    for _ in range(3):
        organisation.night()
        (found,) = templates_found(organisation)
        assert found == (
            "the template digest.md is passed over, ours is sent in its place: 'nobody' is undefined"
        )
        clock.advance(DAY)
    assert "lapses in 3 days" in digests(organisation, "support")[0]
    told = [one for one in digests(organisation, "operators") if "digest.md is passed over" in one]
    assert len(told) == 1
    assert "nightkey notice template" in told[0]

    template.write_text('{% extends "nightkey/digest.md" %}{% block')
    os.utime(template, (1, 1))
    organisation.night()
    (found,) = templates_found(organisation)
    assert "unexpected" in found.lower()  # by the scan itself, before anything is written
    template.write_text('{% extends "nightkey/digest.md" %}{% block subject %}ours{% endblock %}')
    clock.advance(HOUR)
    organisation.night()
    assert templates_found(organisation) == []


def test_a_template_that_works_again_is_resolved_with_the_next_notice(organisation: Organisation) -> None:
    services = organisation.services
    services.settings.templates_path.mkdir()
    template = services.settings.templates_path / "night-failed.md"
    for source, number in (("{{ nobody }}", 1), ("{{ nobody", 1), (None, 0), ("{{ nobody }}", 1)):
        if source is None:
            template.unlink()
        else:
            template.write_text(source)
            os.utime(template, (number, len(source)))
        for night in range(2):
            with services.database.write() as connection:
                services.notices.outbox.tell_operators(
                    connection,
                    kind=NoticeKind.NIGHT_FAILED,
                    dedupe_key=f"{source} {night}",
                    data={"night": services.clock(), "problems": ["a problem"]},
                )
        assert len(templates_found(organisation)) == number


def test_what_has_lapsed_goes_to_the_deputy_from_the_third_day_and_to_the_operators_from_the_seventh(
    organisation: Organisation, clock: Any
) -> None:
    organisation.add_owner("billing")
    change(organisation, "support", deputy="billing")
    organisation.add_item(CRM, f"a-value-of-{CRM}", days=0.5, mode="notify")
    heard: dict[str, list[int]] = {"support": [], "billing": [], "operators": []}
    for night in range(10):
        before = {owner: len(digests(organisation, owner)) for owner in heard}
        clock.advance(DAY)
        organisation.night()
        for owner, nights in heard.items():
            if len(digests(organisation, owner)) > before[owner]:
                nights.append(night)
    assert heard == {"support": list(range(10)), "billing": list(range(3, 10)), "operators": [7, 8, 9]}
    assert "It belongs to support." in digests(organisation, "billing")[0]
    assert "It belongs to" not in digests(organisation, "support")[-1]


@pytest.mark.both
def test_a_night_that_was_missed_reaches_everybody_it_would_have(
    organisation: Organisation, clock: Any
) -> None:
    organisation.add_owner("billing")
    change(organisation, "support", deputy="billing")
    organisation.add_item(CRM, f"a-value-of-{CRM}", days=1, mode="notify")
    clock.advance(30 * DAY)
    organisation.night()
    for owner in ("support", "billing", "operators"):
        assert f"{CRM} lapsed 29 days ago" in digests(organisation, owner)[0]


# When


def test_what_rotates_by_itself_is_quiet_until_its_time_gets_short(
    organisation: Organisation, clock: Any
) -> None:
    organisation.add_token(TOKEN, "ticketing", days=5)
    organisation.add_workflow("ticket-sync", TOKEN)
    service = organisation.targets.token_service
    service.fail_next("/v1/tokens", times=10_000)
    _pass_night(organisation, clock)
    assert kinds(organisation, "support") == [], "an outage is waited out"
    clock.advance(3.2 * DAY)
    _pass_night(organisation, clock)
    assert [f"{TOKEN} lapses in 1 day" in digest for digest in digests(organisation, "support")] == [True]


def _pass_night(organisation: Organisation, clock: Any) -> None:
    """One in which the other side is away."""
    organisation.night()
    for _ in range(4):
        clock.advance(HOUR / 4)
        organisation.drive()
        organisation.services.night.resume_sweep.find_work()
    organisation.deliver()


def test_another_expiry_is_told_anew_and_a_clock_that_jumps_back_is_not(
    organisation: Organisation, clock: Any
) -> None:
    organisation.add_item(CRM, f"a-value-of-{CRM}", days=6, mode="notify")
    organisation.night()
    for jump in (-50 * DAY, 50 * DAY + HOUR):
        clock.advance(jump)
        organisation.night()
    assert len(digests(organisation, "support")) == 1
    with organisation.services.database.write() as connection:
        organisation.services.vault.update(connection, CRM, expires_at=clock() + 12 * DAY + HOUR, actor="test")
    clock.advance(HOUR)
    organisation.night()
    assert len(digests(organisation, "support")) == 2
    clock.advance(5 * DAY + HOUR)
    organisation.night()
    assert f"{CRM} lapses in 6 days" in digests(organisation, "support")[2]


def test_a_digest_waits_for_the_end_of_quiet_hours_and_tells_how_things_stand_then(
    organisation: Organisation, clock: Any
) -> None:
    change(organisation, "support", zone="Europe/Zurich", quiet="22:00-07:00")  # it is 03:00 there
    for name in (CRM, "prod-erp-password"):
        organisation.add_item(name, f"a-value-of-{name}", days=3, mode="notify")
        organisation.add_workflow(f"uses-{name}", name)
    organisation.night()
    notice = next(one for one in organisation.notices() if one.kind == "digest")
    assert (notice.state, notice.next_at) == ("waiting", datetime(2026, 3, 1, 6, 0, tzinfo=UTC))
    assert not organisation.services.notices.delivery.is_due()
    with organisation.services.database.write() as connection:
        organisation.services.vault.update(connection, CRM, expires_at=clock() + 200 * DAY, actor="test")
    clock.advance(4 * HOUR)
    organisation.deliver()
    (digest,) = digests(organisation, "support")
    assert "prod-erp-password lapses in 2 days, 2026-03-04 03:00 CET." in digest
    assert CRM not in digest


def test_a_digest_that_leaves_later_tells_nothing_of_what_is_gone_or_is_somebody_elses(
    organisation: Organisation, clock: Any
) -> None:
    organisation.add_owner("billing")
    change(organisation, "support", quiet="00:00-07:00")
    for name in ("prod-gone-password", "prod-old-name", "prod-handed-password"):
        organisation.add_item(name, f"a-value-of-{name}", days=3, mode="notify")
    organisation.night()
    services = organisation.services
    with services.database.write() as connection:
        services.vault.delete(connection, "prod-gone-password", actor="test")
        services.vault.update(connection, "prod-old-name", name="prod-new-name", actor="test")
    share(organisation, "prod-handed-password", "billing")
    clock.advance(6 * HOUR)
    organisation.deliver()
    (digest,) = digests(organisation, "support")
    assert "prod-new-name lapses in 2 days" in digest
    assert "- prod-gone-password" not in digest
    assert "- prod-handed-password" not in digest


def test_who_leaves_is_not_told_how_to_collect_what_takes_the_place_of_what_they_knew(
    organisation: Organisation, clock: Any
) -> None:
    organisation.add_item(
        "api-key:partner", None, days=30, mode="auto", rotator="workflow-api-key", lifetime="90d"
    )
    change(organisation, "support", quiet="00:00-07:00")
    organisation.add_item(CRM, f"a-value-of-{CRM}", days=3, mode="notify")
    organisation.night()
    services = organisation.services
    departure = services.rotation.offboarding.begin("support", emergency=True, actor="user:ann")
    opened = services.rotation.offboarding.open_next(departure, after=0, actor="user:ann")
    assert opened is not None
    organisation.drive()
    clock.advance(6 * HOUR)
    organisation.deliver()
    assert {post.path for post in organisation.targets.sink.requests} == {"/operators"}
    assert any(read_token(str(post.body)) for post in organisation.targets.sink.requests)


def test_a_digest_of_which_nothing_is_left_is_not_sent(organisation: Organisation, clock: Any) -> None:
    change(organisation, "support", quiet="00:00-07:00")
    organisation.add_item(CRM, f"a-value-of-{CRM}", days=3, mode="notify")
    organisation.add_workflow("crm-contacts", CRM)
    organisation.night()
    with organisation.services.database.write() as connection:
        organisation.services.vault.update(connection, CRM, expires_at=clock() + 200 * DAY, actor="test")
    clock.advance(6 * HOUR)
    organisation.deliver()
    assert state_of(organisation, "digest") == "withdrawn"
    assert organisation.targets.sink.requests == []


@pytest.mark.parametrize(("urgent", "state"), [(False, "waiting"), (True, "sent")])
def test_what_is_told_at_once_waits_for_the_morning_unless_its_policy_says_urgent(
    organisation: Organisation, *, urgent: bool, state: str
) -> None:
    change(organisation, "support", quiet="00:00-07:00")
    organisation.add_token(TOKEN, "ticketing", urgent=urgent, mode="approve")
    organisation.night()
    assert state_of(organisation, "rotation-requested") == state
    assert state_of(organisation, "digest") == "waiting"


def test_an_approval_that_was_given_meanwhile_is_not_asked_for(organisation: Organisation, clock: Any) -> None:
    change(organisation, "support", quiet="00:00-07:00")
    organisation.add_token(TOKEN, "ticketing", mode="approve")
    (rotation,) = organisation.night()
    organisation.services.rotation.decisions.approve(rotation.id, actor="user:ann")
    assert state_of(organisation, "rotation-requested") == "withdrawn"
    clock.advance(6 * HOUR)
    organisation.deliver()
    (digest,) = digests(organisation, "support")
    assert f"Nightkey is at it: rotation {rotation.id} is scheduled." in digest
    assert len(organisation.targets.sink.requests) == 1


def test_a_digest_has_the_command_that_approves(organisation: Organisation) -> None:
    organisation.add_token(TOKEN, "ticketing", mode="approve")
    (rotation,) = organisation.night()
    (digest,) = digests(organisation, "support")
    assert "Nightkey replaces it as soon as somebody approves that." in digest
    assert f"      nightkey rotation approve {rotation.id}\n" in digest


def test_a_rotation_that_is_done_is_told_at_once_and_in_no_digest(
    organisation: Organisation, clock: Any
) -> None:
    organisation.add_token(TOKEN, "ticketing")
    organisation.add_workflow("ticket-sync", TOKEN)
    organisation.night()
    assert f"{TOKEN} is now version 2; the one before it works on" in digests(organisation, "support")[0]
    organisation.services.runs.runs.start("ticket-sync", actor="test")
    clock.advance(2 * DAY)
    organisation.drive()
    organisation.deliver()
    (done,) = [one for one in organisation.notices() if one.kind == "rotation-done"]
    assert (done.owner, done.state, done.subject) == ("support", "sent", f"Nightkey: {TOKEN} is replaced")
    assert "ticket-sync uses the new one. There is nothing to do." in to_text(done.body or "")
    organisation.night()
    assert len(digests(organisation, "support")) == 1


def test_a_rotation_that_ends_before_its_night_does_is_told_in_the_digest_alone(
    organisation: Organisation,
) -> None:
    organisation.add_item(
        "prod-erp-secret",
        "a-value-of-prod-erp-secret",
        days=5,
        mode="auto",
        rotator="random",
        overlap="0s",
        lifetime="90d",
    )
    organisation.night()
    assert kinds(organisation, "support") == ["digest"]
    assert "prod-erp-secret is now version 2; the one before it is gone." in digests(organisation, "support")[0]


# Once: whatever happens between the nights

STEPS = st.lists(
    st.sampled_from(["night", "night again", "pass", "miss", "back", "replace", "extend", "share"]),
    min_size=3,
    max_size=12,
)


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
@settings(max_examples=12, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(steps=STEPS, days=st.integers(0, 32))
@example(steps=["pass", "night", "back", "share", "replace", "night"], days=0)
def test_no_owner_is_told_twice_of_the_same_or_of_what_was_replaced(
    organisation: Organisation, database_url: str, clock: Any, steps: list[str], days: int
) -> None:
    services = organisation.services
    with services.database.read() as connection:
        name = f"prod-crm-{len(every_item(services.vault, connection))}"
    organisation.add_item(name, f"a-value-of-{name}", days=days + 0.5, mode="notify")
    organisation.add_workflow(f"w-{name}", name)
    with services.database.write() as connection:
        services.owners.find_or_create(connection, "billing", actor="test")
    for step in steps:
        before = {notice.id for notice in organisation.notices()}
        if step == "night":
            clock.advance(HOUR)
            organisation.night()
        elif step == "night again":
            clock.advance(HOUR)
            organisation.night()
            told = len(organisation.notices())
            organisation.night()
            assert len(organisation.notices()) == told, "a second night at the same moment tells nothing"
        elif step in ("pass", "miss"):
            clock.advance(DAY if step == "pass" else 9 * DAY)
        elif step == "back":
            clock.advance(-20 * DAY)
        elif step == "share":
            share(organisation, name, "support", "billing")
        else:
            with services.database.write() as connection:
                services.vault.update(
                    connection,
                    name,
                    expires_at=clock() + (200 * DAY if step == "replace" else 5 * DAY),
                    actor="test",
                )
        expiry = organisation.item(name).expires_at
        for digest in organisation.notices():  # their order is the clock's, which goes back
            if digest.id not in before and digest.kind == "digest" and name in (digest.body or ""):
                assert expiry is not None
                assert expiry <= clock() + 30 * DAY, "only of the expiry that holds"
    with services.database.read() as connection:
        told_of = connection.execute(
            select(tellings.c.owner_id, tellings.c.topic).where(tellings.c.topic.contains(" "))
        ).all()
    assert len(set(told_of)) == len(told_of)
    by_digest: list[tuple[str, str]] = []
    for notice in organisation.notices():
        by_digest += [(notice.owner, line) for line in _lines_about(notice, name)]
    assert len(set(by_digest)) == len(by_digest), "the same words never come twice"


def _lines_about(notice: Notice, name: str) -> list[str]:
    """What a digest says of the expiry of an item: how long it has, to the hour, and when that is."""
    if notice.kind != "digest" or notice.body is None:
        return []
    return [line for line in to_text(notice.body).splitlines() if line.startswith(f"- {name} lapse")]
