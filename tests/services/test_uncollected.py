"""A new key that nobody collects: its owner hears again as the time runs out, then the old key stays."""

from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import select

from tests.organisation import Organisation, read_token
from tests.services.staging import Staged, drive_on, get_rotation, told
from vaultcore.errors import RefusedError
from worker.domain.policies import build_policy
from worker.domain.saga import State
from worker.rows import findings as finding_rows
from worker.rows.tables import pickups
from worker.services.notices.pickup_token import pickup_token
from worker.services.rotation.pickups import Collected
from worker.wording.reasons import say, say_each

KEY = "api-key:partner-portal"
DAY = timedelta(days=1)


@pytest.fixture
def organisation(on_file: Staged) -> Organisation:
    return on_file[0]


def add_key(organisation: Organisation, **policy: Any) -> str:
    """The key that is in use. Its rotation is due now."""
    services = organisation.services
    organisation.add_item(KEY, None, days=5, mode="auto", rotator="workflow-api-key", lifetime="90d", **policy)
    with services.database.write() as connection:
        item = services.vault.get(connection, KEY)
        versions = services.versions.of_item(connection, item.id)
    assert [version.number for version in versions] == [1]
    return item.id


def token_of(organisation: Organisation) -> str:
    """From the last notice that has one, as it arrived."""
    organisation.deliver()
    bodies = [str(post.body) for post in organisation.targets.sink.requests]
    return read_token("\n".join(bodies))


def test_its_owner_hears_again_at_each_threshold_once_and_for_the_nearest(
    organisation: Organisation, clock: Any
) -> None:
    add_key(organisation, pickup="10d")
    organisation.night()
    subjects = [one.subject for one in organisation.notices() if one.kind == "pickup"]
    assert subjects == [f"Nightkey: collect the new key of {KEY}"]
    heard = []
    for _ in range(3):  # day 1, 2, 3: the first threshold is seven days before its end
        clock.advance(DAY)
        organisation.night()
        heard.append(len(told(organisation, "pickup-reminder")))
    assert heard == [0, 0, 1]
    clock.advance(6.5 * DAY)  # nights were missed: three and one day before are crossed at once
    organisation.night()
    organisation.night()
    assert len(told(organisation, "pickup-reminder")) == 2
    newest = next(one for one in organisation.notices() if one.kind == "pickup-reminder")
    assert "is taken back in 12 hours" in newest.subject
    collected = organisation.collect(token_of(organisation))
    assert (collected.item, collected.version) == (KEY, 2)
    clock.advance(5 * DAY)
    organisation.night()
    assert len(told(organisation, "pickup-reminder")) == 2, "there is nothing to chase any more"


def test_after_its_time_the_new_key_is_withdrawn_and_the_old_one_stays(
    organisation: Organisation, clock: Any
) -> None:
    add_key(organisation, pickup="3d")
    (rotation,) = organisation.night()
    token = token_of(organisation)
    assert get_rotation(organisation, rotation.id).state is State.WATCHING
    clock.advance(3 * DAY)
    with pytest.raises(RefusedError, match="taken back after its time"):
        organisation.collect(token)
    drive_on(organisation, clock)
    ended = get_rotation(organisation, rotation.id)
    assert ended.state is State.ROLLED_BACK
    assert "nobody collected the new key by" in say(ended.last_error)
    assert organisation.stages(KEY) == ["current", "destroyed"]
    assert ("rotation-failed", KEY) in organisation.findings()
    ((owner, body),) = told(organisation, "rotation-rolled-back")
    assert owner == "support"
    assert "nobody collected the new key" in body


def test_the_old_key_works_until_the_new_one_is_collected_and_the_overlap_is_over(
    organisation: Organisation, clock: Any
) -> None:
    add_key(organisation, pickup="30d", overlap="1d")
    (rotation,) = organisation.night()
    clock.advance(4 * DAY)
    drive_on(organisation, clock)
    waiting = get_rotation(organisation, rotation.id)
    assert waiting.state is State.WATCHING
    assert say_each(waiting.waits_for) == ["its owner, who has not collected the new key"]
    key = organisation.collect(token_of(organisation)).key.expose()
    organisation.drive()
    collected_on = f"{clock():%Y-%m-%d}"
    ends = f"{clock() + DAY:%Y-%m-%d %H:%M:%S} UTC"
    awaited = f"the first call with the new key, which was collected by test on {collected_on}"
    assert say_each(get_rotation(organisation, rotation.id).waits_for) == [
        f"the overlap, until {ends}",
        awaited,
    ]
    assert organisation.present(key) is not None
    organisation.drive()
    assert say_each(get_rotation(organisation, rotation.id).waits_for) == [f"the overlap, until {ends}"]
    clock.advance(DAY)
    organisation.drive()
    assert get_rotation(organisation, rotation.id).state is State.DONE
    found = organisation.present(key)
    assert found is not None
    assert found[1] == 2


def collect_without_use(organisation: Organisation, clock: Any) -> tuple[str, str]:
    """A rotation whose new key was collected, and that is past its overlap: its id, and the new key."""
    add_key(organisation, pickup="30d", overlap="1d")
    (rotation,) = organisation.night()
    key = organisation.collect(token_of(organisation), actor="user:ann").key.expose()
    clock.advance(2 * DAY)
    organisation.night()
    return rotation.id, key


def finding(organisation: Organisation) -> Any:
    with organisation.services.database.read() as connection:
        (row,) = [row for row in finding_rows.list_open(connection) if row.kind == "unproven"]
    return row


