"""The interface on a real server: the vault as SDX has it, and each route with each role against the table."""

import re
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from sqlalchemy import select

from tests.desk import NAME, VALUE, VAULT, Desk, add_rotated, open_desk
from tests.services.spoiling import spoiled
from vaultcore.access import RULES, Action, Role
from vaultcore.tables import items, principals
from worker.domain.changes import ItemChange
from worker.domain.policies import PolicyChange
from worker.web.api.asking import ACTION


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Desk]:
    with open_desk(tmp_path_factory.mktemp("api")) as opened:
        yield opened


def test_an_item_lives_as_a_client_of_that_vault_expects(desk: Desk) -> None:
    expires = (desk.services.clock() + timedelta(days=30)).isoformat()
    made = desk.ask(
        Role.OPERATOR, "POST", VAULT, {"name": "prod-mail-token", "secret": VALUE, "expires_at": expires}
    )
    assert made.status == 201
    assert set(made.body) == {"id", "name", "created_at", "expires_at"}
    assert datetime.fromisoformat(made.body["expires_at"]) == datetime.fromisoformat(expires)
    assert made.body["expires_at"].endswith("Z")
    endless = desk.ask(Role.OPERATOR, "POST", VAULT, {"name": "prod-endless-token", "secret": f"{VALUE} 2"})
    assert (set(endless.body), endless.body["expires_at"]) == (set(made.body), None)
    place = f"{VAULT}/{made.body['id']}"
    assert desk.ask(Role.OPERATOR, "GET", place).body == made.body
    changed = desk.ask(Role.OPERATOR, "PUT", place, {"name": "prod-post-token"})
    assert (changed.status, changed.body["expires_at"]) == (200, made.body["expires_at"])
    replaced = desk.ask(Role.OPERATOR, "PUT", place, {"secret": "another-value"})
    assert (replaced.status, replaced.body["expires_at"]) == (200, made.body["expires_at"])
    forever = desk.ask(Role.OPERATOR, "PUT", place, {"expires_at": None})
    assert (forever.status, forever.body["expires_at"]) == (200, None)
    item = desk.moves.get(made.body["id"])
    assert (item.name, item.version) == ("prod-post-token", 2)
    assert desk.moves.reveal(item.id, 2) == "another-value"
    listed = desk.ask(Role.VIEWER, "GET", VAULT).body
    assert "prod-post-token" in [one["name"] for one in listed]
    assert desk.ask(Role.OPERATOR, "DELETE", place).status == 204
    assert desk.ask(Role.OPERATOR, "GET", place).status == 404


def test_an_api_key_is_answered_once(desk: Desk) -> None:
    made = desk.ask(Role.OPERATOR, "POST", VAULT, {"name": "api-key:partner"})
    assert made.status == 201
    assert made.body["secret"].startswith("wfk_")
    assert "secret" not in desk.ask(Role.OPERATOR, "GET", f"{VAULT}/{made.body['id']}").body
    refused = desk.ask(Role.OPERATOR, "POST", VAULT, {"name": "api-key:partner-2", "secret": VALUE})
    assert refused.status == 422
    assert "takes no" in refused.body["message"]


@pytest.mark.parametrize(
    ("body", "status", "says"),
    [
        ({"name": NAME}, 422, "needs a value"),
        ({"name": "ab", "secret": VALUE}, 422, "use 3 to 50"),
        ({"name": "n" * 51, "secret": VALUE}, 422, "use 3 to 50"),
        ({"secret": VALUE}, 422, "name: "),
        ({"name": "prod-a-token", "secret": VALUE, "colour": 1}, 422, "colour: "),
        ({"name": "prod-a-token", "secret": 5}, 422, "secret: "),
        ({"name": "prod-a-token", "secret": "x" * 2001}, 422, "2000 at most"),
        ({"name": "prod-a-token", "secret": VALUE, "expires_at": "2020-01-01T00:00:00Z"}, 422, "future"),
        ({"name": "prod-a-token", "secret": VALUE, "expires_at": "soon"}, 422, "expires_at: "),
        ({"name": "prod-a-token", "secret": VALUE, "owners": ["nobody"]}, 404, "no owner 'nobody'"),
        ([], 422, "body: "),
        ("text", 422, "body: "),
    ],
)
def test_what_is_wrong_is_named_with_its_field_and_without_the_value(
    desk: Desk, body: Any, status: int, says: str
) -> None:
    answered = desk.ask(Role.ADMIN, "POST", VAULT, body)
    assert answered.status == status, answered
    assert set(answered.body) >= {"type", "code", "message"}
    assert says in answered.body["message"]
    assert VALUE not in str(answered.body)
    assert "x" * 50 not in str(answered.body)


