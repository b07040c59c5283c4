"""Lists and changes over HTTP: pages by `Link`, filters that are named, and `If-Match`."""

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest

from tests.desk import make_bot
from tests.ingress import Answered, Front, serve
from tests.many_items import fill
from tests.services.staging import make_services
from vaultcore.access import Role
from worker.bootstrap import Services, utc_now

VAULT, OWNERS = "/workflows/vault", "/nightkey/owners"
NUMBER = 130
VALUE = "the-value-of-the-secret"


class Desk:
    """A server on a vault with items, and a token of each role; the owner's is of `team-00`."""

    def __init__(self, services: Services, front: Front) -> None:
        self.services, self.front = services, front
        self.keys = {
            role: make_bot(services, role, owners=["team-00"] if role is Role.OWNER else [])
            for role in (Role.ADMIN, Role.AUDITOR, Role.OWNER)
        }

    def get(self, path: str, role: Role = Role.ADMIN) -> Answered:
        return self.front.ask("GET", path, key=self.keys[role])

    def send(self, method: str, path: str, body: Any = None, **headers: str) -> Answered:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return self.front.ask(method, path, body, key=self.keys[Role.ADMIN], headers=named)

    def follow(self, path: str, role: Role = Role.ADMIN) -> Iterator[Answered]:
        """A page, and those to which it leads."""
        following: str | None = path
        while following is not None:
            answered = self.get(following, role)
            assert answered.status == 200, answered
            yield answered
            link = answered.headers.get("link")
            assert link is None or link.endswith('>; rel="next"')
            following = None if link is None else link.removesuffix('>; rel="next"').removeprefix("<")


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Desk]:
    services = make_services(tmp_path_factory.mktemp("lists") / "home", "", utc_now)
    fill(services.database, NUMBER, services.clock())
    with serve(services) as front:
        yield Desk(services, front)
    services.close()


def test_pages_lead_on_with_all_that_was_asked(desk: Desk) -> None:
    path = f"{VAULT}?limit=20&owner=team-00&owner=team-03&mode=auto&sort=-expires_at&search=SERVICE&total=true"
    pages = list(desk.follow(path))
    listed = [one for page in pages for one in page.body]
    assert [len(page.body) for page in pages[:-1]] == [20] * (len(pages) - 1)
    assert len({one["id"] for one in listed}) == len(listed) == int(pages[0].headers["nightkey-total"])
    times = [one["expires_at"] for one in listed if one["expires_at"] is not None]
    assert times == sorted(times, reverse=True)
    assert {one["expires_at"] for one in listed[len(times) :]} <= {None}
    for page in pages[:-1]:
        assert "owner=team-00&owner=team-03&mode=auto&sort=-expires_at&search=SERVICE" in page.headers["link"]
    assert set(listed[0]) == {"id", "name", "created_at", "expires_at"}


def test_without_a_limit_all_items_come_as_clients_of_that_vault_expect(desk: Desk) -> None:
    answered = desk.get(f"{VAULT}?begins=PROD")
    every = desk.get(VAULT)
    assert "link" not in every.headers
    assert len(every.body) == len({one["id"] for one in every.body}) > NUMBER
    assert [one["name"] for one in answered.body] == [
        one["name"] for one in every.body if one["name"].startswith("prod")
    ]
    theirs = desk.get(VAULT, Role.OWNER)
    assert 0 < len(theirs.body) < len(every.body)


def test_a_page_of_what_is_theirs_is_counted_and_walked_by_an_owner(desk: Desk) -> None:
    pages = list(desk.follow(f"{VAULT}?limit=25&total=true", Role.OWNER))
    assert len([one for page in pages for one in page.body]) == len(desk.get(VAULT, Role.OWNER).body)


@pytest.mark.parametrize(
    ("path", "says"),
    [
        (f"{VAULT}?limit=0", "limit"),
        (f"{VAULT}?limit=201", "limit"),
        (f"{VAULT}?limit=many", "limit"),
        (f"{VAULT}?sort=colour", "sort: use one of name"),
        (f"{VAULT}?state=bad", "state"),
        (f"{VAULT}?colour=red", "colour"),
        (f"{VAULT}?cursor=x", "cursor: take it from"),
        (f"{VAULT}?search=%00", "search: holds"),
        (f"{VAULT}?days_left_max=99999999999999999999", "days_left_max"),
        (f"{VAULT}?expires_before=soon", "expires_before"),
        ("/nightkey/rotations?state=asleep", "state"),
        ("/nightkey/findings?kind=odd", "kind"),
        ("/nightkey/notices?state=odd", "state"),
        ("/nightkey/runs?outcome=odd", "outcome"),
        ("/nightkey/audit?after=yesterday", "after"),
        ("/nightkey/audit?limit=-1", "limit"),
    ],
)
def test_what_cannot_be_asked_is_refused_and_named(desk: Desk, path: str, says: str) -> None:
    refused = desk.get(path)
    assert refused.status == 422, refused
    assert says in str(refused.body)


def test_a_cursor_of_another_filter_is_refused(desk: Desk) -> None:
    link = desk.get(f"{VAULT}?limit=5").headers["link"]
    cursor = link.partition("cursor=")[2].partition(">")[0]
    refused = desk.get(f"{VAULT}?limit=5&mode=auto&cursor={cursor}")
    assert refused.status == 422
    assert "another filter or order" in refused.body["message"]
    assert desk.get(f"{VAULT}?limit=9&cursor={cursor}").status == 200  # another size is the same list


