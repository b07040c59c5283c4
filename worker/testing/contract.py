"""The contract suite of rotators. In your tests:

class TestMine(RotatorContract):
@contextmanager
def stage(self):
with MyServer() as server, Link(server.port) as link:
yield StagedRotator(rotator=MyRotator(), settings={"port": link.port, …}, old=server.password,
link=link, accepts=server.accepts, count=lambda: len(server.passwords))
"""

import itertools
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

from vaultcore.errors import Cause, TargetError
from vaultcore.secret import Secret
from worker.domain.guard import build_guard
from worker.domain.made_up import make_up
from worker.outbound import HttpClient, Network
from worker.rotators.base import Candidate, FixedSentence, Job, Rotator
from worker.testing.link import Link

_CUTS_MAX = 200
_NETWORK = Network(build_guard((), ("127.0.0.0/8", "[::1]")))


@dataclass(kw_only=True)
class StagedRotator:
    """A rotator before a real target that accepts `old`, which it reaches by `link` if at all.

    `accepts` asks the target itself, past the link, and is None where a rotator has none; `count` is
    how many credentials of this item it accepts, if it can tell. `old_external` is what a rotator that made
    `old` would have said of it. `values` are the items that the settings name. `held`: what the target
    calls versions that are in use. `crowd`, where the rotator looks anything up: from now on the target
    lists all it has, whatever it is asked for, and has a credential of somebody else there: that one is given.
    `mislead`, where the use of a value tells what it is called: from now on the target says of each new
    one that it is somebody else's, which is given.

    Where the target itself can put an end to what it accepts, `end_at` has it do so with `old`, and `ends`
    says when it ends a value.
    """

    rotator: Rotator
    settings: Mapping[str, Any]
    old: Secret
    link: Link | None
    accepts: Callable[[Secret], bool] | None
    count: Callable[[], int] | None = None
    old_external: Mapping[str, Any] = field(default_factory=dict)
    values: Mapping[str, Secret] = field(default_factory=dict)
    held: frozenset[str] = frozenset()
    crowd: Callable[[], Secret] | None = None
    mislead: Callable[[], Secret] | None = None

    end_at: Callable[[datetime], None] | None = None
    ends: Callable[[Secret], datetime | None] | None = None
    http: HttpClient = field(default_factory=lambda: HttpClient(_NETWORK, timeout=10))
    network: Network = _NETWORK

    def job(
        self,
        made: Candidate | None = None,
        *,
        unanswered: bool = False,
        shown: bool = False,
        expires_at: datetime | None = None,
    ) -> Job:
        return Job(
            label="nightkey-rot_contract",
            item="prod-contract-credential",
            settings=self.rotator.Settings.model_validate(dict(self.settings)),
            old=self.old,
            new=None if made is None else made.value,
            old_external=self.old_external,
            new_external={} if made is None else made.external,
            values=self.values,
            http=self.http,
            network=self.network,
            unanswered=unanswered,
            held=self.held,
            shown=shown,
            expires_at=expires_at,
        )


