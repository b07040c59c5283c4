"""Rotator `recipe`: what its `verify` takes for a proof, with nodes of every kind against real servers."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from nightkey_demo.loopback import Answer, Incoming, LoopbackServer
from nightkey_demo.mail_server import MailServer
from tests.contract.mailbox import Mailbox
from tests.integration.soap_server import serve_orders
from tests.ways_out import HTTP, NETWORK
from vaultcore.errors import Cause, InvalidInputError, TargetError
from vaultcore.secret import Secret
from worker.outbound import HttpClient, Network
from worker.rotators.base import Job
from worker.rotators.catalog import parse_settings
from worker.rotators.recipe import RecipeRotator, RecipeSettings
from worker.testing import RotatorContract, StagedRotator

pytest.importorskip("asyncssh", reason="the extra nightkey[ssh] is not installed")

from tests.integration.ssh_server import PromptLink, SshServer  # it needs the extra

OLD, NEW, ADMIN = Secret("the-password-of-old"), Secret("the-password-of-new"), "the-admin-of-the-tests"
SOMETHING = [{"componentId": "webhook", "url": "https://mail.example.org/password"}]
SET_PASSWORD = 'cd "$SSH_ROOT" && new=$(cat) && [ -n "$new" ] && printf %s "$new" > app.$$ && mv app.$$ app'
"""Whole or not at all: one whose connection was cut goes on by itself, and may end behind the next."""
CHECK_PASSWORD = '[ "$(cat)" = "$(cat "$SSH_ROOT/app")" ] || exit 3'


class Recorder(LoopbackServer):
    """Notes what it is asked. `refuses` is a path that it answers with 401; /login gives a session."""

    def __init__(self, refuses: str = "") -> None:
        super().__init__()
        self.refuses = refuses
        self.seen: list[Incoming] = []

    @property
    def asked(self) -> list[str]:
        return [f"{incoming.method} {incoming.path}" for incoming in self.seen]

    def respond(self, incoming: Incoming) -> Answer | None:
        self.seen.append(incoming)
        refused = incoming.path == self.refuses
        return Answer(status=401 if refused else 200, body={"session": "s-1"})


@pytest.fixture
def service() -> Iterator[Recorder]:
    with Recorder() as started:
        yield started


@pytest.fixture
def host(tmp_path: Path) -> Iterator[SshServer]:
    with SshServer(tmp_path) as started:
        started.add_user("admin", password=ADMIN)
        started.add_user("robot", password=NEW.expose())
        (tmp_path / "app").write_text(NEW.expose())
        yield started


def verify(
    *nodes: Mapping[str, Any], value: Secret = NEW, network: Network = NETWORK, admin: str = ADMIN
) -> str:
    job = Job(
        label="nightkey-rot_recipe",
        item="prod-recipe",
        settings=RecipeSettings(install=SOMETHING, verify=[dict(node) for node in nodes], undo=SOMETHING),
        old=OLD,
        new=NEW,
        old_external={},
        new_external={},
        values={"prod-admin": Secret(admin)},
        http=HttpClient(network) if network is not NETWORK else HTTP,
        network=network,
    )
    return RecipeRotator().verify(job, value)


def fail(*nodes: Mapping[str, Any], **given: Any) -> tuple[str, Cause]:
    with pytest.raises(TargetError) as caught:
        verify(*nodes, **given)
    assert NEW.expose() not in str(caught.value)
    return str(caught.value), caught.value.cause


def by_ssh(port: int, host_key: str, username: str, password: str, **fields: Any) -> dict[str, Any]:
    return {
        "componentId": "ssh",
        "host": "127.0.0.1",
        "port": port,
        "hostKey": host_key,
        "username": username,
        "authMethod": "password",
        "password": password,
        **fields,
    }


def checked_by_admin(host: SshServer, **fields: Any) -> dict[str, Any]:
    asked = {"commands": [CHECK_PASSWORD], "stdin": "{{ rotation.new }}", "rejectedStatuses": [3]} | fields
    return by_ssh(host.port, host.host_key, "admin", "{{ vault.prod-admin }}", **asked)


def call(service: Recorder, path: str = "/orders", **fields: Any) -> dict[str, Any]:
    return {"componentId": "webhook", "method": "POST", "url": service.url + path, **fields}


# `ssh`


def test_a_value_that_commands_read_is_proven_by_them_though_another_login_runs_them(host: SshServer) -> None:
    verify(checked_by_admin(host))
    assert host.commands[-1] == CHECK_PASSWORD
    told, cause = fail(checked_by_admin(host), value=OLD)
    assert (told, cause) == (
        "verify, node verify_1: command 0 refused what it read, with status 3",
        Cause.REJECTED,
    )


def test_a_status_that_is_not_named_is_no_judgement(host: SshServer) -> None:
    _, cause = fail(checked_by_admin(host, rejectedStatuses=[]), value=OLD)
    assert cause is Cause.MISTAKE


def test_a_login_with_the_value_is_its_proof_and_runs_no_command(host: SshServer) -> None:
    node = by_ssh(
        host.port,
        host.host_key,
        "robot",
        "{{ rotation.new }}",
        commands=["ship-orders"],
        stdin="{{ rotation.new }}",
    )
    verify(node)
    assert host.commands == ["true"]
    assert fail(node, value=OLD)[1] is Cause.REJECTED


def test_a_refused_login_of_somebody_else_is_no_judgement_of_the_value(host: SshServer) -> None:
    told, cause = fail(checked_by_admin(host), admin="not-the-admin-any-more")
    assert cause is Cause.MISTAKE
    assert "another credential" in told
    assert host.commands == []


@pytest.mark.long
class TestPasswordOfAnApplication(RotatorContract):
    """Set and checked by an admin's commands, which read it: their tests would run `true` alone."""

    @pytest.fixture(autouse=True)
    def _root(self, tmp_path_factory: pytest.TempPathFactory) -> None:
        self.root = tmp_path_factory

    @contextmanager
    def stage(self) -> Iterator[StagedRotator]:
        root = self.root.mktemp("ssh")
        with SshServer(root) as server, PromptLink(server.port) as link:
            server.add_user("admin", password=ADMIN)
            (root / "app").write_text(OLD.expose())

            def run(command: str, stdin: str, **more: Any) -> list[dict[str, Any]]:
                fields = {"commands": [command], "stdin": stdin, **more}
                return [by_ssh(link.port, server.host_key, "admin", "{{ vault.prod-admin }}", **fields)]

            yield StagedRotator(
                rotator=RecipeRotator(),
                settings={
                    "install": run(SET_PASSWORD, "{{ rotation.new }}"),
                    "verify": run(CHECK_PASSWORD, "{{ rotation.new }}", rejectedStatuses=[3]),
                    "undo": run(SET_PASSWORD, "{{ rotation.old }}"),
                },
                old=OLD,
                link=link,
                accepts=lambda value: (root / "app").read_text() == value.expose(),
                values={"prod-admin": Secret(ADMIN)},
            )


