"""Tests of one rotation whose calls go out together: what is told of them, and what ends them."""

import os
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select, update

from nightkey_demo.loopback import Answer, Incoming
from tests.chains import apply, chain, each, post
from tests.counting import count_on
from tests.faults.vault_copy import let_leases_lapse
from tests.forking import processes
from tests.services.staging import (
    REFUSED,
    TOKEN,
    Staged,
    bearer_of,
    begin_by_hand,
    get_rotation,
    reopen,
    stage,
    step_to,
)
from tests.stepping import advance
from worker.bootstrap import Services
from worker.domain.rotation import Rotation
from worker.domain.saga import State
from worker.rows.rotation_steps import steps_of
from worker.rows.tables import rotations, runs
from worker.services.rotation.side_by_side_tests import AT_ONCE_MAX
from worker.settings import Settings
from worker.wording.reasons import say_all

pytestmark = pytest.mark.rules

PATIENCE = 120.0
AWAY = Answer(status=503, body={})
Stage = Callable[[int], Staged]


@pytest.fixture
def on_stage(tmp_path: Path, database_url: str, clock: Any) -> Iterator[Stage]:
    """An organisation at whose target so many may work at once, with a token to be rotated."""
    opened = []

    @contextmanager
    def open_stage(at_once: int) -> Iterator[Staged]:
        with stage(tmp_path, database_url, clock, target_at_once=at_once) as made:
            made[0].add_token(TOKEN, "ticketing")
            yield made

    def begin(at_once: int) -> Staged:
        opened.append(open_stage(at_once))
        return opened[-1].__enter__()

    yield begin
    for one in opened:
        one.__exit__(None, None, None)


def use(staged: Staged, number: int, *, paths: str = "/v1/account?of={}") -> list[str]:
    """So many workflows use the token: what each asks with, in the order in which they are tested."""
    for place in range(number):
        staged[0].add_workflow(f"tickets-{place}", TOKEN, path=paths.format(f"tickets-{place}"))
    with staged[0].services.database.read() as connection:
        found = [
            staged[0].services.runs.definitions.get(connection, f"tickets-{place}") for place in range(number)
        ]
    return [f"of={one.name}" for one in sorted(found, key=lambda one: one.id)]


def drive(staged: Staged) -> Rotation:
    rotation_id = begin_by_hand(staged[0], TOKEN)
    staged[0].services.rotation.rotations.drive(rotation_id)
    return get_rotation(staged[0], rotation_id)


def last_said(staged: Staged, rotation: Rotation) -> str:
    with staged[0].services.database.read() as connection:
        return say_all(steps_of(connection, rotation.id)[-1].said)


def test_runs(staged: Staged) -> list[str]:
    with staged[0].services.database.read() as connection:
        return list(connection.execute(select(runs.c.status).where(runs.c.purpose == "test")).scalars())


test_runs.__test__ = False  # type: ignore[attr-defined]  # it is a look


class SeenCalls:
    """Of tests, as the service sees them: which came, and how many were there at the same moment, at most."""

    def __init__(self, script: Callable[[Incoming], Answer | None] = lambda _: None) -> None:
        self.came: list[Incoming] = []
        self.most = 0
        self.threads: set[str] = set()
        self._script = script
        self._now = 0
        self._lock = threading.Lock()

    def __call__(self, incoming: Incoming) -> Answer | None:
        if not incoming.query.startswith("of="):
            return None
        with self._lock:
            self.came.append(incoming)
            self._now += 1
            self.most = max(self.most, self._now)
            self.threads |= {one.name for one in threading.enumerate() if one.name.startswith("test-")}
        try:
            return self._script(incoming)
        finally:
            with self._lock:
                self._now -= 1


def meet(number: int) -> Callable[[Incoming], None]:
    """Calls are answered once so many have come."""
    barrier = threading.Barrier(number)

    def wait(_: Incoming) -> None:
        barrier.wait(PATIENCE)

    return wait


