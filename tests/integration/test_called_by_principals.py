"""`POST /workflows/sync/…` by a principal's own token: as SDX has it, beside the keys of callers."""

from collections.abc import Iterator
from typing import Any

import pytest
from sqlalchemy import select

from tests.desk import Desk, open_desk
from tests.ingress import Front, define, serve
from tests.provider import Issuer, start_issuer
from tests.services.test_provider_tokens import AUDIENCE, RSA, sign
from vaultcore.access import RULES, Action, Role
from vaultcore.tables import items, versions
from worker.rows.tables import runs

KEY = "api-key:prod-orders"
SUM = {"id": "sum", "componentId": "data_mapper", "mapping": {"sum": "{{ webhook_payload.amount }}"}}
ORDERS = "/workflows/sync/orders"
MAY = sorted(role for role in Role if role in RULES[Action.WORKFLOW_RUN].anywhere)


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Desk]:
    with open_desk(tmp_path_factory.mktemp("called")) as opened:
        assert opened.ask(Role.ADMIN, "POST", "/workflows/vault", {"name": KEY}).status == 201
        opened.services.runs.documents.apply(
            [
                define("orders", "api_trigger", KEY, SUM),
                define("keyless", "api_trigger", None, SUM),
                define("asleep", "api_trigger", KEY, SUM, is_active=False),
                define("hook", "webhook_trigger", KEY, SUM),
            ],
            actor="test",
        )
        yield opened


def uses(desk: Desk) -> list[Any]:
    used = select(versions.c.used_at).join(items, items.c.id == versions.c.item_id).where(items.c.name == KEY)
    return [row.used_at for row in desk.moves.sql(used)]


@pytest.mark.parametrize("role", MAY)
@pytest.mark.parametrize("workflow", ["orders", "keyless"])
def test_who_may_run_workflows_calls_one_and_is_answered_with_its_output(
    desk: Desk, role: Role, workflow: str
) -> None:
    answered = desk.ask(role, "POST", f"/workflows/sync/{workflow}", {"amount": 120})

    assert (answered.status, answered.body) == (200, {"sum": "120"})
    ran = select(runs.c.trigger, runs.c.purpose).where(runs.c.id == answered.headers["x-run-id"])
    assert desk.moves.sql(ran) == [("api", "production")]
    assert uses(desk) == [None], "nobody has presented the key of its callers"


@pytest.mark.parametrize("role", [role for role in Role if role not in MAY])
def test_who_may_not_is_told_so_and_the_record_has_it(desk: Desk, role: Role) -> None:
    before = len(desk.log("access.refuse"))

    refused = desk.ask(role, "POST", ORDERS, {"amount": 1})

    assert (refused.status, refused.body["code"]) == (403, "forbidden"), refused
    assert [row.actor for row in desk.log("access.refuse")[before:]] == [f"service:{role}-bot"]


@pytest.mark.parametrize(
    ("workflow", "status", "says"),
    [
        ("nowhere", 404, "nowhere"),
        ("asleep", 409, "is not active"),
        ("hook", 409, "begins with webhook_trigger"),
    ],
)
def test_what_cannot_be_called_so_says_why(desk: Desk, workflow: str, status: int, says: str) -> None:
    refused = desk.ask(Role.OPERATOR, "POST", f"/workflows/sync/{workflow}", {})

    assert refused.status == status
    assert says in refused.body["message"]


def test_a_webhook_is_opened_by_its_own_key_alone(desk: Desk) -> None:
    assert desk.ask(Role.ADMIN, "POST", "/workflows/webhooks", {"amount": 1}).status == 401
    in_address = f"/workflows/webhooks/{desk.tokens[Role.ADMIN]}"
    assert desk.front.call(in_address, {"amount": 1}).status == 401


def test_the_token_is_in_nothing_that_is_kept_or_answered(desk: Desk) -> None:
    token = desk.tokens[Role.OPERATOR]
    answered = desk.ask(Role.OPERATOR, "POST", ORDERS, {"amount": token})

    assert answered.status == 200
    assert token not in str(answered.body)
    run = desk.ask(Role.ADMIN, "GET", f"/workflows/runs/{answered.headers['x-run-id']}").body
    assert token not in str(run)


@pytest.fixture
def issuer() -> Iterator[Issuer]:
    with start_issuer() as started:
        started.publish(RSA)
        yield started


def test_a_token_of_the_identity_provider_does_what_its_groups_give(desk: Desk, issuer: Issuer) -> None:
    services = desk.services
    told = {
        "oidc_issuer": issuer.url,
        "oidc_roles": ("ops=operator", "eyes=viewer"),
        "jwt_audience": AUDIENCE,
        "jwt_algorithms": ("RS256",),
        "outbound_private": ("127.0.0.0/8",),
    }
    other = type(services)(services.settings.model_copy(update=told), services.clock)
    now = int(services.clock().timestamp())

    def call(front: Front, **claims: Any) -> int:
        usual = {"iss": issuer.url, "aud": AUDIENCE, "sub": "1", "exp": now + 600, "iat": now}
        token = sign({**usual, "preferred_username": "ada", **claims})
        return front.call(ORDERS, {"amount": 7}, key=token).status

    with serve(other) as front:
        assert call(front, groups=["ops"]) == 200
        assert call(front, groups=["eyes"], sub="2") == 403
        assert call(front, groups=[], sub="3") == 403
        assert call(front, groups=["ops"], aud="elsewhere") == 401
        assert call(front, groups=["ops"], exp=now - 600) == 401
    other.close()