# `webhook`


def test_a_value_in_the_body_is_sent_though_a_test_of_the_node_would_leave_it_out(service: Recorder) -> None:
    admin = {"Authorization": "Bearer {{ vault.prod-admin }}"}
    verify(
        call(service, "/check", headers=admin, body={"password": "{{ rotation.new }}"}, testMethod="GET"),
    )
    assert service.asked[-1] == "POST /check"
    assert NEW.expose().encode() in service.seen[-1].body


def test_a_value_in_a_header_is_proven_by_the_method_for_tests(service: Recorder) -> None:
    verify(call(service, headers={"X-Password": "{{ rotation.new }}"}, testMethod="GET"))
    assert service.asked == ["GET /orders"]


def test_what_came_of_the_value_is_as_good_as_the_value(service: Recorder) -> None:
    written = {"id": "basic", "componentId": "text_transform", "text": "{{ rotation.new | base64_encode }}"}
    log_in = call(service, "/login", headers={"Authorization": "Basic {{ basic }}"}) | {"id": "login"}
    session = {"X-Session": "{{ login.body.session }}"}
    verify(written, log_in, call(service, headers=session, testMethod="GET"))
    assert service.asked == ["POST /login", "GET /orders"]


def test_a_refusal_by_the_method_for_tests_is_none_where_the_value_was_not_in_it(service: Recorder) -> None:
    service.refuses = "/status"
    told, cause = fail(
        call(service, "/status", method="GET", headers={"X-Admin": "{{ vault.prod-admin }}"}),
        call(service, "/check", body={"password": "{{ rotation.new }}"}),
    )
    assert cause is Cause.MISTAKE
    assert "node verify_1: the service answered 401: that is another credential" in told


def test_a_refusal_of_what_held_the_value_judges_it(service: Recorder) -> None:
    service.refuses = "/check"
    assert fail(call(service, "/check", body={"password": "{{ rotation.new }}"}))[1] is Cause.REJECTED


# `soap`