def end_thread(name: str) -> None:
    """Its call is over, and has been handed in."""
    for one in threading.enumerate():
        if one.name == name:
            one.join(PATIENCE)
            assert not one.is_alive()


@pytest.mark.both
def test_those_of_several_workflows_are_under_way_at_once(on_stage: Stage) -> None:
    """Their nodes' tests, the same with a made-up value, and then the workflows."""
    staged = on_stage(AT_ONCE_MAX)
    use(staged, 3)
    staged[1].script = calls = SeenCalls(meet(3))
    rotation = drive(staged)
    assert rotation.state is State.WATCHING
    assert len(calls.came) == 9
    assert test_runs(staged) == ["completed"] * 3
    assert staged[0].services.upkeep.anchors.verify().whole


@pytest.mark.parametrize("at_once", [1, 2, 8])
def test_no_more_than_may_work_at_the_target_and_never_more_than_four(on_stage: Stage, at_once: int) -> None:
    staged, expected = on_stage(at_once), min(at_once, AT_ONCE_MAX)
    use(staged, 2 * AT_ONCE_MAX)
    staged[1].script = calls = SeenCalls(meet(expected))
    assert drive(staged).state is State.WATCHING
    assert calls.most == expected
    assert len(calls.came) == 3 * 2 * AT_ONCE_MAX


def test_one_workflow_is_tested_by_who_drives(on_stage: Stage) -> None:
    staged = on_stage(AT_ONCE_MAX)
    use(staged, 1)
    staged[1].script = calls = SeenCalls()
    assert drive(staged).state is State.WATCHING
    assert (len(calls.came), calls.threads) == (3, set())


def test_a_check_that_several_share_is_asked_once_with_a_made_up_value(on_stage: Stage) -> None:
    staged = on_stage(AT_ONCE_MAX)
    use(staged, 3, paths="/v1/account?of=all")
    staged[1].script = calls = SeenCalls()
    assert drive(staged).state is State.WATCHING
    assert [staged[1].is_known(bearer_of(one)) for one in calls.came].count(False) == 1


def test_side_by_side_takes_fewer_commits_than_one_after_the_other(on_stage: Stage) -> None:
    """What is opened together is committed together."""
    organisation, _ = on_stage(AT_ONCE_MAX)
    commits = []
    for at_once, name in ((AT_ONCE_MAX, "prod-first-token"), (1, "prod-second-token")):
        organisation.add_token(name, name)
        for place in range(3):
            organisation.add_workflow(f"{name}-{place}", name, path=f"/v1/account?of={place}")
        rotation_id = begin_by_hand(organisation, name)
        with reopen(organisation, target_at_once=at_once) as services:
            with count_on(services.database.engine) as counted:
                services.rotation.rotations.drive(rotation_id)
            assert get_rotation(organisation, rotation_id).state is State.WATCHING
        commits.append(counted.commits)
    assert commits[0] < commits[1]


@pytest.mark.parametrize("at_once", [1, 3])
@pytest.mark.parametrize(
    ("answers", "told", "failing"),
    [
        ({0: AWAY, 2: REFUSED}, 0, True),
        ({1: REFUSED, 2: AWAY}, 1, False),
        ({0: AWAY, 1: REFUSED, 2: REFUSED}, 0, True),
    ],
)
def test_the_first_failure_in_order_is_told_whichever_comes_first(
    on_stage: Stage, at_once: int, answers: dict[int, Answer], told: int, failing: bool
) -> None:
    """The last one ends first, and the first one last."""
    staged = on_stage(at_once)
    order = use(staged, 3)
    new: list[str] = []

    def answer(incoming: Incoming) -> Answer | None:
        place = order.index(incoming.query)
        if bearer_of(incoming) not in new:
            new.append(bearer_of(incoming))
        if at_once > 1:
            meeting(incoming)
            for later in range(place + 1, 3):
                end_thread(f"test-{later}")
        return answers.get(place)

    meeting = meet(3)
    staged[1].script = SeenCalls(answer)
    rotation_id = begin_by_hand(staged[0], TOKEN)
    rotation = step_to(staged[0], None, rotation_id, State.ACCEPTED)
    advance(staged[0].services, rotation_id)
    said = last_said(staged, rotation)
    assert order[told].removeprefix("of=") in said
    assert (get_rotation(staged[0], rotation_id).failing_since is not None) is failing
    assert len(new) == 1


