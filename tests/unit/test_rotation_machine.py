"""A rotation through any order of outcomes, decisions and runs: nothing that it rests on ever breaks.

The machine holds what the services hold (the item's versions, the rotation's row, its consumers), asks the
pure parts what follows, and applies what `worker.services` applies. It has no opinion of its own on what
comes next, only on what must never be.
"""

from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from vaultcore.errors import Cause
from vaultcore.model import Mode, Stage
from vaultcore.rules import check_move
from worker.domain import saga
from worker.domain.decisions import (
    after_accept,
    after_approval,
    after_cancel,
    after_retry,
    after_roll_back,
    after_waiver,
    has_consumers_to_wait_for,
)
from worker.domain.limits import Caps, CapsLeft, hold_after_decision, hold_until, when_to_begin
from worker.domain.plan import DueItem, PlannedAction, plan_item
from worker.domain.proof import Consumer, Overlap, choose_canary, judge
from worker.domain.reasons import Code, Reason
from worker.domain.rotation import Rotation, apply, count_failure, count_success, decide
from worker.domain.saga import Failure, Limits, State, Step, Transition

NOW = datetime(2026, 3, 1, 2, 0, tzinfo=UTC)
SECOND, MINUTE, HOUR, DAY = timedelta(seconds=1), timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)
LIFETIME, LEAD, APPROVAL, LATE = 90 * DAY, 14 * DAY, 7 * DAY, 10 * MINUTE
LIMITS = Limits(
    attempts=3, pause=10 * SECOND, pause_max=HOUR, patience=HOUR, candidates=2, propagation=30 * SECOND
)
TESTS = {Step.VERIFY, Step.TEST_NODES, Step.TEST_WORKFLOWS}
CAPS_LEFT = CapsLeft(caps=Caps(night=500, target=100))
STEPS_TO_AN_END = 40
"""More than the longest way there is: to `done` with one canary, from a rotation that was stuck on the way."""

pauses = st.sampled_from([SECOND, MINUTE, HOUR, 6 * HOUR, DAY, 9 * DAY])
ON_THE_WAY = [
    State.PLANNED,
    State.INSTALLED,
    State.WORKFLOW_TESTED,
    State.ACTIVATED,
    State.CANARY,
    State.WATCHING,
    State.RETIRING,
]
"""Where the rules take over from a rotation that has gone well so far."""

picks = st.integers(0, 2)
causes = st.sampled_from(Cause)


@dataclass(kw_only=True)
class Value:
    """A version of the item: its stage, and which tests it has passed."""

    stage: Stage
    expires_at: datetime
    filled: bool = True
    passed: set[Step] = field(default_factory=set)

    def move(self, stage):
        check_move(self.stage, stage)
        self.stage = stage


@dataclass(kw_only=True)
class Run:
    number: int
    started_at: datetime


@dataclass(kw_only=True)
class Workflow:
    """A consumer of the item. `every` is None for one that only a person starts."""

    name: str
    active: bool
    critical: bool
    every: timedelta | None
    pinned: int | None = None
    held_by: str | None = None
    proven: int | None = None
    last_run_at: datetime | None = None
    next_run_at: datetime | None = None
    waived_for: str | None = None
    run: Run | None = None

    def show(self, rotation_id):
        held = self.held_by is not None
        return Consumer(
            id=self.name,
            name=self.name,
            active=self.active,
            critical=self.critical,
            elsewhere=False,
            pinned=None if held else self.pinned,
            held=held,
            proven=self.proven,
            last_run_at=self.last_run_at,
            next_run_at=self.next_run_at if self.active else None,
            waived=rotation_id is not None and self.waived_for == rotation_id,
        )


workflows = st.builds(
    Workflow,
    name=st.just(""),
    active=st.sampled_from([True, True, True, False]),
    critical=st.booleans(),
    every=st.sampled_from([None, HOUR, DAY, 30 * DAY]),
)


