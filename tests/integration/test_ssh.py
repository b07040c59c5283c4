"""Node `ssh` and the rotators `ssh-key` and `ssh-password` against a real server and real shells."""

import asyncio
import logging
import os
import socket
import subprocess
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

asyncssh = pytest.importorskip("asyncssh", reason="the extra nightkey[ssh] is not installed")

from tests.integration.ssh_server import PromptLink, SshServer  # noqa: E402  # it needs the extra
from tests.ways_out import HTTP, NETWORK  # noqa: E402  # as above
from vaultcore.errors import Cause, InvalidInputError, TargetError  # noqa: E402  # as above
from vaultcore.forms import VALUE_MAX  # noqa: E402  # as above
from vaultcore.rules import check_value  # noqa: E402  # as above
from vaultcore.secret import Secret  # noqa: E402  # as above
from worker.outbound import Network, sessions, sessions_kept  # noqa: E402  # as above
from worker.outbound.ssh import OUTPUT_MAX, Session, parse_host_key  # noqa: E402  # as above
from worker.rotators.base import Candidate  # noqa: E402  # as above
from worker.rotators.ssh_key import SshKeyRotator  # noqa: E402  # as above
from worker.rotators.ssh_password import SshPasswordRotator  # noqa: E402  # as above
from worker.testing import RotatorContract, StagedRotator  # noqa: E402  # as above
from worker.workflows.masking import MASK, Masker  # noqa: E402  # as above
from worker.workflows.nodes.base import Execution, Outcome  # noqa: E402  # as above
from worker.workflows.nodes.ssh import Ssh  # noqa: E402  # as above
from worker.workflows.run import try_component  # noqa: E402  # as above
from worker.workflows.templates import Scope  # noqa: E402  # as above

USER, PASSWORD = "robot", "the-password-of-robot"
LABEL = "nightkey-rot_contract"
NOBODY = 65534
"""Whom no file belongs to; a user on each system."""
BY_PASSWORD: dict[str, Any] = {
    "authMethod": "password",
    "privateKey": None,
    "password": "{{ vault.prod-password }}",
}


def make_key(kind: str = "ssh-ed25519", **options: Any) -> Any:
    return asyncssh.generate_private_key(kind, comment="by hand", **options)


def export(key: Any) -> str:
    return str(key.export_private_key("openssh").decode())


KEY = make_key()
ROOT_LINES = b"# kept by hand\n\n"
OTHERS = ROOT_LINES + b'from="10.0.0.0/8",command="echo \\"hi, you\\"" ' + make_key().export_public_key()
OTHERS += (
    b"no key at all\r\n  " + make_key("ecdsa-sha2-nistp256").export_public_key().strip() + b" two words\r\n"
)


@pytest.fixture(scope="module")
def rsa_key() -> Any:
    return make_key("ssh-rsa", key_size=4096)


as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a file away")


@pytest.fixture
def server(tmp_path: Path) -> Iterator[SshServer]:
    with SshServer(tmp_path) as started:
        started.add_user(USER, keys=KEY.export_public_key(), password=PASSWORD)
        yield started


def make_execution(
    *, network: Network = NETWORK, key: str = "", password: str = PASSWORD, seconds: float = 20.0
) -> Execution:
    values = {"prod-key": Secret(key or export(KEY)), "prod-password": Secret(password)}
    context = {"order": {"id": 7}, "echo": {"body": f"it is {PASSWORD}"}}
    return Execution(
        scope=Scope(context=context, values=values),
        http=HTTP,
        network=network,
        masker=Masker(values.values()),
        seconds=seconds,
        shown={"order": {"id": 7}, "echo": {"body": f"it is {MASK}"}},
    )


def act(
    server: Any, *commands: str, tests: bool = False, given: Mapping[str, Any] | None = None, **data: Any
) -> Outcome:
    execution = make_execution(**(given or {}))
    fields = {
        "host": "127.0.0.1",
        "port": server.port,
        "username": USER,
        "hostKey": server.host_key,
        "privateKey": "{{ vault.prod-key }}",
        "commands": list(commands) or ["true"],
    } | data
    node = Ssh()
    parsed = node.Fields.model_validate(fields)
    outcome = try_component(node.test if tests else node.run, parsed, execution)
    assert PASSWORD not in (outcome.failure or "")
    return outcome


def show(number: int, stdout: str = "", stderr: str = "", status: int | None = 0) -> dict[str, Any]:
    return {"command": number, "stdout": stdout, "stderr": stderr, "exit_status": status}


# The node


def test_commands_run_one_by_one_and_tell_what_they_said(server: SshServer) -> None:
    outcome = act(
        server, "pwd; echo no >&2", "cat > order-{{ order.id }}; cat order-7", "cat", stdin="{{ order.id }}é\n"
    )
    assert outcome.failure is None
    home = server.root / USER
    assert outcome.output == [show(0, f"{home}\n", "no\n"), show(1, "7é\n"), show(2, "7é\n")]
    assert (home / "order-7").read_text() == "7é\n"


def test_a_command_that_fails_is_a_mistake_and_the_next_is_not_run(server: SshServer) -> None:
    outcome = act(server, "echo a", "echo b; exit 3", "echo c")
    assert (outcome.failure, outcome.cause) == ("command 1 ended with status 3", Cause.MISTAKE)
    assert outcome.output == [show(0, "a\n"), show(1, "b\n", status=3)]
    assert server.commands == ["echo a", "echo b; exit 3"]


def test_a_status_may_be_ignored_and_a_signal_is_told_as_its_number(server: SshServer) -> None:
    outcome = act(server, "exit 3", "kill -9 $$", "echo c", ignoreStatus=True)
    assert outcome.failure is None
    assert outcome.output == [show(0, status=3), show(1, status=-9), show(2, "c\n")]


