"""The demo: an organisation, real target systems, a real worker and beat, and one night that proves itself."""

import getpass
import os
import re
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from nightkey_demo.checks import find_checks
from nightkey_demo.lines import Stage
from nightkey_demo.organisation import Organisation
from nightkey_demo.sample import load_sample
from nightkey_demo.target_systems import Machines, TargetSystems, start_machines, start_target_systems
from nightkey_demo.watching import Watcher
from worker.bootstrap import Services, utc_now
from worker.config import HOME_VARIABLE, SETTINGS_FILE, Settings, load_settings
from worker.installation import initialise
from worker.rows import notices as notice_rows
from worker.rows import rotations as rotation_rows
from worker.signing.keys import generate

_NIGHT_SECONDS = 90
_STOP_SECONDS = 20
_POLL_SECONDS = 0.2


def show_night(home: Path | None, *, stay: bool = False) -> bool:
    """Runs the demo in `home` (default: a new temporary folder). True if all of it was as it should be.

    `stay`: afterwards the systems and a worker go on, with the console, until Ctrl-C or SIGTERM.
    """
    folder = home or Path(tempfile.mkdtemp(prefix="nightkey-demo-"))
    began = utc_now()
    stage = Stage(began)
    listen = _find_place()
    _write_settings(folder, listen)
    with start_target_systems() as targets, start_machines() as machines:
        _trust(folder, machines)
        settings = load_settings(
            folder, ring_seconds=1, retry_seconds=1, database_url="", broker_url="", listen=listen
        )
        stage.title("Setting up an organisation with real target systems on this machine")
        organisation = _set_up(settings, targets, machines, stage)
        stage.title("The night: found, replaced, proven, told")
        watcher = Watcher(began)
        services = Services(settings)
        with _up(settings, serving=False):
            services.night.nights.begin(utc_now())  # by hand: by itself it begins at night_at
            over = _watch(services, watcher, stage)
        stage.title("A second scan of the same night")
        before = _count(services)
        services.night.inline_night.run_night(lambda rotation: stage.say(f"{rotation.item}: {rotation.state}"))
        again = _count(services)
        rotated, told = again[0] - before[0], again[1] - before[1]
        stage.say(f"{rotated} rotations, {told} notices")
        stage.title("What it comes to")
        good = True
        checks = [
            ("the night ended within its time", over),
            ("the second scan did nothing", (rotated, told) == (0, 0)),
        ]
        for text, holds in checks + list(find_checks(services, targets, machines, organisation)):
            stage.check(text, holds=holds)
            good = good and holds
        _say_where_to_look(stage, settings, targets)
        _show_console(stage, services, stay=stay)
    return good


def _find_place() -> str:
    """Where the console is to be, and nobody else is."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        return f"127.0.0.1:{free.getsockname()[1]}"


def _write_settings(folder: Path, listen: str) -> None:
    """The targets are on this machine; what is looked at afterwards must reach them too."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    file = folder / SETTINGS_FILE
    if not file.exists():
        file.write_text(f'outbound_private = ["127.0.0.0/8"]\nlisten = "{listen}"\n')


def _trust(folder: Path, machines: Machines) -> None:
    """The outgoing mail server vouches for itself."""
    certificate = folder / "outgoing-mail.pem"
    certificate.write_bytes(machines.outgoing.certificate_path.read_bytes())
    with (folder / SETTINGS_FILE).open("a") as file:
        file.write(f'outbound_ca = "{certificate}"\n')


def _set_up(settings: Settings, targets: TargetSystems, machines: Machines, stage: Stage) -> Organisation:
    initialise(settings)
    service = targets.token_service
    values = {"ssh": machines.ssh.first_key, "signing": generate("ES256").expose(), **machines.passwords}
    organisation = Organisation(settings, service, values)
    sample = load_sample(
        {
            "DESK": machines.hoster.url,
            "OUTGOING_PORT": str(machines.outgoing.port),
            "SSH_PORT": str(machines.ssh.port),
            "SSH_HOST_KEY": machines.ssh.host_key,
            "TOKENS": service.url,
            "SINK": targets.sink.url.removeprefix("http://"),
            "MAIL": f"127.0.0.1:{targets.mail.port}",
            "MAIL_PASSWORD": targets.mail_password,
        }
    )
    organisation.set_up(sample)
    # From now on the service gives this account less than its workflow needs.
    service.default_scopes["billing"] = ["invoices:read"]
    stage.say(f"{len(sample.items)} items, {len(sample.workflows)} workflows, {len(sample.owners)} owners")
    stage.say("a token service that refuses revoked tokens, two mail servers with AUTH, an SSH host,")
    stage.say("a SOAP service, a desk where passwords are set, an HTTP sink")
    stage.say(f"data folder {settings.home}")
    return organisation


