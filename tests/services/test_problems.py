"""Nothing is green that isn't: the outcome of nights, and `status`, over what earlier nights left behind."""

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from nightkey_demo.http_sink import HttpSink
from nightkey_demo.loopback import Answer, Incoming
from tests.organisation import Organisation
from tests.services.dues import find_due
from tests.services.staging import TOKEN, ScriptedService, Staged, add_route, drive_on, stage
from tests.stepping import advance
from worker.domain.problems import Problem, ProblemKind
from worker.domain.pulses import PulseKind
from worker.domain.saga import State
from worker.domain.work import Task
from worker.rows import nights as night_rows
from worker.wording.problems import describe
from worker.wording.reasons import say

pytestmark = pytest.mark.rules

DAY = timedelta(days=1)
PATH = "/ping/3f1b"


@pytest.fixture
def staged(tmp_path: Path, database_url: str, clock: Any, sink: HttpSink) -> Iterator[Staged]:
    with stage(tmp_path / "home", database_url, clock, heartbeat_url=f"{sink.url}{PATH}") as made:
        organisation = made[0]
        add_route(organisation, "operators")
        yield made


def outcome(organisation: Organisation, clock: Any) -> tuple[str | None, list[ProblemKind]]:
    """A night now: how it ended, and by what."""
    slot = clock()
    services = organisation.services
    services.night.nights.begin(slot)
    drive_on(organisation, clock)
    services.night.nights.close(slot)
    clock.advance(timedelta(seconds=1))
    organisation.deliver()
    with services.database.read() as connection:
        night = night_rows.get_night(connection, slot)
        return night.outcome, [one.kind for one in services.overview.problems.of_night(connection, slot)]


def beat(organisation: Organisation, sink: HttpSink) -> list[str]:
    """What the heartbeats of the last night said, by their paths."""
    heard = len(sink.requests)
    for name in find_due(organisation.services, Task.BEAT):
        organisation.services.notices.heartbeat.send(name)
    return [post.path.removeprefix(PATH) for post in sink.requests[heard:]]


def problems(organisation: Organisation) -> list[Problem]:
    return organisation.services.overview.status.read().problems


def answer_issue(service: ScriptedService, answer: Answer) -> None:
    def script(incoming: Incoming) -> Answer | None:
        return answer if (incoming.method, incoming.path) == ("POST", "/v1/tokens") else None

    service.script = script


def test_an_outage_of_three_nights_makes_three_nights_red_and_the_one_in_which_it_sticks_too(
    staged: Staged, clock: Any, sink: HttpSink
) -> None:
    organisation, service = staged
    organisation.add_token(TOKEN, "ticketing")
    organisation.add_workflow("ticket-sync", TOKEN)
    answer_issue(service, Answer(status=503))
    seen = []
    for _ in range(5):
        seen.append(outcome(organisation, clock))
        assert beat(organisation, sink)[-1] == "/fail"
        clock.advance(DAY)
    assert {said for said, _ in seen} == {"failed"}
    assert seen[0][1] == [ProblemKind.RETRYING]
    assert seen[1][1] == [ProblemKind.RETRYING]
    assert seen[-1][1] == [ProblemKind.STUCK]

    service.script = lambda _: None
    (rotation,) = organisation.rotations()
    organisation.services.rotation.decisions.retry(rotation.id, actor="user:ann")
    drive_on(organisation, clock)
    clock.advance(DAY)
    assert outcome(organisation, clock)[0] == "good"
    assert beat(organisation, sink)[-1] == ""


def test_a_rotation_that_goes_back_and_the_night_in_which_it_has_gone_back_are_red(
    staged: Staged, clock: Any, sink: HttpSink
) -> None:
    organisation, service = staged
    organisation.add_token(TOKEN, "ticketing")
    organisation.add_workflow("ticket-sync", TOKEN)
    made = {"id": "tok_1", "token": 4711, "expires_at": "2027-02-23T23:07:24Z"}
    answer_issue(service, Answer(status=201, body=made))
    ended, kinds = outcome(organisation, clock)
    (rotation,) = organisation.rotations()
    assert (ended, rotation.state) == ("failed", State.UNDOING)
    assert kinds == [ProblemKind.GOING_BACK]
    (problem,) = [one for one in problems(organisation) if one.kind is ProblemKind.GOING_BACK]
    assert say(rotation.last_error)
    assert say(rotation.last_error) in describe(problem)

    clock.advance(timedelta(hours=3))  # it has gone back in the day
    organisation.drive()
    assert organisation.rotations()[0].state is State.ROLLED_BACK
    clock.advance(timedelta(hours=15))  # and its next try is still held back
    assert outcome(organisation, clock) == ("failed", [ProblemKind.NOT_REPLACED])
    assert beat(organisation, sink)[-1] == "/fail"