def test_its_test_logs_in_and_runs_true(server: SshServer) -> None:
    outcome = act(server, "rm -rf important", tests=True)
    assert (outcome.failure, outcome.output) == (None, [show(0)])
    assert server.commands == ["true"]


@pytest.mark.parametrize("means", ["password", "kbdint"])
@pytest.mark.parametrize("tests", [True, False])
def test_a_password_logs_in_and_is_tried_once_where_it_is_refused(
    tmp_path: Path, means: str, tests: bool
) -> None:
    with SshServer(tmp_path, means=(means,)) as server:
        server.add_user(USER, password=PASSWORD)
        assert act(server, tests=tests, **BY_PASSWORD).failure is None
        refused = act(server, tests=tests, given={"password": "another-one"}, **BY_PASSWORD)
        assert (refused.failure, refused.cause) == (
            f"127.0.0.1:{server.port} refuses the login",
            Cause.REJECTED,
        )
        assert server.tried == [PASSWORD, "another-one"]


def test_a_password_is_tried_once_though_there_are_two_ways_to_say_it(tmp_path: Path) -> None:
    with SshServer(tmp_path, means=("password", "kbdint")) as server:
        server.add_user(USER, password=PASSWORD)
        assert act(server, given={"password": "another-one"}, **BY_PASSWORD).cause is Cause.REJECTED
        assert server.tried == ["another-one"]


def test_a_refused_key_judges_the_credential(server: SshServer) -> None:
    outcome = act(server, given={"key": export(make_key())})
    assert (outcome.failure, outcome.cause) == (f"127.0.0.1:{server.port} refuses the login", Cause.REJECTED)


@pytest.mark.parametrize(("means", "data", "told"), [("key", BY_PASSWORD, "password"), ("password", {}, "key")])
def test_a_credential_that_the_host_never_asked_for_is_not_judged(
    tmp_path: Path, means: str, data: dict[str, Any], told: str
) -> None:
    with SshServer(tmp_path, means=(means,)) as server:
        server.add_user(USER, keys=KEY.export_public_key(), password=PASSWORD)
        outcome = act(server, **data)
        assert outcome.failure == f"127.0.0.1:{server.port} asks for no {told} at this login"
        assert outcome.cause is Cause.MISTAKE


def test_keys_of_other_kinds_and_in_pem_log_in_too(server: SshServer) -> None:
    rsa, ecdsa = make_key("ssh-rsa", key_size=2048), make_key("ecdsa-sha2-nistp384")
    keys = server.root / USER / ".ssh" / "authorized_keys"
    keys.write_bytes(rsa.export_public_key() + ecdsa.export_public_key())
    for key, form in ((rsa, "openssh"), (rsa, "pkcs1-pem"), (ecdsa, "pkcs8-pem")):
        text = key.export_private_key(form).decode().strip()
        assert act(server, given={"key": text}).failure is None


@pytest.mark.parametrize(
    "text", ["nonsense", "-----BEGIN OPENSSH PRIVATE KEY-----\nAAAA\n-----END OPENSSH PRIVATE KEY-----"]
)
def test_a_key_that_is_none_is_a_mistake_and_is_told_before_anybody_is_called(
    server: SshServer, text: str
) -> None:
    outcome = act(server, given={"key": text})
    assert outcome.cause is Cause.MISTAKE
    assert (outcome.failure or "").startswith("the private key cannot be read")
    assert server.visitors == []


def test_an_encrypted_key_is_a_mistake(server: SshServer, tmp_path: Path) -> None:
    path = tmp_path / "encrypted"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "a-passphrase", "-f", path], check=True)
    outcome = act(server, given={"key": path.read_text()})
    assert (outcome.failure or "").endswith("whole and not encrypted")
    assert outcome.cause is Cause.MISTAKE


# Whom it talks to


def test_a_host_is_known_by_its_line_or_its_fingerprint(server: SshServer) -> None:
    for known in (
        server.host_key,
        server.host_key + " root@files",
        server.fingerprint,
        server.fingerprint + "=",
    ):
        assert act(server, hostKey=known).failure is None


def test_a_host_that_shows_another_key_is_refused_before_anything_is_said(server: SshServer) -> None:
    another = make_key()
    for known in (another.export_public_key().decode(), another.get_fingerprint()):
        outcome = act(server, hostKey=known, **BY_PASSWORD)
        assert outcome.cause is Cause.MISTAKE
        assert outcome.failure == (
            f"127.0.0.1:{server.port} shows a host key that is not the one given: "
            f"ssh-ed25519 {server.fingerprint}; if it is its own, give that"
        )
    assert (server.visitors, server.tried) == ([], [])


def test_a_host_without_a_key_of_that_kind_shows_what_it_has(server: SshServer) -> None:
    outcome = act(server, hostKey=make_key("ecdsa-sha2-nistp256").export_public_key().decode())
    assert outcome.cause is Cause.MISTAKE
    assert f"not the one given: ssh-ed25519 {server.fingerprint};" in (outcome.failure or "")


def test_a_line_and_its_fingerprint_say_the_same(server: SshServer) -> None:
    assert parse_host_key(server.host_key).fingerprint == server.fingerprint
    assert parse_host_key(f" {server.fingerprint}=\n").fingerprint == server.fingerprint


@pytest.mark.parametrize(
    "text",
    [
        "", "ssh-ed25519", "ssh-ed25519 !!!", "ssh-ed25519 AAAA", "ssh-dss AAAAB3NzaC1kc3M=", "SHA256:short",
        "MD5:aa:bb",
        "files.example.org ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAABAgMEBQYHCAkKCwwNDg8QERITFBUWFxgZGhscHR4f",
        "ssh-rsa AAAAC3NzaC1lZDI1NTE5AAAAIAABAgMEBQYHCAkKCwwNDg8QERITFBUWFxgZGhscHR4f",
    ],
)  # fmt: skip
def test_what_is_no_host_key_is_refused_by_the_name_of_its_field(text: str) -> None:
    with pytest.raises(InvalidInputError, match="this is not a host key"):
        parse_host_key(text)
    with pytest.raises(ValidationError, match="this is not a host key") as error:
        Ssh.Fields.model_validate({**Ssh.example, "hostKey": text})
    assert error.value.errors()[0]["loc"] == ("hostKey",)


