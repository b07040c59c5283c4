"""What a service lists beside a rotation's own is never taken away; what cannot be told goes to a person."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from nightkey_demo.faces import Face
from nightkey_demo.loopback import Answer, Incoming
from nightkey_demo.token_service import TokenService
from tests.organisation import Organisation
from tests.services.conftest import Moves
from tests.services.staging import (
    TOKEN,
    ScriptedService,
    Staged,
    begin_by_hand,
    drive_on,
    get_rotation,
    stage,
    step_to,
    told,
)
from vaultcore.external_ids import pick_in_use
from vaultcore.model import Policy
from worker.bootstrap import Services
from worker.domain.saga import State
from worker.services.rotation.external_ids import IdsInUse
from worker.wording.reasons import say

pytestmark = pytest.mark.rules

OTHER = "prod-invoicing-api-token"
THEIRS = "of another team"


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
    policy = organisation.token_policy("ticketing") | {"overlap": "10s"}
    mine = organisation.add_token(TOKEN, "ticketing", overlap="10s")
    _, second = service.issue("ticketing", label="the second item's")
    _, theirs = service.issue("ticketing", label=THEIRS)
    organisation.add_item(OTHER, second, days=5, **policy)
    return mine, second, theirs


@pytest.mark.both
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
    assert f"look there for nightkey-{rotation.id}" in say(rotation.last_error)
    ((_, body),) = told(organisation, "rotation-stuck")
    assert f"nightkey-{rotation.id}" in body
    organisation.services.rotation.decisions.roll_back(rotation.id, actor="user:ana")
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


@pytest.mark.both
def test_the_vault_says_which_ids_are_in_use_and_whose_is_left_out(services: Services, moves: Moves) -> None:
    ids = [moves.add(name).item.id for name in ("prod-first-token", "prod-second-token")]
    for item_id in ids:
        moves.stage(item_id, f"next of {item_id}")  # outside-2
    asked = ["outside-2", "outside-1", "side-2", 'x" or 1', "%"]

    def pick(beside: tuple[str, int] | None) -> frozenset[str]:
        return IdsInUse(services.database, beside=beside) & asked

    assert pick(None) == {"outside-2"}
    assert pick((ids[0], 2)) == {"outside-2"}  # the other's
    moves.destroy(ids[1], 2)
    assert pick((ids[0], 2)) == frozenset()
    assert pick((ids[0], 1)) == {"outside-2"}
    held = IdsInUse(services.database, beside=None)
    assert ("outside-2" in held, "outside-1" in held, None in held) == (True, False, False)
    assert {"outside-2", "other"} & held == {"outside-2"}


def at(url: str, **policy: Any) -> Policy:
    """A policy of the rotator `http` at that service."""
    settings = {"id": "id", "issue": {"url": url}, "verify": {"url": url}, "revoke": {"url": url}}
    return Policy(rotator="http", settings=settings, **policy)


@pytest.mark.parametrize(
    ("theirs", "held"),
    [
        (at("https://ONE.test/v2"), True),
        (at("https://two.test"), False),
        (at("https://one.test", target="one, by its name"), True),
        (at("{{ vault.prod-second-token }}/v1"), True),
        (Policy(), True),
    ],
    ids=["the same", "another", "the same, named", "not known", "none"],
)
def test_an_id_is_in_use_at_the_service_that_is_asked_and_another_s_is_none(
    services: Services, moves: Moves, theirs: Policy, held: bool
) -> None:
    """Two services count their credentials alike."""
    mine = moves.add("prod-first-token", policy=at("https://one.test")).item
    other = moves.add("prod-second-token", policy=theirs).item.id
    moves.stage(other, "theirs")  # outside-2
    job = services.rotation.jobs.make_question(mine, rotation=None, actor="test").job
    assert ("outside-2" in job.held, {"outside-2"} & job.held) == (held, {"outside-2"} if held else frozenset())
    moves.stage(mine.id, "of the item itself")
    assert "outside-2" in job.held


@pytest.mark.both
@pytest.mark.parametrize("many", [False, True])
def test_an_id_in_use_is_known_however_it_is_written(services: Services, moves: Moves, many: bool) -> None:
    item_id = moves.add().item.id
    others = [f"other-{n}" for n in range(100 if many else 1)]
    for external, wanted in (
        ('{"id": 7}', "7"),
        ('{"id": "7"}', "7"),
        ('{"id": "\\u00e9%_7", "more": 1}', "é%_7"),
        ('{"id": "a\\"b"}', 'a"b'),
    ):
        moves.sql("UPDATE versions SET external = :to WHERE item_id = :id", to=external, id=item_id)
        with services.database.read() as connection:
            found = pick_in_use(connection, [wanted, *others], beside=None)
        assert found == {wanted}


# Odd answers, and lists in pages, from the beginning of a rotation to its end


def odd(change: Any) -> Any:
    """The token is issued, and the answer says so in another way."""

    def wrap(service: ScriptedService) -> Any:
        def answer(incoming: Incoming) -> Answer | None:
            if incoming.method != "POST" or incoming.path != "/v1/tokens":
                return None
            issued = TokenService.respond(service, incoming)
            assert issued is not None
            return change(issued.body)

        return answer

    return wrap


@pytest.mark.parametrize("search", [True, False], ids=["find", "no find"])
def test_a_token_that_cannot_be_sent_is_found_and_revoked_or_told_to_be_left_with_its_label(
    staged: Staged, clock: Any, search: bool
) -> None:
    organisation, service = staged
    settings = organisation.token_policy("ticketing")["settings"]
    if not search:
        del settings["find"]
    old = organisation.add_token(TOKEN, "ticketing", settings=settings)
    service.script = odd(lambda body: Answer(status=201, body=body | {"token": "a\r\nb"}))(service)
    rotation_id = begin_by_hand(organisation, TOKEN)
    drive_on(organisation, clock, until=lambda: not _open(organisation) or _is_stuck(organisation))
    rotation = get_rotation(organisation, rotation_id)
    assert (rotation.state, rotation.last_cause) == (
        State.ROLLED_BACK if search else State.STUCK,
        "mistake",
    )
    said = (
        "holds a line break, and verify sends it in a header"
        if search
        else f"nightkey-{rotation.id}, and revoke"
    )
    assert said in say(rotation.last_error)
    assert len(service.live_tokens("ticketing")) == (1 if search else 2)
    assert service.is_live(old)
    assert said in told(organisation, "rotation-rolled-back" if search else "rotation-stuck")[0][1]


def test_a_token_without_an_id_and_a_search_is_a_persons_with_the_label_to_look_for(
    staged: Staged, clock: Any
) -> None:
    organisation, service = staged
    settings = organisation.token_policy("ticketing")["settings"]
    del settings["find"]
    old = organisation.add_token(TOKEN, "ticketing", settings=settings)
    service.script = odd(lambda _: Answer(status=202, headers={"Location": "/v1/jobs/7"}))(service)
    rotation_id = begin_by_hand(organisation, TOKEN)
    drive_on(organisation, clock)
    rotation = get_rotation(organisation, rotation_id)
    assert rotation.state is State.STUCK
    assert f"look there for nightkey-{rotation.id}, and revoke it" in say(rotation.last_error)
    assert service.is_live(old)
    organisation.services.rotation.decisions.roll_back(rotation.id, actor="user:ana")
    assert get_rotation(organisation, rotation_id).state is State.ROLLED_BACK


def test_a_token_that_is_listed_after_it_was_revoked_is_tried_again_and_then_a_person_s_with_its_label(
    tmp_path: Path, database_url: str, clock: Any
) -> None:
    with stage(tmp_path, database_url, clock, patience_hours=1) as (organisation, service):
        service.has_twins = True
        old = organisation.add_token(TOKEN, "ticketing")
        service.fail_next("/v1/tokens", method="POST", status=504, after_effect=True)
        service.script = lambda incoming: Answer(status=204) if incoming.method == "DELETE" else None
        rotation_id = begin_by_hand(organisation, TOKEN)
        drive_on(organisation, clock, until=lambda: _is_stuck(organisation))
        rotation = get_rotation(organisation, rotation_id)
        assert "find still lists what was revoked (1)" in say(rotation.last_error)
        assert f"look there for nightkey-{rotation.id}" in say(rotation.last_error)
        assert service.calls("DELETE") > 1
        assert service.is_live(old)


def _is_stuck(organisation: Organisation) -> bool:
    return {one.state for one in organisation.rotations()} == {State.STUCK}


@pytest.mark.parametrize("followed", [True, False])
def test_what_a_lost_answer_left_on_a_later_page_is_revoked_or_told(
    staged: Staged, clock: Any, followed: bool
) -> None:
    organisation, service = staged
    settings = organisation.token_policy("ticketing")["settings"] | {"find_label": "label"}
    old = organisation.add_token(TOKEN, "ticketing", settings=settings)
    others = [service.issue("ticketing", label=f"{THEIRS} {number}")[1] for number in range(3)]
    service.faces = frozenset({Face.PAGES, Face.NO_FILTER})
    service.fail_next("/v1/tokens", method="POST", status=504, after_effect=True)
    if not followed:
        service.script = lambda incoming: _hide_link(service, incoming)
    rotation_id = begin_by_hand(organisation, TOKEN)
    drive_on(organisation, clock)
    rotation = get_rotation(organisation, rotation_id)
    assert all(service.is_live(value) for value in (old, *others))
    if followed:
        assert rotation.state is State.WATCHING
        assert len(service.live_tokens("ticketing")) == 5
    else:
        assert rotation.state is State.STUCK
        assert "only a part of the list was read: it says that it goes on" in say(rotation.last_error)
        assert f"look there for nightkey-{rotation.id}" in say(rotation.last_error)


def _hide_link(service: ScriptedService, incoming: Incoming) -> Answer | None:
    """The next page is named in the body alone, and nobody said where."""
    if incoming.method != "GET" or incoming.path != "/v1/tokens":
        return None
    answer = TokenService.respond(service, incoming)
    assert answer is not None
    return replace(answer, headers={})
