"""`/nightkey/items`: an item is made and changed with its value and its plan at once, or not at all."""

from collections.abc import Iterator
from typing import Any

import pytest

from tests.desk import NAME, VALUE, Desk, open_desk
from vaultcore.access import Role
from worker.domain.policies import OF_TARGET
from worker.web.api.items import PolicyTarget

ITEMS = "/nightkey/items"
PLANNED: dict[str, Any] = {
    "owners": ["team"],
    "plan": {"mode": "approve", "lifetime": "90d"},
    "target": {"rotator": "random", "consumers": "none", "set": {"length": "20"}},
}


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Desk]:
    with open_desk(tmp_path_factory.mktemp("desk")) as made:
        yield made


def plan(name: str, **other: Any) -> dict[str, Any]:
    return {**PLANNED, "name": name, "secret": f"{VALUE} of {name}", **other}


def list_names(desk: Desk, role: Role) -> list[str]:
    """But for the tokens of the desk's own principals."""
    listed = desk.ask(role, "GET", ITEMS).body
    return [one["name"] for one in listed if one["kind"] != "api-key"]


def test_what_says_where_a_value_is_sent_is_known_to_both_ends() -> None:
    assert set(PolicyTarget.model_fields) - {"set", "unset"} == OF_TARGET


def test_an_item_is_made_with_its_value_and_its_plan(desk: Desk) -> None:
    made = desk.ask(Role.ADMIN, "POST", ITEMS, plan("prod-made-token"))

    assert made.status == 201
    assert made.body["policy"]["mode"] == "approve"
    assert made.body["policy"]["settings"] == {"length": "20"}
    assert (made.body["version"], made.body["secret"]) == (1, None)
    assert desk.moves.reveal(made.body["id"], 1) == f"{VALUE} of prod-made-token"
    assert VALUE not in str(made.body)


@pytest.mark.parametrize(
    "wrong",
    [{"plan": {"mode": "sometimes"}}, {"target": {"rotator": "no-such"}}, {"plan": {"lead": "soon"}}],
    ids=str,
)
def test_a_wrong_plan_makes_no_item(desk: Desk, wrong: dict[str, Any]) -> None:
    refused = desk.ask(Role.ADMIN, "POST", ITEMS, plan("prod-wrong-token", **wrong))

    assert refused.status == 422
    assert VALUE not in str(refused.body)
    assert "prod-wrong-token" not in list_names(desk, Role.ADMIN)


def test_an_operator_makes_items_and_says_nothing_of_where_values_are_sent(desk: Desk) -> None:
    refused = desk.ask(Role.OPERATOR, "POST", ITEMS, plan("prod-sent-token"))
    told = plan("prod-told-token", target={}, plan={"mode": "notify"})
    made = desk.ask(Role.OPERATOR, "POST", ITEMS, told)

    assert (refused.status, made.status) == (403, 201)


def test_a_change_that_is_refused_in_part_changes_nothing(desk: Desk) -> None:
    item = desk.ask(Role.ADMIN, "POST", ITEMS, plan("prod-whole-token")).body["id"]
    before = desk.ask(Role.ADMIN, "GET", f"{ITEMS}/{item}")

    refused = desk.ask(
        Role.OPERATOR, "PATCH", f"{ITEMS}/{item}", {"name": "prod-other", "target": {"set": {"length": "9"}}}
    )
    wrong = desk.ask(Role.ADMIN, "PATCH", f"{ITEMS}/{item}", {"name": "prod-other", "plan": {"lead": "soon"}})

    assert (refused.status, wrong.status) == (403, 422)
    assert desk.ask(Role.ADMIN, "GET", f"{ITEMS}/{item}").body == before.body


def test_a_change_is_made_to_the_item_that_was_seen_alone(desk: Desk) -> None:
    item = desk.ask(Role.ADMIN, "POST", ITEMS, plan("prod-seen-token")).body["id"]
    seen = desk.ask(Role.ADMIN, "GET", f"{ITEMS}/{item}").headers["etag"]

    first = desk.ask(Role.ADMIN, "PATCH", f"{ITEMS}/{item}", {"plan": {"lead": "9d"}}, If_Match=seen)
    second = desk.ask(Role.ADMIN, "PATCH", f"{ITEMS}/{item}", {"secret": "another-value"}, If_Match=seen)

    assert (first.status, second.status) == (200, 412)
    assert [one["field"] for one in first.body["changes"]] == ["lead"]
    assert desk.moves.get(item).version == 1