def test_nothing_of_the_workers_own_user_is_used(
    server: SshServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An agent, keys, known hosts and a configuration that would each let it in, or lead it astray."""
    own = tmp_path / "own"
    (own / ".ssh").mkdir(parents=True)
    (own / ".ssh" / "id_ed25519").write_text(export(KEY))
    (own / ".ssh" / "id_ed25519").chmod(0o600)
    (own / ".ssh" / "known_hosts").write_text(f"[127.0.0.1]:{server.port} {server.host_key}\n")
    (own / ".ssh" / "config").write_text("Host *\n  User nobody\n  ProxyCommand false\n  RemoteCommand false\n")
    socket_path = tmp_path / "agent"
    agent = subprocess.Popen(["ssh-agent", "-D", "-a", socket_path], stdout=subprocess.PIPE)
    try:
        assert agent.stdout is not None
        assert agent.stdout.readline()
        environment = {**os.environ, "SSH_AUTH_SOCK": str(socket_path)}
        subprocess.run(["ssh-add", "-q", own / ".ssh" / "id_ed25519"], env=environment, check=True)
        monkeypatch.setenv("HOME", str(own))
        monkeypatch.setenv("SSH_AUTH_SOCK", str(socket_path))
        assert act(server).failure is None
        assert act(server, given={"key": export(make_key())}).cause is Cause.REJECTED
        assert act(server, given={"password": "wrong"}, **BY_PASSWORD).cause is Cause.REJECTED
        assert act(server, hostKey=make_key().export_public_key().decode()).cause is Cause.MISTAKE
        assert set(server.visitors) == {USER}
    finally:
        agent.terminate()
        agent.communicate(timeout=120)


def test_the_guard_is_asked_by_the_address(server: SshServer) -> None:
    outcome = act(server, given={"network": Network()})
    assert outcome.cause is Cause.MISTAKE
    assert (outcome.failure or "").startswith("127.0.0.1 is no public address")
    assert server.visitors == []


# Values


@pytest.mark.parametrize(
    "text", ["echo {{ vault.prod-password }}", "echo {{ echo.body }}", "echo {{ echo.body | upcase }}"]
)
def test_a_value_may_not_stand_in_a_command_whichever_way_it_came(server: SshServer, text: str) -> None:
    outcome = act(server, "echo a", text)
    assert outcome.cause is Cause.MISTAKE
    assert (outcome.failure or "").startswith(
        "a value may not stand in command 1, since everybody on that host"
    )
    assert server.commands == []


def test_what_a_command_says_of_a_value_is_masked(server: SshServer) -> None:
    execution = make_execution()
    fields = Ssh.Fields.model_validate(
        {
            "host": "127.0.0.1", "port": server.port, "username": USER, "hostKey": server.host_key,
            "privateKey": "{{ vault.prod-key }}", "commands": ["cat", "cat >&2", "base64"],
            "stdin": "{{ vault.prod-password }}",
        }
    )  # fmt: skip
    outcome = Ssh().run(fields, execution)
    assert outcome.output[0]["stdout"] == PASSWORD
    assert PASSWORD not in str(server.commands)
    shown = execution.masker.mask(outcome.output)
    assert [(part["stdout"].strip(), part["stderr"]) for part in shown] == [(MASK, ""), ("", MASK), (MASK, "")]


def test_nothing_is_logged(server: SshServer, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.DEBUG):
        act(server, "echo order-{{ order.id }}")
        act(server, given={"password": "wrong"}, **BY_PASSWORD)
    assert [record.name for record in caplog.records if record.name.startswith("asyncssh")] == []


@pytest.mark.parametrize(
    "data",
    [
        {"privateKey": None}, {"password": "x"}, {"authMethod": "password"},
        {"authMethod": "password", "privateKey": None}, {"authMethod": "password", "password": "x"},
    ],
)  # fmt: skip
def test_a_login_is_by_one_means(data: dict[str, Any]) -> None:
    with pytest.raises(ValidationError, match="authMethod: key goes with privateKey alone"):
        Ssh.Fields.model_validate({**Ssh.example, **data})


# Limits and outages


@pytest.mark.parametrize("stream", ["1", "2"])
def test_a_command_that_says_too_much_is_a_mistake_and_shows_nothing(server: SshServer, stream: str) -> None:
    half = OUTPUT_MAX // 2
    assert act(server, f"head -c {half} /dev/zero", f"head -c {half} /dev/zero >&{stream}").failure is None
    outcome = act(server, f"head -c {half} /dev/zero", f"head -c {half + 1} /dev/zero >&{stream}; sleep 600")
    assert outcome.failure == f"command 1: 127.0.0.1:{server.port} sent more than {OUTPUT_MAX} bytes"
    assert (outcome.cause, outcome.output) == (Cause.MISTAKE, None)


def test_input_that_is_large_or_not_read_holds_nothing_up(server: SshServer) -> None:
    text = "0123456789abcdef" * 50_000
    assert act(server, "wc -c", stdin=text).output == [show(0, f"{len(text)}\n")]
    assert act(server, "echo done", stdin=text).output == [show(0, "done\n")]


def test_the_deadline_is_for_all_of_it(server: SshServer) -> None:
    begun = time.monotonic()
    for seconds in (0.7, 5, 60):  # long enough for the first command, however busy the machine is
        outcome = act(server, "echo a", "sleep 600", timeout=seconds)
        if "command 1: " in outcome.failure:
            break
    said = f"command 1: 127.0.0.1:{server.port} did not answer in {seconds:g} seconds"
    assert (outcome.failure, outcome.cause) == (said, Cause.OUTAGE)
    assert act(server, "sleep 600", given={"seconds": 0.5}).cause is Cause.OUTAGE
    assert time.monotonic() - begun < 300


@pytest.mark.parametrize("greeting", [b"", b"SSH-2.0-quiet\r\n"])
def test_a_host_that_says_nothing_more_is_an_outage(server: SshServer, greeting: bytes) -> None:
    with answer(greeting, ends=False) as port:
        outcome = act(server, port=port, timeout=0.5)
    assert (outcome.failure, outcome.cause) == (f"127.0.0.1:{port} did not answer in 0.5 seconds", Cause.OUTAGE)


@pytest.mark.parametrize(
    "greeting", [b"", b"HTTP/1.1 400 Bad Request\r\n\r\n", b"SSH-2.0-x\r\n" + b"\0" * 64, b"\xff" * 9000]
)
def test_a_host_that_breaks_off_or_speaks_no_ssh_is_an_outage(server: SshServer, greeting: bytes) -> None:
    with answer(greeting, ends=True) as port:
        outcome = act(server, port=port)
    assert (outcome.failure, outcome.cause) == (
        f"127.0.0.1:{port} broke off, or did not speak SSH", Cause.OUTAGE
    )  # fmt: skip


def test_a_host_that_is_away_is_an_outage(server: SshServer) -> None:
    with socket.socket() as reserved:
        reserved.bind(("127.0.0.1", 0))
        assert act(server, port=reserved.getsockname()[1]).cause is Cause.OUTAGE


def test_a_connection_that_breaks_off_under_a_command_is_an_outage(server: SshServer) -> None:
    with PromptLink(server.port) as link:
        port = link.port
        server.before = lambda _: link.cut_after(0)
        outcome = act(server, "echo a; sleep 600", port=port)
    assert (outcome.failure, outcome.cause) == (
        f"command 0: 127.0.0.1:{port} broke off, or did not speak SSH", Cause.OUTAGE
    )  # fmt: skip


@contextmanager
def answer(greeting: bytes, *, ends: bool) -> Iterator[int]:
    """A port that greets, and then says nothing more, or ends the connection."""
    over = threading.Event()
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            caller, _ = listener.accept()
            with caller:
                caller.sendall(greeting)
                if ends:
                    caller.shutdown(socket.SHUT_WR)
                over.wait(120)

        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield listener.getsockname()[1]
        finally:
            over.set()
            thread.join(120)


# The rotators


def let_in(port: int, **login: Any) -> bool:
    """Asked past the link, and past our own client."""

    async def ask() -> bool:
        common = {"known_hosts": None, "config": None, "agent_path": None, "username": USER}
        try:
            async with asyncssh.connect("127.0.0.1", port, **common, **login):
                return True
        except asyncssh.PermissionDenied:
            return False

    return asyncio.run(ask())


def accepts_key(port: int, value: Secret) -> bool:
    return let_in(port, client_keys=[asyncssh.import_private_key(value.expose())])


def entries_of(keys: Path) -> list[bytes]:
    """What is there beside the others' lines, which are all there as they were."""
    content = keys.read_bytes()
    assert content.startswith(OTHERS)
    return content.removeprefix(OTHERS).splitlines()


@contextmanager
def stage_key(
    root: Path, *, key: Any = KEY, options: bytes = b"", ending: bytes = b"\n", admin: bool = False,
    has_sftp: bool = True, has_posix_rename: bool = True,
) -> Iterator[tuple[StagedRotator, SshServer]]:  # fmt: skip
    public = key.export_public_key().strip()
    old = OTHERS + (options + b" " if options else b"") + public + ending
    made = SshServer(root)
    made.has_sftp, made.has_posix_rename = has_sftp, has_posix_rename
    with made as server, PromptLink(server.port) as link:
        keys = server.add_user(USER, keys=old) / ".ssh" / "authorized_keys"
        asked: dict[str, Any] = {
            "host": "127.0.0.1",
            "port": link.port,
            "username": USER,
            "host_key": server.host_key,
        }
        values = {}
        if admin:
            admin_key = make_key()
            server.add_user("admin", keys=admin_key.export_public_key())
            asked |= {"admin": "admin", "admin_key": "{{ vault.prod-admin-key }}", "file": str(keys)}
            values["prod-admin-key"] = Secret(export(admin_key))
        stage = StagedRotator(
            rotator=SshKeyRotator(),
            settings=asked,
            old=Secret(export(key)),
            link=link,
            accepts=lambda value: accepts_key(server.port, value),
            count=lambda: len(entries_of(keys)),
            values=values,
        )
        yield stage, server


class TestSshKey(RotatorContract):
    cut_every = 15

    @pytest.fixture(autouse=True)
    def _root(self, tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
        self.root = tmp_path_factory
        with sessions_kept():  # as whoever drives a rotation does
            yield

    @contextmanager
    def stage(self) -> Iterator[StagedRotator]:
        with stage_key(self.root.mktemp("ssh")) as (stage, _):
            yield stage


@contextmanager
def stage_password(root: Path, **settings: Any) -> Iterator[StagedRotator]:
    with SshServer(root) as server, PromptLink(server.port) as link:
        home = server.add_user(USER, password=PASSWORD)
        server.add_user("admin", password="the-password-of-admin")
        yield StagedRotator(
            rotator=SshPasswordRotator(),
            settings={
                "host": "127.0.0.1", "port": link.port, "username": USER, "host_key": server.fingerprint,
                **settings,
            },
            old=Secret(PASSWORD),
            link=link,
            accepts=lambda value: let_in(server.port, client_keys=None, password=value.expose()),
            count=lambda: len((home / "password").read_text().splitlines()),
            values={"prod-admin-password": Secret("the-password-of-admin")},
        )  # fmt: skip
        assert not [command for command in server.commands if PASSWORD in command]


OWN = {"command": "own-password", "stdin": "{{ rotation.old }}\n{{ rotation.new }}\n{{ rotation.new }}\n"}
BY_ADMIN = {"command": "set-password", "admin": "admin", "admin_password": "{{ vault.prod-admin-password }}"}


class TestSshPassword(RotatorContract):
    """The user sets its own."""

    cut_every = 10
    settings: Mapping[str, Any] = OWN

    @pytest.fixture(autouse=True)
    def _root(self, tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
        self.root = tmp_path_factory
        with sessions_kept():  # as whoever drives a rotation does
            yield

    @contextmanager
    def stage(self) -> Iterator[StagedRotator]:
        with stage_password(self.root.mktemp("ssh"), **self.settings) as stage:
            yield stage


class TestSshPasswordByAdmin(TestSshPassword):
    settings = BY_ADMIN


@pytest.mark.long
class TestSshKeyCutEverywhere(TestSshKey):
    cut_every = 1


@pytest.mark.long
class TestSshPasswordCutEverywhere(TestSshPassword):
    cut_every = 1


# `ssh-key`


def fail(act: Any, *arguments: Any) -> tuple[str, Cause]:
    with pytest.raises(TargetError) as error:
        act(*arguments)
    assert error.value.__context__ is None or error.value.__suppress_context__
    return str(error.value), error.value.cause


def test_a_new_key_is_what_others_take_for_one(tmp_path: Path) -> None:
    with stage_key(tmp_path) as (stage, _):
        made = stage.rotator.create(stage.job())
    assert len(made.value) < VALUE_MAX
    path = tmp_path / "new"
    path.write_text(made.value.expose())
    path.chmod(0o600)
    public = subprocess.run(["ssh-keygen", "-y", "-f", path], check=True, capture_output=True, text=True).stdout
    assert public.split()[::2] == ["ssh-ed25519", LABEL]
    told = subprocess.run(["ssh-keygen", "-l", "-f", path], check=True, capture_output=True, text=True).stdout
    assert told.split()[1] == made.external["fingerprint"]


@pytest.mark.parametrize("form", ["openssh", "pkcs1-pem", "pkcs8-pem"])
def test_a_long_rsa_key_fits_into_an_item_logs_in_is_masked_and_is_replaced(
    tmp_path: Path, rsa_key: Any, form: str
) -> None:
    with stage_key(tmp_path, key=rsa_key) as (stage, server):
        text = rsa_key.export_private_key(form).decode()
        assert len(check_value(text, name="prod-files-ssh-key")) > VALUE_MAX
        outcome = act(server, "cat", given={"key": text}, stdin="{{ vault.prod-key }}")
        assert outcome.failure is None
        said = outcome.output[0]["stdout"]
        masked = str(Masker([Secret(text)]).mask({"whole": said, "lines": said.splitlines()}))
        assert said == text
        assert not any(line in masked for line in text.splitlines()[1:-1])
        made = stage.rotator.create(stage.job())
        assert stage.rotator.install(stage.job(made)) == "its line was added"
        assert stage.rotator.revoke(stage.job(made)).startswith("its line was removed")


@pytest.mark.parametrize("ending", [b"\n", b"", b"\r\n"])
@pytest.mark.parametrize(
    "options", [b"", b'from="127.0.0.1,::1",no-pty', b'environment="A=b \\"c\\"",restrict']
)
def test_the_new_line_has_the_old_ones_options_and_the_others_stay(
    tmp_path: Path, options: bytes, ending: bytes
) -> None:
    with stage_key(tmp_path, options=options, ending=ending) as (stage, server):
        keys = server.root / USER / ".ssh" / "authorized_keys"
        made = stage.rotator.create(stage.job())
        assert stage.rotator.install(stage.job(made)) == "its line was added"
        assert stage.rotator.install(stage.job(made)) == "its line was there already"
        old, new = entries_of(keys)
        public = asyncssh.import_private_key(made.value.expose()).export_public_key().strip()
        assert new == (options + b" " if options else b"") + public
        assert stage.rotator.verify(stage.job(made), made.value) == "127.0.0.1 lets robot in by it"
        assert stage.rotator.revoke(stage.job(made)).startswith("its line was removed")
        assert entries_of(keys) == [new]
        assert stage.rotator.revoke(stage.job(made)).startswith("its line was gone already")
        assert old != new


@pytest.mark.parametrize("mode", [0o600, 0o644, 0o640, 0o444, 0o400])
def test_the_file_keeps_its_mode_through_every_step(tmp_path: Path, mode: int) -> None:
    with stage_key(tmp_path) as (stage, server):
        keys = server.root / USER / ".ssh" / "authorized_keys"
        keys.chmod(mode)
        made = stage.rotator.create(stage.job())
        for step in ("install", "undo", "install", "revoke"):
            getattr(stage.rotator, step)(stage.job(made))
            assert keys.stat().st_mode & 0o7777 == mode, step


def test_on_a_host_without_sftp_or_its_renaming_the_file_stays_as_it_is(tmp_path: Path) -> None:
    for has_sftp, told in ((False, "lets this login reach no files by SFTP"), (True, "cannot be written")):
        root = tmp_path / str(has_sftp)
        root.mkdir()
        with stage_key(root, has_sftp=has_sftp, has_posix_rename=False) as (stage, server):
            keys = server.root / USER / ".ssh" / "authorized_keys"
            before = keys.read_bytes()
            said, cause = fail(stage.rotator.install, stage.job(stage.rotator.create(stage.job())))
            assert told in said
            assert cause is Cause.MISTAKE
            assert keys.read_bytes() == before
            assert list(keys.parent.iterdir()) == [keys]


@contextmanager
def open_folder() -> Iterator[Path]:
    """One that every user can look into."""
    with tempfile.TemporaryDirectory(prefix="nightkey-ssh-") as made:
        Path(made).chmod(0o755)
        yield Path(made)


@contextmanager
def stage_foreign(*, owner: int, mode: int) -> Iterator[tuple[StagedRotator, Path]]:
    """The file is the owner's, and of a group that the admin, who is not root, is no member of."""
    with open_folder() as root, stage_key(root, admin=True) as (stage, server):
        keys = server.root / USER / ".ssh" / "authorized_keys"
        keys.chmod(mode)
        os.chown(keys, owner, NOBODY)
        os.chown(keys.parent, NOBODY, -1)
        server.runs_as = NOBODY
        yield stage, keys


@as_root
@pytest.mark.parametrize(("owner", "mode"), [(0, 0o644), (0, 0o664), (NOBODY, 0o640)])
def test_a_file_that_others_could_read_no_more_is_not_written(owner: int, mode: int) -> None:
    with stage_foreign(owner=owner, mode=mode) as (stage, keys):
        before, seen = keys.read_bytes(), show_rights(keys)
        told = fail(stage.rotator.install, stage.job(stage.rotator.create(stage.job())))
        why = "its owner, group or rights would change: name its owner as admin, or root"
        assert told == (f"{keys} cannot be written: {why}", Cause.MISTAKE)
        assert (keys.read_bytes(), show_rights(keys)) == (before, seen)
        assert list(keys.parent.iterdir()) == [keys]


@as_root
@pytest.mark.parametrize("mode", [0o600, 0o644])
def test_a_group_that_may_do_what_others_may_holds_nothing_up(mode: int) -> None:
    with stage_foreign(owner=NOBODY, mode=mode) as (stage, keys):
        stage.rotator.install(stage.job(stage.rotator.create(stage.job())))
        assert show_rights(keys)[:2] == (mode, NOBODY)


def show_rights(file: Path) -> tuple[int, int, int]:
    found = file.stat()
    return found.st_mode & 0o7777, found.st_uid, found.st_gid


@pytest.mark.parametrize("admin", [False, True])
def test_a_host_that_refuses_the_old_key_beside_the_new_one_gets_its_file_back(
    tmp_path: Path, admin: bool
) -> None:
    with stage_key(tmp_path, admin=admin) as (stage, server):
        keys = server.root / USER / ".ssh" / "authorized_keys"
        before, itself = keys.read_bytes(), keys.stat().st_ino
        server.lines_max = len(before.splitlines())
        made = stage.rotator.create(stage.job())
        told, cause = fail(stage.rotator.install, stage.job(made))
        assert "refuses the old key with the new line in" in told
        assert cause is Cause.MISTAKE
        assert keys.read_bytes() == before
        assert keys.stat().st_ino == itself  # with whatever rights it has that SFTP does not tell of
        assert list(keys.parent.iterdir()) == [keys]
        assert stage.accepts is not None
        assert stage.accepts(stage.old)
        if admin:  # a try that broke off when the line was there
            server.lines_max = None
            stage.rotator.install(stage.job(made))
            server.lines_max = len(before.splitlines())
            assert fail(stage.rotator.install, stage.job(made)) == (told, cause)
            assert keys.read_bytes() == before


def test_what_is_left_over_from_this_rotation_goes_with_revoking_and_undoing(tmp_path: Path) -> None:
    for step in ("revoke", "undo"):
        (tmp_path / step).mkdir()
        with stage_key(tmp_path / step) as (stage, _):
            first, second = (stage.rotator.create(stage.job()) for _ in range(2))
            stage.rotator.install(stage.job(first))
            stage.rotator.install(stage.job(second))
            getattr(stage.rotator, step)(stage.job(second))
            assert not stage.accepts(first.value)
            assert stage.accepts(second.value if step == "revoke" else stage.old)
            assert stage.count is not None
            assert stage.count() == 1


def test_a_line_that_somebody_else_adds_meanwhile_is_kept(tmp_path: Path) -> None:
    foreign = b"# added meanwhile\n"
    with stage_key(tmp_path) as (stage, server):
        keys = server.root / USER / ".ssh" / "authorized_keys"
        made = stage.rotator.create(stage.job())
        meddled: list[bool] = []

        def meddle() -> None:
            if not meddled:
                meddled.append(True)
                keys.write_bytes(keys.read_bytes() + foreign)

        server.before_write = meddle
        stage.rotator.install(stage.job(made))
        assert meddled
        assert foreign.strip() in entries_of(keys)
        assert stage.accepts(made.value)
        server.before_write = lambda: keys.write_bytes(keys.read_bytes() + foreign)
        assert fail(stage.rotator.revoke, stage.job(made)) == (
            ".ssh/authorized_keys is changed by somebody else all the time", Cause.OUTAGE
        )  # fmt: skip
        assert stage.accepts(stage.old)


def test_what_one_that_was_killed_left_beside_the_file_is_thrown_away(tmp_path: Path) -> None:
    with stage_key(tmp_path) as (stage, server):
        keys = server.root / USER / ".ssh" / "authorized_keys"
        for what in ("new", "kept"):
            keys.with_name(f"authorized_keys.{LABEL}.{what}").write_bytes(b"half of i")
        made = stage.rotator.create(stage.job())
        for step in ("install", "revoke"):
            getattr(stage.rotator, step)(stage.job(made))
            assert list(keys.parent.iterdir()) == [keys]
        assert stage.accepts is not None
        assert stage.accepts(made.value)


def test_the_file_is_not_guessed(tmp_path: Path) -> None:
    with stage_key(tmp_path) as (stage, server):
        keys = server.root / USER / ".ssh" / "authorized_keys"
        made = stage.rotator.create(stage.job())
        stage.settings = {**stage.settings, "file": ".ssh/other"}
        assert fail(stage.rotator.install, stage.job(made)) == (
            ".ssh/other is not there: name the file in which the host looks keys up", Cause.MISTAKE
        )  # fmt: skip
        os.mkfifo(keys.parent / "other")
        assert fail(stage.rotator.install, stage.job(made))[0].startswith(".ssh/other is not there")
        (keys.parent / "other").unlink()
        (keys.parent / "other").symlink_to(keys)
        assert fail(stage.rotator.install, stage.job(made)) == (
            ".ssh/other is a symbolic link, which is not replaced: name the file itself", Cause.MISTAKE
        )  # fmt: skip
        (keys.parent / "other").unlink()
        (keys.parent / "other").write_bytes(OTHERS)
        told, cause = fail(stage.rotator.install, stage.job(made))
        assert told.startswith(".ssh/other has no line for the key")
        assert cause is Cause.MISTAKE
        assert (keys.parent / "other").read_bytes() == OTHERS


def test_the_old_line_stays_where_the_new_one_is_not(tmp_path: Path) -> None:
    with stage_key(tmp_path, admin=True) as (stage, _):
        made = stage.rotator.create(stage.job())
        told, cause = fail(stage.rotator.revoke, stage.job(made))
        assert "has no line for the key that is to stay" in told
        assert cause is Cause.MISTAKE
        assert stage.accepts(stage.old)


def test_a_key_that_runs_one_command_only_needs_an_admin(tmp_path: Path) -> None:
    options = b'command="echo backup",restrict'
    for name in ("alone", "helped"):
        (tmp_path / name).mkdir()
    with stage_key(tmp_path / "alone", options=options) as (stage, _):
        told, cause = fail(stage.rotator.install, stage.job(stage.rotator.create(stage.job())))
        assert told.endswith("lets this login reach no files by SFTP: name an admin who may")
        assert cause is Cause.MISTAKE
    with stage_key(tmp_path / "helped", options=options, admin=True) as (stage, server):
        made = stage.rotator.create(stage.job())
        stage.rotator.install(stage.job(made))
        stage.rotator.verify(stage.job(made), made.value)
        stage.rotator.revoke(stage.job(made))
        (line,) = entries_of(server.root / USER / ".ssh" / "authorized_keys")
        assert line.startswith(options + b" ssh-ed25519 ")
        stage.values = {"prod-admin-key": Secret(export(make_key()))}
        assert fail(stage.rotator.undo, stage.job(made)) == (
            "127.0.0.1 does not let admin in, who writes the file", Cause.MISTAKE
        )  # fmt: skip


def test_an_old_key_that_is_refused_is_told_as_such(tmp_path: Path) -> None:
    with stage_key(tmp_path) as (stage, _):
        made = stage.rotator.create(stage.job())
        stage.old = Secret(export(make_key()))
        assert fail(stage.rotator.install, stage.job(made))[1] is Cause.REJECTED
        assert fail(stage.rotator.verify, stage.job(made), stage.old)[1] is Cause.REJECTED
        stage.old = Secret("no key")
        told, cause = fail(stage.rotator.install, stage.job(made))
        assert told.startswith("the private key cannot be read")
        assert cause is Cause.MISTAKE


def test_undoing_where_nothing_was_made_asks_nobody(tmp_path: Path) -> None:
    with stage_key(tmp_path) as (stage, server):
        assert stage.rotator.undo(stage.job()) == "nothing was installed"
        assert server.visitors == []


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"host_key": "x"}, "host_key: this is not a host key"),
        ({"admin": "root"}, "admin and admin_key go together"),
        ({"admin": "root", "admin_key": "{{ vault.prod-key }}"}, "file: name it from / on"),
        ({"admin": "root", "file": "/x", "admin_key": "{{ vault.prod-key"}, "admin_key: "),
        ({"file": "-rf"}, "String should match pattern"),
    ],
)
def test_settings_of_ssh_key_that_cannot_be_meant(changes: dict[str, Any], told: str) -> None:
    with pytest.raises(ValidationError, match=told):
        SshKeyRotator.Settings.model_validate({**SshKeyRotator.example, **changes})


