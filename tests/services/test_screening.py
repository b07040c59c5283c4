"""What was set aside at the broker: counted, told once a day, and no night is a good one in which it was."""

from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import update

from tests.organisation import Organisation
from tests.services.staging import drive_on
from worker.domain.messages import MessageFault
from worker.domain.problems import ProblemKind
from worker.rows.tables import sweeps
from worker.wording.problems import describe

pytestmark = pytest.mark.rules


DAY = timedelta(days=1)


@pytest.fixture
def organisation(with_operators: Organisation) -> Organisation:
    return with_operators


def told(organisation: Organisation) -> list[str]:
    return [one.body for one in organisation.notices() if one.kind == "messages-set-aside"]


def problems(organisation: Organisation, kind: ProblemKind = ProblemKind.SET_ASIDE) -> list[str]:
    found = organisation.services.overview.status.read().problems
    return [describe(one) for one in found if one.kind is kind]


def night(organisation: Organisation, clock: Any) -> str | None:
    slot = clock()
    organisation.services.night.nights.begin(slot)
    drive_on(organisation, clock)
    outcome = organisation.services.night.nights.close(slot)
    organisation.deliver()
    return outcome


def test_it_is_counted_and_told_once_a_day(organisation: Organisation, clock: Any) -> None:
    tell = organisation.services.notices.foreign_messages.tell
    assert problems(organisation) == []
    tell({MessageFault.NO_JSON: 1})
    tell({MessageFault.NO_JSON: 2, MessageFault.WRONG_ID: 1})
    (problem,) = problems(organisation)
    assert problem.startswith("4 messages of somebody else at the broker, the last 2026-03-01 02:00 UTC: ")
    assert ": 3 no JSON, 1 with something that is not an id. " in problem
    (body,) = told(organisation)
    assert "1 message of somebody else at the broker" in body
    clock.advance(DAY)
    tell({MessageFault.NO_FILE: 1})
    assert len(told(organisation)) == 2


def test_the_night_after_it_is_no_good_one_and_the_next_is(organisation: Organisation, clock: Any) -> None:
    assert night(organisation, clock) == "good"
    clock.advance(timedelta(hours=3))
    organisation.services.notices.foreign_messages.tell({MessageFault.TOO_LARGE: 7})
    clock.advance(timedelta(hours=21))
    assert night(organisation, clock) == "failed"
    assert len(problems(organisation)) == 1
    clock.advance(DAY)
    assert night(organisation, clock) == "good"
    assert problems(organisation) == []


@pytest.mark.parametrize(
    ("fault", "said"),
    [
        (MessageFault.UNSEALED, "3 not sealed"),
        (MessageFault.FORGED, "3 with a seal that does not open"),
        (MessageFault.FOREIGN, "3 sealed by another vault"),
        (MessageFault.REPLAYED, "3 put there again"),
    ],
)
def test_what_others_put_there_is_told_by_its_kind(
    organisation: Organisation, fault: MessageFault, said: str
) -> None:
    organisation.services.notices.foreign_messages.tell({fault: 3})
    (problem,) = problems(organisation)
    assert f": {said}. " in problem
    (body,) = told(organisation)
    assert "3 messages of somebody else at the broker" in body


def test_what_nobody_took_in_time_is_told_once_and_fails_no_night(
    organisation: Organisation, clock: Any
) -> None:
    assert night(organisation, clock) == "good"
    clock.advance(timedelta(hours=3))
    tell = organisation.services.notices.foreign_messages.tell
    tell({MessageFault.STALE: 2})
    tell({MessageFault.STALE: 3})
    assert problems(organisation) == []
    (problem,) = problems(organisation, ProblemKind.LEFT_OVER)
    assert problem.startswith("5 messages at the broker sent more than a day ago, or by a clock that is ahead")
    (body,) = told(organisation)
    assert "nothing was lost" in body
    organisation.deliver()
    clock.advance(timedelta(hours=21))
    assert night(organisation, clock) == "good"


def test_what_is_late_hides_nothing_of_others(organisation: Organisation, clock: Any) -> None:
    tell = organisation.services.notices.foreign_messages.tell
    tell({MessageFault.STALE: 2})
    tell({MessageFault.STALE: 1, MessageFault.FORGED: 1})
    (problem,) = problems(organisation)
    assert problem.startswith("1 message of somebody else at the broker")
    assert len(problems(organisation, ProblemKind.LEFT_OVER)) == 1
    assert len(told(organisation)) == 2
    assert night(organisation, clock) == "failed"


@pytest.mark.both
def test_a_row_of_it_that_is_damaged_is_counted_on(organisation: Organisation) -> None:
    organisation.services.notices.foreign_messages.tell({MessageFault.NO_JSON: 5})
    with organisation.services.database.write() as connection:
        connection.execute(
            update(sweeps).values(counts={"no-json": "many", "wrong-id": 2, "of-a-newer-one": 1})
        )
    organisation.services.notices.foreign_messages.tell({MessageFault.NO_JSON: 1})
    (problem,) = problems(organisation)
    assert "2 with something that is not an id, 1 of-a-newer-one, 1 no JSON" in problem
    assert problem.startswith("4 messages")
    counted = organisation.services.overview.measures.read().messages_set_aside
    assert (counted["wrong-id"], counted["no-json"], sum(counted.values())) == (2, 1, 4)
