"""What owners read."""

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from worker.domain.findings import WORST_FIRST, FindingKind
from worker.domain.notices import (
    CLAIM_MARK,
    FoundLine,
    Message,
    RotatedLine,
    compose_claim,
    compose_digest,
    compose_failure,
    compose_night_failed,
)
from worker.domain.saga import State

NIGHT = datetime(2026, 3, 1, 2, 0, tzinfo=UTC)


def found(kind=FindingKind.EXPIRING, subject="prod-smtp", detail="expires in 3 days", users=()):
    return FoundLine(kind=kind, subject=subject, detail=detail, workflow=None, users=users)


def rotated(state=State.DONE, item="prod-token", version=4, error=None, waits_for=()):
    return RotatedLine(id="rot_1", item=item, state=state, version=version, error=error, waits_for=waits_for)


# The digest


def test_a_whole_digest_reads_so():
    message = compose_digest(
        "ops",
        [
            found(FindingKind.NO_EXPIRY, "prod-ldap", "set one"),
            found(users=("intake", "nightly")),
            found(FindingKind.LAPSED, "prod-vpn", "lapsed 2 days ago"),
        ],
        [
            rotated(),
            rotated(State.WATCHING, item="prod-crm", waits_for=("the overlap", "the first run of intake")),
            rotated(State.ROLLED_BACK, item="prod-git", error="401 from git"),
            rotated(State.STUCK, item="prod-dns", error="undo failed"),
        ],
        NIGHT,
    )

    assert message == Message(
        subject="Nightkey: 3 to look at, 2 not replaced, 2 replaced (ops)",
        body=(
            "Nightkey looked at your credentials in the night of 2026-03-01.\n"
            "\n"
            "To look at:\n"
            "- prod-vpn can no longer be used: lapsed 2 days ago.\n"
            "- prod-smtp will lapse: expires in 3 days. Used by intake, nightly.\n"
            "- prod-ldap has no expiry: set one.\n"
            "\n"
            "Not replaced:\n"
            "- prod-git keeps its value from before: 401 from git (rot_1)\n"
            "- prod-dns is stuck, both values are kept: undo failed (rot_1)\n"
            "\n"
            "Replaced:\n"
            "- prod-token is now version 4; the one before it is gone.\n"
            "- prod-crm is now version 4; the one before it works on, "
            "waiting for the overlap; the first run of intake.\n"
        ),
    )


@pytest.mark.parametrize(
    ("findings", "rotations", "subject", "absent"),
    [
        ([found()], [], "Nightkey: 1 to look at (ops)", ["Not replaced", "Replaced"]),
        ([], [rotated()], "Nightkey: 1 replaced (ops)", ["To look at", "Not replaced"]),
        ([], [rotated(State.STUCK, error="x")], "Nightkey: 1 not replaced (ops)", ["To look at", "Replaced:"]),
        ([found()], [rotated(State.PLANNED)], "Nightkey: 1 to look at (ops)", ["prod-token"]),
        ([found()], [rotated(State.UNDOING)], "Nightkey: 1 to look at (ops)", ["prod-token"]),
    ],
)
def test_a_digest_says_only_what_there_is(findings, rotations, subject, absent):
    message = compose_digest("ops", findings, rotations, NIGHT)

    assert message.subject == subject
    assert not [text for text in absent if text in message.body]


def test_what_watches_without_waiting_for_anybody_ends_its_sentence():
    body = compose_digest("ops", [], [rotated(State.WATCHING)], NIGHT).body

    assert body.endswith("- prod-token is now version 4; the one before it works on.\n")


def test_what_was_taken_back_is_never_told_as_replaced():
    body = compose_digest("ops", [], [rotated(State.ROLLED_BACK, error="401")], NIGHT).body

    assert "keeps its value from before" in body
    assert "is now version" not in body


@pytest.mark.parametrize("kind", FindingKind)
def test_every_kind_of_finding_makes_a_sentence(kind):
    body = compose_digest("ops", [found(kind, "prod-smtp", "the detail")], [], NIGHT).body
    line = next(line for line in body.splitlines() if line.startswith("- prod-smtp "))

    assert line.endswith(": the detail.")
    assert len(line) > len("- prod-smtp : the detail.") + 5


lines = st.lists(
    st.builds(found, kind=st.sampled_from(FindingKind), subject=st.sampled_from(["a1", "b2", "c3", "d4"])),
    max_size=12,
)


@given(lines)
def test_a_digest_has_each_finding_once_worst_first(findings):
    body = compose_digest("ops", findings, [], NIGHT).body
    shown = [line for line in body.splitlines() if line.startswith("- ")]
    expected = sorted(findings, key=lambda line: (WORST_FIRST[line.kind], line.subject))

    assert [line.split()[1] for line in shown] == [line.subject for line in expected]


@given(lines, st.randoms(use_true_random=False))
def test_the_order_of_the_rows_does_not_change_a_digest(findings, random):
    shuffled = random.sample(findings, len(findings))

    assert compose_digest("ops", findings, [], NIGHT) == compose_digest("ops", shuffled, [], NIGHT)


# The others


def test_a_stuck_rotation_asks_its_owner_at_once():
    assert compose_failure(
        rotation_id="rot_1",
        item="prod-smtp",
        state=State.STUCK,
        error="503 while undoing",
        users=["intake", "nightly"],
    ) == Message(
        subject="Nightkey: the rotation of prod-smtp is stuck",
        body=(
            "The rotation of prod-smtp can go neither on nor back: 503 while undoing.\n"
            "Both values are kept. It is used by intake, nightly.\n"
            "What happened, and what to do: nightkey rotation show rot_1\n"
        ),
    )


def test_a_rotation_that_was_taken_back_says_that_the_old_value_works():
    assert compose_failure(
        rotation_id="rot_1", item="prod-smtp", state=State.ROLLED_BACK, error="401", users=iter(())
    ) == Message(
        subject="Nightkey: prod-smtp was not replaced",
        body=(
            "The replacement of prod-smtp did not pass: 401.\n"
            "It was taken back, and the value from before goes on working for no active workflow.\n"
            "What happened: nightkey rotation show rot_1\n"
        ),
    )


def test_a_claim_leaves_one_place_for_its_token():
    message = compose_claim(item="api-key: intake", overlap="1d", expires_at=NIGHT)

    assert message.subject == "Nightkey: collect the new key of api-key: intake"
    assert message.body.count(CLAIM_MARK) == 1
    assert f"    nightkey claim {CLAIM_MARK}\n" in message.body
    assert "for at least 1d" in message.body
    assert f"by {NIGHT:%Y-%m-%d %H:%M} UTC" in message.body
    assert CLAIM_MARK not in message.subject


def test_operators_read_every_problem_of_a_night():
    assert compose_night_failed(NIGHT, ["a notice to ops failed", "prod-smtp was not replaced"]) == Message(
        subject="Nightkey: the night of 2026-03-01 did not end well",
        body=(
            "What failed:\n"
            "- a notice to ops failed\n"
            "- prod-smtp was not replaced\n"
            "\n"
            "Look with: nightkey status\n"
        ),
    )
