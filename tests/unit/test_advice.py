"""What a person can do about a rotation: the commands, in an order that is safe."""

import shlex
from datetime import UTC, datetime

import pytest

from worker.domain.advice import advise
from worker.domain.proof import Consumer, ConsumerProof, Proof
from worker.domain.reasons import Code, Reason
from worker.domain.saga import BEFORE_ACTIVATION, FINISHED, NOT_BEGUN, WATCHED, State

NOW = datetime(2026, 3, 1, 2, 0, tzinfo=UTC)


def consumer_proof(proof, *, name="report", active=True, elsewhere=False):
    consumer = Consumer(
        id="wf_1",
        name=name,
        active=active,
        critical=False,
        elsewhere=elsewhere,
        pinned=None,
        held=False,
        proven=None,
        last_run_at=NOW,
        next_run_at=None,
        waived=False,
    )
    return ConsumerProof(consumer=consumer, proof=proof, why=Reason.of(Code.CHECK))


def advised(*given, **more):
    return advise("rot_1", *given, item="prod-mail-token", number=3, **more)


def choices(state, *, stuck_in=None, failing=False, consumer_proofs=()):
    """The commands without what all of them have."""
    advice = advised(state, stuck_in, failing, consumer_proofs)
    assert all(one.command.startswith("nightkey rotation ") for one in advice)
    return [one.command.removeprefix("nightkey rotation ") for one in advice]


@pytest.mark.parametrize(
    ("state", "expected"),
    [
        (State.REQUESTED, ["approve rot_1", "cancel rot_1"]),
        *((state, ["cancel rot_1"]) for state in sorted(NOT_BEGUN - {State.REQUESTED})),
        *((state, ["cancel rot_1"]) for state in sorted(BEFORE_ACTIVATION)),
        *((state, ["rollback rot_1"]) for state in sorted(WATCHED)),
        *((state, []) for state in sorted(FINISHED | {State.RETIRING, State.DISCARDING, State.UNDOING})),
    ],
)
def test_each_state_leaves_its_choices(state, expected):
    assert choices(state) == expected


@pytest.mark.parametrize("state", sorted(BEFORE_ACTIVATION | {State.RETIRING, State.DISCARDING, State.UNDOING}))
def test_what_waits_for_an_outage_can_be_tried_at_once_first_of_all(state):
    assert choices(state, failing=True) == ["retry rot_1", *choices(state)]


@pytest.mark.parametrize(
    ("stuck_in", "expected"),
    [
        (State.RETIRING, ["retry", "rollback", "accept"]),
        (State.UNDOING, ["retry", "accept", "rollback"]),
        (State.DISCARDING, ["retry", "accept", "rollback"]),
        (State.QUEUED, ["retry", "cancel"]),
        (State.CREATED, ["retry", "rollback", "accept"]),
        (State.WATCHING, ["retry", "rollback", "accept"]),
        (None, ["retry", "rollback", "accept"]),
    ],
)
def test_what_is_stuck_goes_on_or_ends_on_either_value(stuck_in, expected):
    assert choices(State.STUCK, stuck_in=stuck_in, failing=True) == [f"{verb} rot_1" for verb in expected]


@pytest.mark.parametrize("stuck_in", [State.UNDOING, State.DISCARDING, State.CREATED, None])
def test_a_new_value_that_there_is_not_is_not_offered(stuck_in):
    advice = advised(State.STUCK, stuck_in, False, (), has_new=False)
    assert [one.command.split()[2] for one in advice] == ["retry", "rollback"]


@pytest.mark.parametrize(
    ("stuck_in", "verb", "value"),
    [
        (State.RETIRING, "accept", "old"),
        (State.UNDOING, "rollback", "new"),
        (State.DISCARDING, "rollback", "new"),
    ],
)
def test_who_drops_a_value_is_told_to_revoke_it_first(stuck_in, verb, value):
    advice = advised(State.STUCK, stuck_in, False, ())
    warned = [one for one in advice if "outside yourself first" in one.does]

    assert [one.command for one in warned] == [f"nightkey rotation {verb} rot_1"]
    assert f"revoke the {value} one outside yourself first: here it is dropped" in warned[0].does


@pytest.mark.parametrize("state", sorted(WATCHED))
def test_who_cannot_be_proven_is_run_given_time_or_answered_for(state):
    consumer_proofs = [
        consumer_proof(Proof.PROVEN, name="sync"),
        consumer_proof(Proof.UNPROVABLE, name="month-end"),
        consumer_proof(Proof.UNPROVABLE, name="switched-off", active=False),
    ]

    assert choices(state, consumer_proofs=consumer_proofs) == [
        "prove rot_1 --workflow month-end",
        "extend rot_1 --until TIME",
        "waive rot_1 --workflow month-end --why TEXT",
        "prove rot_1 --workflow switched-off",
        "waive rot_1 --workflow switched-off --why TEXT",
        "rollback rot_1",
    ]