class Rotating(RuleBasedStateMachine):
    """One item, one to three workflows, and its rotations one after the other: what consumers, the clock and
    people do to them, and what must always be. How steps end is left to who inherits.
    """

    def __init__(self):
        super().__init__()
        self.now = self.latest = self.moved_at = NOW
        self.values = {1: Value(stage=Stage.CURRENT, expires_at=NOW + LEAD)}
        self.rotation = None
        self.ended = []
        self.hold = None
        self.frozen_until = NOW
        self.rejections = []
        self.workflows = []

    def begin(self, *, mode, canary, overlap, expiry_first, side_by_side, used_by):
        self.mode, self.canary, self.overlap, self.expiry_first = mode, canary, overlap, expiry_first
        self.side_by_side = side_by_side
        self.workflows = used_by
        for number, workflow in enumerate(used_by, start=1):
            workflow.name = f"w{number}"
            workflow.next_run_at = None if workflow.every is None else NOW + workflow.every

    # What is asked and known

    @property
    def current(self):
        return next(number for number, value in self.values.items() if value.stage is Stage.CURRENT)

    @property
    def expires_at(self):
        return self.values[self.current].expires_at

    @property
    def state(self):
        return None if self.rotation is None else self.rotation.state

    def is_due(self):
        next_at = self.rotation and self.rotation.next_at
        return next_at is not None and next_at <= self.now

    def consumers(self):
        return [workflow.show(self.rotation and self.rotation.id) for workflow in self.workflows]

    def when_to_begin(self):
        return when_to_begin(
            opens=max(self.now, self.frozen_until),
            expires_at=self.expires_at,
            overlap=self.overlap,
            expiry_first=self.expiry_first,
            now=self.now,
        )

    def plan(self):
        found = self.rotation
        due = DueItem(
            item_id="vlt_1",
            name="prod-ticketing-api-token",
            mode=self.mode,
            expires_at=self.expires_at,
            rotate_from=self.expires_at - LEAD,
            overlap=self.overlap,
            thresholds=(7, 1),
            target=None,
            opens=max(self.now, self.frozen_until),
            expiry_first=self.expiry_first,
            hold_until=self.hold,
            open_rotation=found and found.id,
            open_state=found and found.state.value,
        )
        return plan_item(due, self.now, CAPS_LEFT)

    # What is written

    def open(self, state, *, next_at, emergency=False, gated=False):
        assert self.rotation is None, "an item has one open rotation"
        assert next_at >= self.now, "nothing begins in the past"
        self.rotation = Rotation(
            id=f"rot_{len(self.ended) + 1}",
            item_id="vlt_1",
            item="prod-ticketing-api-token",
            rotator="http",
            state=state,
            reason=Reason.of(Code.BY_HAND),
            asked_by="",
            emergency=emergency,
            gated=gated,
            old_number=self.current,
            next_at=next_at,
            created_at=self.now,
        )

    def become(self, after):
        assert self.state not in saga.FINISHED, "what has finished never moves again"
        if after.next_at is not None and after.next_at != self.rotation.next_at:
            assert after.next_at >= self.now, "the next step is never due in the past"
        self.rotation = after
        if self.state in saga.FINISHED:
            self.ended.append(self.rotation)
            self.rotation = None
            if self.ended[-1].state is State.ROLLED_BACK:
                assert self.plan().action not in (PlannedAction.ROTATE, PlannedAction.REQUEST), (
                    "not twice in one night"
                )

    def write(self, **changed):
        self.become(replace(self.rotation, **changed))

    def move(self, to, **changes):
        self.become(apply(self.rotation, to, now=self.now, **changes))

    def decide(self, **changes):
        self.become(decide(self.rotation, **changes))

    def destroy(self, number):
        if number is not None and self.values[number].stage is not Stage.DESTROYED:
            self.values[number].move(Stage.DESTROYED)
            self.values[number].filled = False

    def swap(self, *, new, old):
        self.values[old].move(Stage.PREVIOUS)
        self.values[new].move(Stage.CURRENT)
        self.moved_at = self.now

    def let_go(self):
        for workflow in self.workflows:
            if workflow.held_by == self.rotation.id:
                workflow.pinned = workflow.held_by = None

    def go_back(self):
        self.let_go()
        if self.current == self.rotation.new_number:
            self.swap(new=self.rotation.old_number, old=self.rotation.new_number)

    def hold_back(self):
        failures = sum(one.state is State.ROLLED_BACK for one in self.ended) + 1
        self.hold = hold_until(failures, base=DAY, expires_at=self.expires_at, now=self.now)

    def hold_after_decision(self):
        self.hold = hold_after_decision(APPROVAL, expires_at=self.expires_at, now=self.now)

    # The steps, as `worker.services.rotation.forward` does them

    def try_step(self, cause=None, *, late=False):
        """Does what is due; it succeeds, or fails with a cause."""
        step = saga.next_step(self.state, emergency=self.rotation.emergency)
        if step is Step.EXPIRE:
            self.move(Transition(state=State.CANCELLED, next_at=None))
        elif step is Step.ADMIT:
            self.move(self.wait_for_window() or Transition(state=State.PLANNED, next_at=self.now))
        elif step is Step.ACTIVATE and cause is None and (held := self.wait_for_window()) is not None:
            self.move(held)
        else:
            self.attempt(step)
            if step is Step.UNDO and self.would_help_nobody():
                cause = Cause.MISTAKE
            if cause is None and step is Step.WATCH:
                self.look()
            elif cause is None:
                self.succeed(step, late=late)
            else:
                self.fail(step, cause)

    def wait_for_window(self):
        begins_at = self.when_to_begin() if self.rotation.gated else self.now
        return saga.wait_for_moment(self.state, begins_at, now=self.now)

    def attempt(self, step):
        """What has happened although the step may fail after it."""
        if step is Step.CREATE and self.rotation.new_number is None:
            number = max(self.values) + 1
            self.values[number] = Value(stage=Stage.PENDING, expires_at=self.now + LIFETIME, filled=False)
            self.rotation = replace(self.rotation, new_number=number)
        elif step is Step.RETIRE:
            self.check_retirement()
        elif step is Step.UNDO and self.side_by_side and not self.would_help_nobody():
            self.go_back()

    def would_help_nobody(self):
        """To go back to a value that has lapsed."""
        old, new = self.rotation.old_number, self.rotation.new_number
        return self.current == new and self.values[old].expires_at <= self.now

    def check_retirement(self):
        """From here on the old value may be revoked outside."""
        old, new = self.rotation.old_number, self.rotation.new_number
        assert self.current == new, "only what was replaced is taken away"
        if self.rotation.emergency:
            return
        for workflow in self.workflows:
            if workflow.waived_for != self.rotation.id:
                assert workflow.pinned != old, "it would break who is pinned to it, or held on it"
                assert workflow.proven == new, "it would break who is not proven on the new one"
                assert workflow.run is None or workflow.run.number != old, "it would break a run under way"

    def succeed(self, step, *, late):
        rotation, now = self.rotation, self.now
        to, values = saga.after_success(step, now), count_success(rotation, step, now=now)
        if late and step in (Step.RETIRE, Step.UNDO):
            to = Transition(state=self.state, next_at=now + LATE, waits_for=(Reason.of(Code.LATE_EFFECT),))
            values = {}
        if step is Step.CREATE:
            self.values[rotation.new_number].filled = True
        elif step in TESTS:
            self.values[rotation.new_number].passed.add(step)
        elif step is Step.ACTIVATE:
            self.activate()
        elif step is Step.RETIRE and not late:
            self.destroy(rotation.old_number)
            self.let_go()
            self.hold = None
        elif step is Step.DISCARD:
            self.destroy(rotation.new_number)
            values["new_number"] = None
        elif step is Step.UNDO:
            self.go_back()
            self.destroy(rotation.new_number)
            self.hold_back()
        self.move(to, **values)

    def activate(self):
        value, rotation = self.values[self.rotation.new_number], self.rotation
        missing = TESTS - value.passed
        assert not missing or (rotation.emergency and Step.VERIFY not in missing), (
            f"activated without {missing}"
        )
        found = self.consumers()
        self.swap(new=rotation.new_number, old=rotation.old_number)
        first = choose_canary(found, self.canary, number=rotation.new_number)
        if first is None or rotation.emergency:
            return
        for workflow in self.workflows:
            if workflow.name != first.id and workflow.pinned is None:
                workflow.pinned, workflow.held_by = rotation.old_number, rotation.id
        self.rotation = replace(rotation, canary_id=first.id)

    def look(self):
        rotation, now = self.rotation, self.now
        rejected = any(n == rotation.new_number and at >= rotation.activated_at for n, at in self.rejections)
        if rejected:
            self.fail(Step.WATCH, Cause.REJECTED)
            return
        if rotation.emergency:
            self.move(Transition(state=State.RETIRING, next_at=now))
            return
        found = self.consumers()
        moved_at = rotation.widened_at or rotation.activated_at
        ends = max(moved_at + self.overlap, rotation.overlap_until or moved_at)
        watched = judge(
            Overlap(
                number=rotation.new_number,
                ends=None if any(consumer.held for consumer in found) else ends,
                opens=max(now, self.frozen_until) if rotation.gated else now,
                canary_id=rotation.canary_id,
                others=tuple(
                    Reason.of(Code.RUN_WITH_OLD, workflow=workflow.name)
                    for workflow in self.workflows
                    if workflow.run is not None and workflow.run.started_at <= moved_at
                ),
            ),
            found,
            now=now,
        )
        if watched.widens:
            first = next((w for w in self.workflows if w.name == rotation.canary_id), None)
            ran_well = first is None or first.proven == rotation.new_number or first.waived_for == rotation.id
            assert ran_well, "the others wait for the one that goes first"
            self.let_go()
            self.rotation = replace(self.rotation, widened_at=now)
            self.moved_at = now
        if watched.state is State.RETIRING:
            assert now >= self.moved_at + self.overlap, "its overlap is over"
        self.move(Transition(state=watched.state, next_at=watched.next_at, waits_for=watched.waits_for))

    def fail(self, step, cause):
        rotation = self.rotation
        failure = Failure(cause=cause, why=Reason.failed("it did not work"))
        to = saga.after_failure(
            step,
            rotation.state,
            failure,
            progress=rotation.progress,
            limits=LIMITS,
            now=self.now,
        )
        self.move(to, **count_failure(rotation, failure, to, now=self.now))

    # The rules for whatever a rotation is at

    @precondition(lambda self: self.has_a_step())
    @rule(steps=st.integers(1, 3))
    def all_goes_well(self, steps):
        for _ in range(steps):
            if self.has_a_step():
                self.go_well()

    @precondition(lambda self: self.has_a_step())
    @rule(steps=st.sampled_from([1, 1, 2, 4]))
    def steps_succeed(self, steps):
        self.work_goes_on(steps)

    @rule(pause=pauses, back=st.booleans())
    def the_clock_turns(self, pause, back):
        if not back:
            self.now += pause
        elif not any(workflow.run for workflow in self.workflows):
            self.latest = max(self.latest, self.now)
            self.now -= pause

    @precondition(lambda self: self.workflows)
    @rule(pick=picks, ends=st.sampled_from(["well", "badly", "rejected"]))
    def a_run_begins_or_ends(self, pick, ends):
        workflow = self.pick(pick)
        if workflow.run is not None:
            self.end_run(workflow, good=ends == "well", rejected=ends == "rejected")
        elif workflow.active:
            self.begin_run(workflow)

    @precondition(lambda self: self.workflows)
    @rule(at_once=st.booleans())
    def everything_runs_well(self, at_once):
        """`at_once`: also what is under way comes to an end."""
        for workflow in self.workflows:
            if workflow.run is not None and at_once:
                self.end_run(workflow, good=True)
            if workflow.active and workflow.run is None:
                self.begin_run(workflow)
                self.end_run(workflow, good=True)

    @precondition(lambda self: self.workflows)
    @rule(pick=picks)
    def a_workflow_is_switched(self, pick):
        workflow = self.pick(pick)
        workflow.active = not workflow.active

    @precondition(lambda self: self.workflows)
    @rule(pick=picks, to=st.sampled_from([Stage.PREVIOUS, Stage.CURRENT, None]))
    def somebody_pins_or_unpins(self, pick, to):
        """As `Pinning` allows it, between two runs."""
        workflow = self.pick(pick)
        number = next((number for number, value in self.values.items() if value.stage is to), None)
        if workflow.run is None and (number is None or number != self.leaving()):
            workflow.pinned, workflow.held_by = number, None

    @precondition(lambda self: self.rotation is not None)
    @rule(pick=st.integers(0, 6), pause=pauses)
    def somebody_decides(self, pick, pause):
        open_to_them = [*self.decisions()]
        if open_to_them:
            open_to_them[pick % len(open_to_them)](pick, pause)

    # What people decide, as `worker.services.rotation.decisions` and `opening` do it

    def decisions(self):
        rotation, state = self.rotation, self.state
        if after_approval(rotation) is not None:
            yield self.approve
        if after_cancel(rotation) is not None:
            yield self.cancel
        if after_retry(rotation) is not None:
            yield self.retry
        if after_roll_back(rotation) is not None:
            yield self.roll_back
        accepted = after_accept(rotation)
        if accepted is State.DONE or (accepted is not None and self.could_be_accepted()):
            yield self.accept
        if has_consumers_to_wait_for(rotation):
            yield self.extend
            if self.workflows:
                yield self.waive
                yield self.prove
        if state in saga.BEFORE_ACTIVATION | saga.WATCHED | {State.RETIRING}:
            yield self.emergency

    def approve(self, *_):
        self.decide(state=after_approval(self.rotation), next_at=self.now)

    def cancel(self, *_):
        to = after_cancel(self.rotation)
        if to is State.CANCELLED:
            self.hold_after_decision()
        self.decide(state=to, next_at=None if to is State.CANCELLED else self.now)

    def retry(self, *_):
        self.decide(state=after_retry(self.rotation), next_at=self.now)

    def roll_back(self, *_):
        rotation = self.rotation
        if after_roll_back(rotation) is not State.ROLLED_BACK:
            self.decide(state=State.UNDOING, next_at=self.now)
            return
        self.go_back()
        self.destroy(rotation.new_number)
        self.hold_after_decision()
        self.decide(state=State.ROLLED_BACK, next_at=None)

    def accept(self, *_):
        rotation = self.rotation
        if after_accept(rotation) is State.DONE:
            self.let_go()
            self.destroy(rotation.old_number)
            self.hold = None
            self.decide(state=State.DONE, next_at=None)
            return
        if self.current != rotation.new_number:
            self.swap(new=rotation.new_number, old=rotation.old_number)
        self.moved_at = self.now
        self.decide(state=State.WATCHING, next_at=self.now, activated_at=self.now, widened_at=None)

    def extend(self, _, pause):
        self.decide(state=self.state, next_at=self.now, overlap_until=self.now + pause)

    def waive(self, pick, _):
        self.pick(pick).waived_for = self.rotation.id
        self.decide(state=after_waiver(self.rotation), next_at=self.now)

    def prove(self, pick, _):
        """A controlled run of a workflow, whether another run of it is under way or not."""
        self.pick(pick).proven = self.rotation.new_number
        self.write(next_at=self.now)

    def emergency(self, *_):
        self.write(emergency=True, gated=False, next_at=self.now, waits_for=[])

    def could_be_accepted(self):
        number = self.rotation.new_number
        return number is not None and self.values[number].filled

    def leaving(self):
        """The version that no workflow may be pinned to any more."""
        if self.rotation is None:
            return None
        leaving = {State.RETIRING: self.rotation.old_number, State.UNDOING: self.rotation.new_number}
        return leaving.get(self.rotation.stuck_in or self.state)

    def pick(self, pick):
        return self.workflows[pick % len(self.workflows)]

    def has_a_step(self):
        return self.rotation is not None and self.rotation.next_at is not None

    def its_time_comes(self):
        self.now = max(self.now, self.rotation.next_at)

    def go_well(self):
        """Time passes until there is something to do; everything runs, and the step succeeds."""
        if not self.is_due():
            self.now = max(self.now + 30 * DAY, self.rotation.next_at)
        self.now += SECOND
        self.everything_runs_well(at_once=True)
        self.try_step()

    def go_well_until(self, state):
        for _ in range(12):
            if self.has_a_step() and self.state is not state:
                self.go_well()

    def work_goes_on(self, steps):
        for _ in range(steps):
            if self.has_a_step() and self.state is not State.REQUESTED:
                self.its_time_comes()
                self.try_step()

    def begin_run(self, workflow):
        workflow.run = Run(number=workflow.pinned or self.current, started_at=self.now)
        workflow.next_run_at = None if workflow.every is None else self.now + workflow.every

    def end_run(self, workflow, *, good, rejected=False):
        number = workflow.run.number
        workflow.run, workflow.last_run_at = None, self.now
        if good:
            workflow.proven = number
        elif rejected:
            self.rejections.append((number, self.now))
        if self.state in saga.WATCHED:
            self.write(next_at=self.now)

    # What must always be

    @invariant()
    def one_value_is_current_and_one_pending_at_most(self):
        stages = [value.stage for value in self.values.values()]
        assert stages.count(Stage.CURRENT) == 1
        assert stages.count(Stage.PENDING) <= 1

    @invariant()
    def a_rotation_has_a_time_or_waits_for_a_person(self):
        if self.rotation is not None:
            assert (self.rotation.next_at is None) == (self.state is State.STUCK)
            assert (saga.next_step(self.state) is None) == (self.state is State.STUCK)
            assert (self.rotation.stuck_in is None) == (self.state is not State.STUCK)

    @invariant()
    def what_has_finished_is_at_its_end(self):
        for one in self.ended:
            assert one.next_at is None
            assert saga.next_step(one.state, emergency=one.emergency) is None
            assert not saga.is_moving(one.state, one.waits_for)

    @invariant()
    def an_end_leaves_one_value(self):
        if self.rotation is None:
            kept = [value for value in self.values.values() if value.stage is not Stage.DESTROYED]
            assert len(kept) == 1

    @invariant()
    def what_is_current_holds_a_value_that_was_tested_or_that_somebody_answers_for(self):
        assert self.values[self.current].filled

    def teardown(self):
        """From here on the clock is right, and all goes well: it ends."""
        retried = None
        self.now = self.frozen_until = max(self.latest, self.now)
        for _ in range(STEPS_TO_AN_END):
            if self.rotation is None:
                return
            if self.state is State.STUCK and retried == self.rotation.stuck_in:
                (self.accept if self.could_be_accepted() else self.roll_back)()
            elif self.state is State.STUCK:
                retried = self.rotation.stuck_in
                self.retry()
            elif self.state is State.REQUESTED:
                self.approve()
            for workflow in self.workflows:
                if workflow.held_by is None:
                    workflow.pinned = None
                workflow.active = True
            self.go_well()
        assert self.rotation is None, f"it never ends: {self.state}, waits for {self.rotation.waits_for}"


