"""After a restore nothing is rotated before its target was asked, and what differs waits for a person."""

import os
import threading
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from nightkey_demo.loopback import Answer
from tests.faults.vault_copy import let_leases_lapse
from tests.organisation import Organisation
from tests.postgres import wait_until_left
from tests.services.staging import (
    TOKEN,
    Staged,
    add_route,
    bearer_of,
    begin_by_hand,
    drive_on,
    get_rotation,
    start_organisation,
    step_to,
    told,
    what_is_wrong,
)
from tests.services.test_backup import find_client
from tests.stepping import advance
from vaultcore.errors import RefusedError, sort_out
from vaultcore.secret import Secret
from vaultcore.versions import Purpose
from worker.bootstrap import Services
from worker.domain.drift import Result
from worker.domain.saga import State
from worker.installation import make_restores
from worker.wording.reasons import say, say_each

pytestmark = pytest.mark.rules

DAY = timedelta(days=1)
SQLITE = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
"""What a target says is the same whatever database asks: the two stories of a copy run on both."""


@pytest.fixture
def staged(services: Services, database_url: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Staged]:
    if database_url.startswith("postgresql"):
        folder = find_client()
        if folder is None:
            pytest.skip("the tests' PostgreSQL brings no pg_dump here")
        monkeypatch.setenv("PATH", f"{folder}{os.pathsep}{os.environ['PATH']}")
    with start_organisation(services) as made:
        yield made


def inventory(organisation: Organisation) -> dict[str, Any]:
    """The token service's policy, with a request that lists the account's tokens."""
    settings = organisation.token_policy("ticketing")["settings"]
    find = settings["find"]
    request = find | {"url": find["url"].partition("&")[0]}
    return settings | {"inventory": request, "inventory_gone": "revoked"}


def back_up(organisation: Organisation, file: Path) -> None:
    organisation.services.upkeep.backups.back_up(file, replace=True, actor="test")


def put_back(organisation: Organisation, file: Path) -> None:
    services = organisation.services
    services.close()
    wait_until_left(services.settings.database)
    make_restores(services.settings, services.clock).restore(file, replace=True, actor="test")
    let_leases_lapse(services)


def outcomes(organisation: Organisation) -> dict[str, str]:
    found, errors = sort_out(organisation.services.rotation.comparison.list_all())
    assert errors == []
    return {row.item: row.result for row in found}


def rotate(organisation: Organisation, clock: Any) -> str:
    rotation_id = begin_by_hand(organisation, TOKEN)
    drive_on(organisation, clock)
    assert get_rotation(organisation, rotation_id).state is State.DONE
    return rotation_id


def test_a_copy_from_before_a_rotation_leaves_the_value_in_use_alone_and_names_it(
    staged: Staged, clock: Any, tmp_path: Path
) -> None:
    organisation, service = staged
    old = organisation.add_token(TOKEN, "ticketing", overlap="0s", settings=inventory(organisation))
    back_up(organisation, tmp_path / "backup")
    rotation_id = rotate(organisation, clock)
    (in_use,) = service.live_tokens("ticketing")
    assert not service.is_live(old)
    put_back(organisation, tmp_path / "backup")
    revoked = service.calls("DELETE")
    for _ in range(2):
        clock.advance(DAY)
        assert organisation.night() == []
    assert service.live_tokens("ticketing") == [in_use]
    assert service.calls("DELETE") == revoked
    assert service.calls("POST") == 1
    assert outcomes(organisation)[TOKEN] == Result.NONE_ACCEPTED
    assert ("drifted", TOKEN) in organisation.findings()
    ((owner, body),) = told(organisation, "drifted")
    assert owner == "support"
    for said in (in_use, f"nightkey-{rotation_id}", "is refused", f"nightkey reconcile accept {TOKEN}"):
        assert said in body
    ((operators, listed),) = told(organisation, "restored")
    assert (operators, TOKEN in listed, in_use in listed) == ("operators", True, True)
    assert any(TOKEN in problem for problem in what_is_wrong(organisation.services))
    with pytest.raises(RefusedError, match="differs from its target since the restore"):
        begin_by_hand(organisation, TOKEN)


