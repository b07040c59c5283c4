"""Ports for servers that must be told theirs before they begin."""

import random
import socket
from pathlib import Path

_GIVEN = Path("/proc/sys/net/ipv4/ip_local_port_range")


def choose_port() -> int:
    """One that nobody has now, below those that the system gives to whoever asks for any: until the server has
    it, no call and no other server of a test takes it.
    """
    first_given = int(_GIVEN.read_text().split()[0]) if _GIVEN.exists() else 32_768
    chance = random.SystemRandom()
    while True:
        port = chance.randrange(max(first_given // 2, 1025), first_given)
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
