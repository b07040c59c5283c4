"""Principals, owners, routes and departures over HTTP, on a real server."""

from collections.abc import Iterator
from urllib.parse import quote
from uuid import uuid4

import pytest

from nightkey_demo.http_sink import HttpSink
from tests.desk import Desk, add_rotated, open_desk
from vaultcore.access import Role
from vaultcore.crypto import apikeys

PRINCIPALS = "/nightkey/principals"
OWNERS = "/nightkey/owners"


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Desk]:
    with open_desk(tmp_path_factory.mktemp("people")) as opened:
        yield opened


def test_a_principal_is_made_given_roles_and_let_in_no_more(desk: Desk) -> None:
    made = desk.ask(Role.ADMIN, "POST", PRINCIPALS, {"name": "deploy-bot", "roles": ["viewer"]})
    assert (made.status, made.body["roles"], made.body["kind"]) == (201, ["viewer"], "service")
    issued = desk.ask(Role.ADMIN, "POST", f"{PRINCIPALS}/deploy-bot/tokens", {"lifetime": "30d"})
    assert (issued.status, issued.body["principal"]) == (201, "deploy-bot")
    token = issued.body["secret"]

    def ask(method: str, path: str) -> int:
        return desk.front.ask(method, path, key=token).status

    assert ask("GET", "/nightkey/status") == 200
    assert ask("POST", "/nightkey/nights") == 403
    given = desk.ask(
        Role.ADMIN, "PATCH", f"{PRINCIPALS}/deploy-bot", {"give": ["operator"], "take": ["viewer"]}
    )
    assert given.body["roles"] == ["operator"]
    assert ask("GET", PRINCIPALS) == 403
    owning = desk.ask(Role.ADMIN, "PATCH", f"{PRINCIPALS}/deploy-bot", {"give": ["owner"], "owners": ["team"]})
    assert (owning.body["roles"], owning.body["owners"]) == (["operator", "owner"], ["team"])
    assert desk.ask(Role.ADMIN, "PATCH", f"{PRINCIPALS}/deploy-bot", {}).status == 422

    shown = desk.ask(Role.AUDITOR, "GET", f"{PRINCIPALS}/deploy-bot").body
    assert [one["item"] for one in shown["tokens"]] == [issued.body["name"]]
    assert shown["tokens"][0]["last_used_at"] is not None
    assert shown in desk.ask(Role.AUDITOR, "GET", PRINCIPALS).body
    assert token not in str(shown)

    place = f"{PRINCIPALS}/deploy-bot/tokens/{issued.body['id']}/revoke"
    assert desk.ask(Role.ADMIN, "POST", place).body["revoked"] is True
    assert ask("GET", "/nightkey/status") == 401
    out = desk.ask(Role.ADMIN, "POST", f"{PRINCIPALS}/deploy-bot/revoke")
    assert out.body["disabled_at"] is not None
    assert desk.ask(Role.ADMIN, "POST", f"{PRINCIPALS}/deploy-bot/tokens", {}).status == 409


def test_a_token_is_kept_nowhere_for_a_second_answer(desk: Desk) -> None:
    """What heeds `Idempotency-Key` keeps its answer: that one has a token in it."""
    desk.ask(Role.ADMIN, "POST", PRINCIPALS, {"name": "other-bot"})
    key = str(uuid4())
    first, second = (
        desk.ask(Role.ADMIN, "POST", f"{PRINCIPALS}/other-bot/tokens", {}, Idempotency_Key=key)
        for _ in range(2)
    )
    assert first.body["secret"] != second.body["secret"]


@pytest.mark.parametrize("name", ["repo:shop/app:main", "new", "x/leave", "a/../b", "CORP\\ann", "50%"])
def test_whoever_has_whichever_name_has_an_address(desk: Desk, name: str) -> None:
    """An identity provider gives such names; a token's item is called so as far as items may be."""
    there, owner = (f"{noun}/{quote(name, safe='')}" for noun in (PRINCIPALS, OWNERS))
    assert desk.ask(Role.ADMIN, "POST", PRINCIPALS, {"name": name, "roles": ["viewer"]}).status == 201
    issued = desk.ask(Role.ADMIN, "POST", f"{there}/tokens", {})
    assert (issued.status, issued.body["principal"]) == (201, name), issued
    assert desk.ask(Role.ADMIN, "PATCH", there, {"give": ["auditor"]}).status == 200
    assert desk.ask(Role.AUDITOR, "GET", there).body["name"] == name
    assert desk.ask(Role.ADMIN, "POST", f"{there}/tokens/{issued.body['id']}/revoke").status == 200
    assert desk.ask(Role.ADMIN, "POST", f"{there}/revoke").status == 200
    assert desk.ask(Role.ADMIN, "POST", OWNERS, {"name": name}).status == 201
    assert desk.ask(Role.ADMIN, "PATCH", owner, {"zone": "Europe/Zurich"}).body["name"] == name
    assert desk.ask(Role.ADMIN, "GET", f"{owner}/digest").status == 200
    assert desk.ask(Role.ADMIN, "POST", f"{owner}/test").body == []
    assert desk.ask(Role.ADMIN, "GET", f"{owner}/leave").body == []


