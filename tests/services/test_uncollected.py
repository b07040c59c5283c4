"""A new key that nobody collects: its owner hears again as the time runs out, then the old key stays."""

import re
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from tests.organisation import Organisation
from tests.services.staging import drive_on, get_rotation, stage, told
from vaultcore.errors import RefusedError
from vaultcore.secret import Secret
from worker.domain.saga import State

KEY = "api-key:partner-portal"
DAY = timedelta(days=1)


@pytest.fixture
def organisation(tmp_path: Path, clock: Any) -> Iterator[Organisation]:
    with stage(tmp_path, "", clock) as (made, _):
        yield made


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
    bodies = [str(post.body) for post in organisation.counterparts.sink.requests]
    return re.findall(r"nightkey claim (clm_\w+)", "\n".join(bodies))[-1]


def test_its_owner_hears_again_at_each_threshold_once_and_for_the_nearest(
    organisation: Organisation, clock: Any
) -> None:
    add_key(organisation, claim="10d")
    organisation.night()
    subjects = [one.subject for one in organisation.notices() if one.kind == "claim"]
    assert subjects == [f"Nightkey: collect the new key of {KEY}"]
    heard = []
    for _ in range(3):  # day 1, 2, 3: the first threshold is seven days before its end
        clock.advance(DAY)
        organisation.night()
        heard.append(len(told(organisation, "claim-reminder")))
    assert heard == [0, 0, 1]
    clock.advance(6.5 * DAY)  # nights were missed: three and one day before are crossed at once
    organisation.night()
    organisation.night()
    assert len(told(organisation, "claim-reminder")) == 2
    newest = next(one for one in organisation.notices() if one.kind == "claim-reminder")
    assert "is taken back in 12 hours" in newest.subject
    collected = organisation.services.claiming.collect(token_of(organisation), actor="test")
    assert (collected.item, collected.version) == (KEY, 2)
    clock.advance(5 * DAY)
    organisation.night()
    assert len(told(organisation, "claim-reminder")) == 2, "there is nothing to chase any more"


def test_after_its_time_the_new_key_is_withdrawn_and_the_old_one_stays(
    organisation: Organisation, clock: Any
) -> None:
    add_key(organisation, claim="3d")
    (rotation,) = organisation.night()
    token = token_of(organisation)
    assert get_rotation(organisation, rotation.id).state is State.WATCHING
    clock.advance(3 * DAY)
    with pytest.raises(RefusedError, match="taken back after its time"):
        organisation.services.claiming.collect(token, actor="test")
    drive_on(organisation, clock)
    ended = get_rotation(organisation, rotation.id)
    assert ended.state is State.ROLLED_BACK
    assert "nobody collected the new key by" in (ended.last_error or "")
    assert organisation.stages(KEY) == ["current", "destroyed"]
    assert ("rotation-failed", KEY) in organisation.findings()
    ((owner, body),) = told(organisation, "rotation-rolled-back")
    assert owner == "support"
    assert "nobody collected the new key" in body


def test_the_old_key_works_until_the_new_one_is_collected_and_the_overlap_is_over(
    organisation: Organisation, clock: Any
) -> None:
    add_key(organisation, claim="30d", overlap="1d")
    (rotation,) = organisation.night()
    clock.advance(4 * DAY)
    drive_on(organisation, clock)
    waiting = get_rotation(organisation, rotation.id)
    assert waiting.state is State.WATCHING
    assert waiting.waits_for == ["its owner, who has not collected the new key"]
    collected = organisation.services.claiming.collect(token_of(organisation), actor="test")
    drive_on(organisation, clock)
    assert get_rotation(organisation, rotation.id).state is State.DONE
    with organisation.services.database.read() as connection:
        found = organisation.services.versions.check_key(connection, Secret(collected.key.expose()))
    assert found is not None
    assert found[1] == 2


def test_in_a_hurry_it_waits_for_ever_since_there_is_no_key_before_it(
    organisation: Organisation, clock: Any
) -> None:
    add_key(organisation, claim="3d")
    organisation.services.opening.request_hurried(KEY, asked_by="test")
    drive_on(organisation, clock)
    assert organisation.stages(KEY) == ["destroyed", "current"]
    token = token_of(organisation)
    clock.advance(30 * DAY)
    organisation.night()
    assert organisation.services.claiming.collect(token, actor="test").version == 2
