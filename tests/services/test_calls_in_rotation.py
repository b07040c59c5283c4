"""A caller over HTTP while the key that it presents is rotated: no call fails until the old key is retired."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import select

from tests.ingress import Front, define, serve
from tests.organisation import Organisation, read_token
from tests.services.conftest import Moves
from tests.services.staging import begin_by_hand, drive_on, get_rotation, start_organisation, step_to
from tests.stepping import advance
from vaultcore.secret import Secret
from vaultcore.versions import Purpose
from worker.bootstrap import Services
from worker.domain.policies import build_policy
from worker.domain.rotation import Rotation
from worker.domain.saga import WATCHED, State, is_moving
from worker.rows.tables import run_versions
from worker.wording.reasons import say_each

pytestmark = pytest.mark.rules


KEY, DAY = "api-key:prod-shop", timedelta(days=1)
_STEPS_MAX = 50
POLICY = {"mode": "auto", "rotator": "workflow-api-key", "lifetime": "90d", "overlap": "1d"}


@dataclass
class Caller:
    """Calls as a shop does: with the key that it holds."""

    front: Front
    organisation: Organisation

    def call(self, key: str) -> int:
        return self.front.call("/workflows/sync/orders", {"amount": 3}, key=key).status

    def notify(self, key: str) -> int:
        return self.front.call(f"/workflows/webhooks/{key}", {"amount": 3}).status

    def rotate(self, rotation: Rotation, *keys: str) -> Rotation:
        """One step after the other until it waits for somebody, with calls before and after each of them."""
        for _ in range(_STEPS_MAX):
            self.call_with(*keys)
            advanced = advance(self.organisation.services, rotation.id)
            assert advanced is not None, "a call wakes a rotation that watches, and the others are due"
            self.call_with(*keys)
            if not is_moving(advanced.rotation.state, advanced.rotation.waits_for):
                return advanced.rotation
        raise AssertionError("it never came to rest")

    def call_with(self, *keys: str) -> None:
        """Both doors, with each key, the last one last."""
        assert [(self.call(key), self.notify(key)) for key in keys] == [(200, 202)] * len(keys)


@pytest.fixture
def caller(services: Services) -> Iterator[Caller]:
    with start_organisation(services) as (organisation, _), serve(services) as front:
        yield Caller(front, organisation)


def _create_key(caller: Caller) -> str:
    services = caller.organisation.services
    with services.database.write() as connection:
        created = services.vault.create(
            connection,
            name=KEY,
            value=None,
            owner_ids=(services.owners.get(connection, "support").id,),
            expires_at=services.clock() + 20 * DAY,
            policy=build_policy(None, POLICY),
            actor="test",
        )
    assert created.key is not None
    add = {"id": "sum", "componentId": "data_mapper", "mapping": {"sum": "{{ webhook_payload.amount }}"}}
    sample = {"webhook_payload": {"amount": 1}}
    files = [
        define("orders", "api_trigger", KEY, add, sample_context=sample),
        define("told", "webhook_trigger", KEY, add, sample_context=sample),
    ]
    services.runs.documents.apply(files, actor="test")
    return created.key.expose()


def _collect(organisation: Organisation) -> str:
    """The owner does what the notice says."""
    organisation.deliver()
    (body,) = [
        str(one.body) for one in organisation.targets.sink.requests if "nightkey pickup" in str(one.body)
    ]
    token = read_token(body)
    return organisation.collect(token, actor="shop").key.expose()


@pytest.mark.both
def test_a_caller_works_on_through_a_rotation(caller: Caller, clock: Any) -> None:
    organisation = caller.organisation
    old = _create_key(caller)
    rotation = caller.rotate(get_rotation(organisation, begin_by_hand(organisation, KEY)), old)
    assert rotation.state in WATCHED
    assert organisation.stages(KEY) == ["previous", "current"]

    clock.advance(3 * DAY)  # the overlap is over, and nobody has come for the new key
    rotation = caller.rotate(rotation, old)
    assert "its owner, who has not collected the new key" in say_each(rotation.waits_for)

    new = _collect(organisation)
    rotation = caller.rotate(rotation, old, new, old)
    clock.advance(DAY)  # somebody still calls with the old one: it was the last that was seen
    rotation = caller.rotate(rotation, new, old)
    assert rotation.state is State.WATCHING
    assert any(
        reason.startswith("the first good production run of orders") for reason in say_each(rotation.waits_for)
    )
    assert ("unproven", KEY) in organisation.findings(), "its owner hears who has not moved"

    assert (caller.call(new), caller.notify(new)) == (200, 202)
    organisation.drive()
    waiting = get_rotation(organisation, rotation.id)
    assert say_each(waiting.waits_for) == [
        f"callers who still present the old key, last on {clock():%Y-%m-%d}, after the overlap"
    ]
    drive_on(organisation, clock, until=lambda: get_rotation(organisation, rotation.id).finished_at is not None)
    assert ("unproven", KEY) not in organisation.findings()
    assert get_rotation(organisation, rotation.id).state is State.DONE
    assert organisation.stages(KEY) == ["destroyed", "current"]
    assert [(caller.call(key), caller.notify(key)) for key in (old, new)] == [(401, 401), (200, 202)]
    with organisation.services.database.read() as connection:
        used = connection.execute(select(run_versions.c.number).distinct()).scalars().all()
        assert sorted(used) == [1, 2]
        assert organisation.services.presented_keys.check_key(connection, Secret(old)) is None


def test_a_new_key_opens_from_its_activation_on_and_a_key_taken_back_no_longer(
    caller: Caller, clock: Any
) -> None:
    organisation = caller.organisation
    old = _create_key(caller)
    rotation = get_rotation(organisation, begin_by_hand(organisation, KEY))
    step_to(organisation, clock, rotation.id, State.WORKFLOW_TESTED)
    new = Moves(organisation.services).reveal(organisation.item(KEY).id, 2, Purpose.TEST)
    assert (caller.call(new), caller.call(old)) == (401, 200)
    step_to(organisation, clock, rotation.id, State.WATCHING)
    assert (caller.call(new), caller.call(old)) == (200, 200)
    organisation.services.rotation.decisions.roll_back(rotation.id, actor="test")
    drive_on(organisation, clock)
    assert organisation.stages(KEY) == ["current", "destroyed"]
    assert (caller.call(new), caller.call(old)) == (401, 200)