def test_who_has_no_token_learns_nothing(desk: Desk) -> None:
    for path in (VAULT, f"{VAULT}/vlt_unknown"):
        for method in ("GET", "PUT", "DELETE"):
            refused = desk.ask(None, method, path)
            assert refused.status in (401, 405)
    assert desk.front.ask("GET", VAULT, key="wfk_" + "0" * 49).status == 401


def test_an_owner_sees_and_changes_what_is_theirs_alone(desk: Desk) -> None:
    theirs, others = desk.create("prod-theirs-token"), desk.create("prod-others-token", owner="others")
    seen = {one["id"] for one in desk.ask(Role.OWNER, "GET", VAULT).body}
    assert theirs in seen
    assert others not in seen
    unknown = desk.ask(Role.OWNER, "GET", f"{VAULT}/vlt_{'0' * 26}")
    hidden = desk.ask(Role.OWNER, "GET", f"{VAULT}/{others}")
    assert (unknown.status, hidden.status) == (404, 404)
    assert hidden.body["message"].replace(others, f"vlt_{'0' * 26}") == unknown.body["message"]
    assert desk.ask(Role.OWNER, "PUT", f"{VAULT}/{others}", {"name": "prod-mine-token"}).status == 404
    assert desk.ask(Role.OWNER, "DELETE", f"{VAULT}/{others}").status == 404
    assert desk.ask(Role.OWNER, "PUT", f"{VAULT}/{theirs}", {"name": "prod-theirs-key"}).status == 200
    assert desk.ask(Role.OWNER, "POST", VAULT, {"name": "prod-new-token", "secret": "its own"}).status == 201
    (made,) = [one for one in desk.ask(Role.OWNER, "GET", VAULT).body if one["name"] == "prod-new-token"]
    assert desk.moves.get(made["id"]).owners == ("team",)
    refused = desk.ask(
        Role.OWNER, "POST", VAULT, {"name": "prod-x-token", "secret": VALUE, "owners": ["others"]}
    )
    assert refused.status == 403


DOCUMENT = {
    "name": "ticket-sync",
    "is_active": True,
    "nodes": [
        {"id": "start", "type": "trigger", "data": {"componentId": "manual_trigger"}},
        {"id": "sum", "type": "action", "data": {"componentId": "data_mapper", "mapping": {"sum": "{{ a }}"}}},
    ],
    "edges": [{"id": "e0", "source": "start", "target": "sum"}],
    "colour": "kept as it was given",
}


@pytest.fixture(scope="module")
def workflow(desk: Desk) -> str:
    made = desk.ask(Role.ADMIN, "POST", "/workflows", DOCUMENT)
    assert made.status == 201, made
    assert made.body["colour"] == DOCUMENT["colour"]
    return str(made.body["id"])


def test_a_workflow_is_kept_listed_and_given_back(desk: Desk, workflow: str) -> None:
    assert workflow.startswith("fl_")
    (listed,) = [one for one in desk.ask(Role.VIEWER, "GET", "/workflows").body if one["id"] == workflow]
    assert "nodes" not in listed
    found = desk.ask(Role.VIEWER, "GET", f"/workflows/{workflow}").body
    assert (found["nodes"], found["edges"]) == (DOCUMENT["nodes"], DOCUMENT["edges"])
    assert (found["is_active"], found["runs"]) == (True, "here")
    assert desk.ask(Role.VIEWER, "GET", f"/workflows/fl_{'0' * 26}").status == 404


