"""Node `ssh` and rotator `ssh-key` against OpenSSH's own server, as the user whom the tests run as.

Where root runs them, also with files that root keeps for another user, and an admin who writes them.
"""

import getpass
import itertools
import os
import pwd
import re
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("asyncssh", reason="the extra nightkey[ssh] is not installed")

from tests.integration.ssh_server import PromptLink
from tests.ports import choose_port
from tests.ways_out import HTTP, NETWORK
from vaultcore.errors import Cause, TargetError
from vaultcore.secret import Secret
from worker.rotators.ssh_key import SshKeyRotator
from worker.testing import RotatorContract, StagedRotator
from worker.testing.contract import _cut_and_go_on, _cut_undo
from worker.workflows.masking import Masker
from worker.workflows.nodes.base import Execution, Outcome
from worker.workflows.nodes.ssh import Ssh
from worker.workflows.run import try_component
from worker.workflows.templates import Scope

SSHD = shutil.which("sshd", path=f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/local/sbin")
SEPARATION = Path("/run/sshd")
"""Where sshd locks itself in; only when it is started by root."""
LOGIN_PIECES = 14
"""Fewer than a login takes."""
SERVED = "nobody"
"""A user whom root keeps a file for; they have no shell, so they only log in."""
OPTIONS = b'from="127.0.0.1,::1",no-pty,environment="NAME=a \\"b\\""'

pytestmark = [
    pytest.mark.long,
    pytest.mark.skipif(SSHD is None, reason="no sshd here: apt-get install openssh-server"),
]


def make_key(path: Path, *options: str) -> str:
    """Its public line; the private key lies at the path."""
    kind = options or ("-t", "ed25519")
    subprocess.run(["ssh-keygen", "-q", *kind, "-N", "", "-C", "by hand", "-f", path], check=True)
    return path.with_name(f"{path.name}.pub").read_text().strip()


class Sshd:
    """The server, with two files in which it looks keys up, and one for each user in a folder: with
    `one_line_only` as long as that has one line.
    """

    def __init__(self, folder: Path, *, one_line_only: bool = False) -> None:
        self.folder = folder
        self._one_line_only = one_line_only
        self.keys, self.more_keys = folder / "authorized_keys", folder / "more_keys"
        self.host_key = make_key(folder / "host_key")
        make_key(folder / "host_key_rsa", "-t", "rsa", "-b", "2048")
        self.port = choose_port()
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        assert SSHD is not None
        if os.geteuid() == 0 and not SEPARATION.is_dir():
            try:
                SEPARATION.mkdir(mode=0o755)
            except OSError:
                pytest.skip(f"sshd needs {SEPARATION} where root starts it, and it cannot be made")
        config = self.folder / "sshd_config"
        lines = [
            "ListenAddress 127.0.0.1", f"Port {self.port}", "PidFile none", "StrictModes no", "UsePAM no",
            f"HostKey {self.folder}/host_key", f"HostKey {self.folder}/host_key_rsa",
            f"AuthorizedKeysFile {self.keys} {self.more_keys} "
            + ("" if self._one_line_only else f"{self.folder}/central/%u"),
            "Subsystem sftp internal-sftp",
            "PasswordAuthentication no", "KbdInteractiveAuthentication no", "MaxStartups 100",
            "PermitRootLogin prohibit-password", f"AllowUsers {getpass.getuser()} {SERVED}",
            "PermitUserEnvironment yes",
        ]  # fmt: skip
        if self._one_line_only:
            (self.folder / "look").write_text('[ "$(wc -l < "$1")" != 1 ] || cat "$1"\n')
            lines += [
                f"AuthorizedKeysCommand /bin/sh {self.folder}/look {self.folder}/central/%u",
                f"AuthorizedKeysCommandUser {getpass.getuser()}",
            ]
        # Newer ones shut out who was refused often, as the tests are on purpose; older ones don't know of it.
        for extra in (["PerSourcePenalties no"], []):
            config.write_text("\n".join(lines + extra) + "\n")
            checked = subprocess.run([SSHD, "-t", "-f", config], check=False, capture_output=True, text=True)
            if checked.returncode == 0:
                break
        assert checked.returncode == 0, checked.stderr
        with (self.folder / "log").open("wb") as log:
            self._process = subprocess.Popen([SSHD, "-D", "-e", "-f", config], stdout=log, stderr=log)
        while not self._is_up():
            assert self._process.poll() is None, (self.folder / "log").read_text()
            time.sleep(0.02)

    def _is_up(self) -> bool:
        try:
            with socket.create_connection(("127.0.0.1", self.port), timeout=120) as probe:
                return probe.recv(4) == b"SSH-"
        except OSError:
            return False

    def stop(self) -> None:
        if self._process is not None:
            self._process.terminate()
            self._process.wait(120)

    def accepts(self, value: Secret) -> bool:
        """As OpenSSH's own client finds it."""
        path = self.folder / "asked"
        path.touch(0o600)
        path.write_text(value.expose())
        known = self.folder / "known_hosts"
        known.write_text(f"[127.0.0.1]:{self.port} {self.host_key}\n")
        asked = subprocess.run(
            [
                "ssh", "-F", "none", "-i", path, "-p", str(self.port), "-o", "IdentitiesOnly=yes",
                "-o", "IdentityAgent=none", "-o", "BatchMode=yes", "-o", f"UserKnownHostsFile={known}",
                "-o", "StrictHostKeyChecking=yes", f"{getpass.getuser()}@127.0.0.1", "true",
            ],
            check=False, capture_output=True, text=True, stdin=subprocess.DEVNULL,
        )  # fmt: skip
        assert asked.returncode == 0 or "Permission denied" in asked.stderr, asked.stderr
        return asked.returncode == 0


@pytest.fixture(scope="module")
def sshd(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sshd]:
    made = Sshd(tmp_path_factory.mktemp("sshd"))
    try:
        made.start()
        yield made
    finally:
        made.stop()


@pytest.fixture
def old(sshd: Sshd, tmp_path: Path) -> Secret:
    """A key that is let in, with options, among lines of others."""
    others = make_key(tmp_path / "other").encode()
    line = make_key(tmp_path / "old").encode()
    sshd.keys.write_bytes(b"# \xff\xfe kept by hand\n\n" + others + b"\r\nnonsense\n" + OPTIONS + b" " + line)
    sshd.more_keys.write_bytes(b"")
    return Secret((tmp_path / "old").read_text())


def make_stage(sshd: Sshd, port: int, old: Secret, **settings: Any) -> StagedRotator:
    others = sshd.keys.read_bytes().splitlines(keepends=True)[:-1]

    def count() -> int:
        lines = sshd.keys.read_bytes().splitlines(keepends=True)
        assert lines[: len(others)] == others
        return len(lines) - len(others)

    asked = {"host": "127.0.0.1", "port": port, "username": getpass.getuser(), "host_key": sshd.host_key}
    return StagedRotator(
        rotator=SshKeyRotator(),
        settings={**asked, "file": str(sshd.keys), **settings},
        old=old,
        link=None,
        accepts=sshd.accepts,
        count=count,
        end_at=lambda end: end_line(sshd, f"{end:%Y%m%d%H%M%S}Z"),
        ends=lambda value: find_end_of(sshd, value),
    )


def end_line(sshd: Sshd, time: str) -> None:
    """The old key's line, which is the last, ends then."""
    *others, line = sshd.keys.read_bytes().splitlines(keepends=True)
    sshd.keys.write_bytes(b"".join(others) + f'expiry-time="{time}",'.encode() + line)


def find_end_of(sshd: Sshd, value: Secret) -> datetime | None:
    """As its line says, found by OpenSSH's own tool."""
    path = sshd.folder / "asked"
    path.touch(0o600)
    path.write_text(value.expose())
    made = subprocess.run(["ssh-keygen", "-y", "-f", path], check=True, capture_output=True, text=True)
    blob = made.stdout.split()[1]
    (line,) = (line for line in sshd.keys.read_text(errors="replace").splitlines() if blob in line)
    found = re.search(r'expiry-time="([0-9]{14})Z"', line)
    return None if found is None else datetime.strptime(found[1], "%Y%m%d%H%M%S").replace(tzinfo=UTC)


@pytest.mark.parametrize("zone", ["Z", ""])
def test_a_key_that_dies_in_two_minutes_is_followed_by_one_that_lives(
    sshd: Sshd, old: Secret, zone: str
) -> None:
    now = datetime.now(UTC)
    stage = make_stage(sshd, sshd.port, old)
    soon = now + timedelta(minutes=2)
    end_line(sshd, f"{soon if zone else soon.astimezone():%Y%m%d%H%M%S}{zone}")
    made = stage.rotator.create(stage.job())
    wanted = now + timedelta(days=90)
    job = stage.job(made, expires_at=wanted)
    stage.rotator.install(job)
    assert sshd.accepts(made.value)
    assert wanted <= SshKeyRotator().read_end(job) <= wanted + timedelta(seconds=1)


def test_a_line_whose_end_is_over_lets_nobody_in(sshd: Sshd, old: Secret) -> None:
    """So that the tests of ends tell anything."""
    end_line(sshd, "20200101Z")
    assert not sshd.accepts(old)


class TestSshKey(RotatorContract):
    """The contract; cut off at each fourth exchange from the login on, since nothing takes effect before it,
    and each exchange is cut with the smaller server.
    """

    @pytest.fixture(autouse=True)
    def _serve(self, sshd: Sshd, tmp_path: Path, old: Secret) -> None:
        self.sshd, self.old = sshd, old
        self.keys = sshd.keys.read_bytes()

    @contextmanager
    def stage(self) -> Iterator[StagedRotator]:
        self.sshd.keys.write_bytes(self.keys)
        with PromptLink(self.sshd.port) as link:
            stage = make_stage(self.sshd, link.port, self.old)
            stage.link = link
            yield stage

    def test_a_step_that_was_cut_off_anywhere_is_an_outage_and_is_done_again(self) -> None:
        for step in ("install", "revoke"):
            for pieces in itertools.count(LOGIN_PIECES, 4):
                with self.stage() as stage:
                    if not _cut_and_go_on(stage, step, pieces):
                        assert pieces > LOGIN_PIECES + 8, "nothing was cut"
                        break

    def test_an_undo_that_was_cut_off_anywhere_is_an_outage_and_is_done_again(self) -> None:
        for pieces in itertools.count(LOGIN_PIECES, 4):
            with self.stage() as stage:
                if not _cut_undo(stage, pieces):
                    assert pieces > LOGIN_PIECES + 8, "nothing was cut"
                    break


def act(sshd: Sshd, old: Secret, *commands: str, tests: bool = False, **data: Any) -> Outcome:
    values = {"prod-key": old}
    execution = Execution(
        scope=Scope(context={}, values=values), http=HTTP, network=NETWORK, masker=Masker(values.values()),
        seconds=20.0, shown={},
    )  # fmt: skip
    fields = {
        "host": "127.0.0.1", "port": sshd.port, "username": getpass.getuser(), "hostKey": sshd.host_key,
        "privateKey": "{{ vault.prod-key }}", "commands": list(commands) or ["true"],
    }  # fmt: skip
    parsed = Ssh.Fields.model_validate(fields | data)
    return try_component(Ssh().test if tests else Ssh().run, parsed, execution)


def test_commands_run_and_the_keys_options_hold(sshd: Sshd, old: Secret) -> None:
    outcome = act(sshd, old, 'echo "$NAME"', "cat; echo no >&2; exit 4", stdin="given", ignoreStatus=True)
    assert outcome.failure is None
    assert outcome.output == [
        {"command": 0, "stdout": 'a "b"\n', "stderr": "", "exit_status": 0},
        {"command": 1, "stdout": "given", "stderr": "no\n", "exit_status": 4},
    ]


def test_its_test_logs_in_and_runs_true(sshd: Sshd, old: Secret) -> None:
    assert act(sshd, old, tests=True).failure is None


def test_a_signal_is_told_as_its_number(sshd: Sshd, old: Secret) -> None:
    outcome = act(sshd, old, "kill -9 $$")
    assert (outcome.failure, outcome.cause) == ("command 0 ended with status -9", Cause.MISTAKE)


def test_each_of_its_host_keys_is_known_by_its_line(sshd: Sshd, old: Secret) -> None:
    rsa = (sshd.folder / "host_key_rsa.pub").read_text()
    assert act(sshd, old, hostKey=rsa).failure is None


def test_another_host_key_is_refused(sshd: Sshd, old: Secret, tmp_path: Path) -> None:
    outcome = act(sshd, old, hostKey=make_key(tmp_path / "another"))
    listed = subprocess.run(
        ["ssh-keygen", "-l", "-f", sshd.folder / "host_key.pub"], check=True, capture_output=True, text=True
    ).stdout
    assert outcome.cause is Cause.MISTAKE
    assert f"not the one given: ssh-ed25519 {listed.split()[1]};" in (outcome.failure or "")


def test_another_key_and_another_user_are_rejected(sshd: Sshd, old: Secret, tmp_path: Path) -> None:
    make_key(tmp_path / "another")
    for outcome in (
        act(sshd, Secret((tmp_path / "another").read_text())),
        act(sshd, old, username="nobody-of-that-name"),
    ):
        assert outcome.failure == f"127.0.0.1:{sshd.port} refuses the login"
        assert outcome.cause is Cause.REJECTED


def test_a_password_that_it_never_asks_for_is_not_judged(sshd: Sshd, old: Secret) -> None:
    outcome = act(sshd, old, authMethod="password", privateKey=None, password="x")
    assert outcome.failure == f"127.0.0.1:{sshd.port} asks for no password at this login"
    assert outcome.cause is Cause.MISTAKE


def test_the_new_line_has_the_old_ones_options(sshd: Sshd, old: Secret) -> None:
    stage = make_stage(sshd, sshd.port, old)
    made = stage.rotator.create(stage.job())
    stage.rotator.install(stage.job(made))
    stage.rotator.revoke(stage.job(made))
    line = sshd.keys.read_bytes().splitlines()[-1]
    assert line.startswith(OPTIONS + b" ssh-ed25519 ")
    assert line.endswith(b" nightkey-rot_contract")


def test_a_key_that_another_file_lets_in_is_not_taken_for_revoked(
    sshd: Sshd, old: Secret, tmp_path: Path
) -> None:
    stage = make_stage(sshd, sshd.port, old)
    made = stage.rotator.create(stage.job())
    stage.rotator.install(stage.job(made))
    sshd.more_keys.write_text((tmp_path / "old.pub").read_text())
    with pytest.raises(TargetError, match="the host still lets the old key in") as error:
        stage.rotator.revoke(stage.job(made))
    assert error.value.cause is Cause.MISTAKE
    sshd.more_keys.write_bytes(b"")
    assert "refuses the old key" in stage.rotator.revoke(stage.job(made))


class Central:
    """A file that root keeps for `SERVED`, which sshd reads as that user, and an admin, root, who writes it."""

    def __init__(self, folder: Path, *, mode: int, group: int, one_line_only: bool = False) -> None:
        self.sshd = Sshd(folder, one_line_only=one_line_only)
        self.keys = folder / "central" / SERVED
        self.keys.parent.mkdir()
        self.sshd.keys.write_text(make_key(folder / "admin") + "\n")
        self.keys.write_text(make_key(folder / "old") + "\n")
        os.chown(self.keys, 0, group)
        self.keys.chmod(mode)
        self.stage = StagedRotator(
            rotator=SshKeyRotator(),
            settings={
                "host": "127.0.0.1", "port": self.sshd.port, "username": SERVED,
                "host_key": self.sshd.host_key, "file": str(self.keys),
                "admin": getpass.getuser(), "admin_key": "{{ vault.prod-admin-key }}",
            },
            old=Secret((folder / "old").read_text()),
            link=None,
            accepts=None,
            values={"prod-admin-key": Secret((folder / "admin").read_text())},
        )  # fmt: skip

    def rights(self) -> tuple[int, int, int]:
        found = self.keys.stat()
        return found.st_mode & 0o7777, found.st_uid, found.st_gid

    def lets_in(self, value: Secret) -> bool:
        try:
            self.stage.rotator.verify(self.stage.job(), value)
        except TargetError as error:
            if error.cause is Cause.REJECTED:
                return False
            raise
        return True


@contextmanager
def keep_central(**options: Any) -> Iterator[Central]:
    """In a folder that every user can look into."""
    with tempfile.TemporaryDirectory(prefix="nightkey-sshd-") as made:
        Path(made).chmod(0o755)
        central = Central(Path(made), **options)
        try:
            central.sshd.start()
            yield central
        finally:
            central.sshd.stop()


def group_of_served() -> int:
    try:
        return pwd.getpwnam(SERVED).pw_gid
    except KeyError:
        pytest.skip(f"there is no user {SERVED} here")


as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can keep a file for another user")


@as_root
@pytest.mark.parametrize(("mode", "of_served"), [(0o644, False), (0o640, True), (0o444, False)])
def test_a_file_that_root_keeps_for_a_user_stays_readable_to_them(mode: int, of_served: bool) -> None:
    group = group_of_served() if of_served else 0
    with keep_central(mode=mode, group=group) as central:
        stage = central.stage
        assert central.lets_in(stage.old)
        made = stage.rotator.create(stage.job())
        for step, (old, new) in (
            ("install", (True, True)),
            ("undo", (True, False)),
            ("install", (True, True)),
            ("revoke", (False, True)),
        ):
            getattr(stage.rotator, step)(stage.job(made))
            assert (central.lets_in(stage.old), central.lets_in(made.value)) == (old, new), step
            assert central.rights() == (mode, 0, group), step


@as_root
def test_a_host_on_which_the_new_line_locks_the_old_key_out_gets_its_file_back() -> None:
    group_of_served()
    with keep_central(mode=0o644, group=0, one_line_only=True) as central:
        stage, before, itself = central.stage, central.keys.read_bytes(), central.keys.stat().st_ino
        made = stage.rotator.create(stage.job())
        with pytest.raises(TargetError, match="refuses the old key with the new line in") as error:
            stage.rotator.install(stage.job(made))
        assert error.value.cause is Cause.MISTAKE
        assert (central.keys.read_bytes(), central.keys.stat().st_ino) == (before, itself)
        assert (central.lets_in(stage.old), central.lets_in(made.value)) == (True, False)
