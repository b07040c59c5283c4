"""Calls that SDX does not have, on a real server: policies, nights, status, calendar, record, comparisons."""

from collections.abc import Iterator
from uuid import uuid4

import pytest

from tests.desk import BOTH, VALUE, Desk, add_rotated, name_database, open_desk
from vaultcore.access import Action, Role
from worker.web.api.asking import ACTION
from worker.web.codes import CODES


@pytest.fixture(scope="module", params=BOTH)
def desk(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Desk]:
    with open_desk(tmp_path_factory.mktemp("calls"), name_database(request)) as opened:
        yield opened


def test_a_plan_is_changed_by_who_keeps_the_item_and_its_target_by_an_admin(desk: Desk) -> None:
    item = add_rotated(desk, "prod-planned-token")
    place = f"/nightkey/policies/{item}"
    assert desk.ask(Role.VIEWER, "GET", place).body["policy"]["lifetime"] == "90d"
    changed = desk.ask(Role.OWNER, "PATCH", place, {"lifetime": "60d", "windows": ["0 2 * * 1-5 for 4h"]})
    assert changed.status == 200, changed
    assert {one["field"] for one in changed.body["changes"]} >= {"lifetime", "windows"}
    assert desk.ask(Role.OWNER, "PATCH", place, {"rotator": "http"}).status == 422
    for role in (Role.OWNER, Role.OPERATOR):
        assert desk.ask(role, "PATCH", f"{place}/target", {"four_eyes": True}).status == 403
    turned = desk.ask(Role.ADMIN, "PATCH", f"{place}/target", {"target": "crm", "four_eyes": True})
    assert (turned.status, turned.body["policy"]["target"], turned.body["policy"]["four_eyes"]) == (
        200,
        "crm",
        True,
    )
    listed = desk.ask(Role.OWNER, "GET", "/nightkey/policies").body
    assert item in [one["item_id"] for one in listed]
    assert desk.ask(Role.OWNER, "PATCH", place, {"lifetime": "soon"}).body["detail"].count("soon") == 1


def test_an_item_is_shown_whole_and_handed_over(desk: Desk) -> None:
    item = add_rotated(desk, "prod-handed-token")
    place = f"/nightkey/items/{item}"
    whole = desk.ask(Role.OWNER, "GET", place).body
    assert [one["stage"] for one in whole["versions"]] == ["current"]
    assert VALUE not in str(whole)
    moved = desk.ask(Role.OWNER, "PATCH", place, {"owners": ["others"]})
    assert (moved.status, moved.body["owners"]) == (200, ["others"])
    assert desk.ask(Role.OWNER, "GET", place).status == 404
    assert desk.ask(Role.OPERATOR, "PATCH", place, {"owners": ["nobody-there"]}).status == 404


def test_a_night_is_begun_once_and_told_of(desk: Desk) -> None:
    item, key = add_rotated(desk, "prod-nightly-token"), str(uuid4())
    begun = desk.ask(Role.OPERATOR, "POST", "/nightkey/nights", Idempotency_Key=key)
    assert (begun.status, begun.body["by_hand"]) == (202, True), begun
    again = desk.ask(Role.OPERATOR, "POST", "/nightkey/nights", Idempotency_Key=key)
    assert again.body == begun.body
    nights = desk.ask(Role.VIEWER, "GET", "/nightkey/nights").body
    assert [one["slot"] for one in nights].count(begun.body["slot"]) == 1
    desk.services.night.resume_sweep.find_work()
    whole = desk.ask(Role.OWNER, "GET", f"/nightkey/nights/{begun.body['slot']}").body
    assert whole["done_at"] is not None
    assert desk.ask(Role.VIEWER, "GET", "/nightkey/nights/2020-01-01T00:00:00Z").status == 404
    assert desk.ask(Role.VIEWER, "GET", "/nightkey/nights/yesterday").status == 422
    page = desk.ask(Role.VIEWER, "GET", "/nightkey/nights?size=1").body
    older = desk.ask(Role.VIEWER, "GET", f"/nightkey/nights?before={page[0]['slot']}").body
    assert page[0]["slot"] not in [one["slot"] for one in older]
    assert item


