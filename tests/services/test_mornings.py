"""What a day, a night and a page of workflows hold: at their edges, and for who sees a part alone."""

from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from functools import partial
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from sqlalchemy import event

from tests.ingress import define
from tests.services.staging import Staged
from vaultcore.access import Principal, Role, machine
from vaultcore.errors import UnreadableError
from vaultcore.secret import Secret
from worker.bootstrap import Services
from worker.domain.findings import FindingKind
from worker.domain.policies import build_policy
from worker.domain.problems import ProblemKind
from worker.rows.coming_days import Event
from worker.services.night.coming_days import ComingDay
from worker.services.night.workflow_views import PAGE, WorkflowStanding
from worker.wording.nights import describe_outlook
from worker.wording.problems import describe

pytestmark = pytest.mark.rules


ALL = machine("user:test")
ZURICH = ZoneInfo("Europe/Zurich")
DAY = timedelta(days=1)


@pytest.fixture
def vault(services: Services) -> Services:
    """With two owners. Its nights begin at two in the morning, in UTC."""
    with services.database.write() as connection:
        for name in ("support", "sales"):
            services.owners.create(connection, name, actor="test")
    return services


def add(services: Services, name: str, expires_at: datetime, *, owner: str = "support", **policy: Any) -> None:
    with services.database.write() as connection:
        services.vault.create(
            connection,
            name=name,
            value=Secret(f"the value of {name}"),
            owner_ids=(services.owners.get(connection, owner).id,),
            expires_at=expires_at,
            policy=build_policy(None, {"mode": "notify", "thresholds": [7]} | policy),
            actor="test",
        )


def look(services: Services, first: date, days: int = 1, **more: Any) -> list[ComingDay]:
    asked: dict[str, Any] = {"zone": ZoneInfo("UTC"), "entries": 10, "seen_by": ALL} | more
    return services.overview.coming_days.look(first, days, **asked)


def names(day: ComingDay, event: Event) -> list[str]:
    return [
        "?" if isinstance(one.item, UnreadableError) else one.item.name
        for one in day.entries
        if one.event is event
    ]


@pytest.mark.both
def test_a_day_is_that_of_the_reader_from_its_first_moment(vault: Services) -> None:
    midnight = datetime(2030, 3, 10, tzinfo=ZURICH)
    for name, moment in [
        ("prod-early-token", midnight),
        ("prod-late-token", midnight + DAY - timedelta(microseconds=1)),
        ("prod-after-token", midnight + DAY),
    ]:
        add(vault, name, moment.astimezone(UTC))
    before, day, after = look(vault, date(2030, 3, 9), 3, zone=ZURICH)
    assert names(before, Event.LAPSES) == []
    assert names(day, Event.LAPSES) == ["prod-early-token", "prod-late-token"]
    assert names(after, Event.LAPSES) == ["prod-after-token"]
    assert (before.lapse, day.lapse, after.lapse) == (0, 2, 1)


@pytest.mark.both
def test_what_is_due_is_on_the_day_of_the_night_that_has_it(vault: Services, clock: Any) -> None:
    """The next night has all that is due by then, however long it was; one that has begun has nothing more."""
    clock.now = datetime(2030, 5, 1, 12, tzinfo=UTC)
    add(vault, "prod-overdue-token", datetime(2030, 5, 4, tzinfo=UTC))  # due since 27 April
    add(vault, "prod-noon-token", datetime(2030, 5, 9, 1, tzinfo=UTC))  # due on 2 May, an hour before the night
    add(vault, "prod-morning-token", datetime(2030, 5, 9, 3, tzinfo=UTC))  # an hour after it
    today, first, second = look(vault, date(2030, 5, 1), 3)
    assert names(today, Event.DUE) == []
    assert names(first, Event.DUE) == ["prod-overdue-token", "prod-noon-token"]
    assert names(second, Event.DUE) == ["prod-morning-token"]
    clock.now = datetime(2030, 5, 1, 1, tzinfo=UTC)
    assert names(look(vault, date(2030, 5, 1))[0], Event.DUE) == ["prod-overdue-token"]


def test_a_day_is_counted_whole_and_listed_in_parts(vault: Services) -> None:
    when = datetime(2031, 1, 5, 12, tzinfo=UTC)
    for number in range(5):
        add(vault, f"prod-many-token-{number}", when + timedelta(minutes=number))
    (day,) = look(vault, when.date(), entries=2)
    assert (day.lapse, names(day, Event.LAPSES)) == (5, ["prod-many-token-0", "prod-many-token-1"])
    (day,) = look(vault, when.date(), entries=2, offset=4)
    assert names(day, Event.LAPSES) == ["prod-many-token-4"]
    (day,) = look(vault, when.date(), entries=0)
    assert (day.lapse, day.entries) == (5, ())


