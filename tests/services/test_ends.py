"""When a new value ends: the nearest of what is known is its version's expiry, and one that is over is none."""

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest

from nightkey_demo.loopback import Answer, Incoming
from tests.organisation import Organisation
from tests.services.staging import (
    TOKEN,
    ScriptedService,
    Staged,
    drive_on,
)
from tests.stepping import advance
from tests.unit.test_ends import make_token
from vaultcore.errors import InvalidInputError
from vaultcore.secret import Secret
from worker.bootstrap import Services
from worker.domain.changes import ItemChange
from worker.domain.findings import FindingKind
from worker.domain.policies import PolicyChange
from worker.domain.saga import State
from worker.rows import findings as finding_rows
from worker.wording.reasons import say

pytestmark = pytest.mark.rules

DAY = timedelta(days=1)
PASSWORD = "prod-crm-password"


def tell(service: ScriptedService, *ends: Callable[[], object]) -> None:
    """The service issues tokens that live, and says these ends of them in turn, the last one for ever."""
    left = list(ends)

    def answer(incoming: Incoming) -> Answer | None:
        if (incoming.method, incoming.path) != ("POST", "/v1/tokens"):
            return None
        made = service._create(incoming)
        assert isinstance(made.body, dict)
        return replace(made, body=made.body | {"expires_at": (left.pop(0) if len(left) > 1 else left[0])()})

    service.script = answer


OVER: dict[str, Callable[[datetime], object]] = {
    "zero": lambda _: 0,
    "1970": lambda _: "1970-01-01T00:00:00Z",
    "2020 in milliseconds": lambda _: 1_577_836_800_000,
    "now": lambda now: now.isoformat(),
}


@pytest.mark.parametrize("said", OVER.values(), ids=OVER)
def test_a_token_that_is_over_is_thrown_away_and_never_activated(
    on_file: Staged, clock: Any, said: Callable[[datetime], object]
) -> None:
    organisation, service = on_file
    old = organisation.add_token(TOKEN, "ticketing")
    before = organisation.item(TOKEN)
    tell(service, lambda: said(clock()))
    organisation.services.night.nights.begin(clock())
    drive_on(organisation, clock)
    (rotation,) = organisation.rotations()
    assert (rotation.state, rotation.last_cause) == (State.ROLLED_BACK, "rejected")
    assert "has lapsed already" in say(rotation.last_error)
    assert service.calls("POST") == organisation.services.settings.candidates
    after = organisation.item(TOKEN)
    assert (after.version, after.expires_at) == (before.version, before.expires_at)
    assert len(service.live_tokens("ticketing")) == 1
    assert service.is_live(old)


@pytest.mark.both
def test_another_candidate_is_made_in_the_place_of_one_that_is_over(staged: Staged, clock: Any) -> None:
    organisation, service = staged
    organisation.add_token(TOKEN, "ticketing")
    ends = clock() + 60 * DAY
    tell(service, lambda: 0, ends.isoformat)
    organisation.services.night.nights.begin(clock())
    drive_on(organisation, clock)
    (rotation,) = organisation.rotations()
    assert (rotation.state, rotation.candidates) == (State.WATCHING, 1)
    assert organisation.item(TOKEN).expires_at == ends
    assert len(service.live_tokens("ticketing")) == 2


@pytest.mark.parametrize(("said", "lives"), [(7, 7), (400, 90)])
def test_the_nearer_of_the_services_end_and_the_policys_lifetime_is_the_expiry(
    on_file: Staged, clock: Any, said: int, lives: int
) -> None:
    organisation, service = on_file
    organisation.add_token(TOKEN, "ticketing")
    now = clock()
    tell(service, lambda: said * 86_400_000 + int(now.timestamp() * 1000))
    organisation.night()
    expires_at = organisation.item(TOKEN).expires_at
    assert expires_at is not None
    assert abs(expires_at - (now + lives * DAY)) < timedelta(seconds=5)