@pytest.mark.parametrize("name", ["prod/x token", "x/target", "a/../b", "api-key:a/check"])
def test_an_item_of_whichever_name_has_an_address(desk: Desk, name: str) -> None:
    quoted = quote(name, safe="")
    value = {} if name.startswith("api-key:") else {"secret": f"the value of {name}"}
    made = desk.ask(Role.ADMIN, "POST", "/workflows/vault", {"name": name, "owners": ["team"], **value})
    assert made.status == 201, made
    for place in (f"/workflows/vault/{quoted}", f"/nightkey/items/{quoted}"):
        assert desk.ask(Role.OWNER, "GET", place).body["id"] == made.body["id"]
    policy = f"/nightkey/policies/{quoted}"
    assert desk.ask(Role.OWNER, "PATCH", policy, {"lead": "3d"}).body["item"] == name
    assert desk.ask(Role.OWNER, "PATCH", f"{policy}/target", {"target": "crm"}).status == 403
    assert desk.ask(Role.ADMIN, "PATCH", f"{policy}/target", {"target": "crm"}).status == 200
    assert desk.ask(Role.OWNER, "POST", f"/nightkey/items/{quoted}/check").status == 200
    assert desk.ask(Role.OWNER, "DELETE", f"/workflows/vault/{quoted}").status == 204


@pytest.mark.parametrize("noun", [OWNERS, PRINCIPALS])
def test_nobody_is_called_a_step_of_a_path(desk: Desk, noun: str) -> None:
    for name in (".", ".."):
        refused = desk.ask(Role.ADMIN, "POST", noun, {"name": name})
        assert (refused.status, "step of a path" in refused.body["detail"]) == (422, True), refused


@pytest.mark.parametrize(
    ("body", "status", "says"),
    [
        ({"name": "viewer-bot"}, 409, "viewer-bot"),
        ({"name": "x-bot", "roles": ["king"]}, 422, "roles"),
        ({"name": "x-bot", "roles": ["owner"]}, 422, "owner"),
        ({"name": "x-bot", "owners": ["team"]}, 422, "owner"),
        ({"roles": ["viewer"]}, 422, "name"),
    ],
)
def test_a_principal_that_cannot_be_is_refused(desk: Desk, body: object, status: int, says: str) -> None:
    refused = desk.ask(Role.ADMIN, "POST", PRINCIPALS, body)
    assert refused.status == status, refused
    assert says in refused.body["detail"]


def test_an_owner_is_made_with_a_route_that_no_answer_has(desk: Desk) -> None:
    with HttpSink() as sink:
        route = f"json://user:s3cr3t-word@{sink.url.removeprefix('http://')}/in"
        made = desk.ask(
            Role.ADMIN, "POST", OWNERS, {"name": "night-shift", "route": route, "quiet": "22:00-07:00"}
        )
        assert (made.status, made.body["quiet"]) == (201, "22:00-07:00"), made
        assert "s3cr3t-word" not in str(made.body)
        more = desk.ask(Role.ADMIN, "POST", f"{OWNERS}/night-shift/routes", {"route": f"{route}-too"})
        assert len(more.body["routes"]) == 2
        assert desk.ask(Role.ADMIN, "POST", f"{OWNERS}/night-shift/routes", {"route": "nonsense"}).status == 422
        gone = desk.ask(Role.ADMIN, "DELETE", f"{OWNERS}/night-shift/routes/{more.body['route_ids'][1]}")
        assert gone.status == 204
        tried = desk.ask(Role.OPERATOR, "POST", f"{OWNERS}/night-shift/test")
        assert [one["taken"] for one in tried.body] == [True], tried
        assert len(sink.requests) == 1
    failed = desk.ask(Role.OPERATOR, "POST", f"{OWNERS}/night-shift/test").body
    assert [one["taken"] for one in failed] == [False]
    assert "s3cr3t-word" not in str(failed)


