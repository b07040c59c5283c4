"""Runs again with what was kept of them, and requests that are begun once, on both databases."""

from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import select, update

from nightkey_demo.http_sink import HttpSink
from tests.chains import apply, chain, post, say, wait
from tests.services.conftest import Moves, race
from vaultcore.errors import ConflictError, InvalidInputError, RefusedError, SealError
from worker.bootstrap import Services
from worker.domain.states import RunStatus
from worker.rows.tables import requests, run_payloads, run_versions, runs
from worker.services.access.requests import StoredAnswer
from worker.services.runs.kept_payloads import PAYLOAD_MAX

ITEM, VALUE = "prod-orders-token", "the-First/Value+of 23"
AUTH = {"Authorization": "Bearer {{ vault.prod-orders-token }}"}
ANSWER = StoredAnswer(status=202, media_type="application/json", body='{"id": "it is \u00e4"}')


def start(services: Services, payload: Any = None, name: str = "sync") -> str:
    return services.runs.runs.start(name, payload=payload, actor="test").run_id


def execute(services: Services, run_id: str) -> Any:
    return services.runs.runs.execute(run_id, actor="test")


def again(services: Services, run_id: str, after: str | None = None) -> Any:
    repetitions = services.runs.repetitions
    if after is None:
        return execute(services, repetitions.run_again(run_id, actor="test"))
    return execute(services, repetitions.resume_from(run_id, after, actor="test"))


def test_a_failed_run_goes_on_behind_what_succeeded_and_repeats_none_of_it(
    services: Services, sink: HttpSink
) -> None:
    moves = Moves(services)
    item = moves.add(ITEM, VALUE).item
    apply(
        services,
        chain(
            "sync",
            post(sink.url + "/first", "first", headers=AUTH),
            say("then", order="{{ webhook_payload.order }}"),
            post(sink.url + "/last", "last", body={"order": "{{ then.order }}"}),
        ),
    )
    sink.answer(200)
    sink.answer(400)
    failed = start(services, {"order": "A-1"})
    assert moves.sql(select(runs.c.error_node).where(runs.c.id == failed)) == [("last",)]
    outcome = again(services, failed, "then")
    assert outcome.status is RunStatus.COMPLETED
    assert [one.path for one in sink.requests] == ["/first", "/last", "/last"]
    assert sink.requests[-1].body == {"order": "A-1"}
    used = moves.sql(select(run_versions.c.item_id).where(run_versions.c.run_id == outcome.run_id))
    assert used == [], "what the other run had done proves nothing of a value in this one"
    assert item.id


def test_a_run_that_waited_is_done_again_with_what_it_began_with(
    services: Services, clock: Any, sink: HttpSink
) -> None:
    apply(services, chain("sync", wait(), post(sink.url, body={"order": "{{ webhook_payload.order }}"})))
    run_id = start(services, {"order": "A-1"})
    with pytest.raises(RefusedError, match="has not ended"):
        again(services, run_id)
    clock.advance(timedelta(minutes=5))
    execute(services, run_id)
    assert again(services, run_id).status is RunStatus.RUNNING
    assert again(services, run_id, "wait").status is RunStatus.COMPLETED
    assert [one.body for one in sink.requests] == [{"order": "A-1"}] * 2


def test_an_output_that_holds_a_value_is_kept_nowhere(services: Services, sink: HttpSink) -> None:
    moves = Moves(services)
    moves.add(ITEM, VALUE)
    apply(services, chain("sync", post(sink.url, "echo", headers=AUTH), say("then", a="{{ echo.body }}")))
    sink.answer(200, body={"you sent": VALUE})
    run_id = start(services, {"a": 1})
    with pytest.raises(RefusedError, match="what node echo gave"):
        again(services, run_id, "then")
    assert again(services, run_id).status is RunStatus.COMPLETED


def test_what_is_too_large_is_not_kept_and_what_it_began_with_is(services: Services) -> None:
    apply(services, chain("sync", say("many", **{f"f{n}": "{{ webhook_payload.a }}" for n in range(20)})))
    run_id = start(services, {"a": "x" * (PAYLOAD_MAX // 16)})
    with pytest.raises(RefusedError, match="too large"):
        again(services, run_id, "many")
    assert again(services, run_id).status is RunStatus.COMPLETED
    large = start(services, {"a": "x" * PAYLOAD_MAX})
    with pytest.raises(RefusedError, match="not kept"):
        again(services, large)


def test_what_is_kept_is_sealed_bound_to_its_run_and_goes_in_its_time(services: Services, clock: Any) -> None:
    moves = Moves(services)
    apply(services, chain("sync", say(a="{{ webhook_payload.a }}")))
    first, second = start(services, {"a": "one-person"}), start(services, {"a": "another"})
    rows = {row.run_id: row for row in moves.sql(select(run_payloads))}
    assert set(rows) == {first, second}
    assert all(b"person" not in row.record for row in rows.values())
    other = {"wrapped_key": rows[second].wrapped_key, "record": rows[second].record}
    moves.sql(update(run_payloads).where(run_payloads.c.run_id == first).values(**other))
    with pytest.raises(SealError):
        again(services, first)
    clock.advance(timedelta(days=30))
    with pytest.raises(RefusedError, match="payload_days"):
        again(services, second)
    services.night.resume_sweep.find_work()
    assert moves.sql(select(run_payloads)) == []


def test_a_request_is_done_by_one_of_many(services: Services) -> None:
    found = race(6, lambda _: services.access.requests.begin("user:me", "key", b"asked"))
    assert [one for one in found if not isinstance(one, ConflictError)] == [None]
    services.access.requests.end("user:me", "key", ANSWER)
    assert services.access.requests.begin("user:me", "key", b"asked") == ANSWER
    with pytest.raises(InvalidInputError, match="another request"):
        services.access.requests.begin("user:me", "key", b"asked for something else")
    assert services.access.requests.begin("user:you", "key", b"asked") is None


def test_a_request_is_forgotten_after_a_day_and_given_up_before(services: Services, clock: Any) -> None:
    moves = Moves(services)
    services.access.requests.begin("user:me", "refused", b"asked")
    services.access.requests.give_up("user:me", "refused")
    assert services.access.requests.begin("user:me", "refused", b"another") is None
    services.access.requests.begin("user:me", "done", b"asked")
    services.access.requests.end("user:me", "done", ANSWER)
    services.access.requests.give_up("user:me", "done")
    assert services.access.requests.begin("user:me", "done", b"asked") == ANSWER
    rows = moves.sql(select(requests.c.record).where(requests.c.record.is_not(None)))
    assert all(b"it is" not in row.record for row in rows)
    clock.advance(timedelta(days=1, seconds=1))
    services.night.resume_sweep.find_work()
    assert moves.sql(select(requests)) == []


def test_an_answer_of_somebody_else_does_not_open(services: Services) -> None:
    moves = Moves(services)
    for actor in ("user:me", "user:you"):
        services.access.requests.begin(actor, "key", b"asked")
        services.access.requests.end(actor, "key", ANSWER)
    (theirs,) = moves.sql(select(requests).where(requests.c.actor == "user:you"))
    swapped = {"wrapped_key": theirs.wrapped_key, "record": theirs.record}
    moves.sql(update(requests).where(requests.c.actor == "user:me").values(**swapped))
    with pytest.raises(SealError):
        services.access.requests.begin("user:me", "key", b"asked")
