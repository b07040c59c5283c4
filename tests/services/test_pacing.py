"""A place that asked not to be called for a while is called by no worker before, whatever the call is for."""

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import select, update

from nightkey_demo.faces import Face
from nightkey_demo.loopback import Answer, Incoming, LoopbackServer
from tests.conftest import Clock
from tests.services.staging import TOKEN, Staged, begin_by_hand, get_rotation, step_to, what_is_wrong
from vaultcore.errors import Cause, TargetError
from worker.bootstrap import Services
from worker.domain.saga import State
from worker.outbound import Response, held_at_most_until
from worker.outbound.pace import HELD_MAX
from worker.rows.tables import held_places

pytestmark = pytest.mark.rules


MINUTE, HOUR = timedelta(minutes=1), timedelta(hours=1)


class Busy(LoopbackServer):
    """Answers with what it is told to, and counts."""

    def __init__(self) -> None:
        super().__init__()
        self.calls = 0
        self.answer = Answer(status=200)
        self.meanwhile: Callable[[], None] | None = None

    def respond(self, incoming: Incoming) -> Answer:  # the contract's
        self.calls += 1
        if self.meanwhile is not None:
            self.meanwhile()
        return self.answer

    def ask_to_wait(self, status: int, **headers: str) -> None:
        named = {name.replace("_", "-"): text for name, text in headers.items()}
        self.answer = Answer(status=status, headers=named)


@pytest.fixture
def busy() -> Iterator[Busy]:
    with Busy() as started:
        yield started


@pytest.fixture
def another(services: Services, clock: Clock) -> Iterator[Services]:
    """A second worker on the same vault."""
    made = Services(services.settings, clock)
    yield made
    made.close()


def call(services: Services, busy: Busy) -> Response:
    return services.ways_out.http.request("POST", f"{busy.url}/x", content="x")


def refuse(services: Services, busy: Busy) -> datetime:
    """Not called; when it may be."""
    before = busy.calls
    with pytest.raises(TargetError, match="asked not to be called before") as caught:
        call(services, busy)
    assert busy.calls == before
    assert (caught.value.cause, caught.value.acted) == (Cause.OUTAGE, False)
    assert caught.value.retry_at is not None
    return caught.value.retry_at


@pytest.mark.parametrize("status", [200, 202, 302, 403, 429, 503])
def test_retry_after_holds_for_every_worker(
    services: Services, another: Services, busy: Busy, clock: Clock, status: int
) -> None:
    busy.ask_to_wait(status, Retry_After="60")
    asked = call(services, busy)
    assert (asked.status, asked.retry_at) == (status, clock() + MINUTE)
    for worker in (services, another):
        assert refuse(worker, busy) == clock() + MINUTE
    clock.now += MINUTE
    busy.answer = Answer(status=200)
    for worker in (services, another):
        assert call(worker, busy).status == 200


def test_a_limit_that_is_used_up_holds_for_the_whole_place_and_is_no_rejection(
    services: Services, another: Services, busy: Busy, clock: Clock
) -> None:
    busy.ask_to_wait(403, X_RateLimit_Remaining="0", X_RateLimit_Reset="30")
    assert call(services, busy).cause is Cause.OUTAGE
    assert refuse(another, busy) == clock() + timedelta(seconds=30)
    with Busy() as elsewhere:
        assert call(another, elsewhere).status == 200


@pytest.mark.both
def test_a_hostile_word_is_kept_to_for_an_hour_at_most(services: Services, busy: Busy, clock: Clock) -> None:
    busy.ask_to_wait(503, Retry_After="315360000")
    asked = call(services, busy).retry_at
    assert asked == clock() + timedelta(days=1)
    assert refuse(services, busy) == clock() + HELD_MAX
    clock.now += HELD_MAX
    assert call(services, busy).status == 503


def test_who_cannot_wait_calls_all_the_same(services: Services, busy: Busy, clock: Clock) -> None:
    busy.ask_to_wait(503, Retry_After="3000")
    with held_at_most_until(clock() + 5 * MINUTE):
        assert call(services, busy).retry_at == clock() + 5 * MINUTE
        assert refuse(services, busy) == clock() + 5 * MINUTE
        clock.now += 5 * MINUTE
        assert call(services, busy).status == 503
    refuse(services, busy)


@pytest.mark.parametrize("status", [403, 407, 401])
def test_a_403_that_asks_to_wait_judges_nothing_though_there_is_no_time_to(
    services: Services, busy: Busy, clock: Clock, status: int
) -> None:
    busy.ask_to_wait(status, Retry_After="3000")
    with held_at_most_until(clock()):
        answer = call(services, busy)
    assert (answer.asks_to_wait, answer.retry_at) == (True, None)
    assert answer.cause is (Cause.OUTAGE if status == 403 else Cause.REJECTED)


@pytest.mark.parametrize(
    ("status", "headers"),
    [
        (403, {"Retry_After": "120"}),
        (500, {"Retry_After": "120"}),
        (200, {"X_RateLimit_Remaining": "0", "X_RateLimit_Reset": "120"}),
    ],
)
def test_a_new_word_holds_though_the_last_was_not_kept_to(
    services: Services, another: Services, busy: Busy, clock: Clock, status: int, headers: dict[str, str]
) -> None:
    busy.ask_to_wait(429, Retry_After="60")
    call(services, busy)
    busy.ask_to_wait(status, **headers)
    with held_at_most_until(clock()):
        call(services, busy)
    assert refuse(another, busy) == clock() + 2 * MINUTE