@SQLITE
def test_a_person_who_answers_for_it_has_it_replaced_and_the_unknown_one_is_not_touched(
    staged: Staged, clock: Any, tmp_path: Path
) -> None:
    organisation, service = staged
    organisation.add_token(TOKEN, "ticketing", overlap="0s", settings=inventory(organisation))
    back_up(organisation, tmp_path / "backup")
    rotate(organisation, clock)
    (in_use,) = service.live_tokens("ticketing")
    put_back(organisation, tmp_path / "backup")
    organisation.services.rotation.comparison.compare_due()
    organisation.services.rotation.comparison.accept(TOKEN, actor="user:ann")
    assert ("drifted", TOKEN) not in organisation.findings()
    rotate(organisation, clock)
    assert len(service.live_tokens("ticketing")) == 2
    assert in_use in service.live_tokens("ticketing")
    with pytest.raises(RefusedError, match="nothing to accept"):
        organisation.services.rotation.comparison.accept(TOKEN, actor="user:ann")


@SQLITE
def test_the_value_in_use_given_by_hand_ends_its_comparison(staged: Staged, clock: Any, tmp_path: Path) -> None:
    organisation, service = staged
    organisation.add_token(TOKEN, "ticketing", overlap="0s", settings=inventory(organisation))
    back_up(organisation, tmp_path / "backup")
    rotate(organisation, clock)
    services = organisation.services
    with services.database.write() as connection:
        value = services.versions.reveal(
            connection, organisation.item(TOKEN).id, 2, purpose=Purpose.RUN, actor="test"
        ).expose()
    put_back(organisation, tmp_path / "backup")
    services.rotation.comparison.compare_due()
    with services.database.write() as connection:
        services.vault.update(connection, TOKEN, value=Secret(value), actor="user:ann")
    (compared,) = services.rotation.comparison.compare_now([TOKEN])
    assert compared.result is Result.AGREES
    assert ("drifted", TOKEN) not in organisation.findings()
    rotate(organisation, clock)
    assert len(service.live_tokens("ticketing")) == 1


def copy_during_an_issue(organisation: Organisation, service: Any, file: Path) -> str:
    """The service was asked for a token, its answer is under way: that is the state of the backup."""
    gate = service.gate("/v1/tokens", method="POST")
    rotation_id = begin_by_hand(organisation, TOKEN)
    worker = threading.Thread(target=advance, args=(organisation.services, rotation_id))
    worker.start()
    assert gate.reached.wait(120)
    back_up(organisation, file)
    gate.open()
    worker.join(120)
    return rotation_id


def test_a_copy_taken_during_an_issue_revokes_no_value_that_is_in_use(
    staged: Staged, clock: Any, tmp_path: Path
) -> None:
    organisation, service = staged
    organisation.add_token(TOKEN, "ticketing", overlap="0s")
    rotation_id = copy_during_an_issue(organisation, service, tmp_path / "backup")
    drive_on(organisation, clock)
    assert get_rotation(organisation, rotation_id).state is State.DONE
    (in_use,) = service.live_tokens("ticketing")
    put_back(organisation, tmp_path / "backup")
    revoked = service.calls("DELETE")
    clock.advance(DAY)
    slot = clock()
    organisation.services.night.nights.begin(slot)
    organisation.drive()
    assert organisation.services.night.nights.close(slot) == "failed"
    held = get_rotation(organisation, rotation_id)
    assert (held.state, held.stuck_in) == (State.STUCK, State.PLANNED)
    assert in_use in say(held.last_error)
    assert service.live_tokens("ticketing") == [in_use]
    assert service.calls("DELETE") == revoked
    assert {("drifted", TOKEN), ("stuck", TOKEN)} <= organisation.findings()
    assert any("is stuck" in problem for problem in what_is_wrong(organisation.services))
    # A person retries it, in vain; then ends it here, and nothing outside hears of that.
    organisation.services.rotation.decisions.retry(rotation_id, actor="user:ann")
    drive_on(organisation, clock)
    assert get_rotation(organisation, rotation_id).state is State.STUCK
    organisation.services.rotation.decisions.roll_back(rotation_id, actor="user:ann")
    drive_on(organisation, clock)
    assert get_rotation(organisation, rotation_id).state is State.ROLLED_BACK
    assert service.live_tokens("ticketing") == [in_use]
    assert service.calls("DELETE") == revoked