def test_the_old_key_stays_while_nobody_has_used_the_new_one_and_its_owner_is_asked(
    organisation: Organisation, clock: Any
) -> None:
    rotation_id, _ = collect_without_use(organisation, clock)
    assert organisation.stages(KEY) == ["previous", "current"]
    row = finding(organisation)
    assert (row.item, row.workflow) == (KEY, None)
    assert say(row.detail).startswith("the first call with the new key, which was collected by user:ann on ")
    assert say(row.detail).endswith("; it did not come during the overlap")
    assert any(f"{KEY} is not proven since it was replaced" in body for _, body in told(organisation, "digest"))
    deciding = organisation.services.rotation.decisions
    deciding.extend(rotation_id, clock() + DAY, actor="user:ann")
    drive_on(organisation, clock, until=lambda: ("unproven", KEY) not in organisation.findings())
    clock.advance(DAY)
    organisation.drive()
    assert ("unproven", KEY) in organisation.findings()
    deciding.waive(rotation_id, None, why="it is a spare key", actor="user:ann")
    organisation.drive()
    assert get_rotation(organisation, rotation_id).state is State.DONE
    assert organisation.stages(KEY) == ["destroyed", "current"]
    assert ("unproven", KEY) not in organisation.findings()


def test_a_key_that_was_lost_after_all_is_taken_back_by_hand(organisation: Organisation, clock: Any) -> None:
    rotation_id, key = collect_without_use(organisation, clock)
    token = pickup_token(organisation.services.keyring, waiting_pickup(organisation))
    with pytest.raises(RefusedError) as refused:
        organisation.collect(token, actor="user:ann")
    assert f"if it is lost, `nightkey rotation rollback {rotation_id}` takes it back, then" in str(
        refused.value
    )
    organisation.services.rotation.decisions.roll_back(rotation_id, actor="user:ann")
    drive_on(organisation, clock)
    assert organisation.stages(KEY) == ["current", "destroyed"]
    assert organisation.present(key) is None
    organisation.services.rotation.opening.request(KEY, asked_by="user:ann")
    organisation.drive()
    assert organisation.collect(token_of(organisation), actor="user:ann").version == 3


def test_who_still_presents_the_old_key_is_not_cut_off(organisation: Organisation, clock: Any) -> None:
    services = organisation.services
    with services.database.write() as connection:
        created = services.vault.create(
            connection,
            name=KEY,
            value=None,
            owner_ids=(services.owners.get(connection, "support").id,),
            expires_at=clock() + 20 * DAY,
            policy=build_policy(
                None, {"mode": "auto", "rotator": "workflow-api-key", "lifetime": "90d", "overlap": "1d"}
            ),
            actor="test",
        )
    assert created.key is not None
    old = created.key.expose()
    clock.advance(10 * DAY)
    (rotation,) = organisation.night()
    organisation.present(organisation.collect(token_of(organisation)).key.expose())
    for _ in range(5):
        clock.advance(DAY * 0.9)
        assert organisation.present(old) is not None, "one of two callers has not moved"
        organisation.drive()
    assert get_rotation(organisation, rotation.id).state is State.WATCHING
    assert say(finding(organisation).detail).startswith("callers who still present the old key, last on ")
    clock.advance(DAY)
    organisation.drive()
    assert get_rotation(organisation, rotation.id).state is State.DONE


def test_an_answer_that_was_lost_is_waited_for_and_chased_and_then_taken_back(
    organisation: Organisation, clock: Any
) -> None:
    add_key(organisation, pickup="3d")
    (rotation,) = organisation.night()

    def lose(_: Collected) -> None:
        raise OSError(28, "No space left on device")

    with pytest.raises(OSError, match="No space left"):
        organisation.services.rotation.pickups.collect(token_of(organisation), actor="user:ann", show=lose)
    clock.advance(2 * DAY)
    organisation.night()
    assert say_each(get_rotation(organisation, rotation.id).waits_for) == [
        "the new key to arrive at user:ann, who began to collect it"
    ]
    (reminder,) = [body for _, body in told(organisation, "pickup-reminder")]
    assert "kept for user:ann, who began to collect it: it did not arrive" in reminder
    clock.advance(DAY)
    drive_on(organisation, clock)
    ended = get_rotation(organisation, rotation.id)
    assert ended.state is State.ROLLED_BACK
    assert "the new key did not arrive at user:ann by" in say(ended.last_error)
    assert organisation.stages(KEY) == ["current", "destroyed"]


def test_a_key_without_one_before_it_waits_for_ever_whatever_was_said_first(
    organisation: Organisation, clock: Any
) -> None:
    """It was to be taken back, until somebody was in an emergency to see the old one go."""
    add_key(organisation, pickup="3d")
    (rotation,) = organisation.night()
    token = token_of(organisation)
    organisation.services.rotation.opening.request_emergency(KEY, asked_by="test")
    organisation.drive()
    assert get_rotation(organisation, rotation.id).state is State.DONE
    assert organisation.stages(KEY) == ["destroyed", "current"]
    clock.advance(30 * DAY)
    organisation.night()
    assert organisation.collect(token).version == 2


def waiting_pickup(organisation: Organisation) -> str:
    with organisation.services.database.read() as connection:
        found: str = connection.execute(select(pickups.c.id)).scalar_one()
    return found


def test_in_an_emergency_it_waits_for_ever_since_there_is_no_key_before_it(
    organisation: Organisation, clock: Any
) -> None:
    add_key(organisation, pickup="3d")
    organisation.services.rotation.opening.request_emergency(KEY, asked_by="test")
    drive_on(organisation, clock)
    assert organisation.stages(KEY) == ["destroyed", "current"]
    token = token_of(organisation)
    clock.advance(30 * DAY)
    organisation.night()
    assert organisation.collect(token).version == 2
