"""The dead man's switch: what is called after a night, and what if nobody answers."""

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from nightkey_demo.http_sink import HttpSink
from tests.organisation import Organisation
from tests.services.dues import find_due
from tests.services.staging import TOKEN, Staged, stage
from tests.ways_out import LOOPBACK
from vaultcore.errors import ConfigurationError
from worker.bootstrap import Services
from worker.config import load_settings
from worker.domain.problems import Problem
from worker.domain.work import Task
from worker.rows.problems import read_heartbeat
from worker.wording.problems import describe

MINUTE, DAY = timedelta(minutes=1), timedelta(days=1)
PATH = "/ping/7d0c2a"


@pytest.fixture
def staged(tmp_path: Path, clock: Any, sink: HttpSink) -> Iterator[Staged]:
    with stage(tmp_path, "", clock, heartbeat_url=f"{sink.url}{PATH}") as made:
        yield made


def beat(organisation: Organisation) -> None:
    for name in find_due(organisation.services, Task.BEAT):
        organisation.services.notices.heartbeat.send(name)


def show(problems: list[Problem]) -> list[str]:
    return [describe(problem) for problem in problems]


def heard(sink: HttpSink) -> list[tuple[str, str]]:
    return [(post.path.removeprefix(PATH), post.body) for post in sink.requests]


def test_a_night_that_ends_well_says_so_after_it_said_that_it_began(
    staged: Staged, clock: Any, sink: HttpSink
) -> None:
    organisation, _ = staged
    organisation.night()
    beat(organisation)
    beat(organisation)
    night = f"the night of {clock():%Y-%m-%d %H:%M} UTC"
    assert heard(sink) == [("/start", f"{night} begins"), ("", f"{night} ended well")]


def test_a_night_in_which_something_failed_says_what(staged: Staged, clock: Any, sink: HttpSink) -> None:
    organisation, _ = staged
    organisation.add_token(TOKEN, "ticketing")
    organisation.add_workflow("ticket-sync", TOKEN, path="/v1/nothing-there")
    organisation.night()
    beat(organisation)
    (path, said) = heard(sink)[-1]
    assert path == "/fail"
    assert f"{TOKEN} was not replaced" in said


def test_a_call_that_fails_is_tried_again_and_given_up_after_a_day(
    staged: Staged, clock: Any, sink: HttpSink
) -> None:
    organisation, _ = staged
    sink.answer(500, times=2)
    organisation.night()
    beat(organisation)
    assert [path for path, _ in heard(sink)] == ["/start", ""]
    with organisation.services.database.read() as connection:
        (problem,) = show(read_heartbeat(connection))
    assert problem.endswith("did not arrive: the service answered 500")
    beat(organisation)
    assert len(heard(sink)) == 2, "not before its pause is over"
    clock.advance(MINUTE)
    beat(organisation)
    assert [path for path, _ in heard(sink)] == ["/start", "", "/start", ""]
    with organisation.services.database.read() as connection:
        assert show(read_heartbeat(connection)) == []
    clock.advance(DAY)
    sink.answer(503, times=100)
    organisation.night()
    for _ in range(60):
        beat(organisation)
        clock.advance(timedelta(hours=1))
    assert len(heard(sink)) < 70
    assert find_due(organisation.services, Task.BEAT) == []


def test_who_says_when_to_call_again_is_not_called_before(staged: Staged, clock: Any, sink: HttpSink) -> None:
    organisation, _ = staged
    sink.answer(429, headers={"Retry-After": "1800"})
    organisation.night()
    beat(organisation)
    assert [path for path, _ in heard(sink)] == ["/start"]
    clock.now += 29 * MINUTE
    beat(organisation)
    assert len(heard(sink)) == 1
    clock.now += 2 * MINUTE
    beat(organisation)
    assert [path for path, _ in heard(sink)] == ["/start", "/start", ""]


def test_that_a_night_begins_is_not_said_after_its_end(staged: Staged, clock: Any, sink: HttpSink) -> None:
    organisation, _ = staged
    sink.answer(503)  # to the first call alone
    organisation.night()
    for _ in range(3):
        for name in find_due(organisation.services, Task.BEAT):
            organisation.services.notices.heartbeat.send(name)
        clock.advance(timedelta(minutes=5))
    assert [path for path, _ in heard(sink)] == ["/start", ""]


def test_two_that_send_the_same_one_send_it_once(staged: Staged, clock: Any, sink: HttpSink) -> None:
    organisation, _ = staged
    organisation.night()
    names = find_due(organisation.services, Task.BEAT)
    for name in [*names, *names]:
        organisation.services.notices.heartbeat.send(name)
    assert len(heard(sink)) == 2


def test_the_address_is_a_secret(staged: Staged, tmp_path: Path, clock: Any, sink: HttpSink) -> None:
    organisation, _ = staged
    assert "7d0c2a" not in repr(organisation.services.settings)
    port = sink.url.rpartition(":")[2]
    sink.stop()
    organisation.night()
    beat(organisation)
    with organisation.services.database.read() as connection:
        (problem,) = show(read_heartbeat(connection))
    assert "7d0c2a" not in problem
    assert f"127.0.0.1:{port}" in problem
    for wrong in ("ftp://x", "https://h/p?token=7d0c2a", "7d0c2a"):
        with pytest.raises(ConfigurationError) as caught:
            load_settings(tmp_path, heartbeat_url=wrong)
        assert "heartbeat_url" in str(caught.value)
        assert "7d0c2a" not in str(caught.value)


def test_without_an_address_nothing_is_written_down(tmp_path: Path, clock: Any) -> None:
    with stage(tmp_path, "", clock) as (organisation, _):
        organisation.night()
        assert find_due(organisation.services, Task.BEAT) == []


def test_a_lost_worker_is_no_lost_heartbeat(staged: Staged, clock: Any, sink: HttpSink) -> None:
    organisation, _ = staged
    organisation.night()
    settings = organisation.services.settings
    again = Services(
        load_settings(settings.home, outbound_private=LOOPBACK, heartbeat_url=f"{sink.url}{PATH}"), clock
    )
    for name in find_due(again, Task.BEAT):
        again.notices.heartbeat.send(name)
    again.close()
    assert len(heard(sink)) == 2
