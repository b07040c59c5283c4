"""What is held against each other after a restore, and what it is called."""

import pytest

from vaultcore.model import Stage
from worker.domain.drift import DIFFERS, RESOLVED, Asked, Result, judge
from worker.wording.reasons import say

CURRENT, PREVIOUS, PENDING = Stage.CURRENT, Stage.PREVIOUS, Stage.PENDING
YES, NO = True, False


def ask(*answers: tuple[Stage, bool]) -> list[Asked]:
    return [
        Asked(number=number, stage=stage, accepted=accepted)
        for number, (stage, accepted) in enumerate(answers, start=1)
    ]


@pytest.mark.parametrize(
    ("answers", "unknown", "overlaps", "rotating", "result"),
    [
        ([(CURRENT, YES)], [], True, False, Result.AGREES),
        ([(PREVIOUS, NO), (CURRENT, YES)], [], True, True, Result.AGREES),
        ([(PREVIOUS, YES), (CURRENT, YES)], [], True, True, Result.AGREES),
        ([(CURRENT, YES), (PENDING, YES)], [], True, True, Result.AGREES),
        ([(CURRENT, YES), (PENDING, NO)], [], True, True, Result.AGREES),
        ([(CURRENT, YES)], ["tok_2"], True, False, Result.MORE_OUTSIDE),
        ([(CURRENT, YES), (PENDING, YES)], ["tok_3"], True, True, Result.MORE_OUTSIDE),
        ([(CURRENT, NO)], [], True, False, Result.NONE_ACCEPTED),
        ([(CURRENT, NO)], ["tok_2"], True, True, Result.NONE_ACCEPTED),
        ([(PREVIOUS, NO), (CURRENT, NO), (PENDING, NO)], [], True, True, Result.NONE_ACCEPTED),
        ([(PREVIOUS, YES), (CURRENT, NO)], [], True, True, Result.PREVIOUS_ACCEPTED),
        ([(CURRENT, NO), (PENDING, YES)], [], True, True, Result.PENDING_ACCEPTED),
        ([(CURRENT, NO), (PENDING, YES)], [], False, True, Result.AGREES),
        ([(PREVIOUS, YES), (CURRENT, NO)], [], False, True, Result.AGREES),
        ([(CURRENT, NO), (PENDING, NO)], [], False, True, Result.NONE_ACCEPTED),
        ([(PREVIOUS, YES), (CURRENT, NO)], [], False, False, Result.PREVIOUS_ACCEPTED),
        ([(CURRENT, NO), (PENDING, YES)], ["tok_4"], False, True, Result.PENDING_ACCEPTED),
        ([], [], True, False, Result.NONE_ACCEPTED),
    ],
)
def test_what_the_answers_come_to(
    answers: list[tuple[Stage, bool]], unknown: list[str], overlaps: bool, rotating: bool, result: Result
) -> None:
    judged = judge(ask(*answers), unknown, overlaps=overlaps, rotating=rotating)
    assert judged.result is result
    assert all(one in say(judged.detail) for one in unknown)
    assert (result in RESOLVED) == (result is Result.AGREES)
    assert (result in DIFFERS) != (result in RESOLVED)


def test_nothing_is_both_resolved_and_waiting_for_a_person() -> None:
    assert not RESOLVED & DIFFERS
    assert set(Result) - RESOLVED - DIFFERS == {Result.WAITING, Result.UNREACHABLE}