class RotatorContract:
    """Every method, repeated and cut off at each exchange with the target. Subclasses give `stage`.

    `cut_every`: of so many places in a row one is tried, where a protocol greets at length before it works.
    """

    cut_every = 1

    def stage(self) -> AbstractContextManager[StagedRotator]:
        raise NotImplementedError

    def test_settings_of_the_example_are_taken_and_an_unknown_one_is_refused(self) -> None:
        with self.stage() as stage:
            model = stage.rotator.Settings
            model.model_validate(dict(stage.rotator.example))
            assert model.model_config.get("extra") == "forbid"
            assert (type(stage.rotator).__doc__ or "").strip(), "its docstring is its page"

    def test_the_new_value_works_beside_or_instead_of_the_old_and_then_alone(self) -> None:
        with self.stage() as stage:
            made = _go_to(stage, "revoke")
            assert stage.accepts is None or stage.accepts(made.value)
            assert stage.accepts is None or stage.accepts(stage.old) == _overlaps(stage)
            stage.rotator.revoke(stage.job(made))
            _check_replaced(stage, made)

    def test_undoing_leaves_the_old_value_alone_wherever_it_begins(self) -> None:
        for step in ("install", "verify", "revoke"):
            with self.stage() as stage:
                made = _go_to(stage, step)
                stage.rotator.undo(stage.job(made))
                _check_undone(stage, made)

    def test_every_step_may_be_repeated(self) -> None:
        with self.stage() as stage:
            made = _go_to(stage, "install")
            for _ in range(2):
                _check_said(stage, made, stage.rotator.install(stage.job(made)))
            for _ in range(2):
                _check_said(stage, made, stage.rotator.verify(stage.job(made), made.value))
            for _ in range(2):
                _check_said(stage, made, stage.rotator.revoke(stage.job(made)))
            _check_replaced(stage, made)
        with self.stage() as stage:
            made = _go_to(stage, "revoke")
            for _ in range(2):
                _check_said(stage, made, stage.rotator.undo(stage.job(made, shown=True)))
            _check_undone(stage, made)

    def test_a_value_that_is_not_accepted_is_rejected_and_never_said(self) -> None:
        with self.stage() as stage:
            made = _go_to(stage, "revoke")
            stage.rotator.revoke(stage.job(made))
            if stage.accepts is None:
                return  # nobody is there to refuse it
            error = _fail(lambda: stage.rotator.verify(stage.job(made), stage.old))
            assert error.cause is Cause.REJECTED
            assert stage.old.expose() not in str(error)

    def test_a_made_up_value_is_refused_and_the_real_one_still_works(self) -> None:
        """What takes everything proves nothing, and no old value is taken away by it."""
        with self.stage() as stage:
            made = _go_to(stage, "revoke")
            if stage.accepts is None:
                return  # nobody is there to refuse it
            made_up = make_up(made.value)
            assert made_up is not None, "no value of its form can be made up, so no check of it can be believed"
            error = _fail(lambda: stage.rotator.verify(stage.job(made), made_up))
            assert error.cause is not Cause.OUTAGE
            assert made_up.expose() not in str(error)
            stage.rotator.verify(stage.job(made), made.value)

    def test_undoing_leaves_alone_what_is_listed_and_is_not_its_own(self) -> None:
        """A search that is no filter names the value in use and the credential of another team."""
        for answered in (True, False):
            with self.stage() as stage:
                if stage.crowd is None or stage.accepts is None:
                    return
                other = stage.crowd()
                made = _go_to(stage, "revoke") if answered else None
                failure = _try(partial(stage.rotator.undo, stage.job(made, unanswered=not answered)))
                _check_left_alone(stage, other, failure)
                assert stage.accepts(stage.old), "the value in use was taken away"
                assert made is None or not stage.accepts(made.value), "the new value is still accepted"

    def test_undoing_what_came_to_no_answer_takes_away_what_it_made_or_says_where_to_look(self) -> None:
        with self.stage() as stage:
            if stage.crowd is None or stage.accepts is None:
                return
            other = stage.crowd()
            lost = stage.rotator.create(stage.job())
            failure = _try(lambda: stage.rotator.undo(stage.job(unanswered=True)))
            _check_left_alone(stage, other, failure)
            assert stage.accepts(stage.old), "the value in use was taken away"
            if failure is None:
                assert not stage.accepts(lost.value), "what the lost answer made works, and nobody is told"
            else:
                assert stage.job().label in str(failure), "nobody is told what to look for"

    def test_undoing_leaves_alone_what_the_use_of_the_new_value_names_by_mistake(self) -> None:
        """Whether or not `create` was told what the target calls it."""
        for told in (True, False):
            with self.stage() as stage:
                if stage.mislead is None or stage.accepts is None:
                    return
                other = stage.mislead()
                made = stage.rotator.create(stage.job())
                made = made if told else replace(made, external={})
                failure = _try(partial(stage.rotator.undo, stage.job(made)))
                _check_left_alone(stage, other, failure)
                assert stage.accepts(stage.old), "the value in use was taken away"
                if stage.accepts(made.value):
                    assert failure is not None, "the new value works on, and nobody is told"
                    assert stage.job().label in str(failure), "nobody is told what to look for"

    def test_revoking_leaves_alone_what_is_listed_and_is_not_its_own(self) -> None:
        for unanswered in (False, True):
            with self.stage() as stage:
                if stage.crowd is None or stage.accepts is None:
                    return
                other = stage.crowd()
                made = _go_to(stage, "revoke")
                failure = _try(partial(stage.rotator.revoke, stage.job(made, unanswered=unanswered)))
                _check_left_alone(stage, other, failure)
                assert stage.accepts(made.value), "the new value was taken away"
                assert not stage.accepts(stage.old), "the old value is still accepted"
                assert failure is None or unanswered, failure

    def test_an_end_on_the_other_side_is_extended_or_told_and_never_carried_along_in_silence(self) -> None:
        now = datetime.now(UTC)
        for wanted in (None, now + timedelta(days=90)):
            with self.stage() as stage:
                if stage.end_at is None:
                    return  # nothing ends there by itself
                stage.end_at(now + timedelta(hours=40))
                made = stage.rotator.create(stage.job(expires_at=wanted))
                job = stage.job(made, expires_at=wanted)
                stage.rotator.install(job)
                stage.rotator.verify(job, made.value)
                ask = getattr(stage.rotator, "read_end", None)
                assert ask is not None, "it says nothing of an end that the other side has"
                _check_end(told=ask(job), real=None if stage.ends is None else stage.ends(made.value))

    def test_what_it_names_is_the_same_for_the_same_settings(self) -> None:
        with self.stage() as stage:
            name = getattr(stage.rotator, "accounts", None)
            if name is None:
                return  # what it changes cannot be told
            names = list(name(stage.job().settings))
            assert names == list(name(stage.job().settings))
            assert all(isinstance(one, str) and 0 < len(one) <= 300 for one in names)
            assert stage.rotator.target(stage.job().settings), "a name is one at a target"

    def test_a_step_that_was_cut_off_anywhere_is_an_outage_and_is_done_again(self) -> None:
        for step in ("create", "install", "verify", "revoke"):
            for pieces in itertools.count(step=self.cut_every):
                assert pieces < _CUTS_MAX, f"{step} has no end"
                with self.stage() as stage:
                    if not _cut_and_go_on(stage, step, pieces):
                        break

    def test_an_undo_that_was_cut_off_anywhere_is_an_outage_and_is_done_again(self) -> None:
        for pieces in itertools.count(step=self.cut_every):
            assert pieces < _CUTS_MAX, "undo has no end"
            with self.stage() as stage:
                if not _cut_undo(stage, pieces):
                    break


