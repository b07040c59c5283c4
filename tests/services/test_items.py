"""The use cases of items: what is named changes and the rest stays, whatever others change meanwhile."""

from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import func, select

from tests.conftest import Clock
from tests.services.conftest import Moves, race
from vaultcore.errors import InvalidInputError, NotFoundError
from vaultcore.model import Policy
from vaultcore.secret import Secret
from vaultcore.tables import audit
from worker.bootstrap import Services
from worker.domain.changes import ItemChange
from worker.domain.findings import FindingKind
from worker.domain.policies import PolicyChange, build_policy
from worker.services.items.page_update import Updated

pytestmark = pytest.mark.rules


NAME, DAY = "prod-orders-webhook-secret", timedelta(days=1)
CALL = {"method": "POST", "url": "https://x.example.org/tokens", "headers": {"A": "1"}}
HTTP = {
    "issue": CALL,
    "verify": CALL | {"method": "GET"},
    "revoke": CALL | {"method": "DELETE"},
    "value": "token",
}


def make(moves: Moves, rotator: str = "random", settings: object = None, **parts: object) -> None:
    given = {"mode": "approve", "rotator": rotator, "settings": settings or {"length": 48}} | parts
    moves.add(NAME, policy=build_policy(None, given))


def change(services: Services, **wanted: object) -> Updated:
    return services.items.updates.update(NAME, ItemChange(policy=PolicyChange(**wanted)), actor="test")  # type: ignore[arg-type]


def shown(updated: Updated) -> dict[str, tuple[object, object]]:
    return {one.field: (one.before, one.after) for one in updated.changes}


def test_a_setting_that_is_given_leaves_the_others(services: Services, moves: Moves) -> None:
    make(moves)
    updated = change(services, assigned={"alphabet": "hex"})
    assert updated.item.policy.settings == {"length": 48, "alphabet": "hex"}
    assert shown(updated) == {"settings.alphabet": (None, "hex")}


def test_a_part_of_a_setting_leaves_its_other_parts(services: Services, moves: Moves) -> None:
    make(moves, "http", HTTP)
    updated = change(services, assigned={"verify": {"url": "https://y.example.org/account"}})
    assert updated.item.policy.settings == HTTP | {
        "verify": CALL | {"method": "GET", "url": "https://y.example.org/account"}
    }
    assert shown(updated) == {"settings.verify.url": (CALL["url"], "https://y.example.org/account")}
    assert change(services, unset=("verify.headers.A",)).item.policy.settings["verify"]["headers"] == {}
    with pytest.raises(InvalidInputError, match=r"http, setting verify\.url: it is required, and missing"):
        change(services, unset=("verify.url",))


def test_what_another_rotator_had_is_named_before_it_is_taken_away(services: Services, moves: Moves) -> None:
    make(moves, "random", {"length": 48, "alphabet": "hex"})
    with pytest.raises(InvalidInputError, match=r"--unset alphabet --unset length$"):
        change(services, parts={"rotator": "http"}, assigned=HTTP)
    updated = change(services, parts={"rotator": "http"}, unset=("alphabet", "length"), assigned=HTTP)
    assert (updated.item.policy.rotator, updated.item.policy.settings) == ("http", HTTP)
    in_a_file = {"rotator": "random", "settings": {"length": 20}}
    assert change(services, parts=in_a_file).item.policy.settings == {"length": 20}


def test_what_changes_nothing_writes_nothing(services: Services, moves: Moves) -> None:
    make(moves)
    rows = moves.sql(select(func.count()).select_from(audit))
    item = moves.get(NAME)
    for wanted in (
        ItemChange(),
        ItemChange(name=NAME, owners=(), expires_at=item.expires_at),
        ItemChange(policy=PolicyChange(parts={"mode": "approve"}, assigned={"length": 48})),
    ):
        updated = services.items.updates.update(NAME, wanted, actor="test")
        assert (updated.changes, updated.item) == ((), item)
    assert moves.sql(select(func.count()).select_from(audit)) == rows