def test_a_revocation_that_is_refused_is_heard_of_by_the_operators(
    staged: Staged, clock: Any, sink: HttpSink
) -> None:
    organisation, service = staged
    organisation.add_token(TOKEN, "ticketing")
    organisation.add_workflow("ticket-sync", TOKEN)
    assert outcome(organisation, clock)[0] == "good"
    assert organisation.services.runs.runs.start("ticket-sync", actor="test").status == "completed"
    service.script = lambda incoming: Answer(status=400) if incoming.method == "DELETE" else None
    clock.advance(2 * DAY)
    assert outcome(organisation, clock) == ("failed", [ProblemKind.STUCK])
    assert beat(organisation, sink)[-1] == "/fail"
    told = [(notice.owner, notice.kind) for notice in organisation.notices()]
    assert ("operators", "night-failed") in told
    assert ("support", "rotation-stuck") in told


def test_a_second_night_after_one_that_failed_is_no_better(staged: Staged, clock: Any, sink: HttpSink) -> None:
    organisation, _ = staged
    organisation.add_token(TOKEN, "ticketing")
    organisation.add_workflow("ticket-sync", TOKEN, path="/v1/nothing-there")
    assert outcome(organisation, clock) == ("failed", [ProblemKind.NOT_REPLACED])
    clock.advance(timedelta(hours=1))
    assert outcome(organisation, clock) == ("failed", [ProblemKind.DUE_AGAIN])
    assert beat(organisation, sink)[-1] == "/fail"
    assert ProblemKind.DUE_AGAIN in [one.kind for one in problems(organisation)]

    organisation.add_workflow("ticket-sync", TOKEN)  # mended, and replaced by hand
    organisation.services.rotation.opening.request(TOKEN, asked_by="user:ann")
    organisation.drive()
    clock.advance(timedelta(hours=1))
    assert outcome(organisation, clock) == ("good", [])
    assert problems(organisation) == []


@pytest.mark.both
def test_what_a_person_knows_of_makes_no_night_red(staged: Staged, clock: Any) -> None:
    organisation, _ = staged
    organisation.add_workflow("ticket-sync", "prod-nobody-made-it-token")
    assert outcome(organisation, clock) == ("failed", [ProblemKind.MISSING])
    (found,) = [
        one for one in organisation.services.overview.status.read().findings if one["kind"] == "missing"
    ]
    organisation.services.overview.acknowledgements.acknowledge(found["id"], why="next week", actor="user:ann")
    clock.advance(DAY)
    assert outcome(organisation, clock) == ("good", [])


def test_a_workflow_that_holds_a_lapsed_value_makes_the_night_red(staged: Staged, clock: Any) -> None:
    organisation, _ = staged
    organisation.add_item("prod-crm-password", "a-value-of-prod-crm-password", days=1, mode="notify")
    organisation.add_item(
        "prod-old-password", "a-value-of-prod-old-password", days=1, mode="notify"
    )  # lapses too, and nobody uses it
    organisation.add_workflow("crm-contacts", "prod-crm-password")
    assert outcome(organisation, clock) == ("good", [])
    clock.advance(2 * DAY)
    assert outcome(organisation, clock) == ("failed", [ProblemKind.USES_EXPIRED])
    _, used, lapsed = problems(organisation)
    assert describe(used).startswith(
        "prod-crm-password: node call of workflow crm-contacts uses it, and it lapsed"
    )
    assert describe(lapsed).startswith("prod-old-password lapsed at")


def test_a_request_that_nobody_approved_is_not_forgotten(staged: Staged, clock: Any) -> None:
    organisation, _ = staged
    organisation.add_token(TOKEN, "ticketing", mode="approve", approval="1h")
    organisation.add_workflow("ticket-sync", TOKEN)
    assert outcome(organisation, clock) == ("good", [])
    clock.advance(timedelta(hours=2))
    organisation.drive()
    clock.advance(timedelta(hours=1))
    assert ProblemKind.NOT_BEGUN in outcome(organisation, clock)[1]


def test_a_notice_that_was_given_up_after_its_night_makes_the_next_one_red(
    staged: Staged, clock: Any, sink: HttpSink
) -> None:
    organisation, _ = staged
    organisation.add_item("prod-fax-password", "a-value-of-prod-fax-password", days=3, mode="notify")
    organisation.targets.sink.answer(404, times=100)
    assert outcome(organisation, clock)[0] == "good", "its digest leaves when it has ended"
    clock.advance(DAY)
    ended, kinds = outcome(organisation, clock)
    assert ended == "failed"
    assert ProblemKind.NOTICE_FAILED in kinds


