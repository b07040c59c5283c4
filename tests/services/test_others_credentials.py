"""What a service lists beside a rotation's own is never taken away; what cannot be told goes to a person."""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest

from tests.organisation import Organisation
from tests.services.conftest import Moves
from tests.services.staging import (
    TOKEN,
    ScriptedService,
    Staged,
    begin_by_hand,
    drive_on,
    get_rotation,
    start_organisation,
    step_to,
    told,
)
from worker.bootstrap import Services
from worker.demo.loopback import Answer, Incoming
from worker.demo.token_service import TokenService
from worker.domain.saga import State
from worker.services.held import IdsInUse

OTHER = "prod-invoicing-api-token"
THEIRS = "of another team"


@pytest.fixture
def staged(services: Services) -> Iterator[Staged]:
    with start_organisation(services) as made:
        yield made


def unfilter(service: ScriptedService, also: Any = lambda _: None) -> None:
    """It lists every token of the account, whatever label it is asked for."""

    def answer(incoming: Incoming) -> Answer | None:
        special = also(incoming)
        if special is not None or incoming.method != "GET" or incoming.path != "/v1/tokens":
            return special
        account = next(part for part in incoming.query.split("&") if part.startswith("account="))
        return TokenService.respond(service, replace(incoming, query=account))

    service.script = answer


def add(organisation: Organisation, service: ScriptedService) -> tuple[str, str, str]:
    """Two items on one account, and a token there that nobody here knows: the three values."""
    mine = organisation.add_token(TOKEN, "ticketing")
    _, second = service.issue("ticketing", label="the second item's")
    _, theirs = service.issue("ticketing", label=THEIRS)
    organisation.add_item(OTHER, second, days=5, **organisation.token_policy("ticketing"))
    return mine, second, theirs


def test_a_lost_answer_of_a_service_that_filters_nothing_costs_nobody_their_token(
    staged: Staged, clock: Any
) -> None:
    organisation, service = staged
    in_use = add(organisation, service)
    organisation.add_workflow("ticket-sync", TOKEN)

    def be_away(incoming: Incoming) -> Answer | None:
        return Answer(status=503) if incoming.method == "POST" else None

    unfilter(service, be_away)
    rotation_id = begin_by_hand(organisation, TOKEN)
    drive_on(organisation, clock)
    rotation = get_rotation(organisation, rotation_id)
    assert all(service.is_live(value) for value in in_use)
    assert service.calls("DELETE") == 0
    assert (rotation.state, rotation.last_cause) == (State.STUCK, "mistake")
    assert f"look there for nightkey-{rotation.id}" in (rotation.last_error or "")
    ((_, body),) = told(organisation, "rotation-stuck")
    assert f"nightkey-{rotation.id}" in body
    organisation.services.deciding.roll_back(rotation.id, actor="user:ana")
    assert get_rotation(organisation, rotation_id).state is State.ROLLED_BACK
    assert all(service.is_live(value) for value in in_use)


def test_without_any_failure_only_the_old_token_of_the_rotation_itself_is_revoked(
    staged: Staged, clock: Any
) -> None:
    organisation, service = staged
    mine, *others = add(organisation, service)
    unfilter(service)
    rotations = [begin_by_hand(organisation, name) for name in (TOKEN, OTHER)]
    for rotation_id in rotations:
        organisation.drive()
        step_to(organisation, clock, rotation_id, State.WATCHING)
    drive_on(organisation, clock, until=lambda: not _open(organisation))
    assert {one.state for one in organisation.rotations()} == {State.DONE}
    assert not service.is_live(mine)
    assert [service.is_live(value) for value in others] == [
        False,
        True,
    ]  # the second item's was its own to take
    assert len(service.live_tokens("ticketing")) == 3
    assert service.calls("DELETE") == 2


def _open(organisation: Organisation) -> list[Any]:
    return [one for one in organisation.rotations() if one.finished_at is None]


def test_what_a_lost_answer_left_is_told_from_others_by_the_label_in_its_entry(
    staged: Staged, clock: Any
) -> None:
    organisation, service = staged
    policy = organisation.token_policy("ticketing")
    mine = organisation.add_token(TOKEN, "ticketing", settings=policy["settings"] | {"find_label": "label"})
    _, theirs = service.issue("ticketing", label=THEIRS)
    service.fail_next("/v1/tokens", method="POST", after_effect=True)
    unfilter(service)
    rotation_id = begin_by_hand(organisation, TOKEN)
    drive_on(organisation, clock)
    assert get_rotation(organisation, rotation_id).state is State.WATCHING
    assert service.calls("POST") == 2
    assert (service.is_live(mine), service.is_live(theirs)) == (True, True)
    assert len(service.live_tokens("ticketing")) == 3


def test_the_vault_says_which_ids_are_in_use_and_whose_is_left_out(services: Services, moves: Moves) -> None:
    ids = [moves.add(name).item.id for name in ("prod-first-token", "prod-second-token")]
    for item_id in ids:
        moves.stage(item_id, f"next of {item_id}")  # outside-2
    asked = ["outside-2", "outside-1", "side-2", 'x" or 1', "%"]

    def pick(beside: tuple[str, int] | None) -> frozenset[str]:
        return IdsInUse(services.database, services.versions, beside=beside) & asked

    assert pick(None) == {"outside-2"}
    assert pick((ids[0], 2)) == {"outside-2"}  # the other's
    moves.destroy(ids[1], 2)
    assert pick((ids[0], 2)) == frozenset()
    assert pick((ids[0], 1)) == {"outside-2"}
    held = IdsInUse(services.database, services.versions, beside=None)
    assert ("outside-2" in held, "outside-1" in held, None in held) == (True, False, False)
    assert {"outside-2", "other"} & held == {"outside-2"}


@pytest.mark.parametrize("external", ['{"id": 7}', '{"id": "7"}', '{"id": "\\u00e9-7", "more": 1}'])
@pytest.mark.parametrize("many", [False, True])
def test_an_id_in_use_is_known_however_it_is_written(
    services: Services, moves: Moves, external: str, many: bool
) -> None:
    item_id = moves.add().item.id
    moves.sql("UPDATE versions SET external = :external WHERE item_id = :id", external=external, id=item_id)
    wanted = "é-7" if "more" in external else "7"
    others = [f"other-{n}" for n in range(100 if many else 1)]
    with services.database.read() as connection:
        found = services.versions.pick_in_use(connection, [wanted, *others], beside=None)
    assert found == {wanted}