def test_an_owner_lists_what_is_theirs(desk: Desk) -> None:
    desk.create()
    desk.create("prod-others-token", owner="others")

    assert NAME in list_names(desk, Role.OWNER)
    assert "prod-others-token" not in list_names(desk, Role.OWNER)
    assert {NAME, "prod-others-token"} <= set(list_names(desk, Role.VIEWER))


def labels_of(desk: Desk, name: str) -> Any:
    return desk.ask(Role.VIEWER, "GET", f"{ITEMS}/{name}").body["labels"]


def test_labels_are_given_changed_and_found(desk: Desk) -> None:
    given = {"env": "prod", "team": "payments", "note": "a, b"}
    made = desk.ask(Role.OPERATOR, "POST", ITEMS, labelled("prod-labelled-token", given))
    desk.ask(Role.OPERATOR, "POST", ITEMS, labelled("prod-staged-token", {"env": "stage"}))
    assert (made.status, made.body["labels"]) == (201, given)

    wanted = {"labels": {"env": "test", "team": None}}
    changed = desk.ask(Role.OPERATOR, "PATCH", f"{ITEMS}/prod-labelled-token", wanted)
    assert (changed.status, changed.body["labels"]) == (200, {"env": "test", "note": "a, b"})
    assert {one["field"]: one["after"] for one in changed.body["changes"]} == {
        "labels.env": "test", "labels.team": None,
    }  # fmt: skip
    assert labels_of(desk, "prod-labelled-token") == {"env": "test", "note": "a, b"}

    def list_with(query: str) -> list[str]:
        return [one["name"] for one in desk.ask(Role.VIEWER, "GET", f"{ITEMS}?{query}").body]

    assert list_with("label=env") == ["prod-labelled-token", "prod-staged-token"]
    assert list_with("label=env%3Dtest&label=note%3Da%2C+b") == ["prod-labelled-token"]
    assert list_with("label=env%3Dtest&label=team") == []
    in_sdx = desk.ask(Role.VIEWER, "GET", "/workflows/vault?label=env%3Dstage").body
    assert [sorted(one) for one in in_sdx] == [["created_at", "expires_at", "id", "name"]]


def labelled(name: str, labels: dict[str, str]) -> dict[str, Any]:
    return plan(name, target={}, plan={"mode": "notify"}, labels=labels)


@pytest.mark.parametrize(
    ("labels", "says"),
    [
        ({"a b": "x"}, "label key 'a b'"),
        ({"env": "a\nb"}, "label env: its value holds"),
        ({"env": 7}, "labels.env"),
        ({f"key-{n}": "" for n in range(33)}, "labels"),
    ],
    ids=str,
)
def test_a_wrong_label_changes_nothing_and_is_named(desk: Desk, labels: dict[str, Any], says: str) -> None:
    desk.ask(Role.ADMIN, "POST", ITEMS, labelled("prod-right-token", {"env": "prod"}))
    for refused in (
        desk.ask(Role.ADMIN, "POST", ITEMS, labelled("prod-mislabelled-token", labels)),
        desk.ask(Role.ADMIN, "PATCH", f"{ITEMS}/prod-right-token", {"labels": labels}),
    ):
        assert refused.status == 422, refused.body
        assert says in str(refused.body)
    assert "prod-mislabelled-token" not in list_names(desk, Role.ADMIN)
    assert labels_of(desk, "prod-right-token") == {"env": "prod"}
    assert desk.ask(Role.ADMIN, "GET", f"{ITEMS}?label=%3Dx").status == 422


def test_who_may_change_an_item_may_change_its_labels(desk: Desk) -> None:
    desk.ask(Role.ADMIN, "POST", ITEMS, labelled("prod-owned-token", {}))
    wanted = {"labels": {"env": "prod"}}
    refused = desk.ask(Role.VIEWER, "PATCH", f"{ITEMS}/prod-owned-token", wanted)
    changed = desk.ask(Role.OWNER, "PATCH", f"{ITEMS}/prod-owned-token", wanted)
    assert (refused.status, changed.status) == (403, 200)