def test_a_document_is_judged_without_being_kept(desk: Desk) -> None:
    good = desk.ask(Role.VIEWER, "POST", "/workflows/validate", DOCUMENT | {"name": "not-kept"}).body
    assert good == {"valid": True, "errors": []}
    edges = [{"id": "e0", "source": "start", "target": "nowhere"}]
    bad = desk.ask(Role.VIEWER, "POST", "/workflows/validate", DOCUMENT | {"edges": edges}).body
    assert bad["valid"] is False
    assert "nowhere" in str(bad["errors"])
    names = [one["name"] for one in desk.ask(Role.VIEWER, "GET", "/workflows").body]
    assert "not-kept" not in names


def test_a_run_in_the_background_is_begun_by_who_works_and_told_of(desk: Desk, workflow: str) -> None:
    begun = desk.ask(Role.OPERATOR, "POST", f"/workflows/{workflow}/execute", {"context": {"a": 5}})
    assert (begun.status, begun.body["status"]) == (202, "pending")
    place = f"/workflows/runs/{begun.body['id']}"
    assert desk.ask(Role.VIEWER, "GET", place).body["started_at"] is None
    desk.services.night.inline_night.run_night(lambda _: None, wait=False)
    done = desk.ask(Role.VIEWER, "GET", place).body
    assert (done["status"], done["error_message"]) == ("completed", None)
    assert [(log["node_id"], log["status"]) for log in done["logs"]] == [
        ("start", "success"),
        ("sum", "success"),
    ]
    assert done["logs"][1]["output"] == {"sum": "5"}
    assert done["duration_in_seconds"] >= 0
    assert desk.ask(Role.VIEWER, "GET", f"/workflows/{workflow}/logs").body[0]["node_id"] == "sum"
    stats = desk.ask(Role.VIEWER, "GET", f"/workflows/{workflow}/logs/stats").body
    assert (stats["completed"], stats["success_rate"]) == (stats["total"], 1.0)


def test_a_run_that_is_asked_for_again_with_its_key_is_the_same(desk: Desk, workflow: str) -> None:
    place, key = f"/workflows/{workflow}/execute", str(uuid4())
    first = desk.ask(Role.OPERATOR, "POST", place, {}, Idempotency_Key=key)
    again = desk.ask(Role.OPERATOR, "POST", place, {}, Idempotency_Key=key)
    assert (first.status, again.status) == (202, 202)
    assert again.body["id"] == first.body["id"]
    assert desk.ask(Role.ADMIN, "POST", place, {}, Idempotency_Key=key).body["id"] != first.body["id"]
    other = desk.ask(Role.OPERATOR, "POST", place, {}, Idempotency_Key=str(uuid4()))
    assert other.body["id"] != first.body["id"]
    made = desk.ask(Role.ADMIN, "POST", "/workflows", DOCUMENT | {"name": "another"}).body["id"]
    elsewhere = desk.ask(Role.OPERATOR, "POST", f"/workflows/{made}/execute", {}, Idempotency_Key=key)
    assert elsewhere.body["workflow_id"] == made
    refused = desk.ask(Role.OPERATOR, "POST", place, {}, Idempotency_Key="mine")
    assert refused.status == 422
    assert "Idempotency-Key" in refused.body["message"]


def test_runs_come_in_pages_newest_first_each_once(desk: Desk, workflow: str) -> None:
    for _ in range(5):
        assert desk.ask(Role.OPERATOR, "POST", f"/workflows/{workflow}/execute", {}).status == 202
    seen: list[str] = []
    place: str | None = f"/workflows/{workflow}/executions?size=2"
    while place is not None:
        page = desk.ask(Role.VIEWER, "GET", place).body
        assert len(page["data"]) <= 2
        seen += [run["id"] for run in page["data"]]
        place = page["links"]["next"]
    assert len(seen) == len(set(seen)) >= 5
    assert seen == sorted(seen, reverse=True)
    for cursor in ("x", "AAAA", "%20", "MjAyNg"):
        assert desk.ask(Role.VIEWER, "GET", f"/workflows/{workflow}/executions?before={cursor}").status == 422
    for size in ("0", "101", "many"):
        assert desk.ask(Role.VIEWER, "GET", f"/workflows/{workflow}/executions?size={size}").status == 422