# Logins


@pytest.fixture
def unhurried(monkeypatch: pytest.MonkeyPatch) -> None:
    """However slow this machine is, no session is idle for too long."""
    monkeypatch.setattr(Session, "idle_seconds", 600.0)
    monkeypatch.setattr(sessions, "AGE_MAX_SECONDS", 600.0)


def replace_thrice(stage: StagedRotator) -> None:
    for _ in range(3):
        made = stage.rotator.create(stage.job())
        stage.rotator.install(stage.job(made))
        stage.rotator.verify(stage.job(made), made.value)
        stage.rotator.revoke(stage.job(made))
        stage.old = made.value


@pytest.mark.usefixtures("unhurried")
def test_one_login_of_the_admin_serves_three_replaced_keys_and_each_proof_logs_in_for_itself(
    tmp_path: Path,
) -> None:
    with stage_key(tmp_path, admin=True) as (stage, server), sessions_kept():
        replace_thrice(stage)
        # The old one beside the new one, the new one, and the old one that is refused.
        assert (server.visitors.count("admin"), server.visitors.count(USER)) == (1, 9)


@pytest.mark.usefixtures("unhurried")
def test_one_login_of_the_admin_serves_three_replaced_passwords_and_another_where_it_was_hung_up_on(
    tmp_path: Path,
) -> None:
    with SshServer(tmp_path) as server, PromptLink(server.port) as link, sessions_kept():
        server.add_user(USER, password=PASSWORD)
        server.add_user("admin", password="the-password-of-admin")
        stage = StagedRotator(
            rotator=SshPasswordRotator(),
            settings={
                "host": "127.0.0.1", "port": link.port, "username": USER, "host_key": server.fingerprint,
                **BY_ADMIN,
            },
            old=Secret(PASSWORD),
            link=link,
            accepts=None,
            values={"prod-admin-password": Secret("the-password-of-admin")},
        )  # fmt: skip
        replace_thrice(stage)
        assert (server.visitors.count("admin"), server.visitors.count(USER)) == (1, 6)
        link.mend()  # drops what is open
        replace_thrice(stage)
        assert (server.visitors.count("admin"), server.visitors.count(USER)) == (2, 12)