def test_an_operation_is_called_where_the_value_is_in_its_payload_alone() -> None:
    pytest.importorskip("zeep", reason="the extra nightkey[soap] is not installed")
    with serve_orders(NEW.expose()) as orders:
        place = {
            "componentId": "soap",
            "wsdl": f"{orders.url}/open?wsdl",
            "operation": "Place",
            "payload": {"number": "{{ rotation.new }}", "line": []},
            "testOperation": "Version",
        }
        verify(place)
        assert any(NEW.expose().encode() in seen.body for seen in orders.seen)
        log_in = {"type": "http", "username": "robot", "password": "{{ rotation.new }}"}
        protected = place | {"wsdl": f"{orders.url}/basic?wsdl", "auth": log_in}
        verify(protected)
        assert b"Version" in orders.seen[-1].body
        assert fail(protected, value=OLD)[1] is Cause.REJECTED


# `smtp`


def test_a_mail_password_is_proven_by_a_login_and_no_mail_is_sent() -> None:
    with MailServer({"robot@example.org": NEW.expose()}, tls=True) as server:
        network = Network(NETWORK.guard, ca_file=server.certificate_path)
        node = {
            "componentId": "smtp",
            "host": server.host,
            "port": server.port,
            "username": "robot@example.org",
            "password": "{{ rotation.new }}",
            "from": "robot@example.org",
            "to": ["ann@example.net"],
            "text": "It is {{ rotation.new }}.",
        }
        verify(node, network=network)
        assert server.messages == []
        assert fail(node, network=network, value=OLD)[1] is Cause.REJECTED
        others = node | {"password": "{{ vault.prod-admin }}", "text": "It is there."}
        told, cause = fail(others, node, network=network)
        assert cause is Cause.MISTAKE
        assert "another credential" in told


# `authorizer`


def test_a_token_is_signed_for_the_node_that_shows_it(service: Recorder) -> None:
    pytest.importorskip("joserfc", reason="the extra nightkey[jwt] is not installed")
    key = Secret("a-shared-key-of-more-than-32-bytes-in-all")
    sign = {
        "id": "sign",
        "componentId": "authorizer",
        "operation": "sign",
        "key": "{{ rotation.new }}",
        "subject": "me",
    }
    verify(
        sign, call(service, headers={"Authorization": "Bearer {{ sign.token }}"}, testMethod="GET"), value=key
    )
    assert service.asked == ["GET /orders"]
    assert service.seen[0].headers["authorization"].count(".") == 2


# Nothing at all


@pytest.mark.parametrize("text", ["{{ rotation.old }}", "{{ rotation.label }}", "{{ vault.prod-admin }}", "-"])
def test_a_verify_that_names_the_value_nowhere_is_refused_with_the_settings(text: str) -> None:
    node = {"componentId": "webhook", "url": "https://mail.example.org/", "headers": {"X-Password": text}}
    with pytest.raises(InvalidInputError, match=r"verify: no node names rotation\.new"):
        parse_settings("recipe", {"install": SOMETHING, "verify": [node], "undo": SOMETHING})


@pytest.mark.parametrize("text", ["{{ rotation['new'] }}", "{% assign all = rotation %}{{ all.new }}"])
def test_a_verify_may_name_the_value_in_other_ways(text: str, service: Recorder) -> None:
    verify(call(service, headers={"X-Password": text}, testMethod="GET"))
    assert service.seen[0].headers["x-password"] == NEW.expose()


def test_a_verify_that_never_came_to_use_the_value_proves_nothing(service: Recorder) -> None:
    told, cause = fail(
        {"componentId": "terminate"},
        call(service, headers={"X-Password": "{{ rotation.new }}"}, testMethod="GET"),
    )
    assert (told, cause) == (
        "verify: rotation.new went into no node that ran, so nothing is proven",
        Cause.MISTAKE,
    )
    assert service.asked == []


def test_reshaping_the_value_proves_nothing(service: Recorder) -> None:
    reshaped = {"componentId": "text_transform", "operation": "upper", "text": "{{ rotation.new }}"}
    _, cause = fail(reshaped, call(service, method="GET"))
    assert cause is Cause.MISTAKE


def test_a_mailbox_that_never_learned_the_value_refuses_it() -> None:
    with Mailbox(ADMIN, [OLD.expose()]) as mailbox:
        log_in = {"componentId": "webhook", "method": "GET", "url": f"{mailbox.url}/login"}
        node = log_in | {"headers": {"X-Password": "{{ rotation.new }}"}}
        assert fail(node)[1] is Cause.REJECTED
        assert verify(node, value=OLD) == "accepted by verify_1"