@pytest.mark.parametrize(
    ("name", "report"),
    [
        ("sync", "sync --status completed --started-at TIME --used prod-mail-token=3"),
        ("month end", "'month end' --status completed --started-at TIME --used prod-mail-token=3"),
        ("--help", "--status completed --started-at TIME --used prod-mail-token=3 -- --help"),
    ],
)
def test_who_runs_elsewhere_is_proven_by_a_report(name, report):
    advice = advised(State.WATCHING, None, False, [consumer_proof(Proof.UNPROVABLE, name=name, elsewhere=True)])

    assert [one.command for one in advice] == [
        f"nightkey run report {report}",
        "nightkey rotation extend rot_1 --until TIME",
        f"nightkey rotation waive rot_1 --workflow {shlex.quote(name)} --why TEXT",
        "nightkey rotation rollback rot_1",
    ]


@pytest.mark.parametrize("proof", sorted(set(Proof) - {Proof.UNPROVABLE}))
def test_for_any_other_consumer_nothing_is_to_be_done(proof):
    assert choices(State.WATCHING, consumer_proofs=[consumer_proof(proof)]) == ["rollback rot_1"]


@pytest.mark.parametrize("state", sorted(set(State) - WATCHED))
def test_consumers_are_no_matter_before_an_activation_and_after_the_watch(state):
    assert choices(state, consumer_proofs=[consumer_proof(Proof.UNPROVABLE)]) == choices(state)


@pytest.mark.parametrize("name", ["month end", "x; rm -rf $HOME", "it's", "--help"])
def test_a_command_can_be_pasted_whatever_the_workflow_is_called(name):
    for command in choices(State.WATCHING, consumer_proofs=[consumer_proof(Proof.UNPROVABLE, name=name)]):
        words = shlex.split(command)
        if "--workflow" in words:
            assert words[words.index("--workflow") + 1] == name


@pytest.mark.parametrize("state", State)
@pytest.mark.parametrize("stuck_in", [None, State.RETIRING, State.UNDOING])
def test_each_choice_says_on_one_line_what_it_does(state, stuck_in):
    for one in advised(state, stuck_in, True, [consumer_proof(Proof.UNPROVABLE)]):
        assert one.does
        assert "\n" not in one.command + one.does


def test_callers_are_given_more_time_or_answered_for():
    callers = ConsumerProof(consumer=None, proof=Proof.UNPROVABLE, why=Reason.of(Code.CHECK))
    assert choices(State.WATCHING, consumer_proofs=[callers]) == [
        "extend rot_1 --until TIME",
        "waive rot_1 --callers --why TEXT",
        "rollback rot_1",
    ]
    assert choices(
        State.WATCHING,
        consumer_proofs=[ConsumerProof(consumer=None, proof=Proof.AWAITED, why=Reason.of(Code.CHECK))],
    ) == ["rollback rot_1"]


def test_nobody_is_led_back_to_an_old_value_that_is_refused():
    advice = advised(State.STUCK, State.RETIRING, False, (), old_dead=True)
    assert [one.command for one in advice] == [
        "nightkey rotation retry rot_1",
        "nightkey rotation accept rot_1",
    ]
    assert not any("the old value" in one.does for one in advice)


def test_where_the_old_value_is_dead_nothing_speaks_of_it():
    consumer_proofs = [consumer_proof(Proof.UNPROVABLE)]
    advice = advised(State.WATCHING, None, False, consumer_proofs, one_way=True, beside=False)
    assert [one.command.split()[2] for one in advice] == ["prove", "waive"]
    (cancel,) = advised(State.CREATED, None, False, (), beside=False)
    assert cancel.does == "the new value is taken back"
    for state in State:
        for one in advised(state, State.WATCHING, True, consumer_proofs, one_way=True, beside=False):
            assert "old value works" not in one.does
            assert "goes back" not in one.does


@pytest.mark.parametrize(
    ("stuck_in", "verbs"), [(State.RETIRING, ["retry"]), (State.UNDOING, ["retry", "rollback"])]
)
def test_what_a_person_has_overtaken_ends_on_the_value_that_was_given(stuck_in, verbs):
    advice = advised(State.STUCK, stuck_in, False, (), one_way=True, beside=False, given=4)
    assert [one.command.split()[2] for one in advice] == verbs
    assert all("version 4" in one.does for one in advice)


@pytest.mark.parametrize("stuck_in", [State.ACCEPTED, State.WATCHING, State.RETIRING])
def test_where_no_value_is_left_that_works_a_person_may_give_one(stuck_in):
    advice = advised(State.STUCK, stuck_in, False, (), one_way=True, beside=False)
    assert advice[-1].command == "nightkey item update prod-mail-token --value-file PATH"
    another = any("--another" in one.command for one in advice)
    assert another is (stuck_in is State.ACCEPTED), "what was activated is followed by no other"