@pytest.mark.usefixtures("unhurried")
def test_who_replaces_its_own_credential_shares_no_login(tmp_path: Path) -> None:
    with stage_key(tmp_path) as (stage, server), sessions_kept():
        replace_thrice(stage)
        store = sessions.current_store()
        assert store is not None
        assert store._idle == []
        assert server.visitors.count(USER) == len(server.visitors) == 3 * 5


# `ssh-password`


def test_a_command_that_fails_says_its_status_and_no_value(tmp_path: Path) -> None:
    with stage_password(tmp_path, command="cat >&2; exit 9") as stage:
        made = stage.rotator.create(stage.job())
        assert fail(stage.rotator.install, stage.job(made)) == (
            "the command that sets the password ended with status 9", Cause.MISTAKE
        )  # fmt: skip


def test_an_admin_who_is_refused_is_no_judgement_of_the_value(tmp_path: Path) -> None:
    with stage_password(tmp_path, **BY_ADMIN) as stage:
        made = stage.rotator.create(stage.job())
        stage.values = {"prod-admin-password": Secret("wrong")}
        assert fail(stage.rotator.install, stage.job(made)) == (
            "127.0.0.1 does not let admin in, who sets the password", Cause.MISTAKE
        )  # fmt: skip


def test_where_neither_password_works_a_person_is_asked(tmp_path: Path) -> None:
    with stage_password(tmp_path, **OWN) as stage:
        made = stage.rotator.create(stage.job())
        stage.old = Secret("forgotten-long-ago")
        assert fail(stage.rotator.install, stage.job(made)) == (
            "127.0.0.1 does not let robot in, who sets the password", Cause.MISTAKE
        )  # fmt: skip