def test_a_workflow_that_is_not_active_or_asks_for_a_key_is_not_begun(desk: Desk) -> None:
    desk.ask(Role.ADMIN, "POST", "/workflows", DOCUMENT | {"name": "at-rest", "is_active": False})
    refused = desk.ask(Role.OPERATOR, "POST", "/workflows/at-rest/execute", {})
    assert (refused.status, refused.body["code"]) == (409, "refused")
    assert "not active" in refused.body["message"]


ROTATIONS, FINDINGS = "/nightkey/rotations", "/nightkey/findings"
PICKUPS, NOTICES = "/nightkey/pickups", "/nightkey/notices"


def add_rotating(desk: Desk, name: str, owner: str = "team") -> str:
    """An item that Nightkey replaces with a person's approval."""
    return add_rotated(desk, name, owner, mode="approve", four_eyes=True)


def test_a_rotation_is_asked_for_approved_by_another_and_followed(desk: Desk) -> None:
    item = add_rotating(desk, "prod-rotating-token")
    asked = desk.ask(Role.OPERATOR, "POST", ROTATIONS, {"item": item})
    assert (asked.status, asked.body["state"]) == (202, "requested")
    assert asked.body["asked_by"] == "service:operator-bot"
    place = f"{ROTATIONS}/{asked.body['id']}"
    assert desk.ask(Role.OPERATOR, "POST", f"{place}/approve").status == 403
    approved = desk.ask(Role.APPROVER, "POST", f"{place}/approve")
    assert (approved.status, approved.body["approved_by"]) == (200, "service:approver-bot")
    desk.services.night.inline_night.run_rotation(asked.body["id"], lambda _: None)
    whole = desk.ask(Role.VIEWER, "GET", place).body
    assert whole["new_version"] == 2
    assert [step["step"] for step in whole["steps"]][:2] == ["approve", "create"]
    assert VALUE not in str(whole)
    listed = desk.ask(Role.OWNER, "GET", f"{ROTATIONS}?item=prod-rotating-token").body
    assert [one["id"] for one in listed] == [asked.body["id"]]


def test_nobody_approves_what_they_asked_for(desk: Desk) -> None:
    item = add_rotating(desk, "prod-four-eyes-token")
    asked = desk.ask(Role.ADMIN, "POST", ROTATIONS, {"item": item}).body
    refused = desk.ask(Role.ADMIN, "POST", f"{ROTATIONS}/{asked['id']}/approve")
    assert refused.status == 409
    assert refused.headers["content-type"] == "application/problem+json"
    assert (refused.body["status"], refused.body["title"]) == (409, "refused")
    assert desk.ask(Role.OPERATOR, "POST", f"{ROTATIONS}/{asked['id']}/cancel").body["state"] == "cancelled"


def test_an_approver_rejects_what_waits_and_nothing_else(desk: Desk) -> None:
    item = add_rotating(desk, "prod-rejected-token")
    place = f"{ROTATIONS}/{desk.ask(Role.ADMIN, 'POST', ROTATIONS, {'item': item}).body['id']}"
    assert desk.ask(Role.OPERATOR, "POST", f"{place}/reject").status == 403
    rejected = desk.ask(Role.APPROVER, "POST", f"{place}/reject")
    assert (rejected.status, rejected.body["state"]) == (200, "cancelled")
    assert desk.ask(Role.APPROVER, "POST", f"{place}/reject").status == 409


