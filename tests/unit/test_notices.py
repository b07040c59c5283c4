"""What a digest tells: which lines, in which order, and how many."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from worker.domain.findings import WORST_FIRST, FindingKind
from worker.domain.notices import (
    FEW,
    NAMED_OF_A_KIND,
    READ_OF_A_KIND,
    FoundLine,
    RotatedLine,
    build_digest,
    name_finding,
)
from worker.domain.saga import State

NOW = datetime(2026, 3, 1, 2, 0, tzinfo=UTC)
DAY = timedelta(days=1)


def found(kind=FindingKind.EXPIRING, subject="prod-smtp", days=3.0, **fields):
    deadline = NOW + days * DAY if kind in (FindingKind.EXPIRING, FindingKind.LAPSED) else None
    fields = {"detail": "the detail", "does": None, "command": None, **fields}
    return FoundLine(kind=kind, subject=subject, deadline=deadline, **fields)


def rotated(state=State.DONE, item="prod-token", version=4, error=None, waits_for=()):
    return RotatedLine(id="rot_1", item=item, state=state, version=version, error=error, waits_for=waits_for)


def digest(findings=(), rotations=(), **more):
    return build_digest("ops", findings, rotations, night=NOW, now=NOW, **more)


@pytest.mark.parametrize(
    ("findings", "rotations", "summary"),
    [
        ([], [], "nothing to tell"),
        ([found()], [], "1 to look at"),
        ([], [rotated()], "1 replaced"),
        ([], [rotated(State.STUCK, error="x")], "1 not replaced"),
        ([found()], [rotated(), rotated(State.ROLLED_BACK)], "1 to look at, 1 not replaced, 1 replaced"),
        ([found()], [rotated(State.PLANNED), rotated(State.UNDOING)], "1 to look at"),
    ],
)
def test_a_digest_counts_only_what_there_is(findings, rotations, summary):
    assert digest(findings, rotations)["summary"] == summary


def test_a_finding_says_what_is_left_and_when_that_is():
    (near,) = digest([found(days=2.5, does="replaces it", command="nightkey x", users=("intake",))])["found"]

    assert (near["subject"], near["means"], near["left"]) == ("prod-smtp", "lapses", "in 2 days")
    assert near["deadline"] == NOW + 2.5 * DAY
    assert (near["does"], near["command"], near["users"]) == ("replaces it", "nightkey x", ("intake",))
    assert near["detail"] is None, "what is left says it"


@pytest.mark.parametrize(("state", "stuck"), [(State.ROLLED_BACK, False), (State.STUCK, True)])
def test_what_was_not_replaced_says_so_and_where_to_look(state, stuck):
    (failed,) = digest([], [rotated(state, error="401")])["failed"]

    assert failed == {
        "item": "prod-token",
        "stuck": stuck,
        "made": True,
        "error": "401",
        "command": "nightkey rotation show rot_1",
    }
    assert digest([], [rotated(state, error="401")])["replaced"] == []


@pytest.mark.parametrize(
    ("state", "done"),
    [(State.CANARY, False), (State.WATCHING, False), (State.RETIRING, False), (State.DONE, True)],
)
def test_what_was_replaced_says_whether_the_one_before_it_is_gone(state, done):
    (line,) = digest([], [rotated(state, waits_for=("the overlap",))])["replaced"]

    assert (line["version"], line["done"], line["waits_for"]) == (4, done, ("the overlap",))


@pytest.mark.parametrize("kind", FindingKind)
def test_every_kind_of_finding_is_put_into_words(kind):
    (line,) = digest([found(kind)])["found"]

    assert len(line["means"]) > 5
    assert line["asks"]


lines = st.lists(
    st.builds(
        found,
        kind=st.sampled_from(FindingKind),
        subject=st.sampled_from(["a1", "b2", "c3", "d4"]),
        days=st.sampled_from([-2.0, 1.0, 5.0]),
    ),
    max_size=12,
)


@given(lines)
def test_a_digest_tells_or_counts_each_finding_worst_first(findings):
    data = digest(findings)
    heads = [(line["subject"], line["means"]) for line in data["found"]]
    beside = {(line["subject"], also) for line in data["found"] for also in line["also"]}
    worst_first = sorted(findings, key=lambda f: (WORST_FIRST[f.kind], f.deadline or NOW, f.subject))
    told = [(f.subject, name_finding(f.kind)) for f in worst_first]

    assert not set(heads) & beside
    assert heads == [one for one in told if one not in beside][: len(heads)] or sum(
        line["rest"] for line in data["found"]
    )
    if len(findings) <= FEW:
        assert {*heads, *beside} == set(told)
    counted = len(heads) + sum(line["rest"] for line in data["found"]) + data["more"]
    assert counted == len([one for one in told if one not in beside])


@given(lines, st.randoms(use_true_random=False))
def test_the_order_of_the_rows_does_not_change_a_digest(findings, random):
    assert digest(findings) == digest(random.sample(findings, len(findings)))


def test_a_long_digest_names_the_worst_of_each_kind_and_counts_the_others():
    unused = [found(FindingKind.UNUSED, f"item-{number:03}") for number in range(READ_OF_A_KIND)]
    lapsed = [found(FindingKind.LAPSED, f"prod-{number}", -number) for number in range(1, 9)]
    data = digest(
        [*unused, *lapsed],
        numbers={FindingKind.UNUSED: 900, FindingKind.LAPSED: 8, FindingKind.NO_PLAN: 92},
    )

    assert [line["subject"] for line in data["found"]] == [
        *("prod-8", "prod-7", "prod-6", "prod-5", "prod-4"),
        *(f"item-{number:03}" for number in range(NAMED_OF_A_KIND)),
    ]
    assert [line["rest"] for line in data["found"]] == [0, 0, 0, 0, 3, 0, 0, 0, 0, 895]
    assert data["more"] == 92
    assert data["summary"] == "1000 to look at"


def test_what_is_also_wrong_with_an_item_stands_in_its_line_and_what_asks_for_something_else_does_not():
    kinds = (FindingKind.UNUSED, FindingKind.LAPSED, FindingKind.USES_EXPIRED, FindingKind.SUPERSEDED)
    data = digest([found(kind, "prod-vpn", -1) for kind in (*kinds, FindingKind.USES_EXPIRED)])

    assert [(line["means"], line["also"]) for line in data["found"]] == [
        ("lapsed", ("is used after it lapsed", "is used by no active workflow")),
        ("is used in an older version", ()),
    ]


def test_the_first_thing_that_is_asked_for_is_never_to_delete():
    for kind in FindingKind:
        (line,) = digest([found(kind)])["found"]
        assert not line["asks"].lower().startswith("delete")
