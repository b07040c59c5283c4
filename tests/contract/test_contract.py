"""Every rotator passes the contract that others are given."""

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import pytest

from nightkey_demo.loopback import Answer, Incoming
from nightkey_demo.token_service import TokenService
from tests.contract.mailbox import Mailbox
from tests.numbered import NumberedTokens
from vaultcore.secret import Secret
from worker.outbound import sessions_kept
from worker.rotators.http import HttpRotator
from worker.rotators.recipe import RecipeRotator
from worker.testing import Link, RotatorContract, StagedRotator

ADMIN = "the-admin-token-of-the-tests"


def describe_token_service(url: str) -> dict[str, Any]:
    admin = {"Authorization": "Bearer {{ vault.prod-admin-token }}"}
    return {
        "value": "token",
        "id": "id",
        "verify_id": "token_id",
        "find_ids": "tokens.*.id",
        "inventory_gone": "revoked",
        "issue": {
            "url": f"{url}/v1/tokens",
            "headers": admin,
            "body": {"account": "crm", "label": "{{ rotation.label }}"},
        },
        "verify": {
            "method": "GET",
            "url": f"{url}/v1/account",
            "headers": {"Authorization": "Bearer {{ rotation.value }}"},
        },
        "revoke": {"method": "DELETE", "url": f"{url}/v1/tokens/{{{{ rotation.id }}}}", "headers": admin},
        "find": {
            "method": "GET",
            "url": f"{url}/v1/tokens?account=crm&label={{{{ rotation.label }}}}",
            "headers": admin,
        },
    }


@pytest.fixture(autouse=True)
def _sessions() -> Iterator[None]:
    """Are kept, as they are while a rotation is driven."""
    with sessions_kept():
        yield


class Crowded(TokenService):
    """Lists every token of the account, whatever label it is asked for, once it is `unfiltered`."""

    unfiltered = False
    misled: tuple[frozenset[str], str] | None = None
    """Ids of which the use tells what it is, and the one that it tells of all others."""

    def respond(self, incoming: Incoming) -> Answer | None:
        if self.unfiltered:
            incoming = replace(incoming, query=re.sub("&label=[^&]*", "", incoming.query))
        answer = super().respond(incoming)
        if answer is None or self.misled is None or incoming.path != "/v1/account":
            return answer
        known, theirs = self.misled
        body = answer.body if isinstance(answer.body, dict) else {}
        if body.get("token_id") in {None, *known}:
            return answer
        return replace(answer, body=body | {"token_id": theirs})

    def mislead(self) -> Secret:
        known = frozenset(self.live_tokens("crm"))
        theirs, value = self.issue("crm", label="of another team")
        self.misled = (known | {theirs}, theirs)
        return Secret(value)

    def crowd(self) -> Secret:
        self.unfiltered = True
        return Secret(self.issue("crm", label="of another team")[1])


class TestHttp(RotatorContract):
    knows_old = True
    more: Mapping[str, Any] = {}

    @contextmanager
    def stage(self) -> Iterator[StagedRotator]:
        with Crowded(ADMIN) as service, Link(int(service.url.rpartition(":")[2])) as link:
            old_id, old = service.issue("crm")
            yield StagedRotator(
                rotator=HttpRotator(),
                settings=describe_token_service(f"http://127.0.0.1:{link.port}") | dict(self.more),
                old=Secret(old),
                old_external={"id": old_id} if self.knows_old else {},
                link=link,
                accepts=lambda value: service.is_live(value.expose()),
                count=lambda: len(service.live_tokens("crm")),
                values={"prod-admin-token": Secret(ADMIN)},
                held=frozenset({old_id} if self.knows_old else ()),
                crowd=service.crowd,
                mislead=service.mislead,
            )


class TestHttpWithAnOldTokenOfAnotherHand(TestHttp):
    """Nobody here knows what the service calls the token that is in use."""

    knows_old = False


class TestHttpWhereEntriesTellTheirLabels(TestHttp):
    more: Mapping[str, Any] = {"find_label": "label"}


class TestHttpThatWritesIdsInTwoWays(RotatorContract):
    """Text where the token is issued and used, a number where tokens are listed."""

    @contextmanager
    def stage(self) -> Iterator[StagedRotator]:
        with NumberedTokens(issued=str, used=str) as service, Link(int(service.url.rpartition(":")[2])) as link:
            yield StagedRotator(
                rotator=HttpRotator(),
                settings=service.describe(link.port),
                old=Secret(service.issue()),
                link=link,
                accepts=lambda value: service.accepts(value.expose()),
                count=lambda: len(service.live),
            )


class TestRecipe(RotatorContract):
    """One place for the password: the old one stops working when the new one is set."""

    @contextmanager
    def stage(self) -> Iterator[StagedRotator]:
        with Mailbox(ADMIN, ["the-password-of-old"]) as mailbox, Link(mailbox.port) as link:
            url = f"http://127.0.0.1:{link.port}"
            admin = {"Authorization": "Bearer {{ vault.prod-admin-token }}"}
            put = {"componentId": "webhook", "method": "PUT", "url": f"{url}/password", "headers": admin}
            yield StagedRotator(
                rotator=RecipeRotator(),
                settings={
                    "install": [put | {"body": {"password": "{{ rotation.new }}"}}],
                    "verify": [_log_in(url)],
                    "undo": [put | {"body": {"password": "{{ rotation.old }}"}}],
                },
                old=Secret("the-password-of-old"),
                link=link,
                accepts=lambda value: value.expose() in mailbox.passwords,
                count=lambda: len(mailbox.passwords),
                values={"prod-admin-token": Secret(ADMIN)},
            )


class TestRecipeThatOverlaps(RotatorContract):
    """A place for each password: both work until one is taken away."""

    @contextmanager
    def stage(self) -> Iterator[StagedRotator]:
        with Mailbox(ADMIN, ["the-password-of-old"]) as mailbox, Link(mailbox.port) as link:
            url = f"http://127.0.0.1:{link.port}"
            admin = {"Authorization": "Bearer {{ vault.prod-admin-token }}"}
            add = {"componentId": "webhook", "method": "POST", "url": f"{url}/passwords", "headers": admin}
            drop = add | {"url": f"{url}/passwords/drop"}
            yield StagedRotator(
                rotator=RecipeRotator(),
                settings={
                    "generate": {"length": 24, "alphabet": "hex"},
                    "install": [add | {"body": {"password": "{{ rotation.new }}"}}],
                    "verify": [_log_in(url)],
                    "revoke": [drop | {"body": {"password": "{{ rotation.old }}"}}],
                    "undo": [drop | {"body": {"password": "{{ rotation.new }}"}}],
                    "overlaps": True,
                },
                old=Secret("the-password-of-old"),
                link=link,
                accepts=lambda value: value.expose() in mailbox.passwords,
                count=lambda: len(mailbox.passwords),
                values={"prod-admin-token": Secret(ADMIN)},
            )


def _log_in(url: str) -> dict[str, Any]:
    return {
        "componentId": "webhook",
        "method": "GET",
        "url": f"{url}/login",
        "headers": {"X-Password": "{{ rotation.new }}"},
    }
