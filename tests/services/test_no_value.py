"""An item that waits for its value meets everything that there is: each says so, and nothing breaks by it."""

import json
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import delete, insert, update

from tests.conftest import Clock
from tests.organisation import Organisation
from tests.services.conftest import Moves
from tests.services.staging import add_route, start_organisation
from vaultcore.crypto import apikeys
from vaultcore.errors import InvalidInputError, RefusedError, sort_out
from vaultcore.model import Kind, Policy, Stage
from vaultcore.secret import Secret
from vaultcore.tables import items, versions
from vaultcore.versions import Purpose
from worker.bootstrap import Services
from worker.delivery.formats import to_text
from worker.domain.changes import ItemChange
from worker.domain.findings import FindingKind
from worker.domain.incoming import Arrival, IncomingItem
from worker.domain.plan import PlannedAction
from worker.domain.policies import PolicyChange, build_policy
from worker.domain.problems import ProblemKind
from worker.domain.reasons import Code, Reason
from worker.installation import make_restores
from worker.services.rotation.offboarding import Fate
from worker.wording.problems import describe
from worker.wording.reasons import say, say_each

pytestmark = pytest.mark.rules


ID = "vlt_01j9z3k4m5n6p7q8r9s0t1v2w3"
NAME, KEY, USER = "prod-ticketing-api-token", "api-key:partner-portal", "ticket-sync"
GIVE = f"nightkey item update {NAME} --value-file PATH"
VALUE = Secret("a-value-of-theirs")
DAY = timedelta(days=1)
AUTO = PolicyChange(parts={"mode": "auto", "rotator": "random", "lifetime": "90d", "consumers": "none"})


def wait(
    services: Services, name: str = NAME, *, days: float | None = 100, owners: tuple[str, ...] = ()
) -> None:
    """It came in, to lapse in so many days."""
    lapses = None if days is None else services.clock() + days * DAY
    entry = IncomingItem(place=1, name=name, given_id=ID if name == NAME else None, expires_at=lapses)
    (judged,) = services.upkeep.item_import.take_in([entry], owners=owners, actor="user:ana")
    assert judged.arrival is Arrival.NEW


def give(services: Services, name: str = NAME, **wanted: Any) -> Any:
    return services.items.updates.update(name, ItemChange(**wanted), value=VALUE, actor="user:ben").item


@pytest.fixture
def organisation(services: Services) -> Iterator[Organisation]:
    with start_organisation(services) as (made, _):
        for owner in ("support", "operators"):
            add_route(made, owner)
        yield made


# Its value


@pytest.mark.parametrize(
    ("came_with", "policy", "wanted", "lapses"),
    [
        (100, None, {}, 100),
        (100, None, {"expires_at": 9}, 9),
        (100, None, {"expires_at": None}, None),
        (100, "30d", {}, 100),  # what is known of this value, and not how long the next ones live
        (None, "30d", {}, 30),
        (-5, "30d", {}, 30),
        (-5, None, {"expires_at": 9}, 9),
        (None, None, {"expires_at": None}, None),
    ],
)
def test_the_first_value_lapses_as_the_metadata_said_or_somebody_says(
    services: Services, moves: Moves, came_with: Any, policy: Any, wanted: Any, lapses: Any
) -> None:
    wait(services, days=came_with)
    if policy:
        change = ItemChange(policy=PolicyChange(parts={"lifetime": policy}))
        services.items.updates.update(NAME, change, actor="test")
    if isinstance(wanted.get("expires_at"), int):
        wanted = {"expires_at": services.clock() + wanted["expires_at"] * DAY}
    assert not services.items.updates.lacks_expiry(NAME, ItemChange(**wanted))
    item = give(services, **wanted)
    assert item.version == 1
    assert item.expires_at == (None if lapses is None else services.clock() + lapses * DAY)
    with services.database.read() as connection:
        (version,) = services.versions.of_item(connection, item.id)
    assert (version.stage, version.expires_at, version.filled) == (Stage.CURRENT, item.expires_at, True)
    assert moves.reveal(item.id, 1, Purpose.ROTATION) == VALUE.expose()
    (hygiene,) = moves.sql(items.select().with_only_columns(items.c.hygiene))
    assert "no-value" not in hygiene[0]
    services.items.updates.update(NAME, ItemChange(expires_at=None), value=Secret("the-next-one"), actor="test")
    assert moves.stages(item.id) == ["previous", "current"]
    assert moves.verify().whole