def test_an_owner_tries_their_own_routes_alone(desk: Desk) -> None:
    assert desk.ask(Role.OWNER, "POST", f"{OWNERS}/team/test").body == []
    assert desk.ask(Role.OWNER, "POST", f"{OWNERS}/others/test").status == 403


def test_who_leaves_could_read_what_is_then_replaced(desk: Desk) -> None:
    desk.ask(Role.ADMIN, "POST", OWNERS, {"name": "leaver"})
    item = add_rotated(desk, "prod-leaving-token", "leaver")
    readable = desk.ask(Role.ADMIN, "GET", f"{OWNERS}/leaver/leave").body
    assert readable == [{"item": "prod-leaving-token", "item_id": item}]
    begun = desk.ask(Role.ADMIN, "POST", f"{OWNERS}/leaver/leave", {"emergency": True})
    assert (begun.status, begun.body["finished_at"]) == (202, None)
    assert [one["item"] for one in begun.body["items"]] == ["prod-leaving-token"]
    desk.services.night.inline_night.run_night(lambda _: None, wait=False)
    after = desk.ask(Role.ADMIN, "POST", f"{OWNERS}/leaver/leave", {}).body
    assert [one["fate"] for one in after["items"]] == ["replaced"]
    assert after["finished_at"] is not None
    assert desk.ask(Role.ADMIN, "GET", f"{OWNERS}/nobody-there/leave").status == 404


def test_a_presented_key_is_known_to_who_may_know(desk: Desk) -> None:
    made = desk.ask(
        Role.ADMIN, "POST", "/nightkey/items", {"name": "api-key:prod-known", "owners": ["others"]}
    ).body
    body = {"key": made["secret"]}
    mine = desk.ask(Role.OWNER, "POST", "/nightkey/keys/check", body).body
    assert (mine["valid"], mine["checksum"], mine["item"]) == (False, True, None)
    known = desk.ask(Role.OPERATOR, "POST", "/nightkey/keys/check", body).body
    assert (known["valid"], known["item"], known["version"]) == (True, "api-key:prod-known", 1)
    other = {"key": apikeys.generate().expose()}
    assert desk.ask(Role.OPERATOR, "POST", "/nightkey/keys/check", other).body["valid"] is False
    assert desk.ask(Role.VIEWER, "POST", "/nightkey/keys/check", body).status == 403


def test_items_of_another_vault_come_in_once(desk: Desk) -> None:
    sent = [
        {
            "id": "vlt_01jy2t7w6k3m9n4p5q8r1s2v3x",
            "name": "prod-arrived-token",
            "created_at": "2026-01-01T00:00:00Z",
        },
        {"name": "x"},
        {"name": "prod-second-token", "secret": "never-taken", "colour": "red"},
    ]
    body = {"items": sent, "owners": ["team"]}
    place = "/nightkey/imports"
    dry = desk.ask(Role.OPERATOR, "POST", place, {**body, "dry_run": True}).body
    assert [one["arrival"] for one in dry["items"]] == ["new", "new", "left-out"]
    first = desk.ask(Role.OPERATOR, "POST", place, body).body
    assert [one["arrival"] for one in first["items"]] == ["new", "new", "left-out"]
    assert first["items"][0]["id"] == sent[0]["id"]
    assert "never-taken" not in str(first)
    again = desk.ask(Role.OPERATOR, "POST", place, body).body
    assert [one["arrival"] for one in again["items"]] == ["there", "there", "left-out"]
    assert desk.ask(Role.OWNER, "POST", place, body).status == 403, "it would say which names there are"


def test_a_principal_is_changed_only_as_somebody_has_seen_it(desk: Desk) -> None:
    desk.ask(Role.ADMIN, "POST", PRINCIPALS, {"name": "seen-bot", "roles": ["viewer"]})
    path = f"{PRINCIPALS}/seen-bot"
    seen = desk.ask(Role.ADMIN, "GET", path).headers["etag"]
    changed = desk.ask(Role.ADMIN, "PATCH", path, {"give": ["operator"]}, If_Match=seen)
    assert changed.status == 200
    assert changed.headers["etag"] == desk.ask(Role.ADMIN, "GET", path).headers["etag"] != seen

    late = desk.ask(Role.ADMIN, "PATCH", path, {"take": ["viewer"]}, If_Match=seen)

    assert late.status == 412
    assert desk.ask(Role.ADMIN, "GET", path).body["roles"] == ["operator", "viewer"]