@pytest.mark.both
def test_who_changes_one_setting_at_the_same_time_as_others_loses_none_of_theirs(
    services: Services, moves: Moves
) -> None:
    headers = {f"X-{number}": "0" for number in range(4)}
    make(moves, "http", HTTP | {"verify": CALL | {"headers": headers}})
    race(4, lambda n: change(services, assigned={"verify": {"headers": {f"X-{n}": "1"}}}))
    assert set(moves.get(NAME).policy.settings["verify"]["headers"].values()) == {"1"}


def test_what_was_not_given_stays(services: Services, moves: Moves) -> None:
    parts: dict[str, Any] = {
        "windows": ["0 2 * * * for 4h"], "freezes": ["0 0 20 12 * for 14d"], "thresholds": [9, 1],
        "canary": "auto", "four_eyes": True, "lead": "5d", "overlap": "2d", "idle_after": "9d",
        "urgent": True, "spread": "1d",
    }  # fmt: skip
    make(moves, **parts)
    before = moves.get(NAME).policy
    for wanted in ({"lifetime": "60d"}, {"propagation": "2m"}, {"mode": "notify"}):
        change(services, parts=wanted)
    after = moves.get(NAME).policy
    kept = [name for name in vars(Policy()) if name not in ("lifetime", "propagation", "mode")]
    assert [getattr(after, name) for name in kept] == [getattr(before, name) for name in kept]


def test_a_change_that_is_refused_changes_nothing(services: Services, moves: Moves) -> None:
    make(moves)
    item = moves.get(NAME)
    wanted = ItemChange(owners=["nobody"], policy=PolicyChange(parts={"lead": "3d"}))
    with pytest.raises(NotFoundError):
        services.items.updates.update(NAME, wanted, actor="test")
    with pytest.raises(InvalidInputError):
        change(services, assigned={"lenght": "20"})
    assert moves.get(NAME) == item


# A new value


def replace_value(services: Services, **wanted: Any) -> Updated:
    return services.items.updates.update(NAME, ItemChange(**wanted), value=Secret("a-new-value"), actor="test")


@pytest.mark.parametrize("days", [5, None])
def test_a_new_value_of_which_nobody_says_when_it_lapses_is_refused(
    services: Services, moves: Moves, days: float | None
) -> None:
    moves.add(NAME, days=days)
    before = moves.get(NAME)
    assert services.items.updates.lacks_expiry(NAME, ItemChange())
    with pytest.raises(InvalidInputError, match=r"add --expires-at .*90d.*--lifetime .*--no-expiry"):
        replace_value(services)
    assert moves.get(NAME) == before
    assert moves.reveal(before.id, 1) == "the-first-value"


@pytest.mark.parametrize(
    ("policy", "wanted", "days"),
    [
        ({}, {"expires_at": 9}, 9),
        ({}, {"expires_at": None}, None),
        ({}, {"policy": PolicyChange(parts={"lifetime": "30d"})}, 30),
        ({"lifetime": "60d"}, {}, 60),
        ({"lifetime": "60d"}, {"expires_at": 9}, 9),
        ({"lifetime": "60d"}, {"expires_at": None}, None),
    ],
)
def test_a_new_value_lapses_when_somebody_said_it_would(
    services: Services, moves: Moves, policy: Any, wanted: Any, days: int | None
) -> None:
    moves.add(NAME, days=5, policy=build_policy(None, policy))
    if isinstance(wanted.get("expires_at"), int):
        wanted = wanted | {"expires_at": services.clock() + wanted["expires_at"] * DAY}
    assert not services.items.updates.lacks_expiry(NAME, ItemChange(**wanted))
    updated = replace_value(services, **wanted)
    assert updated.item.expires_at == (None if days is None else services.clock() + days * DAY)
    assert ("version", 1, 2) in [(one.field, one.before, one.after) for one in updated.changes]
    assert "a-new-value" not in repr(updated)


def test_what_a_digest_says_to_type_gives_an_expiry(services: Services, moves: Moves, clock: Clock) -> None:
    moves.add(NAME, days=5, policy=build_policy(None, {"mode": "notify"}))
    seen = services.night.nights.preview(clock())
    commands = [found.command for found in seen.findings if found.kind is FindingKind.EXPIRING]
    assert commands == [f"nightkey item update {NAME} --value-file PATH --expires-at 90d"]