def test_an_old_password_that_still_works_is_told(tmp_path: Path) -> None:
    with stage_password(tmp_path, **OWN) as stage:
        made = stage.rotator.create(stage.job())
        assert fail(stage.rotator.revoke, stage.job(made)) == (
            "revoke: the host still accepts the old password", Cause.OUTAGE
        )  # fmt: skip
        assert stage.rotator.undo(stage.job()) == "nothing was set"


@pytest.mark.parametrize("end", ["\n", "\r", "\0", "\nroot:owned", "\nroot:owned\n"])
@pytest.mark.parametrize("settings", [OWN, BY_ADMIN])
def test_an_old_password_of_several_lines_is_refused_before_anything_is_changed(
    tmp_path: Path, settings: Mapping[str, Any], end: str
) -> None:
    with stage_password(tmp_path, **settings) as stage:
        good = stage.rotator.create(stage.job())
        stage.old = Secret(PASSWORD + end)
        for act, arguments in (
            (stage.rotator.create, stage.job()),
            (stage.rotator.install, stage.job(good)),
            (stage.rotator.undo, stage.job(good)),
        ):
            told, cause = fail(act, arguments)
            assert told.startswith("a password of this item holds a line break or a NUL")
            assert cause is Cause.MISTAKE
        assert stage.accepts is not None
        assert stage.accepts(Secret(PASSWORD))
        assert stage.rotator.undo(stage.job()) == "nothing was set"