@SQLITE
def test_a_copy_taken_during_an_issue_is_held_while_the_old_value_works_too(
    staged: Staged, clock: Any, tmp_path: Path
) -> None:
    """What was issued after the copy is in use beside the old value: taking it away would hurt."""
    organisation, service = staged
    organisation.add_token(TOKEN, "ticketing", overlap="5d")
    rotation_id = copy_during_an_issue(organisation, service, tmp_path / "backup")
    organisation.drive()
    assert get_rotation(organisation, rotation_id).state is State.WATCHING
    both = service.live_tokens("ticketing")
    put_back(organisation, tmp_path / "backup")
    clock.advance(DAY)
    organisation.night()
    assert service.live_tokens("ticketing") == both
    assert outcomes(organisation)[TOKEN] == Result.MORE_OUTSIDE
    assert get_rotation(organisation, rotation_id).state is State.STUCK


@SQLITE
def test_a_copy_with_a_pending_value_that_was_activated_since_goes_on_by_a_persons_word(
    staged: Staged, clock: Any, tmp_path: Path
) -> None:
    organisation, service = staged
    organisation.add_token(TOKEN, "ticketing", overlap="0s")
    rotation_id = begin_by_hand(organisation, TOKEN)
    step_to(organisation, clock, rotation_id, State.CREATED)
    back_up(organisation, tmp_path / "backup")
    drive_on(organisation, clock)
    (in_use,) = service.live_tokens("ticketing")
    put_back(organisation, tmp_path / "backup")
    organisation.drive()
    assert outcomes(organisation)[TOKEN] == Result.PENDING_ACCEPTED
    assert get_rotation(organisation, rotation_id).state is State.STUCK
    organisation.services.rotation.decisions.accept(rotation_id, actor="user:ann")
    drive_on(organisation, clock)
    assert get_rotation(organisation, rotation_id).state is State.DONE
    assert service.live_tokens("ticketing") == [in_use]
    assert outcomes(organisation)[TOKEN] == Result.UNLISTED


@SQLITE
def test_a_copy_from_the_overlap_goes_on_by_itself_where_its_target_agrees(
    staged: Staged, clock: Any, tmp_path: Path
) -> None:
    organisation, service = staged
    organisation.add_token(TOKEN, "ticketing", overlap="1h")
    rotation_id = begin_by_hand(organisation, TOKEN)
    step_to(organisation, clock, rotation_id, State.WATCHING)
    back_up(organisation, tmp_path / "backup")
    clock.advance(DAY)
    organisation.drive()  # the old one is revoked, which the copy does not know
    (in_use,) = service.live_tokens("ticketing")
    put_back(organisation, tmp_path / "backup")
    clock.advance(DAY)
    organisation.night()
    drive_on(organisation, clock)
    assert outcomes(organisation)[TOKEN] == Result.UNLISTED
    assert get_rotation(organisation, rotation_id).state is State.DONE
    assert service.live_tokens("ticketing") == [in_use]


@SQLITE
def test_a_copy_from_before_a_way_back_says_that_the_one_before_is_in_use(
    staged: Staged, clock: Any, tmp_path: Path
) -> None:
    organisation, service = staged
    organisation.add_token(TOKEN, "ticketing", overlap="5d")
    rotation_id = begin_by_hand(organisation, TOKEN)
    step_to(organisation, clock, rotation_id, State.WATCHING)
    back_up(organisation, tmp_path / "backup")
    organisation.services.rotation.decisions.roll_back(rotation_id, actor="test")
    drive_on(organisation, clock)
    (in_use,) = service.live_tokens("ticketing")
    put_back(organisation, tmp_path / "backup")
    clock.advance(timedelta(days=6))
    organisation.night()
    drive_on(organisation, clock)
    assert outcomes(organisation)[TOKEN] == Result.PREVIOUS_ACCEPTED
    assert get_rotation(organisation, rotation_id).state is State.STUCK
    assert service.live_tokens("ticketing") == [in_use]