@pytest.mark.both
def test_who_sees_their_own_items_sees_those_days(vault: Services) -> None:
    when = datetime(2031, 2, 5, 12, tzinfo=UTC)
    add(vault, "prod-support-token", when)
    add(vault, "prod-sales-token", when, owner="sales")
    sales = Principal(actor="person:s", roles=frozenset({Role.OWNER}), owners=frozenset({"sales"}))
    (day,) = look(vault, when.date(), seen_by=sales)
    assert (day.lapse, names(day, Event.LAPSES)) == (1, ["prod-sales-token"])
    nobody = Principal(actor="person:n", roles=frozenset({Role.OWNER}))
    assert look(vault, when.date(), seen_by=nobody)[0].lapse == 0


@pytest.mark.both
def test_a_night_is_summed_up_from_what_it_opened(staged: Staged) -> None:
    """For who sees all, and for an owner of one item of two."""
    organisation, _ = staged
    services = organisation.services
    organisation.add_owner("sales")
    organisation.add_token("prod-support-token", "support")
    organisation.add_token("prod-sales-token", "sales", owner="sales", mode="approve")
    assert services.overview.night_summaries.last(seen_by=ALL) == []
    slot = services.clock()
    services.night.nights.begin(slot)
    (running,) = services.overview.night_summaries.last(seen_by=ALL)
    assert (running.is_over, running.opened, running.rotated) == (False, 2, 0)
    organisation.drive()
    services.night.nights.close(slot)
    (night,) = services.overview.night_summaries.last(seen_by=ALL)
    assert (night.is_over, night.opened, night.rotated, night.waiting) == (True, 2, 1, 1)
    assert night.rolled_back == 0
    assert night.found == night.night.counts["findings"]
    assert sorted(one.item for one in night.rotations if not isinstance(one, UnreadableError)) == [
        "prod-sales-token",
        "prod-support-token",
    ]
    sales = Principal(actor="person:s", roles=frozenset({Role.OWNER}), owners=frozenset({"sales"}))
    (theirs,) = services.overview.night_summaries.last(seen_by=sales)
    assert (theirs.opened, theirs.rotated, theirs.waiting) == (1, 0, 1)


@pytest.mark.both
def test_workflows_come_in_pages_with_what_is_stale(staged: Staged) -> None:
    organisation, _ = staged
    services = organisation.services
    organisation.add_token("prod-support-token", "support")
    for number in range(PAGE + 1):
        organisation.add_workflow(f"sync-{number:03}", "prod-support-token" if number else "prod-gone-token")
    page = services.overview.workflows.page(after=None, seen_by=ALL)
    first, second = page.rows[:2]
    assert len(page.rows) == PAGE
    assert isinstance(first, WorkflowStanding)
    assert isinstance(second, WorkflowStanding)
    assert [one.kind for one in first.stale] == [FindingKind.MISSING]
    assert second.stale == ()
    assert page.next == f"sync-{PAGE - 1:03}"
    rest = services.overview.workflows.page(after=page.next, seen_by=ALL)
    assert (len(rest.rows), rest.next) == (1, None)


@pytest.mark.both
def test_ninety_days_cost_no_more_statements_than_one(vault: Services) -> None:
    for number in range(3):
        add(vault, f"prod-far-token-{number}", datetime(2032, 1, 5 + number, 12, tzinfo=UTC))
    sales = Principal(actor="person:s", roles=frozenset({Role.OWNER}), owners=frozenset({"sales", "support"}))
    for principal in (ALL, sales):
        asked = {
            days: count_statements(vault, partial(look, vault, date(2032, 1, 5), days, seen_by=principal))
            for days in (1, 90)
        }
        assert asked[90] <= asked[1] + 1, "a day without anything lists nothing"


def count_statements(services: Services, do: Callable[[], object]) -> int:
    asked: list[str] = []

    def note(_connection: object, _cursor: object, statement: str, *_: object) -> None:
        asked.append(statement)

    event.listen(services.database.engine, "before_cursor_execute", note)
    try:
        do()
    finally:
        event.remove(services.database.engine, "before_cursor_execute", note)
    return len(asked)


@pytest.mark.both
def test_what_lapsed_needs_somebody_until_somebody_says_that_they_know(vault: Services, clock: Any) -> None:
    clock.now = datetime(2033, 5, 1, 12, tzinfo=UTC)
    add(vault, "prod-over-token", clock.now + timedelta(days=1))
    add(vault, "prod-near-token", clock.now + timedelta(days=4))
    add(vault, "prod-others-token", clock.now + timedelta(days=4), owner="sales")
    clock.now += timedelta(days=2)
    support = Principal(actor="person:s", roles=frozenset({Role.OWNER}), owners=frozenset({"support"}))

    def names_of(principal: Principal) -> list[str]:
        return [one.name for one in vault.overview.outlook.read(seen_by=principal).owners_turn]

    assert names_of(ALL) == ["prod-over-token"]
    assert names_of(support) == ["prod-over-token", "prod-near-token"], "what is due is theirs to replace"
    found = vault.overview.outlook.read(seen_by=support)
    assert (found.items, found.next_expiry) == (2, clock.now + timedelta(days=2))
    assert sum(night.lapse for night in found.nights) == 1, "of others nothing is counted"
    vault.night.nights.begin(clock.now)
    (known,) = [
        one.finding.id for one in vault.lookup.views.list_findings() if one.finding.kind is FindingKind.LAPSED
    ]
    vault.overview.acknowledgements.acknowledge(known, why="it is let go", actor="test")
    assert names_of(ALL) == []
    assert names_of(support) == ["prod-near-token"]