@pytest.mark.parametrize("failed", [REFUSED, AWAY])
def test_those_behind_one_that_failed_do_not_begin_and_those_under_way_come_to_their_end(
    on_stage: Stage, failed: Answer
) -> None:
    staged = on_stage(AT_ONCE_MAX)
    order = use(staged, 2 * AT_ONCE_MAX)
    rotation_id = begin_by_hand(staged[0], TOKEN)
    step_to(staged[0], None, rotation_id, State.NODE_TESTED)
    meeting = meet(AT_ONCE_MAX)

    def answer(incoming: Incoming) -> Answer | None:
        meeting(incoming)
        if incoming.query == order[0]:
            return failed
        end_thread("test-0")
        return None

    staged[1].script = calls = SeenCalls(answer)
    advance(staged[0].services, rotation_id)
    assert sorted(one.query for one in calls.came) == sorted(order[:AT_ONCE_MAX])
    assert sorted(test_runs(staged)) == ["completed"] * (AT_ONCE_MAX - 1) + ["failed"]


@pytest.mark.both
def test_whoever_lost_the_rotation_makes_no_further_call_in_any_of_them(on_stage: Stage) -> None:
    staged = on_stage(AT_ONCE_MAX)
    organisation, service = staged
    headers = {"Authorization": f"Bearer {{{{ vault.{TOKEN} }}}}"}
    for name in ("left", "middle", "right"):
        nodes = [
            post(f"{service.url}/v1/account?of={name}-{node}", node, method="GET", headers=headers)
            for node in ("first", "second")
        ]
        apply(organisation.services, chain(name, *nodes))
    rotation_id = begin_by_hand(organisation, TOKEN)
    step_to(organisation, None, rotation_id, State.NODE_TESTED)
    all_came, is_taken = meet(3), meet(3)

    def take_over(incoming: Incoming) -> Answer | None:
        all_came(incoming)
        if incoming.query == "of=middle-first":
            let_leases_lapse(organisation.services, rotation_id)
            with organisation.services.database.engine.begin() as connection:
                connection.execute(
                    update(rotations).where(rotations.c.id == rotation_id).values(fence=rotations.c.fence + 1)
                )
        is_taken(incoming)
        return None

    service.script = calls = SeenCalls(take_over)
    advance(organisation.services, rotation_id)
    assert sorted(one.query for one in calls.came) == ["of=left-first", "of=middle-first", "of=right-first"]
    assert get_rotation(organisation, rotation_id).state is State.NODE_TESTED
    assert test_runs(staged) == ["running"] * 3, "whoever took over knows nothing of them"
    assert [one.name for one in threading.enumerate() if one.name.startswith("test-")] == []


def kill_together(worker: Any, number: int) -> Callable[[Incoming], None]:
    """Once so many of its calls have come."""
    meeting = meet(number)

    def kill(incoming: Incoming) -> None:
        meeting(incoming)
        worker.kill()

    return kill


def drive_apart(settings: Settings, now: datetime, rotation_id: str) -> None:
    """By a process of its own."""
    Services(settings, lambda: now).rotation.rotations.drive(rotation_id)


