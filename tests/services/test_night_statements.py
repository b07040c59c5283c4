"""How a night puts together what it asks the database: for many rotations as for few."""

from collections import Counter, deque
from collections.abc import Iterable
from datetime import timedelta
from typing import Any

from tests.counting import Counted, count_on
from tests.services.staging import Staged
from worker.domain.saga import State
from worker.domain.work import RESUME, Work

FEW, MANY = 2, 10


def test_no_statement_is_made_anew_for_each_rotation_of_a_night(staged: Staged, clock: Any) -> None:
    """From its opening to its end, by messages: with its check, a run of its workflow, and its notices."""
    before, anew = list[Counted](), list[Counter[str]]()
    for night, number in enumerate((FEW, FEW, FEW, MANY)):
        _add_due(staged, night, number)
        with count_on(staged[0].services.database.engine) as counted:
            _live(staged, clock, night, number)
        anew.append(Counter(counted.made_beside(before)))
        before.append(counted)
    more = anew[-1] - anew[-2]
    assert {made: often for made, often in more.items() if often >= MANY - FEW} == {}


def _add_due(staged: Staged, night: int, number: int) -> None:
    for place in range(number):
        name = f"prod-token-{night}-{place}"
        staged[0].add_token(name, f"account-{night}-{place}", days=3, overlap="1h")
        staged[0].add_workflow(f"workflow-{night}-{place}", name)


def _live(staged: Staged, clock: Any, night: int, number: int) -> None:
    services = staged[0].services
    slot = clock()
    _hear(staged, services.night.dispatch.begin_night(slot))
    for place in range(number):
        services.runs.runs.start(f"workflow-{night}-{place}", actor="test")
    _hear(staged, [RESUME])
    clock.advance(timedelta(hours=2))
    _hear(staged, [RESUME])
    rotations = services.night.inline_night.list_rotations(slot)
    assert [one.state for one in rotations] == [State.DONE] * number
    clock.advance(timedelta(days=2))


def _hear(staged: Staged, called: Iterable[Work]) -> None:
    waiting = deque(called)
    while waiting:
        waiting.extend(staged[0].services.night.dispatch.do(waiting.popleft()))