ITEMS: dict[str, Any] = {
    "mode": st.sampled_from([Mode.AUTO, Mode.AUTO, Mode.APPROVE]),
    "canary": st.sampled_from([None, "auto", "w1"]),
    "overlap": st.sampled_from([timedelta(0), HOUR, DAY]),
    "expiry_first": st.booleans(),
    "side_by_side": st.booleans(),
    "used_by": st.lists(workflows, min_size=1, max_size=3),
}


class AnyRotation(Rotating):
    """From what a night or a person begins, through any outcome of any step."""

    @initialize(**ITEMS, until=st.none() | st.sampled_from(ON_THE_WAY))
    def begin_anywhere(self, until, **item):
        self.begin(**item)
        if until is not None:
            self.open(State.PLANNED, next_at=self.now)
            self.go_well_until(until)

    @rule()
    def a_night_looks(self):
        found, decision = self.rotation, self.plan()
        if found is not None:
            expected = {State.STUCK: PlannedAction.HOLD, State.REQUESTED: PlannedAction.ASK}.get(
                found.state, PlannedAction.GO_ON
            )
            assert decision.action is expected
        elif decision.action is PlannedAction.REQUEST:
            self.open(State.REQUESTED, next_at=self.now + APPROVAL, gated=True)
        elif decision.action is PlannedAction.ROTATE:
            later = decision.begins_at > self.now
            self.open(State.SCHEDULED if later else State.QUEUED, next_at=decision.begins_at, gated=True)

    @precondition(lambda self: self.rotation is None)
    @rule(emergency=st.booleans(), four_eyes=st.booleans())
    def somebody_asks(self, emergency, four_eyes):
        if four_eyes:
            self.open(State.REQUESTED, next_at=self.now + APPROVAL, emergency=emergency)
        else:
            self.open(State.PLANNED, next_at=self.now, emergency=emergency)

    @precondition(lambda self: self.has_a_step())
    @rule(cause=causes, tries=st.sampled_from([1, 1, 3, 20]))
    def a_step_fails(self, cause, tries):
        state = self.state
        for _ in range(tries):
            if self.has_a_step() and self.state is state:
                self.its_time_comes()
                self.try_step(cause)

    @precondition(lambda self: self.state in (State.RETIRING, State.UNDOING))
    @rule()
    def a_step_is_to_be_done_once_more(self):
        self.its_time_comes()
        self.try_step(late=True)

    @rule(pause=pauses)
    def nothing_may_change(self, pause):
        self.frozen_until = self.now + pause