def test_a_word_that_another_worker_heard_meanwhile_holds(
    services: Services, another: Services, busy: Busy, clock: Clock
) -> None:
    busy.ask_to_wait(429, Retry_After="60")
    call(services, busy)
    busy.answer = Answer(status=200)

    def tell_another() -> None:
        busy.meanwhile = None
        served, busy.answer = busy.answer, Answer(status=429, headers={"Retry-After": "120"})
        with held_at_most_until(clock()):
            call(another, busy)
        busy.answer = served

    busy.meanwhile = tell_another
    with held_at_most_until(clock()):
        assert call(services, busy).status == 200
    assert refuse(services, busy) == clock() + 2 * MINUTE


def test_a_place_that_serves_before_it_said_is_called_again(
    services: Services, another: Services, busy: Busy, clock: Clock
) -> None:
    busy.ask_to_wait(429, Retry_After="60")
    call(services, busy)
    busy.answer = Answer(status=200)
    with held_at_most_until(clock()):
        call(services, busy)
    assert call(another, busy).status == 200


def test_the_last_word_counts_and_what_is_over_is_forgotten(
    services: Services, busy: Busy, clock: Clock
) -> None:
    busy.ask_to_wait(503, Retry_After="60")
    call(services, busy)
    clock.now += MINUTE
    busy.ask_to_wait(503, Retry_After="10")
    call(services, busy)
    with services.database.read() as connection:
        (row,) = connection.execute(select(held_places)).all()
    assert row.until == clock() + timedelta(seconds=10)
    assert busy.url.removeprefix("http://") not in repr(row)


@pytest.mark.parametrize("until", [datetime(2999, 1, 1, tzinfo=UTC), datetime(1999, 1, 1, tzinfo=UTC)])
def test_a_row_of_another_time_holds_nothing(services: Services, busy: Busy, until: datetime) -> None:
    busy.ask_to_wait(503, Retry_After="60")
    call(services, busy)
    with services.database.write() as connection:
        connection.execute(update(held_places).values(until=until))
    assert call(services, busy).status == 503


# Rotations

ANOTHER = "prod-billing-api-token"


def test_a_rotation_comes_back_when_it_was_asked_to_and_so_does_every_other(
    on_file: Staged, clock: Clock
) -> None:
    organisation, service = on_file
    for name, account in ((TOKEN, "ticketing"), (ANOTHER, "billing")):
        organisation.add_token(name, account)
    service.fail_next("/v1/tokens", status=429, method="POST", retry_after="600")
    ids = [begin_by_hand(organisation, name) for name in (TOKEN, ANOTHER)]
    begun = clock()
    asked = [("GET", 200), ("POST", 429)]  # whether the old value works, and for another: both by the first
    organisation.drive()
    while clock() < begun + timedelta(seconds=595):
        clock.now += timedelta(seconds=5)
        organisation.drive()
        assert [(one.method, one.status) for one in service.requests] == asked
    assert {get_rotation(organisation, one).state for one in ids} == {State.PLANNED}
    clock.now += HOUR  # by then each has looked again
    organisation.drive()
    assert {get_rotation(organisation, one).state for one in ids} == {State.WATCHING}


def test_what_would_lapse_meanwhile_is_tried_before(on_file: Staged, clock: Clock) -> None:
    organisation, service = on_file
    organisation.add_token(TOKEN, "ticketing", days=1 / 24)
    service.faces, service.busy_seconds = frozenset({Face.BUSY}), 10 * 365 * 86_400
    rotation_id = begin_by_hand(organisation, TOKEN)
    begun = clock()
    organisation.drive()
    service.faces = frozenset()
    for _ in range(58):
        clock.now += MINUTE
        organisation.drive()
    rotation = get_rotation(organisation, rotation_id)
    assert rotation.state in (State.WATCHING, State.ACTIVATED)
    assert begun + 25 * MINUTE < rotation.activated_at < begun + 45 * MINUTE


@pytest.mark.parametrize("step", ["node", "workflow"])
def test_a_test_that_is_held_back_comes_back_when_it_was_asked_to_and_does_not_count(
    on_file: Staged, clock: Clock, step: str
) -> None:
    organisation, service = on_file
    organisation.add_token(TOKEN, "ticketing", propagation="1m")
    organisation.add_workflow("ticket-sync", TOKEN)
    rotation_id = begin_by_hand(organisation, TOKEN)
    tested = State.ACCEPTED if step == "node" else State.NODE_TESTED
    step_to(organisation, clock, rotation_id, tested)
    begun, calls = clock(), len(service.requests)
    service.fail_next("/v1/account", status=503, method="GET", retry_after="900")
    for minutes in range(15):
        organisation.drive()
        held = get_rotation(organisation, rotation_id)
        assert (held.state, held.next_at) == (tested, begun + timedelta(minutes=15)), minutes
        assert (held.attempts, held.outages, held.failing_since) == (0, 0, begun)
        assert len(service.requests) == calls + 1
        clock.now += MINUTE
    assert any(TOKEN in one for one in what_is_wrong(organisation.services)), "a night is not good meanwhile"
    organisation.drive()
    assert get_rotation(organisation, rotation_id).state is State.WATCHING
