"""Which hosts and addresses may be called. Pure: names are resolved elsewhere, and each address asked here."""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from fnmatch import fnmatchcase
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network

from vaultcore.errors import InvalidInputError

_Address = IPv4Address | IPv6Address
_NAME = re.compile(r"(\*\.)?[a-z0-9_]([a-z0-9_.-]{0,251}[a-z0-9_])?\.?|\*")
_HOST = re.compile(r"[a-z0-9_-]{1,63}(\.[a-z0-9_-]{1,63})*")
_HERE = re.compile(r"(.+\.)?localhost|localhost\.localdomain|ip6-(localhost|loopback)")
_NUMBER = re.compile(r"(.*\.)?([0-9]+|0x[0-9a-f]*)", re.DOTALL)
"""What resolvers take for an address, though not all of them for the same one (octal, hexadecimal)."""
_NAT64 = ip_network("64:ff9b::/96")
_UNICAST = ip_network("2000::/3")
"""All that is handed out for everybody to reach; what lies outside is local, or stands for something else."""
_SPECIAL = (
    ip_network("192.0.0.0/24"),  # for protocols
    ip_network("192.88.99.0/24"),  # relays of 6to4, which are no more
    ip_network("2001::/23"),  # for protocols, Teredo among them
    ip_network("2002::/16"),  # 6to4, whose addresses stand for IPv4 ones
    ip_network("3fff::/20"),  # for documentation
)
"""What some versions of the standard library take for public."""


@dataclass(frozen=True, kw_only=True)
class Destination:
    """An entry of a list: a name (`*.example.org` for those below it) or a network, on one port or on any."""

    name: str | None = None
    network: IPv4Network | IPv6Network | None = None
    port: int | None = None

    def holds(self, host: str, port: int, address: _Address | None) -> bool:
        if self.port is not None and self.port != port:
            return False
        if self.network is not None:
            found = address or _read_address(host)
            return found is not None and found.version == self.network.version and found in self.network
        return self.name is not None and fnmatchcase(host, self.name)


@dataclass(frozen=True, kw_only=True)
class Guard:
    """`only`: the organisation's allow-list, empty for anywhere. `private`: what may be called although its
    address is no public one.
    """

    only: tuple[Destination, ...] = ()
    private: tuple[Destination, ...] = ()

    def refuse(self, host: str, port: int, address: str) -> str | None:
        """Why this address may not be called under this name; None: it may."""
        name, found = host.lower().rstrip("."), _read_address(address)
        if found is None:
            return f"{host} resolves to what is no address"
        if not _is_canonical(name):
            return _refuse_form(host)
        if self.only and not any(place.holds(name, port, found) for place in self.only):
            return f"{host}:{port} is not among the hosts that may be called (setting outbound_only)"
        if is_public(found) or any(place.holds(name, port, found) for place in self.private):
            return None
        shown = "" if _read_address(host) == found else f" resolves to {address}, which"
        return f"{host}{shown} is no public address: if it may be called, list it in outbound_private"

    def refuse_name(self, host: str, port: int) -> str | None:
        """The same for a name that somebody else resolves: a proxy."""
        name = host.lower().strip("[]").rstrip(".")
        address = "127.0.0.1" if _HERE.fullmatch(name) else name
        if _read_address(address) is not None:
            return self.refuse(host, port, address)
        if not _HOST.fullmatch(name) or not _is_canonical(name):
            return _refuse_form(host)
        if self.only and not any(place.holds(name, port, None) for place in self.only):
            return f"{host}:{port} is not among the hosts that may be called (setting outbound_only)"
        return None


def build_guard(only: Iterable[str], private: Iterable[str]) -> Guard:
    return Guard(only=_parse_all(only), private=_parse_all(private))


def is_public(address: _Address) -> bool:
    """Whether everybody reaches the same host by it: not private, link-local, loopback, shared or multicast,
    nor an IPv6 address that stands for such an IPv4 one.
    """
    address = _unwrap(address)
    if isinstance(address, IPv6Address) and address not in _UNICAST:
        return False
    special = any(address in network for network in _SPECIAL)
    return address.is_global and not address.is_multicast and not special


def is_plain_address(host: str) -> bool:
    """Whether it is an address in its usual form, or this machine by its name, and can be nothing else."""
    return _read_address(host) is not None or _HERE.fullmatch(host.lower().rstrip(".")) is not None


def parse_place(text: str) -> Destination:
    """`api.example.org`, `*.example.org`, `10.1.0.0/16`, `[fd00::/8]`, each with `:port` or without."""
    host, port = _split_port(text.strip().lower())
    try:
        return Destination(network=ip_network(host), port=port)
    except ValueError:
        pass
    if _NAME.fullmatch(host) and not re.fullmatch(r"[0-9.]+", host):
        return Destination(name=host.rstrip("."), port=port)
    raise InvalidInputError(
        f"{text[:80]!r} is no host and no network: write api.example.org, *.example.org or 10.1.0.0/16"
    )


def _parse_all(texts: Iterable[str]) -> tuple[Destination, ...]:
    return tuple(parse_place(text) for text in texts)


def _split_port(text: str) -> tuple[str, int | None]:
    found = re.fullmatch(r"(?:\[(?P<six>[^\]]+)\]|(?P<host>[^:]+))(?::(?P<port>[0-9]{1,5}))?", text)
    if found is None:  # a bare IPv6 address or network
        return text, None
    port = None if found["port"] is None else int(found["port"])
    if port is not None and not 0 < port < 65_536:
        raise InvalidInputError(f"{text[:80]!r}: a port is a number from 1 to 65535")
    return found["six"] or found["host"], port


def _read_address(text: str) -> _Address | None:
    try:
        bare = text.strip("[]")
        return ip_address(bare.partition("%")[0] if ":" in bare else bare)
    except ValueError:
        return None


def _is_canonical(name: str) -> bool:
    """Whether it is a name, or an address as it is usually written: `127.1` and `0x7f000001` are neither."""
    return _read_address(name) is not None or not _NUMBER.fullmatch(name)


def _refuse_form(host: str) -> str:
    return f"{host} can be no host: write a name, or an address as 192.0.2.1 or [2001:db8::1]"


def _unwrap(address: _Address) -> _Address:
    """The IPv4 address that an IPv6 one leads to wherever it is used; else the address."""
    if isinstance(address, IPv6Address):
        if address.ipv4_mapped is not None:
            return address.ipv4_mapped
        if address in _NAT64:
            return IPv4Address(int(address) & 0xFFFF_FFFF)
    return address