@pytest.mark.both
def test_nothing_stands_well_while_items_have_lapsed_though_their_night_ended_well(
    vault: Services, clock: Any
) -> None:
    clock.now = datetime(2033, 7, 1, 12, tzinfo=UTC)
    add(vault, "prod-first-token", clock.now + timedelta(hours=1))
    add(vault, "prod-second-token", clock.now + timedelta(hours=2), owner="sales")
    support = Principal(actor="person:s", roles=frozenset({Role.OWNER}), owners=frozenset({"support"}))

    def lapsed(seen_by: Principal | None = None) -> list[tuple[str, int, str]]:
        found = vault.overview.status.read(seen_by=seen_by).problems
        return [(one.subject, one.number, describe(one)) for one in found if one.kind is ProblemKind.LAPSED]

    assert lapsed() == []
    clock.now += timedelta(hours=3)
    several = (
        "2 items have lapsed, the first of them prod-first-token at 2033-07-01 13:00 UTC"
        " (nightkey item list --state lapsed --sort expires)"
    )
    alone = "prod-first-token lapsed at 2033-07-01 13:00 UTC (nightkey item show prod-first-token)"
    assert lapsed() == [("prod-first-token", 2, several)], "before anything has looked for it"
    assert lapsed(support) == [("prod-first-token", 1, alone)], "of others nothing is counted"
    vault.night.nights.begin(clock.now)
    assert lapsed() == [("prod-first-token", 2, several)]
    for one in vault.lookup.views.list_findings():
        if one.finding.kind is FindingKind.LAPSED:
            vault.overview.acknowledgements.acknowledge(one.finding.id, why="it is let go", actor="test")
    assert lapsed() == []


def test_more_than_is_shown_is_counted(vault: Services, clock: Any) -> None:
    clock.now = datetime(2034, 5, 1, 12, tzinfo=UTC)
    before = vault.overview.outlook.read(seen_by=ALL)
    for number in range(5):
        add(vault, f"prod-gone-token-{number:02d}", clock.now + timedelta(hours=1))
    clock.now += timedelta(hours=2)
    found = vault.overview.outlook.read(seen_by=ALL, shown=3)
    assert len(found.owners_turn) == 3
    told = describe_outlook(found, clock.now)
    assert [one["detail"] for one in told["owners_turn"]] == [
        f"prod-gone-token-{number:02d} lapsed 1 hour ago" for number in range(3)
    ]
    assert told["owners_turn"][0]["command"].startswith("nightkey item update prod-gone-token-00")
    assert told["more"] == found.more == 2 + before.more
    assert found.number - before.number == 5


def test_an_owner_is_told_of_the_whole_and_of_what_did_not_reach_them(vault: Services) -> None:
    support = Principal(actor="person:s", roles=frozenset({Role.OWNER}), owners=frozenset({"support"}))
    add(vault, "prod-mine-token", datetime(2035, 5, 1, tzinfo=UTC))
    add(vault, "prod-theirs-token", datetime(2035, 5, 1, tzinfo=UTC), owner="sales")
    sees = vault.overview.visible.find(support, {"prod-mine-token", "prod-theirs-token", "support", "sales"})
    assert sees("", ProblemKind.NIGHT_LATE)
    assert sees("prod-mine-token", ProblemKind.STUCK)
    assert not sees("prod-theirs-token", ProblemKind.STUCK)
    assert sees("support", ProblemKind.NOTICE_FAILED)
    assert not sees("sales", ProblemKind.NOTICE_FAILED)


def test_a_workflow_is_looked_at_by_as_many_statements_whatever_it_uses(vault: Services) -> None:
    asked = {}
    for number in (2, 12):
        names_used = [f"prod-used-{number}-{one:02d}" for one in range(number)]
        for one in names_used:
            add(
                vault, one, datetime(2036, 5, 1, tzinfo=UTC), owner="sales" if one.endswith("01") else "support"
            )
        headers = {f"X-{one}": f"{{{{ vault['{one}'] }}}}" for one in names_used}
        send = {"id": "send", "componentId": "webhook", "method": "GET", "url": "https://x.example.com/"}
        file = define(f"uses-{number}", "manual_trigger", None, {**send, "headers": headers})
        vault.runs.documents.apply([file], actor="test")
        view = partial(vault.overview.workflows.view, f"uses-{number}", seen_by=ALL)
        assert [(one.item.name, one.versions) for one in view().uses if one.item] == [
            (one, (1,)) for one in names_used
        ]
        asked[number] = count_statements(vault, view)
    assert asked[12] == asked[2]
    support = Principal(actor="person:s", roles=frozenset({Role.OWNER}), owners=frozenset({"support"}))
    uses = vault.overview.workflows.view("uses-2", seen_by=support).uses
    assert [(one.hidden, one.versions) for one in uses] == [(False, (1,)), (True, ())]