def test_the_whole_stands_as_it_is_and_each_sees_their_own_of_it(desk: Desk) -> None:
    for owner in ("team", "others"):
        desk.create(f"prod-unread-of-{owner}", owner=owner)
    desk.services.night.nights.record()
    all_seen = desk.ask(Role.VIEWER, "GET", "/nightkey/status")
    mine = desk.ask(Role.OWNER, "GET", "/nightkey/status").body
    assert all_seen.status == 200
    names = {one["item"] for one in all_seen.body["findings"]}
    assert {"prod-unread-of-team", "prod-unread-of-others"} <= names
    assert "prod-unread-of-others" not in str(mine)
    assert "prod-unread-of-team" in str(mine["findings"])
    assert all_seen.body["good"] is not bool(all_seen.body["problems"])


def test_the_calendar_has_what_one_may_see(desk: Desk) -> None:
    add_rotated(desk, "prod-lapsing-token")
    add_rotated(desk, "prod-lapsing-elsewhere", "others")

    def read(role: Role, path: str = "/nightkey/calendar") -> tuple[int, str, str]:
        answered = desk.ask(role, "GET", path)
        return answered.status, answered.headers["content-type"], str(answered.body)

    status, kind, text = read(Role.VIEWER)
    assert (status, kind) == (200, "text/calendar; charset=utf-8")
    assert "prod-lapsing-elsewhere" in text
    assert "prod-lapsing-elsewhere" not in read(Role.OWNER)[2]
    assert "prod-lapsing-token" in read(Role.OWNER)[2]
    assert read(Role.OWNER, "/nightkey/calendar?owner=others")[0] == 404
    assert "prod-lapsing-token" not in read(Role.VIEWER, "/nightkey/calendar?owner=others")[2]


def test_the_record_is_read_and_anchored(desk: Desk) -> None:
    rows = desk.ask(Role.AUDITOR, "GET", "/nightkey/audit?limit=3").body
    assert [row["seq"] for row in rows] == sorted((row["seq"] for row in rows), reverse=True)
    anchor = desk.ask(Role.AUDITOR, "POST", "/nightkey/audit/anchor").body["anchor"]
    held = desk.ask(Role.AUDITOR, "POST", "/nightkey/audit/verify", {"anchors": [anchor]})
    assert (held.status, held.body["whole"]) == (200, True)
    forged = anchor.replace('"seq": ', '"seq": 1')
    refused = desk.ask(Role.AUDITOR, "POST", "/nightkey/audit/verify", {"anchors": [anchor, forged]})
    assert (refused.status, "anchors.1" in refused.body["detail"]) == (422, True)