def test_an_owner_decides_of_what_is_theirs_and_does_not_see_the_rest(desk: Desk) -> None:
    mine, other = add_rotating(desk, "prod-mine-token"), add_rotating(desk, "prod-theirs-only", "others")
    opened = [desk.ask(Role.ADMIN, "POST", ROTATIONS, {"item": item}).body["id"] for item in (mine, other)]
    listed = {one["id"] for one in desk.ask(Role.OWNER, "GET", ROTATIONS).body}
    assert opened[0] in listed
    assert opened[1] not in listed
    assert desk.ask(Role.OWNER, "GET", f"{ROTATIONS}/{opened[1]}").status == 404
    assert desk.ask(Role.OWNER, "POST", f"{ROTATIONS}/{opened[1]}/cancel").status == 404
    assert desk.ask(Role.OWNER, "POST", f"{ROTATIONS}/{opened[0]}/cancel").body["state"] == "cancelled"
    assert desk.ask(Role.OWNER, "POST", ROTATIONS, {"item": other}).status == 404
    assert desk.ask(Role.VIEWER, "POST", f"{ROTATIONS}/{opened[1]}/cancel").status == 403


def test_whether_an_item_works_is_asked_once_for_a_key_and_shown_with_the_item(desk: Desk) -> None:
    nobody = {"host": "127.0.0.1", "port": 9, "roles": ["orders"], "tls": "off"}
    change = ItemChange(policy=PolicyChange(parts={"rotator": "postgres-role", "settings": nobody}))
    item_id = desk.create("prod-asked-of-password")
    desk.services.items.updates.update(item_id, change, actor="test")
    place, key = f"/nightkey/items/{item_id}", str(uuid4())
    assert desk.ask(Role.OPERATOR, "GET", place).body["checked"] is None
    assert desk.ask(Role.VIEWER, "POST", f"{place}/check").status == 403
    first = desk.ask(Role.OPERATOR, "POST", f"{place}/check", Idempotency_Key=key)
    assert (first.status, first.body["outcome"], first.body["users"]) == (200, "unreachable", [])
    shown = desk.ask(Role.OPERATOR, "GET", place).body["checked"]
    assert (shown["outcome"], shown["said"], shown["version"]) == ("unreachable", first.body["said"], 1)
    again = desk.ask(Role.OPERATOR, "POST", f"{place}/check", Idempotency_Key=key)
    assert again.body == first.body
    assert desk.ask(Role.OPERATOR, "GET", place).body["checked"] == shown, "it was not asked a second time"


def test_a_finding_is_known_of_by_a_principal(desk: Desk) -> None:
    desk.create("prod-unused-token")
    desk.create("prod-unused-elsewhere", owner="others")
    desk.services.night.inline_night.run_night(lambda _: None, wait=False)
    found = desk.ask(Role.OPERATOR, "GET", FINDINGS).body
    ours = [one for one in found if one["item"] == "prod-unused-token"]
    theirs = [one for one in found if one["item"] == "prod-unused-elsewhere"]
    assert ours
    assert theirs
    seen = {one["id"] for one in desk.ask(Role.OWNER, "GET", FINDINGS).body}
    assert ours[0]["id"] in seen
    assert theirs[0]["id"] not in seen
    why = {"why": "the vendor is told"}
    assert desk.ask(Role.OWNER, "POST", f"{FINDINGS}/{theirs[0]['id']}/ack", why).status == 404
    assert desk.ask(Role.VIEWER, "POST", f"{FINDINGS}/{ours[0]['id']}/ack", why).status == 403
    known = desk.ask(Role.OWNER, "POST", f"{FINDINGS}/{ours[0]['id']}/ack", why)
    assert (known.status, known.body["until"]) == (200, None)
    (again,) = [one for one in desk.ask(Role.OPERATOR, "GET", FINDINGS).body if one["id"] == ours[0]["id"]]
    assert again["quiet"] == "service:owner-bot: the vendor is told"
    later = {**why, "until": "2020-01-01T00:00:00Z"}
    refused = desk.ask(Role.OPERATOR, "POST", f"{FINDINGS}/{ours[0]['id']}/snooze", later)
    assert (refused.status, refused.body["title"]) == (422, "invalid")
    wrong = desk.ask(Role.OPERATOR, "POST", f"{FINDINGS}/{ours[0]['id']}/snooze", why)
    assert wrong.body["errors"][0]["field"] == "until"