def test_a_worker_killed_while_they_are_under_way_leaves_what_the_next_one_brings_to_its_end(
    on_stage: Stage, clock: Any
) -> None:
    """Killed among the nodes' tests; then another among those of the workflows."""
    staged = on_stage(AT_ONCE_MAX)
    organisation, service = staged
    use(staged, 3)
    rotation_id = begin_by_hand(organisation, TOKEN)
    for at in (State.ACCEPTED, State.NODE_TESTED):
        step_to(organisation, clock, rotation_id, at)
        given = (organisation.services.settings, clock(), rotation_id)
        worker = processes.Process(target=drive_apart, args=given, daemon=True)
        service.script = calls = SeenCalls(kill_together(worker, 3))
        worker.start()
        worker.join(PATIENCE)
        assert worker.exitcode == -signal.SIGKILL
        service.script = lambda _: None
        assert len(calls.came) == 3
        assert get_rotation(organisation, rotation_id).state is at
        let_leases_lapse(organisation.services)
    assert test_runs(staged) == ["running"] * 3
    organisation.services.rotation.rotations.drive(rotation_id)
    assert get_rotation(organisation, rotation_id).state is State.WATCHING
    assert sorted(test_runs(staged)) == ["completed"] * 3 + ["running"] * 3
    clock.now += timedelta(hours=2)
    organisation.services.runs.runs.end_lost()
    assert sorted(test_runs(staged)) == ["completed"] * 3 + ["failed"] * 3
    assert organisation.services.upkeep.anchors.verify().whole


@contextmanager
def stopped_by_signal() -> Iterator[Callable[[], None]]:
    """What is called sends this process a signal that ends it, where its first thread is."""

    def stop(*_: object) -> None:
        raise SystemExit(1)

    before = signal.signal(signal.SIGUSR1, stop)
    try:
        yield lambda: os.kill(os.getpid(), signal.SIGUSR1)
    finally:
        signal.signal(signal.SIGUSR1, before)


def test_who_is_told_to_stop_waits_for_none_of_them_and_they_call_no_more(on_stage: Stage) -> None:
    """As at the second SIGTERM, in the thread that drives: it has handed out the calls, and waits."""
    staged = on_stage(AT_ONCE_MAX)
    use(staged, 2)
    rotation_id = begin_by_hand(staged[0], TOKEN)
    step_to(staged[0], None, rotation_id, State.NODE_TESTED)
    meeting, stopped = meet(2), threading.Event()

    def answer(incoming: Incoming) -> Answer | None:
        meeting(incoming)
        if incoming.query == "of=tickets-0":
            signal_to_stop()
        assert stopped.wait(PATIENCE)
        return None

    staged[1].script = calls = SeenCalls(answer)
    with stopped_by_signal() as signal_to_stop, pytest.raises(SystemExit):
        advance(staged[0].services, rotation_id)
    stopped.set()
    for one in threading.enumerate():
        if one.name.startswith("test-"):
            one.join(PATIENCE)
    assert len(calls.came) == 2
    assert get_rotation(staged[0], rotation_id).state is State.NODE_TESTED
    assert get_rotation(staged[0], rotation_id).lease_until is not None, "what is under way may still arrive"


@pytest.mark.parametrize("linked", [True, False])
def test_workflows_that_may_run_the_same_one_come_one_after_the_other(on_stage: Stage, linked: bool) -> None:
    staged = on_stage(AT_ONCE_MAX)
    organisation, service = staged
    headers = {"Authorization": f"Bearer {{{{ vault.{TOKEN} }}}}"}

    def ask(name: str) -> dict[str, Any]:
        return post(f"{service.url}/v1/account?of={name}", "ask", method="GET", headers=headers)

    apply(organisation.services, chain("inner", ask("inner"), trigger="subflow_trigger", is_active=True))
    for name in ("left", "right"):
        runs_it = [each([1], "inner")] if linked else []
        apply(organisation.services, chain(name, ask(name), *runs_it))
    rotation_id = begin_by_hand(organisation, TOKEN)
    step_to(organisation, None, rotation_id, State.NODE_TESTED)
    began: list[int] = []
    service.script = SeenCalls(lambda _: began.append(test_runs(staged).count("running")))
    advance(organisation.services, rotation_id)
    assert (began[0], len(began)) == ((1, 5) if linked else (3, 3))
    assert max(began) == (2 if linked else 3), "one, and the one that it runs"
    assert get_rotation(organisation, rotation_id).state is State.WORKFLOW_TESTED