def test_a_workflow_is_tested_and_pinned(desk: Desk) -> None:
    item = add_rotated(desk, "prod-pinned-token")
    document = {
        "name": "pinned",
        "sample_context": {"webhook_payload": {"a": 1}},
        "nodes": [
            {"id": "start", "type": "trigger", "data": {"componentId": "manual_trigger"}},
            {"id": "say", "data": {"componentId": "text_transform", "text": "{{ webhook_payload.a }}"}},
            {
                "id": "send",
                "data": {
                    "componentId": "webhook",
                    "method": "GET",
                    "url": "https://nobody.invalid/",
                    "headers": {"Authorization": "Bearer {{ vault['prod-pinned-token'] }}"},
                },
            },
        ],
        "edges": [{"source": "start", "target": "say"}, {"source": "say", "target": "send"}],
    }
    assert desk.ask(Role.ADMIN, "POST", "/workflows", document).status == 201
    place = "/nightkey/workflows/pinned"
    node = desk.ask(Role.OPERATOR, "POST", f"{place}/test", {"node": "say"})
    assert (node.status, node.body["status"], node.body["output"]) == (200, "success", {"text": "1"})
    whole = desk.ask(Role.OPERATOR, "POST", f"{place}/test", {})
    assert (whole.status, whole.body["status"], whole.body["error_node"]) == (200, "failed", "send")
    made_up = {"context": {"webhook_payload": {"a": 2}}, "node": "say"}
    assert desk.ask(Role.OPERATOR, "POST", f"{place}/test", made_up).status == 403
    assert desk.ask(Role.ADMIN, "POST", f"{place}/test", made_up).body["output"] == {"text": "2"}
    assert desk.ask(Role.OPERATOR, "POST", f"{place}/test", {"node": "nowhere"}).status == 422
    pinned = desk.ask(Role.OPERATOR, "POST", f"{place}/pin", {"item": item, "version": 1})
    assert (pinned.status, pinned.body["pinned"]) == (200, 1)
    assert desk.ask(Role.OPERATOR, "POST", f"{place}/pin", {"item": item, "version": 9}).status == 404
    assert desk.ask(Role.OPERATOR, "POST", f"{place}/unpin", {"item": item}).body["pinned"] is None


def test_a_vault_that_was_not_restored_has_nothing_to_compare(desk: Desk) -> None:
    item = add_rotated(desk, "prod-compared-token")
    assert desk.ask(Role.VIEWER, "GET", "/nightkey/comparisons").body == []
    assert desk.ask(Role.OPERATOR, "POST", "/nightkey/comparisons/run", {}).body == []
    one = desk.ask(Role.OPERATOR, "POST", "/nightkey/comparisons/run", {"items": [item]})
    assert one.status == 409
    assert desk.ask(Role.APPROVER, "POST", f"/nightkey/comparisons/{item}/accept").status == 409
    assert desk.ask(Role.OWNER, "POST", "/nightkey/comparisons/none/accept").status == 404


def test_a_consumer_is_not_proven_where_nothing_is_watched(desk: Desk) -> None:
    item = add_rotated(desk, "prod-proven-token", four_eyes=True)
    asked = desk.ask(Role.OPERATOR, "POST", "/nightkey/rotations", {"item": item}).body
    place = f"/nightkey/rotations/{asked['id']}/prove"
    refused = desk.ask(Role.OPERATOR, "POST", place, {"workflow": "pinned"})
    assert (refused.status, "waits for no consumer" in refused.body["detail"]) == (409, True)


def test_every_action_has_a_route(desk: Desk) -> None:
    """Two hang on what a body says: a new value, an emergency."""
    paths = desk.front.ask("GET", "/openapi.json").body["paths"]
    asked = {route[ACTION] for methods in paths.values() for route in methods.values() if ACTION in route}
    assert asked == set(Action) - {Action.ITEM_REPLACE, Action.ITEM_EMERGENCY}


def test_a_rotation_is_asked_for_once(desk: Desk) -> None:
    item, key = add_rotated(desk, "prod-once-token", four_eyes=True), str(uuid4())
    first = desk.ask(Role.OPERATOR, "POST", "/nightkey/rotations", {"item": item}, Idempotency_Key=key)
    again = desk.ask(Role.OPERATOR, "POST", "/nightkey/rotations", {"item": item}, Idempotency_Key=key)
    assert (first.status, again.status, again.body) == (202, 202, first.body)
    without = desk.ask(Role.OPERATOR, "POST", "/nightkey/rotations", {"item": item})
    assert without.status == 409


def test_an_error_leads_to_what_it_means(desk: Desk) -> None:
    for role, path in ((Role.ADMIN, "/nightkey/nowhere"), (None, "/nightkey/status")):
        refused = desk.ask(role, "GET", path)
        assert refused.headers["content-type"] == "application/problem+json"
        page, _, code = refused.body["type"].partition("#")
        assert code in CODES
    answered = desk.ask(None, "GET", page)
    assert answered.status == 200
    assert all(f'id="{code}"' in answered.body for code in CODES)