def test_a_fresh_vault_says_who_hears_of_nothing(tmp_path: Path, clock: Any) -> None:
    with stage(tmp_path / "home", "", clock) as (organisation, _):
        (problem,) = problems(organisation)
        assert problem.kind is ProblemKind.OPERATORS_UNREACHED
        add_route(organisation, "operators")
        assert problems(organisation) == []
    with stage(tmp_path / "other", "", clock, operators="oncall") as (organisation, _):
        kinds = [one.kind for one in problems(organisation)]
        assert kinds == [ProblemKind.OPERATORS_UNREACHED]


def test_a_night_that_does_not_come_is_missed(staged: Staged, clock: Any) -> None:
    organisation, _ = staged
    assert problems(organisation) == []
    clock.advance(timedelta(hours=20))
    assert problems(organisation) == [], "the vault is younger than the last slot"
    clock.advance(timedelta(hours=6))
    (problem,) = problems(organisation)
    assert describe(problem).startswith("the night of 2026-03-02 02:00 UTC was not begun")
    organisation.services.night.inline_night.run_night(lambda _: None, wait=False)
    assert problems(organisation) == []
    clock.advance(10 * DAY)
    (problem,) = problems(organisation)
    assert problem.kind is ProblemKind.NIGHT_LATE


@pytest.mark.both
def test_who_worked_here_and_is_gone_is_missed_until_somebody_runs_the_nights_by_hand(
    staged: Staged, clock: Any
) -> None:
    organisation, _ = staged
    living = organisation.services.upkeep.signs_of_life
    assert problems(organisation) == [], "nobody was ever here: the nights may be begun by hand"
    renew = living.begin(PulseKind.BEAT)
    assert [one.kind for one in problems(organisation)] == [ProblemKind.NO_WORKER]
    living.begin(PulseKind.WORKER)
    assert problems(organisation) == []
    clock.advance(timedelta(minutes=10))
    assert [one.kind for one in problems(organisation)] == [ProblemKind.NOBODY_WORKS]
    renew()
    assert [one.kind for one in problems(organisation)] == [ProblemKind.NO_WORKER]
    clock.advance(timedelta(hours=1))
    organisation.services.night.inline_night.run_night(lambda _: None, wait=False)
    assert problems(organisation) == []


def test_a_night_by_hand_hides_no_night_that_did_not_end_well(staged: Staged, clock: Any) -> None:
    organisation, _ = staged
    organisation.add_token(TOKEN, "ticketing")
    organisation.add_workflow("ticket-sync", TOKEN, path="/v1/nothing-there")
    slot = clock()
    organisation.night()
    clock.advance(timedelta(hours=4))
    result = organisation.services.night.inline_night.run_night(lambda _: None, wait=False)
    assert [one.kind for one in result.problems] == [ProblemKind.DUE_AGAIN]
    status = organisation.services.overview.status.read()
    assert status.last_night is not None
    assert status.by_hand is not None
    assert (status.last_night.slot, status.last_night.outcome) == (slot, "failed")
    assert status.by_hand.slot == clock()
    assert status.problems[0].kind is ProblemKind.NIGHT_FAILED
    told = [notice.kind for notice in organisation.notices() if notice.owner == "operators"]
    assert told.count("night-failed") == 1, "they know of it"


@pytest.mark.parametrize("call", range(1, 11))
def test_who_is_stopped_where_no_call_was_made_gives_the_lease_back(
    tmp_path: Path, clock: Any, call: int
) -> None:
    """A signal may come at any moment: here wherever the time is asked."""
    with stage(tmp_path / "home", "", clock) as (organisation, _):
        organisation.add_item(
            "prod-erp-password",
            "a-value-of-prod-erp-password",
            days=5,
            mode="auto",
            rotator="random",
            lifetime="90d",
        )
        organisation.add_workflow("ledger", "prod-erp-password", path="/v1/health")
        services = organisation.services
        opened = services.rotation.opening.request("prod-erp-password", asked_by="user:ann")
        advance(services, opened.id)
        services.rotation.rotations._clock = services.rotation.forward._clock = Interrupting(clock, call)
        stopped = False
        try:
            for _ in range(2):  # to install and to verify a value that was drawn here calls nobody
                advance(services, opened.id)
        except KeyboardInterrupt:
            stopped = True
        services.rotation.rotations._clock = services.rotation.forward._clock = clock
        (rotation,) = organisation.rotations()
        assert stopped
        assert rotation.lease_until is None
        assert organisation.due() == [opened.id]
        advanced = advance(services, opened.id)
        assert advanced is not None
        assert advanced.moved


class Interrupting:
    """A clock at whose n-th reading the process is told to stop."""

    def __init__(self, clock: Any, call: int) -> None:
        self._clock, self._left = clock, call

    def __call__(self) -> Any:
        self._left -= 1
        if self._left == 0:
            raise KeyboardInterrupt
        return self._clock()