@pytest.mark.parametrize("came_with", [-5, None])
def test_an_expiry_that_nobody_knows_is_asked_for_as_of_any_new_value(
    services: Services, moves: Moves, came_with: float | None
) -> None:
    wait(services, days=came_with)
    assert services.items.updates.lacks_expiry(NAME, ItemChange())
    with pytest.raises(InvalidInputError, match=r"add --expires-at .*--no-expiry"):
        give(services)
    assert moves.get(NAME).version is None


def test_what_is_changed_meanwhile_leaves_it_waiting_with_what_it_came_with(
    services: Services, moves: Moves
) -> None:
    wait(services)
    before = moves.get(NAME)
    for change in (
        ItemChange(policy=PolicyChange(parts={"thresholds": [9]})),
        ItemChange(policy=AUTO),
        ItemChange(name="prod-helpdesk-api-token"),
        ItemChange(name=NAME),
    ):
        name = moves.get(ID).name
        after = services.items.updates.update(name, change, actor="test").item
        assert (after.version, after.expires_at, after.created_at) == (
            None,
            before.expires_at,
            before.created_at,
        )
    lapses = services.clock() + 20 * DAY
    services.items.updates.update(NAME, ItemChange(expires_at=lapses), actor="test")
    assert moves.get(NAME).expires_at == lapses
    with pytest.raises(InvalidInputError, match="is not in the future"):
        services.items.updates.update(NAME, ItemChange(expires_at=services.clock()), actor="test")
    assert give(services).expires_at == lapses


def test_it_is_given_its_value_and_not_created_again(services: Services) -> None:
    wait(services)
    with pytest.raises(RefusedError, match=f"waits for its value.*`{GIVE}`"):
        services.items.creation.create(
            NAME, read_value=lambda: VALUE, owners=(), expires_at=None, policy=PolicyChange(), actor="test"
        )


def test_it_is_deleted_as_any_other(services: Services, moves: Moves) -> None:
    wait(services)
    moves.use(USER, NAME)
    with pytest.raises(RefusedError, match=f"is used by {USER}"):
        moves.delete(NAME)
    moves.use(USER)
    moves.delete(NAME)
    wait(services)
    assert moves.get(NAME).id == ID


# A key for callers of ours


def test_the_key_of_an_item_that_came_in_is_made_here_and_opens(services: Services, moves: Moves) -> None:
    wait(services, KEY, days=40)
    moves.use(USER, KEY, node="start")
    with pytest.raises(RefusedError, match=f"`nightkey item rotate {KEY}` makes a new one"):
        give(services, KEY)
    made, collected = services.items.creation.make_first_key(KEY, actor="user:ben")
    assert (made.version, made.kind, made.expires_at) == (1, Kind.API_KEY, services.clock() + 40 * DAY)
    assert apikeys.looks_real(collected.key.expose())
    assert moves.present(collected.key.expose()) == (made.id, 1)
    with pytest.raises(RefusedError, match="waits for no key"):
        services.items.creation.make_first_key(KEY, actor="user:ben")
    assert services.night.nights.preview(services.clock()).findings[0].kind is not FindingKind.NO_VALUE


def test_a_key_whose_expiry_is_over_is_not_made_before_somebody_says_when_it_lapses(
    services: Services, moves: Moves
) -> None:
    wait(services, KEY, days=-1)
    command = f"nightkey item update {KEY} --expires-at 90d && nightkey item rotate {KEY}"
    with pytest.raises(InvalidInputError, match=command):
        services.items.creation.make_first_key(KEY, actor="test")
    assert command in {one.command for one in services.night.nights.preview(services.clock()).findings}
    services.items.updates.update(KEY, ItemChange(expires_at=None), actor="test")
    assert services.items.creation.make_first_key(KEY, actor="test")[0].expires_at is None


def test_what_was_left_of_a_deleted_item_has_no_part_in_one_that_comes_in_under_its_id(
    services: Services, moves: Moves, clock: Clock
) -> None:
    """Whoever could collect a key of the one before does not get that of the new one, nor end it."""
    created, first = services.items.creation.create(
        KEY, read_value=None, owners=(), expires_at=None, policy=PolicyChange(), actor="user:ana"
    )
    assert first is not None
    services.rotation.pickups.deliver(first, actor="user:ana", show=lambda _: None)
    moves.delete(KEY)
    clock.advance(timedelta(minutes=30))
    entry = IncomingItem(place=1, name=KEY, given_id=created.id, expires_at=None)
    list(services.upkeep.item_import.take_in([entry], owners=(), actor="user:ben"))
    made, second = services.items.creation.make_first_key(KEY, actor="user:ben")
    assert made.id == created.id

    with pytest.raises(RefusedError):
        moves.collect(services.rotation.pickups.token(first.pickup_id), actor="user:ana")
    clock.advance(timedelta(minutes=45))
    assert services.rotation.pickups.end_arrived(actor="test") == 0
    again = moves.collect(services.rotation.pickups.token(second.pickup_id), actor="user:ben")
    assert again.key.expose() == second.key.expose()
    assert moves.present(first.key.expose()) is None


