"""Node `smtp`, and a mail password rotated by `recipe`, against Postfix with Dovecot."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest

from tests.integration.postfix_server import MISSING, USER, PasswordDesk, PostfixServer
from tests.ways_out import HTTP, NETWORK
from vaultcore.errors import Cause
from vaultcore.secret import Secret
from worker.outbound import HttpClient, Network
from worker.rotators.recipe import RecipeRotator
from worker.testing import Link, RotatorContract, StagedRotator
from worker.workflows.masking import Masker
from worker.workflows.nodes.base import Execution, Outcome
from worker.workflows.nodes.smtp import Smtp
from worker.workflows.run import try_component
from worker.workflows.templates import Scope

PASSWORD, ADMIN = "the-password-of-robot", "the-admin-token-of-the-tests"

pytestmark = [pytest.mark.long, pytest.mark.skipif(bool(MISSING), reason=MISSING or "it is there")]


@pytest.fixture(scope="module")
def server() -> Iterator[PostfixServer]:
    """In a folder that its users get to: pytest closes its own whenever another run of it begins."""
    with TemporaryDirectory(prefix="nightkey-mail-") as folder:
        Path(folder).chmod(0o711)
        with PostfixServer(Path(folder), PASSWORD).started() as made:
            yield made


@pytest.fixture(autouse=True)
def _as_it_was(server: PostfixServer) -> None:
    server.set_password(PASSWORD)


def mail_from(server: PostfixServer, port: int | None = None) -> dict[str, Any]:
    return {
        "host": server.host,
        "port": port or server.port,
        "username": USER,
        "from": f"Orders <{USER}>",
        "to": ["ann@example.net"],
        "subject": "Order 7",
        "text": "It is on its way.",
    }


def act(server: PostfixServer, value: str = PASSWORD, *, tests: bool = False) -> Outcome:
    values = {"prod-mail-password": Secret(value)}
    execution = Execution(
        scope=Scope(context={}, values=values),
        http=HTTP,
        network=Network(NETWORK.guard, ca_file=server.certificate_path),
        masker=Masker(values.values()),
        seconds=240.0,
        shown={},
    )
    node = Smtp()
    fields = mail_from(server) | {"password": "{{ vault.prod-mail-password }}"}
    return try_component(node.test if tests else node.run, node.Fields.model_validate(fields), execution)


def accepts(server: PostfixServer, value: Secret) -> bool:
    outcome = act(server, value.expose(), tests=True)
    assert outcome.cause in (None, Cause.REJECTED), outcome.failure
    return outcome.cause is None


def test_a_mail_is_taken_and_a_test_of_the_node_sends_none(server: PostfixServer) -> None:
    before = server.discarded()
    assert act(server, tests=True).failure is None
    assert act(server).output == {"accepted": 1, "refused": []}
    assert server.count_taken() == before + 1


@pytest.mark.parametrize("tests", [True, False])
def test_a_refused_password_judges_the_credential(server: PostfixServer, tests: bool) -> None:
    outcome = act(server, "another-password-of-robot", tests=tests)
    assert (outcome.cause, outcome.failure) == (
        Cause.REJECTED,
        f"{server.host}:{server.port} refuses the login (535)",
    )


class TestMailPassword(RotatorContract):
    """By a recipe: the hoster's interface sets the password, and a login as the workflows do proves it."""

    @pytest.fixture(autouse=True)
    def _choose(self, server: PostfixServer) -> None:
        self._server = server

    @contextmanager
    def stage(self) -> Iterator[StagedRotator]:
        server = self._server
        server.set_password(PASSWORD)
        with PasswordDesk(server, ADMIN) as desk, Link(int(desk.url.rpartition(":")[2])) as link:
            put = {
                "componentId": "webhook",
                "method": "PUT",
                "url": f"http://127.0.0.1:{link.port}/password",
                "headers": {"Authorization": "Bearer {{ vault.prod-admin-token }}"},
            }
            log_in = {"componentId": "smtp", **mail_from(server), "password": "{{ rotation.new }}"}
            network = Network(NETWORK.guard, ca_file=server.certificate_path)
            yield StagedRotator(
                rotator=RecipeRotator(),
                settings={
                    "install": [put | {"body": {"password": "{{ rotation.new }}"}}],
                    "verify": [log_in],
                    "undo": [put | {"body": {"password": "{{ rotation.old }}"}}],
                },
                old=Secret(PASSWORD),
                link=link,
                accepts=lambda value: accepts(server, value),
                values={"prod-admin-token": Secret(ADMIN)},
                http=HttpClient(network, timeout=240),
                network=network,
            )