def test_the_other_lists_come_in_pages(desk: Desk) -> None:
    rotations = [one for page in desk.follow("/nightkey/rotations?limit=1&open=true") for one in page.body]
    assert len({one["id"] for one in rotations}) == len(rotations) == 2
    stuck = desk.get("/nightkey/rotations?state=stuck").body
    assert {one["state"] for one in stuck} == {"stuck"}
    changes = [
        one for page in desk.follow("/nightkey/audit?limit=3&sort=at", Role.AUDITOR) for one in page.body
    ]
    assert [one["seq"] for one in changes] == list(range(1, len(changes) + 1))
    some = desk.get("/nightkey/audit?action=principal.create", Role.AUDITOR).body
    assert {one["action"] for one in some} == {"principal.create"}
    assert desk.get("/nightkey/audit", Role.OWNER).status == 403
    for path in ("findings", "notices", "runs"):
        assert desk.get(f"/nightkey/{path}?limit=2&total=true").headers["nightkey-total"] == "0"


def test_an_item_is_changed_as_it_was_seen_or_not_at_all(desk: Desk) -> None:
    made = desk.send("POST", VAULT, {"name": "prod-marked-token", "secret": VALUE, "owners": ["team-00"]})
    place = f"{VAULT}/{made.body['id']}"
    seen = desk.get(place).headers["etag"]
    assert seen == made.headers["etag"]
    later = (desk.services.clock() + timedelta(days=30)).isoformat()
    changed = desk.send("PUT", place, {"expires_at": later}, If_Match=seen)
    assert (changed.status, changed.headers["etag"]) == (200, desk.get(place).headers["etag"])
    assert changed.headers["etag"] != seen
    for mark in (seen, f"W/{changed.headers['etag']}", '"x", "y"'):
        refused = desk.send("PUT", place, {"name": "prod-other-token"}, If_Match=mark)
        assert (refused.status, refused.body["code"]) == (412, "precondition_failed")
        assert "get it again" in refused.body["message"]
        assert desk.send("DELETE", place, If_Match=mark).status == 412
    assert desk.get(place).body["name"] == "prod-marked-token"
    for mark in ("x", '"', "", '"a" "b"'):
        assert desk.send("PUT", place, {"name": "prod-other-token"}, If_Match=mark).status == 422
    several = f'"x", {changed.headers["etag"]}'
    assert desk.send("PUT", place, {"name": "prod-marked-key"}, If_Match=several).status == 200
    assert desk.send("PUT", place, {"name": "prod-marked-token"}).status == 200
    replaced = desk.get(place).headers["etag"]
    assert desk.send("PUT", place, {"secret": "another-value"}, If_Match="*").status == 200
    assert desk.send("DELETE", place, If_Match=replaced).status == 412
    assert desk.send("DELETE", place, If_Match=desk.get(place).headers["etag"]).status == 204


@pytest.mark.parametrize(("place", "change"), [("", {"lead": "3d"}), ("/target", {"four_eyes": True})])
def test_a_policy_is_changed_as_it_was_seen_or_not_at_all(desk: Desk, place: str, change: object) -> None:
    name = f"prod-planned{place.replace('/', '-')}"
    desk.send("POST", VAULT, {"name": name, "secret": VALUE + name, "owners": ["team-00"]})
    policy = f"/nightkey/policies/{name}"
    seen = desk.get(policy).headers["etag"]
    changed = desk.send("PATCH", policy + place, change, If_Match=seen)
    assert (changed.status, changed.headers["etag"]) == (200, desk.get(policy).headers["etag"])
    assert desk.send("PATCH", policy, {"lead": "9d"}, If_Match=seen).status == 412
    assert desk.send("PATCH", f"{policy}/target", {"target": "crm"}, If_Match=seen).status == 412
    assert desk.get(policy).body["policy"]["lead"] != "9d"


def test_an_owner_is_changed_as_they_were_seen_or_not_at_all(desk: Desk) -> None:
    place = f"{OWNERS}/team-03"
    seen = desk.get(place).headers["etag"]
    changed = desk.send("PATCH", place, {"zone": "Europe/Zurich"}, If_Match=seen)
    assert (changed.status, changed.headers["etag"]) == (200, desk.get(place).headers["etag"])
    refused = desk.send("PATCH", place, {"zone": "UTC"}, If_Match=seen)
    assert (refused.status, refused.body["title"]) == (412, "precondition_failed")
    assert desk.get(place).body["zone"] == "Europe/Zurich"


def test_a_workflow_is_replaced_as_it_was_seen_or_not_at_all(desk: Desk) -> None:
    begins = {"id": "start", "type": "trigger", "data": {"componentId": "manual_trigger"}}
    document = {"name": "marked", "nodes": [begins], "edges": [], "is_active": True}
    assert desk.send("POST", "/workflows", document, If_Match="*").status == 412  # there is none yet
    made = desk.send("POST", "/workflows", document)
    place = f"/workflows/{made.body['id']}"
    seen = desk.get(place).headers["etag"]
    assert seen == made.headers["etag"]
    changed = desk.send("POST", "/workflows", document | {"is_active": False}, If_Match=seen)
    assert (changed.status, changed.headers["etag"]) == (201, desk.get(place).headers["etag"])
    assert desk.send("POST", "/workflows", document, If_Match=seen).status == 412
    assert desk.get(place).body["is_active"] is False