# The night


def test_its_owner_reads_that_it_waits_that_it_lapses_and_what_to_type(
    organisation: Organisation, clock: Any
) -> None:
    services = organisation.services
    wait(services, days=6, owners=("support",))
    wait(services, KEY, days=None, owners=("support",))
    organisation.add_workflow(USER, NAME)
    assert organisation.night() == []
    found = organisation.findings()
    assert {("expiring", NAME), ("no-value", NAME), ("no-value", KEY), ("no-plan", NAME)} <= found
    assert {kind for kind, _ in found} == {"expiring", "no-value", "no-plan", "no-expiry", "unused"}
    (digest,) = [one for one in organisation.notices() if one.kind == "digest" and one.owner == "support"]
    told = to_text(digest.body or "")
    assert f"{NAME} waits for its value" in told
    assert f"{KEY} waits for its value" in told
    assert f"{NAME} lapses in 6 days" in told
    assert USER in told
    assert GIVE in told
    assert f"nightkey item rotate {KEY}" in told

    clock.advance(7 * DAY)
    organisation.night()
    assert {("lapsed", NAME), ("expired", NAME), ("no-value", NAME)} <= organisation.findings()
    lapsed = [one for one in services.night.nights.preview(clock()).findings if one.kind is FindingKind.LAPSED]
    assert [one.command for one in lapsed] == [f"{GIVE} --expires-at 90d"]

    give(services, expires_at=clock() + 100 * DAY)
    services.items.creation.make_first_key(KEY, actor="test")
    assert "no-value" not in {kind for kind, _ in organisation.findings()}
    clock.advance(DAY)
    organisation.night()
    assert {kind for kind, _ in organisation.findings()} == {"no-plan", "no-expiry", "unused"}


def test_a_night_in_which_a_workflow_would_fail_for_want_of_it_is_no_good_one(
    organisation: Organisation, clock: Any
) -> None:
    services = organisation.services
    wait(services, owners=("support",))
    slot = clock()
    services.night.nights.begin(slot)
    assert services.night.nights.close(slot) == "good"  # nobody uses it
    organisation.deliver()

    organisation.add_workflow(USER, NAME, runs="elsewhere")
    clock.advance(DAY)
    slot = clock()
    services.night.nights.begin(slot)
    assert services.night.nights.close(slot) == "good"  # its engine has values of its own
    organisation.deliver()

    organisation.add_workflow(USER, NAME, runs="here")
    clock.advance(DAY)
    slot = clock()
    services.night.nights.begin(slot)
    assert services.night.nights.close(slot) == "failed"
    (problem,) = [one for one in services.overview.status.read().problems if one.kind is ProblemKind.NO_VALUE]
    assert describe(problem) == (
        f"{NAME} waits for its value, and an active workflow uses it (nightkey item show {NAME})"
    )


@pytest.mark.parametrize("mode", ["auto", "approve"])
def test_it_is_not_rotated_before_it_has_a_value_and_then_as_any_other(
    organisation: Organisation, clock: Any, mode: str
) -> None:
    services = organisation.services
    wait(services, days=5, owners=("support",))
    change = ItemChange(policy=PolicyChange(parts={**AUTO.parts, "mode": mode}))
    services.items.updates.update(NAME, change, actor="test")
    (seen,) = services.night.nights.preview(clock()).due
    assert seen.decision is not None
    assert (seen.decision.action, say(seen.decision.why)) == (
        PlannedAction.ASK,
        f"it waits for its value: {GIVE}",
    )
    assert seen.decision.finding is not None
    assert say(seen.decision.finding.does) == "waits until it has its value"
    assert organisation.night() == []
    for ask in (services.rotation.opening.request, services.rotation.opening.request_emergency):
        with pytest.raises(RefusedError, match=f"{NAME} waits for its value.*`{GIVE}`"):
            ask(NAME, asked_by="test")
    item = organisation.item(NAME)
    with services.database.write() as connection, pytest.raises(RefusedError, match="waits for its value"):
        services.rotation.opening.open(connection, item, reason=Reason.of(Code.BY_HAND), asked_by="test")
    assert organisation.rotations() == []

    give(services)
    clock.advance(DAY)
    assert [rotation.item for rotation in organisation.night()] == [NAME]