def test_what_is_no_end_at_all_is_a_mistake_and_told_in_kind(on_file: Staged, clock: Any) -> None:
    organisation, service = on_file
    organisation.add_token(TOKEN, "ticketing")
    tell(service, lambda: "whenever-you-like")
    organisation.services.night.nights.begin(clock())
    drive_on(organisation, clock, until=lambda: organisation.rotations()[0].state is State.ROLLED_BACK)
    (rotation,) = organisation.rotations()
    assert rotation.last_cause == "mistake"
    assert "no time at path `expires_at`, but a text of 17 characters that is not a time" in say(
        rotation.last_error
    )
    assert len(service.live_tokens("ticketing")) == 1


def test_a_candidate_that_lapses_while_its_tests_wait_is_never_activated(on_file: Staged, clock: Any) -> None:
    organisation, service = on_file
    organisation.add_token(TOKEN, "ticketing")
    tell(service, (clock() + timedelta(seconds=600)).isoformat)
    organisation.services.night.nights.begin(clock())
    (rotation,) = organisation.rotations()
    for _ in range(20):
        advance(organisation.services, rotation.id)
        (rotation,) = organisation.rotations()
        if rotation.state is State.WORKFLOW_TESTED:
            break
    assert rotation.state is State.WORKFLOW_TESTED
    clock.advance(timedelta(seconds=1200))
    drive_on(organisation, clock)
    (rotation,) = organisation.rotations()
    assert rotation.state is State.ROLLED_BACK
    assert organisation.item(TOKEN).version == 1
    assert len(service.live_tokens("ticketing")) == 1


def test_a_value_that_a_person_gives_lapses_by_its_own_end_where_that_is_nearer(
    here: Services, clock: Any
) -> None:
    """Here a JWT, whose `exp` nobody need say again."""
    with here.database.write() as connection:
        here.owners.create(connection, "platform", actor="test")

    def create(name: str, exp: datetime, expires_at: datetime | None) -> datetime | None:
        item, _ = here.items.creation.create(
            name,
            read_value=lambda: Secret(make_token({"exp": int(exp.timestamp()), "sub": name})),
            owners=["platform"],
            expires_at=expires_at,
            policy=PolicyChange(),
            actor="test",
        )
        return item.expires_at

    now = clock()
    assert create("prod-portal-token", now + 7 * DAY, now + 90 * DAY) == now + 7 * DAY
    assert create("prod-orders-token", now + 90 * DAY, now + 7 * DAY) == now + 7 * DAY
    assert create("prod-crm-token", now + 90 * DAY, None) == now + 90 * DAY
    with pytest.raises(
        InvalidInputError, match="carries an expiry of its own, 2026-02-28T02:00:00Z, which is over"
    ):
        create("prod-mail-token", now - DAY, None)
    change = ItemChange(expires_at=None)
    new = Secret(make_token({"exp": int((now + 30 * DAY).timestamp())}))
    updated = here.items.updates.update("prod-crm-token", change, value=new, actor="test")
    assert updated.item.expires_at == now + 30 * DAY


# A policy that counts on more than the service gives


def fit(organisation: Organisation) -> list[str]:
    return [
        say(row.detail)
        for row in list_open_findings(organisation)
        if row.kind == FindingKind.MISFIT.value and row.item == TOKEN
    ]


def list_open_findings(organisation: Organisation) -> Any:
    with organisation.services.database.read() as connection:
        return finding_rows.list_open(connection)


def finish(organisation: Organisation, clock: Any) -> None:
    """The overlap passes, and what waits for it is done."""
    clock.advance(DAY)
    drive_on(organisation, clock)