def test_a_key_is_collected_by_who_answers_for_its_item_and_by_nobody_else(desk: Desk) -> None:
    item, first = desk.services.items.creation.create(
        "api-key:collected",
        read_value=None,
        owners=["team"],
        expires_at=None,
        policy=PolicyChange(parts={"mode": "auto", "lifetime": "90d", "consumers": "none"}),
        actor="test",
    )
    assert first is not None
    desk.services.rotation.pickups.deliver(first, actor="test", show=lambda _: None)
    rotation = desk.services.rotation.opening.request(item.id, asked_by="test")
    desk.services.night.inline_night.run_rotation(rotation.id, lambda _: None)
    ((pickup,),) = desk.moves.sql(
        "SELECT id FROM pickups WHERE item_id = :item AND rotation_id IS NOT NULL", item=item.id
    )
    token = {"token": desk.services.rotation.pickups.token(pickup)}
    for role in (Role.ADMIN, Role.VIEWER, Role.OPERATOR):
        assert desk.ask(role, "POST", PICKUPS, token).status == 403
    answered = desk.ask(Role.OWNER, "POST", PICKUPS, token)
    assert (answered.status, answered.body["item"], answered.body["version"]) == (200, item.name, 2)
    assert desk.moves.check_key(answered.body["key"]) == (item.id, 2)
    again = desk.ask(Role.OWNER, "POST", PICKUPS, token)
    assert again.body["key"] == answered.body["key"], "its answer may have been lost"
    wrong = desk.ask(Role.OWNER, "POST", PICKUPS, {"token": "clm_unknown"})
    assert wrong.status == 409
    assert "clm_unknown" not in str(wrong.body)


def test_notices_are_read_by_whom_they_went_to(desk: Desk) -> None:
    found = desk.ask(Role.OPERATOR, "GET", NOTICES).body
    theirs = desk.ask(Role.OWNER, "GET", NOTICES).body
    assert {one["owner"] for one in theirs} == {"team"}
    assert {one["owner"] for one in found} > {"team"}
    (other,) = [one["id"] for one in found if one["owner"] != "team"][:1]
    assert desk.ask(Role.OWNER, "GET", f"{NOTICES}/{other}").status == 404
    assert desk.ask(Role.OWNER, "GET", f"{NOTICES}/{theirs[0]['id']}").body["subject"] == theirs[0]["subject"]
    assert desk.ask(Role.VIEWER, "GET", NOTICES).status == 403


def test_an_owner_says_when_they_are_told_and_not_for_others(desk: Desk) -> None:
    place = "/nightkey/owners/team"
    changed = desk.ask(Role.OWNER, "PATCH", place, {"zone": "Europe/Zurich", "quiet": "22:00-07:00"})
    assert (changed.status, changed.body["quiet"], changed.body["deputy"]) == (200, "22:00-07:00", None)
    assert desk.ask(Role.OPERATOR, "PATCH", place, {"quiet": None}).body["quiet"] is None
    assert desk.ask(Role.OWNER, "PATCH", "/nightkey/owners/others", {"zone": "UTC"}).status == 403
    assert desk.ask(Role.OWNER, "PATCH", place, {"zone": "Mars"}).status == 422
    assert desk.ask(Role.OWNER, "PATCH", place, {"routes": []}).status == 422
    names = [one["name"] for one in desk.ask(Role.VIEWER, "GET", "/nightkey/owners").body]
    assert {"team", "others", "operators"} <= set(names)


def test_the_record_is_verified_by_an_auditor(desk: Desk) -> None:
    verdict = desk.ask(Role.AUDITOR, "GET", "/nightkey/audit/verify").body
    assert (verdict["whole"], verdict["problems"]) == (True, [])
    assert verdict["rows"] > 10
    rows = desk.ask(Role.AUDITOR, "GET", "/nightkey/audit/rows").body
    assert rows["checked"] > 10
    assert rows["changed"] == []


