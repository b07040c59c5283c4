"""A broker with TLS: its certificate is believed, and names it, before anything is said to it."""

import socket
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from tests.certificates import make_certificate
from tests.forged import OURS
from vaultcore.errors import ConfigurationError
from worker.app import make_app
from worker.broker.reaching import BrokerAwayError, reach_broker
from worker.config import Settings, load_settings

LOGIN = "nightkey:hunter2"


@contextmanager
def listening(folder: Path, *names: str) -> Iterator[tuple[str, Path, list[bytes]]]:
    """A server that breaks off once it was told something: its address, its certificate, what it was told."""
    certificate, key, heard = folder / "server.pem", folder / "server.key", []
    make_certificate(certificate, key, *names)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            while True:
                try:
                    plain, _ = server.accept()
                except OSError:  # closed
                    return
                with suppress(OSError), plain, context.wrap_socket(plain, server_side=True) as secured:
                    heard.append(secured.recv(1000))

        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield f"127.0.0.1:{server.getsockname()[1]}", certificate, heard
        finally:
            server.shutdown(socket.SHUT_RDWR)
            thread.join()


def ask(settings: Settings, *, as_celery: bool) -> str:
    """Why it is away: the server of these tests always is, in the end."""
    if as_celery:
        with make_app(settings, OURS.seals()).connection_for_write() as connection:
            with pytest.raises(Exception) as refused:  # whatever its library raises
                connection.ensure_connection(max_retries=1, timeout=10)
            return str(refused.value)
    with pytest.raises(BrokerAwayError) as away, reach_broker(settings):
        pass
    return str(away.value)


@pytest.fixture
def home(tmp_path: Path) -> Path:
    (tmp_path / "home").mkdir(mode=0o700)
    return tmp_path / "home"


@pytest.mark.parametrize("as_celery", [False, True], ids=["asked", "by celery"])
@pytest.mark.parametrize("scheme", ["amqps", "rediss"])
def test_nothing_is_said_to_a_server_that_is_not_the_one_that_was_named(
    home: Path, tmp_path: Path, scheme: str, *, as_celery: bool
) -> None:
    with listening(tmp_path) as (place, certificate, heard):
        at = f"{scheme}://{LOGIN}@{place}/0"
        said = ask(load_settings(home, broker_url=at), as_celery=as_celery)
        assert not heard  # nobody vouches for it
        assert as_celery or "nobody vouches for" in said
        ask(load_settings(home, broker_url=f"{at}?ssl_ca_certs={certificate}"), as_celery=as_celery)
        assert heard
    with listening(tmp_path, "broker.example") as (place, certificate, heard):
        at = f"{scheme}://{LOGIN}@{place}/0?ssl_ca_certs={certificate}"
        said = ask(load_settings(home, broker_url=at), as_celery=as_celery)
        assert not heard  # another is vouched for
        assert as_celery or "names another host" in said


def test_of_several_each_is_held_to_its_own_name(home: Path, tmp_path: Path) -> None:
    with listening(tmp_path) as (place, certificate, heard):
        told = f"?ssl_ca_certs={certificate}"
        at = f"amqps://{LOGIN}@nowhere.invalid//{told};amqps://{LOGIN}@{place}//{told}"
        ask(load_settings(home, broker_url=at), as_celery=True)
        assert heard


def test_a_file_that_is_not_there_is_told(home: Path, tmp_path: Path) -> None:
    settings = load_settings(home, broker_url=f"rediss://h?ssl_ca_certs={tmp_path}/ca.pem")
    with (
        pytest.raises(ConfigurationError, match=r"the file of ssl_ca_certs, .*ca\.pem, cannot be read"),
        reach_broker(settings),
    ):
        pass
