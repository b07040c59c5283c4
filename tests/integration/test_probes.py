"""What other programs ask a server: whether it lives, whether it can work, and what there is to count."""

import json
from collections.abc import Iterator
from contextlib import suppress
from datetime import timedelta
from pathlib import Path
from queue import Empty

import httpx
import pytest
from celery import Celery
from prometheus_client.parser import text_string_to_metric_families

from tests.conftest import Clock
from tests.desk import make_bot
from tests.forged import Sealer, contents, genuine, write
from tests.ingress import Front, serve
from tests.services.staging import make_services
from vaultcore.access import Role
from vaultcore.secret import Secret
from worker.app import make_app
from worker.bootstrap import Services
from worker.broker import aside_folder, messages_folder
from worker.broker.aside import aside_at
from worker.broker.queues import QUEUES
from worker.domain.lines import Line
from worker.domain.messages import MessageFault
from worker.domain.policies import PolicyChange
from worker.domain.saga import State
from worker.tasks import register_tasks


def ask(front: Front, path: str, token: str | None = None) -> httpx.Response:
    headers = {} if token is None else {"Authorization": f"Bearer {token}"}
    return httpx.get(front.url + path, headers=headers, timeout=120)


@pytest.fixture
def made(tmp_path: Path, clock: Clock) -> Iterator[Services]:
    services = make_services(tmp_path / "home", "", clock)
    yield services
    services.close()


def test_only_what_the_settings_open_is_answered_to_everybody(made: Services) -> None:
    good, other = make_bot(made, Role.VIEWER), "wfk_nobodys"
    with serve(made) as front:
        assert ask(front, "/healthz").json() == {"status": "ok"}
        for path in ("/readyz", "/metrics"):
            assert ask(front, path).status_code == 401
            assert ask(front, path, other).status_code == 401
            assert ask(front, path, good).status_code == 200


@pytest.mark.parametrize("names", [("metrics",), ()])
def test_the_settings_say_which_are_open(tmp_path: Path, clock: Clock, names: tuple[str, ...]) -> None:
    services = make_services(tmp_path / "home", "", clock, open_probes=names)
    with serve(services) as front:
        answered = {name: ask(front, f"/{name}").status_code for name in ("healthz", "readyz", "metrics")}
    services.close()
    assert {name for name, status in answered.items() if status == 200} == set(names)
    assert {status for name, status in answered.items() if name not in names} == {401}


def test_it_is_ready_where_everything_answers_and_nights_are_on_time(made: Services, clock: Clock) -> None:
    token = make_bot(made, Role.VIEWER)
    with serve(made) as front:
        ready = ask(front, "/readyz", token)
        assert (ready.status_code, ready.json()) == (
            200,
            {"status": "ok", "database": "ok", "broker": "ok", "nights": "ok"},
        )
        clock.advance(timedelta(days=2))
        late = ask(front, "/readyz", token)
        assert (late.status_code, late.json()["nights"]) == (503, "late")
        assert late.json()["database"] == "ok"


def test_it_is_not_ready_where_the_broker_does_not_answer(tmp_path: Path, clock: Clock) -> None:
    nobody = "amqp://guest:the-password@127.0.0.1:1//"
    services = make_services(tmp_path / "home", "", clock, broker_url=nobody, open_probes=("readyz",))
    with serve(services) as front:
        asked = ask(front, "/readyz")
    services.close()
    assert (asked.status_code, asked.json()["broker"]) == (503, "does not answer")
    assert "the-password" not in asked.text


def test_metrics_are_read_when_they_are_asked_for(made: Services) -> None:
    token = make_bot(made, Role.AUDITOR)
    with serve(made) as front:
        before = read(ask(front, "/metrics", token).text)
        made.items.creation.create(
            "prod-a-token",
            read_value=lambda: Secret("value"),
            owners=(),
            expires_at=None,
            policy=PolicyChange(),
            actor="t",
        )
        after = read(ask(front, "/metrics", token).text)
    assert after["nightkey_items", "never"] == before["nightkey_items", "never"] + 1
    assert {label for name, label in after if name == "nightkey_rotations"} == set(State)
    assert "nightkey_last_good_night_age_seconds" not in {name for name, _ in after}
    assert after["nightkey_leases_lost_total", ""] == 0


def test_what_was_set_aside_at_the_broker_is_counted_by_what_was_wrong_with_it(made: Services) -> None:
    vault = Sealer(made.keyring, made.deployment_id)
    aside = aside_at(aside_folder(made.settings.home))
    app = make_app(made.settings, vault.seals())
    register_tasks(app, lambda *_: [], take=made.upkeep.taken_messages.take, aside=aside)
    again = json.dumps(genuine("nightkey.deliver", of=vault)).encode()
    wrong = ("two seals", "a seal of another vault", "of the day before", "of the year before")
    lying = [*(contents(vault)[one][1] for one in wrong), again, again, again]
    for number, content in enumerate(lying):
        write(messages_folder(made.settings.home) / f"{number:020d}_x.{QUEUES[Line.NIGHT]}.msg", content)
    token = make_bot(made, Role.VIEWER)
    with serve(made) as front:
        before = read(ask(front, "/metrics", token).text)
        take_all(app)
        made.notices.foreign_messages.tell(aside.take_counts())
        after = read(ask(front, "/metrics", token).text)
    name = "nightkey_messages_set_aside_total"
    assert {label: number for (series, label), number in before.items() if series == name} == dict.fromkeys(
        MessageFault, 0
    )
    counted = {label: number for (series, label), number in after.items() if series == name and number}
    assert counted == {"forged": 1, "foreign": 1, "stale": 2, "replayed": 2}


def take_all(app: Celery) -> None:
    """As a worker does with what lies there, until nothing does."""
    with app.connection() as connection, connection.channel() as channel, suppress(Empty):
        while True:
            message = channel._get(QUEUES[Line.NIGHT])
            task = app.tasks[message["headers"]["task"]]
            task.push_request(id=message["headers"]["id"], called_directly=False, delivery_info={})
            try:
                task.run()
            finally:
                task.pop_request()


def read(text: str) -> dict[tuple[str, str], float]:
    """By the name of a series and the value of its one label."""
    return {
        (sample.name, "".join(sample.labels.values())): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }
