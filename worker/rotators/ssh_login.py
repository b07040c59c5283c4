"""What each rotator over SSH needs for a login: the value that is to be presented, and the host."""

from typing import Protocol

from vaultcore.errors import Cause, TargetError
from vaultcore.secret import Secret
from worker.outbound.ssh import Server, parse_host_key


class NamesServer(Protocol):
    """Settings that say which host it is."""

    @property
    def host(self) -> str: ...
    @property
    def port(self) -> int: ...
    @property
    def host_key(self) -> str: ...


def server_of(settings: NamesServer) -> Server:
    return Server(host=settings.host, port=settings.port, host_key=parse_host_key(settings.host_key))


def require(value: Secret | None) -> Secret:
    """What cannot be done without it is a mistake."""
    if value is None:
        raise TargetError("the value is not here", cause=Cause.MISTAKE)
    return value