# Who uses it


@pytest.mark.parametrize("written", [NAME, ID])
def test_a_workflow_that_uses_it_fails_with_the_command_that_gives_it(
    organisation: Organisation, written: str
) -> None:
    services = organisation.services
    if written == ID:
        _use_by_id(organisation)
    else:
        organisation.add_workflow(USER, NAME)
    wait(services)
    expected = (
        f"{NAME} waits for its value, and nothing here can use or replace it before that: give it by `{GIVE}`"
    )
    run = services.runs.runs.start(USER, actor="test")
    assert (run.status, run.error_message) == ("failed", expected)
    with services.database.read() as connection:
        workflow = services.runs.definitions.get(connection, USER)
    tested = services.runs.workflow_tests.test_workflow(workflow, overrides={}, actor="test")
    assert (tested.status, tested.error_message) == ("failed", expected)
    with pytest.raises(RefusedError, match="waits for its value"):
        services.runs.workflow_tests.test_node(workflow, "call", overrides={}, actor="test")
    with pytest.raises(RefusedError, match="waits for its value"):
        services.runs.pins.pin(USER, NAME, 1, actor="test")
    services.runs.pins.unpin(USER, NAME, actor="test")

    give(services)
    run = services.runs.runs.start(USER, actor="test")
    assert "waits for its value" not in (run.error_message or "")  # what the service says of it is its business
    services.runs.pins.pin(USER, NAME, 1, actor="test")


def _use_by_id(organisation: Organisation) -> None:
    """A header that is an item's bare id."""
    url = f"{organisation.targets.token_service.url}/v1/account"
    call = {"componentId": "webhook", "method": "GET", "url": url, "headers": {"X-Token": ID}}
    document = {
        "name": USER,
        "nodes": [
            {"id": "start", "type": "trigger", "data": {"componentId": "manual_trigger"}},
            {"id": "call", "type": "action", "data": call},
        ],
        "edges": [{"id": "e1", "source": "start", "target": "call"}],
    }
    organisation.services.runs.documents.apply([("by-id.json", json.dumps(document))], actor="test")


def test_a_rotation_of_another_item_whose_rotator_needs_it_says_what_is_missing(
    organisation: Organisation,
) -> None:
    services = organisation.services
    organisation.add_token("prod-billing-api-token", "billing")
    with services.database.write() as connection:
        admin = services.vault.get(connection, "prod-tokenhub-admin-token")
        connection.execute(delete(versions).where(versions.c.item_id == admin.id))
    (rotation,) = organisation.night()
    assert (
        "prod-tokenhub-admin-token (nightkey item update prod-tokenhub-admin-token --value-file PATH)"
        in str([say(rotation.last_error), say_each(rotation.waits_for)])
    )


@pytest.mark.both
def test_it_has_no_key_set(services: Services, moves: Moves) -> None:
    wait(services)
    policy = build_policy(
        None, {"mode": "approve", "rotator": "signing-key", "settings": {"algorithm": "ES256"}}
    )
    moves.update(NAME, policy=policy)
    with pytest.raises(RefusedError, match="it waits for its value"):
        services.runs.key_sets.jwks(NAME)
    assert services.runs.key_sets.published(NAME) is None


@pytest.mark.both
def test_a_calendar_has_its_expiry_and_what_to_do(services: Services) -> None:
    wait(services)
    written, problems = services.overview.calendar.write(None)
    text = written.replace(b"\r\n ", b"").decode()
    assert problems == []
    assert f"It waits for its value: {GIVE}" in text
    assert f"{ID}-0@nightkey" in text