def test_a_run_of_another_engine_is_reported_once(desk: Desk, workflow: str) -> None:
    began = desk.services.clock().isoformat()
    run = {"workflow": workflow, "status": "completed", "run_id": "engine-1", "started_at": began}
    first = desk.ask(Role.OPERATOR, "POST", "/nightkey/runs/report", run)
    again = desk.ask(Role.OPERATOR, "POST", "/nightkey/runs/report", run)
    assert (first.status, again.status) == (200, 200), first
    assert (first.body["new"], again.body["new"]) == (True, False)
    refused = desk.ask(Role.OPERATOR, "POST", "/nightkey/runs/report", {**run, "status": "running"})
    assert refused.body["errors"][0]["field"] == "status"


def fill(path: str) -> str:
    """Ids that nothing has."""
    return re.sub(r"\{\w+\}", "none", path.replace("{name}", "team"))


def routes(desk: Desk) -> list[tuple[str, str, Action]]:
    """Each of the interface, as the OpenAPI document has it."""
    paths = desk.front.ask("GET", "/openapi.json").body["paths"]
    return [
        (method.upper(), path, Action(route[ACTION]))
        for path, methods in paths.items()
        for method, route in methods.items()
        if ACTION in route
    ]


@pytest.mark.parametrize("role", Role)
def test_each_route_lets_in_whom_the_table_lets_in(desk: Desk, role: Role) -> None:
    found = routes(desk)
    assert len(found) >= 35
    for method, path, action in found:
        rule = RULES[action]
        may = role in rule.anywhere or (rule.theirs and role is Role.OWNER)
        answered = desk.ask(role, method, fill(path), {})
        assert (answered.status == 403) is not may, (method, path, role, answered)


def test_an_item_that_was_edited_is_told_and_not_shown(desk: Desk) -> None:
    item = desk.create("prod-edited-token")
    with spoiled(desk.services, items, item, "hygiene"):
        told = desk.ask(Role.OPERATOR, "GET", f"{VAULT}/{item}")
        assert (told.status, told.body["code"]) == (409, "unreadable")
        assert "changed behind the vault's back" in told.body["message"]
        listed = desk.ask(Role.OPERATOR, "GET", VAULT)
        assert (listed.status, listed.headers["nightkey-unreadable"]) == (200, "1")
        assert item not in [one["id"] for one in listed.body]
    assert "nightkey-unreadable" not in desk.ask(Role.OPERATOR, "GET", VAULT).headers
    assert desk.ask(Role.OPERATOR, "GET", f"{VAULT}/{item}").status == 200


def test_whose_rows_were_edited_is_let_in_no_more(desk: Desk) -> None:
    ((principal,),) = desk.moves.sql(select(principals.c.id).where(principals.c.name == "viewer-bot"))
    with spoiled(desk.services, principals, principal, "roles"):
        assert desk.ask(Role.VIEWER, "GET", VAULT).status == 401
    assert desk.ask(Role.VIEWER, "GET", VAULT).status == 200


def test_a_refusal_stands_in_the_record(desk: Desk) -> None:
    before = len(desk.log("access.refuse"))
    item = desk.create("prod-kept-token")
    assert desk.ask(Role.VIEWER, "DELETE", f"{VAULT}/{item}").status == 403
    refused = desk.log("access.refuse")[before:]
    assert [(row.actor, row.subject) for row in refused] == [("service:viewer-bot", "item.delete")]
    assert desk.moves.get(item).name == "prod-kept-token"


def test_what_a_principal_does_carries_its_name(desk: Desk) -> None:
    item = desk.create("prod-named-token")
    (row,) = [one for one in desk.log("item.create") if one.subject == item]
    assert row.actor == "service:admin-bot"


def test_no_log_or_answer_has_a_value(desk: Desk, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    desk.create("prod-quiet-token")
    desk.ask(Role.ADMIN, "POST", VAULT, {"name": "prod-quiet-token", "secret": VALUE})
    printed = capfd.readouterr()
    assert VALUE not in printed.out + printed.err
    assert desk.tokens[Role.ADMIN] not in printed.out + printed.err