def test_a_new_password_of_several_lines_is_never_set(tmp_path: Path) -> None:
    with stage_password(tmp_path, **BY_ADMIN) as stage:
        owned = Candidate(value=Secret("new\nroot:owned"))
        told, cause = fail(stage.rotator.install, stage.job(owned))
        assert told.startswith("a password of this item holds a line break")
        assert cause is Cause.MISTAKE
        assert stage.accepts is not None
        assert stage.accepts(stage.old)


def test_another_items_value_of_several_lines_is_refused_in_what_the_command_reads(tmp_path: Path) -> None:
    stdin = "{{ vault.prod-sudo }}\n{{ rotation.username }}:{{ rotation.new }}\n"
    by_key = {"command": "read -r sudo && set-password", "stdin": stdin}
    with stage_password(tmp_path, **BY_ADMIN | by_key) as stage:
        stage.values = {**stage.values, "prod-sudo": Secret("opens\nroot:owned")}
        told, cause = fail(stage.rotator.create, stage.job())
        assert told.startswith("the value of prod-sudo holds a line break")
        assert cause is Cause.MISTAKE
        stage.values = {**stage.values, "prod-sudo": Secret("opens")}
        made = stage.rotator.create(stage.job())
        assert stage.rotator.install(stage.job(made)) == "it was set"


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"command": "echo {{ rotation.new }} | passwd"}, "command: .*rotation.new is undefined"),
        ({"command": "echo {{ vault.prod-x }} | passwd"}, "command: a value may not stand here"),
        ({"command": "chpasswd {{"}, "command: "),
        ({"stdin": "x"}, "stdin: it must hold"),
        ({"admin_password": "{{ vault.prod-x }}"}, "either admin_key or admin_password"),
        ({"admin": None}, "either admin_key or admin_password"),
        ({"generate": {"characters": "ab\n"}}, "generate.characters: "),
        ({"username": "robot:x\nroot"}, "username\n.*should match pattern"),
        ({"username": "robot\n"}, "username\n.*should match pattern"),
        ({"username": "ro\0bot"}, "username\n.*should match pattern"),
        ({"username": "ro\x85bot"}, "username\n.*should match pattern"),
        ({"username": ""}, "username\n.*at least 1 character"),
        ({"admin": "ad\rmin"}, "admin\n.*should match pattern"),
        ({"host_key": "x"}, "host_key: this is not a host key"),
    ],
)
def test_settings_of_ssh_password_that_cannot_be_meant(changes: dict[str, Any], told: str) -> None:
    with pytest.raises(ValidationError, match=told):
        SshPasswordRotator.Settings.model_validate({**SshPasswordRotator.example, **changes})