def test_who_leaves_does_not_have_it_replaced_and_it_is_not_forgotten(
    organisation: Organisation, services: Services, moves: Moves
) -> None:
    wait(services, owners=("support",))
    departure = services.rotation.offboarding.begin("support", emergency=False, actor="test")
    (left,) = departure.items
    assert (left.item, left.fate) == (NAME, Fate.BY_HAND)
    assert services.rotation.offboarding.open_next(departure, after=0, actor="test") is None
    assert services.rotation.offboarding.finish(departure.id).finished_at is None
    item = give(services)
    (left,) = services.rotation.offboarding.finish(departure.id).items
    assert left.fate is Fate.BY_HAND, "it may be the very value that they knew"
    assert (
        say(left.why)
        == f"its first value may be the one that they knew, so replace it: {GIVE} --expires-at 90d"
    )
    assert services.rotation.offboarding.open_next(departure, after=0, actor="test") is None
    services.items.updates.update(NAME, ItemChange(expires_at=None), value=Secret("the-next-one"), actor="test")
    read = services.rotation.offboarding.finish(departure.id)
    assert (read.items[0].fate, read.finished_at) == (Fate.OVERLAPS, None)
    moves.destroy(item.id, 1)
    read = services.rotation.offboarding.finish(departure.id)
    assert (read.items[0].fate, say(read.items[0].why)) == (Fate.REPLACED, "by version 2")
    assert read.finished_at is not None


@pytest.mark.both
def test_a_key_that_is_made_after_somebody_left_is_none_that_they_knew(
    organisation: Organisation, services: Services
) -> None:
    wait(services, KEY, days=None, owners=("support",))
    departure = services.rotation.offboarding.begin("support", emergency=False, actor="test")
    services.items.updates.update(KEY, ItemChange(expires_at=None), actor="test")
    services.items.creation.make_first_key(KEY, actor="test")
    (left,) = services.rotation.offboarding.finish(departure.id).items
    assert left.fate is Fate.REPLACED


def test_what_can_be_replaced_here_is_rotated_by_hand_after_its_first_value_came(
    organisation: Organisation, services: Services
) -> None:
    wait(services, owners=("support",))
    services.items.updates.update(NAME, ItemChange(policy=AUTO), actor="test")
    departure = services.rotation.offboarding.begin("support", emergency=False, actor="test")
    give(services)
    (left,) = services.rotation.offboarding.finish(departure.id).items
    assert (left.fate, say(left.why).rpartition(": ")[2]) == (Fate.BY_HAND, f"nightkey item rotate {NAME}")


# What is stored


def test_it_is_no_damage_and_what_is_damaged_is_still_seen(services: Services, moves: Moves) -> None:
    wait(services)
    wait(services, KEY, days=None)
    moves.add("prod-crm-password", days=90)

    def unreadable() -> list[str | None]:
        found = services.night.nights.preview(services.clock()).findings
        return [one.item for one in found if one.kind is FindingKind.UNREADABLE]

    assert unreadable() == []
    give(services)
    assert unreadable() == []
    moves.sql(update(items).where(items.c.name == NAME).values(expires_at=services.clock() + 300 * DAY))
    assert unreadable() == [NAME]
    moves.sql(delete(versions))  # whose items do not say that they wait
    assert set(unreadable()) == {NAME, "prod-crm-password"}
    row = {"item_id": moves.get(KEY).id, "number": 1, "stage": "current", "external": {}}
    moves.sql(insert(versions).values(created_at=services.clock(), activated_at=services.clock(), **row))
    assert KEY in unreadable()  # it has a version, and says that it waits


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_after_a_restore_it_waits_as_before_and_is_not_asked_of_a_target(
    services: Services, moves: Moves, tmp_path: Path
) -> None:
    wait(services)
    moves.add("prod-crm-password", days=90)
    file = tmp_path / "vault.backup"
    services.upkeep.backups.back_up(file, replace=True, actor="test")
    give(services)
    services.close()
    make_restores(services.settings, services.clock).restore(file, replace=True, actor="test")
    item = moves.get(NAME)
    assert (item.id, item.version, item.expires_at) == (ID, None, services.clock() + 100 * DAY)
    assert [row.item for row in sort_out(services.rotation.comparison.list_all())[0]] == ["prod-crm-password"]
    assert services.rotation.comparison.hold(item) is None
    assert [one.result for one in services.rotation.comparison.compare_due()] == ["not-asked"]
    assert give(services).version == 1


def test_a_policy_of_any_mode_can_be_given_before_the_value(services: Services, moves: Moves) -> None:
    wait(services)
    with pytest.raises(RefusedError, match=f"no active workflow here uses {NAME}"):
        services.items.updates.update(
            NAME, ItemChange(policy=PolicyChange(parts={"mode": "auto", "rotator": "random"})), actor="test"
        )
    moves.use(USER, NAME)
    services.items.updates.update(
        NAME, ItemChange(policy=PolicyChange(parts={"mode": "auto", "rotator": "random"})), actor="test"
    )
    assert moves.get(NAME).version is None
    assert moves.get(NAME).policy != Policy()