@contextmanager
def _up(settings: Settings, *, serving: bool) -> Iterator[None]:
    """`nightkey up` as a process of its own, ended by SIGTERM as a supervisor would."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("NIGHTKEY_")}
    environment |= {
        HOME_VARIABLE: str(settings.home),
        "NIGHTKEY_RING_SECONDS": str(settings.ring_seconds),
        "NIGHTKEY_RETRY_SECONDS": str(settings.retry_seconds),
        "NIGHTKEY_LISTEN": settings.listen if serving else "",
    }
    log = settings.home / "up.log"
    with log.open("wb") as output:
        process = subprocess.Popen(  # ourselves
            [sys.executable, "-m", "worker.cli.main", "up"],
            stdout=output,
            stderr=subprocess.STDOUT,
            env=environment,
            start_new_session=True,
        )
        try:
            yield
        finally:
            process.send_signal(signal.SIGTERM)
            try:
                process.wait(_STOP_SECONDS)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()


def _watch(services: Services, watcher: Watcher, stage: Stage) -> bool:
    """Shows what happens until the night is over; False if it took too long."""
    deadline = time.monotonic() + _NIGHT_SECONDS
    while time.monotonic() < deadline:
        with services.database.read() as connection:
            for line in watcher.look(connection):
                stage.show(line)
            if watcher.is_over(connection):
                return True
        time.sleep(_POLL_SECONDS)
    return False


def _count(services: Services) -> tuple[int, int]:
    with services.database.read() as connection:
        return len(rotation_rows.list_rotations(connection)), len(notice_rows.list_notices(connection))


def _show_console(stage: Stage, services: Services, *, stay: bool) -> None:
    """The link signs in once. Where nobody stays, it waits for who serves the console."""
    settings = services.settings
    actor = f"user:{getpass.getuser()}"
    token = services.access.sign_ins.make_link(None, actor=actor)
    link = f"http://{settings.listen}/console/link/{token.expose()}"
    if not stay:
        stage.title("See it in a browser")
        stage.say(
            "make run STAY=1 keeps all of it up, with its console; or, for this vault, within ten minutes:"
        )
        stage.say(f"{Path(sys.executable).with_name('nightkey')} serve    and open")
        stage.say(link)
        return
    stopped = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stopped.set())
    with _up(settings, serving=True):
        _await_server(settings)
        stage.title("See it in a browser, until Ctrl-C (this link signs in once, within ten minutes)")
        stage.say(link)
        stopped.wait()


def _await_server(settings: Settings) -> None:
    host, _, port = settings.listen.rpartition(":")
    deadline = time.monotonic() + _NIGHT_SECONDS
    while time.monotonic() < deadline:
        with suppress(OSError), socket.create_connection((host, int(port)), timeout=1):
            return
        time.sleep(_POLL_SECONDS)


def _say_where_to_look(stage: Stage, settings: Settings, targets: TargetSystems) -> None:
    stage.title("Look around (the target systems are gone, the vault stays)")
    stage.say(f"export {HOME_VARIABLE}={settings.home}")
    command = Path(sys.executable).with_name("nightkey")
    for words in (
        "status",
        "rotation list",
        "item show prod-ticketing-api-token",
        "notice list",
        "scan --dry-run --at 30d",
        "key jwks prod-orders-signing-key",
        "audit verify",
    ):
        stage.say(f"{command} {words}")
    received = "\n".join(str(post.body) for post in targets.sink.requests)
    token = re.search(r"clm_\w+", received)
    if token is not None:
        stage.say(f"{command} pickup    (asks for its owner's token, and shows the new key once: {token[0]})")