class ActivatedRotation(Rotating):
    """The new value is current: all that happens is about whether the old one may go."""

    @initialize(**ITEMS)
    def begin_activated(self, **item):
        self.begin(**item)
        self.activate_another(begins=None)

    @precondition(lambda self: self.rotation is None)
    @rule(begins=st.none() | picks)
    def activate_another(self, begins):
        """A run may have begun with the old value."""
        self.open(State.PLANNED, next_at=self.now)
        self.go_well_until(State.WORKFLOW_TESTED)
        if begins is not None and self.pick(begins).run is None:
            self.begin_run(self.pick(begins))
        self.work_goes_on(1)

    @precondition(lambda self: self.state in saga.WATCHED | {State.RETIRING, State.UNDOING})
    @rule(cause=causes)
    def all_goes_well_until_a_step_without_a_way_back_fails(self, cause):
        if self.state in saga.WATCHED:
            self.go_well_until(State.RETIRING)
        if self.state in (State.RETIRING, State.UNDOING):
            self.its_time_comes()
            self.try_step(cause)


AnyRotation.TestCase.settings = settings(max_examples=250, stateful_step_count=50, deadline=None)
ActivatedRotation.TestCase.settings = settings(max_examples=350, stateful_step_count=50, deadline=None)
test_a_rotation_keeps_its_promises_in_any_order_of_events = AnyRotation.TestCase
test_an_activated_rotation_never_breaks_a_consumer = ActivatedRotation.TestCase