def _check_said(stage: StagedRotator, made: Candidate, said: str) -> None:
    """What is not searched for values has none in it."""
    if isinstance(said, FixedSentence):
        values = (stage.old, made.value, *stage.values.values())
        assert not any(value.expose() in said for value in values), "a fixed sentence holds a value"


def _go_to(stage: StagedRotator, step: str) -> Candidate:
    """Everything before that step, as a rotation does it."""
    made = stage.rotator.create(stage.job())
    assert made.expires_at is None or made.expires_at.tzinfo is not None, "a time knows its zone"
    if step == "install":
        return made
    stage.rotator.install(stage.job(made))
    if step == "verify":
        return made
    stage.rotator.verify(stage.job(made), made.value)
    return made


def _cut_and_go_on(stage: StagedRotator, step: str, pieces: int) -> bool:
    """Cuts the step off after so many pieces, does it again and goes on to the end; whether there was a cut."""
    if stage.link is None:
        return False
    made = None if step == "create" else _go_to(stage, step)
    acts: dict[str, Callable[[], object]] = {
        "create": lambda: stage.rotator.create(stage.job()),
        "install": lambda: stage.rotator.install(stage.job(made)),
        "verify": lambda: stage.rotator.verify(stage.job(made), _value(made)),
        "revoke": lambda: stage.rotator.revoke(stage.job(made)),
    }
    stage.link.cut_after(pieces)
    failure = _try(acts[step])
    was_cut = stage.link.was_cut
    stage.link.mend()
    if not was_cut:
        assert failure is None, failure
        return False
    assert failure is None or failure.cause is Cause.OUTAGE, failure
    if made is None:
        if stage.rotator.issues:  # as the service does: what may have been made is taken away first
            stage.rotator.undo(stage.job(unanswered=True))
        made = stage.rotator.create(stage.job())
    stage.rotator.install(stage.job(made))
    stage.rotator.verify(stage.job(made), made.value)
    stage.rotator.revoke(stage.job(made))
    _check_replaced(stage, made)
    return True


def _cut_undo(stage: StagedRotator, pieces: int) -> bool:
    """Cuts the undoing off after so many pieces, and does it again; whether there was a cut."""
    if stage.link is None:
        return False
    made = _go_to(stage, "revoke")
    stage.link.cut_after(pieces)
    failure = _try(lambda: stage.rotator.undo(stage.job(made, shown=True)))
    was_cut = stage.link.was_cut
    stage.link.mend()
    assert failure is None or failure.cause is Cause.OUTAGE, failure
    stage.rotator.undo(stage.job(made, shown=True))
    _check_undone(stage, made)
    return was_cut


def _check_end(*, told: datetime | None, real: datetime | None) -> None:
    """What is told may be earlier than what is, where that cannot be known to the hour, and never later."""
    assert (told is None) == (real is None), f"told {told}, and it ends {real}"
    if told is not None and real is not None:
        assert told.tzinfo is not None, "a time knows its zone"
        assert real - timedelta(days=2) <= told <= real + timedelta(seconds=1), f"told {told}, it ends {real}"


def _value(made: Candidate | None) -> Secret:
    assert made is not None
    return made.value


def _overlaps(stage: StagedRotator) -> bool:
    return stage.rotator.overlaps(stage.job().settings)


def _check_replaced(stage: StagedRotator, made: Candidate) -> None:
    if stage.accepts is None:
        return
    assert stage.accepts(made.value), "the new value is not accepted"
    assert not stage.accepts(stage.old), "the old value is still accepted"
    assert stage.count is None or stage.count() == 1, "something was left behind"


def _check_undone(stage: StagedRotator, made: Candidate) -> None:
    if stage.accepts is None:
        return
    assert stage.accepts(stage.old), "the old value is not accepted"
    assert not stage.accepts(made.value), "the new value is still accepted"
    assert stage.count is None or stage.count() == 1, "something was left behind"


def _check_left_alone(stage: StagedRotator, other: Secret, failure: TargetError | None) -> None:
    """What is not this rotation's works on; what cannot be told is a person's, who is not asked to wait."""
    assert stage.accepts is not None
    assert stage.accepts(other), "the credential of somebody else was taken away"
    assert failure is None or failure.cause is Cause.MISTAKE, failure


def _try(act: Callable[[], object]) -> TargetError | None:
    try:
        act()
    except TargetError as error:
        return error
    return None


def _fail(act: Callable[[], object]) -> TargetError:
    failure = _try(act)
    assert failure is not None, "it was taken"
    return failure