def test_tokens_of_seven_days_under_a_lead_of_fourteen_are_not_due_again_at_once(
    staged: Staged, clock: Any
) -> None:
    organisation, service = staged
    organisation.add_token(TOKEN, "ticketing")
    tell(service, lambda: f"{clock() + 7 * DAY:%Y-%m-%d %H:%M:%S} UTC")
    assert len(organisation.night()) == 1
    began = clock()
    item = organisation.item(TOKEN)
    assert item.due_at is not None
    assert began + 7 * DAY / 4 <= item.due_at <= began + 7 * DAY / 2
    finish(organisation, clock)
    while clock() < item.due_at:
        assert organisation.night() == []
        clock.advance(DAY)
    assert len(organisation.night()) == 1
    assert service.calls("POST") == 2


def test_a_finding_says_that_settings_and_service_do_not_fit_until_they_do(on_file: Staged, clock: Any) -> None:
    organisation, service = on_file
    organisation.add_token(TOKEN, "ticketing")
    tell(service, lambda: f"{clock() + 7 * DAY:%Y-%m-%d %H:%M:%S} UTC")
    organisation.night()
    assert fit(organisation) == []
    finish(organisation, clock)
    organisation.night()
    (detail,) = fit(organisation)
    assert detail.startswith("its last replacement lives 7d, and its policy counts on a lead of 14d")
    (row,) = (row for row in list_open_findings(organisation) if row.kind == FindingKind.MISFIT.value)
    assert row.command == f"nightkey item update {TOKEN} --lifetime 7d"
    change = ItemChange(policy=PolicyChange(parts={"lifetime": "7d"}))
    organisation.services.items.updates.update(TOKEN, change, actor="test")
    clock.advance(DAY)
    organisation.night()
    assert fit(organisation) == []


def test_an_overlap_longer_than_the_new_values_life_does_not_hold_the_next_rotation_back(
    on_file: Staged, clock: Any
) -> None:
    """With an overlap of ten days, the first rotation would still wait when the new value lapses."""
    organisation, service = on_file
    organisation.add_token(TOKEN, "ticketing", overlap="10d")
    tell(service, lambda: f"{clock() + 7 * DAY:%Y-%m-%d %H:%M:%S} UTC")
    organisation.night()
    lapses = organisation.item(TOKEN).expires_at
    assert lapses is not None
    while clock() < lapses:
        clock.advance(DAY)
        drive_on(organisation, clock)
        organisation.night()
    assert service.calls("POST") >= 2
    assert organisation.item(TOKEN).version in (3, 4)
    assert ("lapsed", TOKEN) not in organisation.findings()


def test_a_nearer_end_that_a_person_sets_is_no_life_that_the_value_was_given(
    on_file: Staged, clock: Any
) -> None:
    """Six days under a lead of fourteen are due at once, and say nothing of the next value's life."""
    organisation, _ = on_file
    organisation.add_item(PASSWORD, "a-value-of-before", days=3, mode="auto", rotator="random", lifetime="90d")
    organisation.services.night.nights.begin(clock())
    drive_on(organisation, clock)
    assert organisation.item(PASSWORD).life == 90 * DAY
    clock.advance(DAY)
    ends = clock() + 6 * DAY
    organisation.services.items.updates.update(PASSWORD, ItemChange(expires_at=ends), actor="test")
    for change in (ItemChange(), ItemChange(policy=PolicyChange(parts={"lead": "13d"}))):
        organisation.services.items.updates.update(PASSWORD, change, actor="test")
        item = organisation.item(PASSWORD)
        assert item.life is None
        assert item.due_at is not None
        assert item.due_at < clock()
    with organisation.services.database.read() as connection:
        due = [one for one in finding_rows.list_open(connection) if one.kind == FindingKind.MISFIT.value]
    assert due == []


def test_a_value_that_an_owner_gave_is_due_by_the_policys_own_lead(on_file: Staged, clock: Any) -> None:
    """How long it has lived already is not known: five days under a lead of fourteen are due tonight."""
    organisation, _ = on_file
    organisation.add_token(TOKEN, "ticketing", days=5)
    assert organisation.item(TOKEN).life is None
    assert len(organisation.night()) == 1