@SQLITE
def test_while_the_target_is_away_its_rotation_waits_and_then_goes_on(
    staged: Staged, clock: Any, tmp_path: Path
) -> None:
    organisation, service = staged
    organisation.add_token(TOKEN, "ticketing", overlap="0s")
    organisation.add_item("prod-orders-secret", "drawn-here", days=300, rotator="random")
    rotation_id = begin_by_hand(organisation, TOKEN)
    back_up(organisation, tmp_path / "backup")
    put_back(organisation, tmp_path / "backup")
    service.script = lambda _: Answer(status=503, body={})
    organisation.drive()
    waiting = get_rotation(organisation, rotation_id)
    assert (waiting.state, waiting.attempts) == (State.PLANNED, 0)
    assert "to be compared with, after the restore" in say_each(waiting.waits_for)[0]
    assert outcomes(organisation)[TOKEN] == Result.UNREACHABLE
    assert any("not compared" in problem for problem in what_is_wrong(organisation.services))
    service.script = lambda _: None
    drive_on(organisation, clock, until=lambda: get_rotation(organisation, rotation_id).state is State.DONE)
    clock.advance(DAY)
    organisation.services.rotation.comparison.compare_due()
    found = outcomes(organisation)
    assert found.pop("prod-tokenhub-admin-token") == Result.NOT_ASKED
    assert found == {TOKEN: Result.UNLISTED, "prod-orders-secret": Result.HERE_ALONE}
    add_route(organisation, "operators")
    organisation.deliver()
    assert organisation.services.overview.status.read().problems == []


@SQLITE
def test_one_refusal_alone_is_not_believed(staged: Staged, tmp_path: Path) -> None:
    organisation, service = staged
    old = organisation.add_token(TOKEN, "ticketing")
    back_up(organisation, tmp_path / "backup")
    put_back(organisation, tmp_path / "backup")
    refusals = iter([True])

    def refuse_once(incoming: Any) -> Answer | None:
        if bearer_of(incoming) == old and next(refusals, False):
            return Answer(status=401, body={})
        return None

    service.script = refuse_once
    organisation.services.rotation.comparison.compare_due()
    assert outcomes(organisation)[TOKEN] == Result.UNLISTED


@SQLITE
def test_what_others_issued_in_the_same_account_is_not_taken_for_ours(
    staged: Staged, clock: Any, tmp_path: Path
) -> None:
    organisation, service = staged
    settings = inventory(organisation)
    organisation.add_token(TOKEN, "ticketing", overlap="0s", settings=settings)
    _, second = service.issue("ticketing", label="another item's first")
    organisation.add_item(
        "prod-second-api-token", second, days=5,
        **(organisation.token_policy("ticketing") | {"settings": settings, "overlap": "0s"}),
    )  # fmt: skip
    service.issue("ticketing", label="somebody else's")
    rotate(organisation, clock)
    back_up(organisation, tmp_path / "backup")
    put_back(organisation, tmp_path / "backup")
    organisation.services.rotation.comparison.compare_due()
    found = outcomes(organisation)
    assert (found[TOKEN], found["prod-second-api-token"]) == (Result.AGREES, Result.AGREES)


@SQLITE
def test_a_value_from_before_is_not_destroyed_while_its_item_differs(
    staged: Staged, clock: Any, tmp_path: Path
) -> None:
    organisation, service = staged
    organisation.add_token(TOKEN, "ticketing", overlap="1h")
    _, theirs = service.issue("ticketing", label="by hand")
    services = organisation.services
    with services.database.write() as connection:
        services.vault.update(connection, TOKEN, value=Secret(theirs), actor="test")
    back_up(organisation, tmp_path / "backup")
    put_back(organisation, tmp_path / "backup")
    service.script = lambda incoming: Answer(status=401, body={}) if bearer_of(incoming) == theirs else None
    clock.advance(DAY)
    organisation.night()
    assert organisation.stages(TOKEN) == ["previous", "current"]
    assert outcomes(organisation)[TOKEN] == Result.PREVIOUS_ACCEPTED
