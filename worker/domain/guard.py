"""Which hosts and addresses may be called. Pure: names are resolved elsewhere, and each address asked here."""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network

from vaultcore.errors import InvalidInputError

_Address = IPv4Address | IPv6Address
_NAME = re.compile(r"(\*\.)?[a-z0-9_]([a-z0-9_.-]{0,251}[a-z0-9_])?\.?|\*")
_NAT64 = ip_network("64:ff9b::/96")


@dataclass(frozen=True, kw_only=True)
class Place:
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

    only: tuple[Place, ...] = ()
    private: tuple[Place, ...] = ()

    def refuse(self, host: str, port: int, address: str) -> str | None:
        """Why this address may not be called under this name; None: it may."""
        name, found = host.lower().rstrip("."), _read_address(address)
        if found is None:
            return f"{host} resolves to what is no address"
        if self.only and not any(place.holds(name, port, found) for place in self.only):
            return f"{host}:{port} is not among the hosts that may be called (setting outbound_only)"
        if is_public(found) or any(place.holds(name, port, found) for place in self.private):
            return None
        shown = "" if _read_address(host) == found else f" resolves to {address}, which"
        return f"{host}{shown} is no public address: if it may be called, list it in outbound_private"

    def refuse_name(self, host: str, port: int) -> str | None:
        """The same for a name that somebody else resolves: a proxy."""
        name, found = host.lower().rstrip("."), _read_address(host)
        if found is not None:
            return self.refuse(host, port, host)
        if self.only and not any(place.holds(name, port, None) for place in self.only):
            return f"{host}:{port} is not among the hosts that may be called (setting outbound_only)"
        return None


def build_guard(only: Iterable[str], private: Iterable[str]) -> Guard:
    return Guard(only=_parse_all(only), private=_parse_all(private))


def is_public(address: _Address) -> bool:
    """Whether everybody reaches the same host by it: not private, link-local, loopback, shared or multicast,
    nor an IPv6 address that stands for such an IPv4 one.
    """
    return all(part.is_global and not part.is_multicast for part in _unwrap(address))


def parse_place(text: str) -> Place:
    """`api.example.org`, `*.example.org`, `10.1.0.0/16`, `[fd00::/8]`, each with `:port` or without."""
    host, port = _split_port(text.strip().lower())
    try:
        return Place(network=ip_network(host), port=port)
    except ValueError:
        pass
    if _NAME.fullmatch(host) and not re.fullmatch(r"[0-9.]+", host):
        return Place(name=host.rstrip("."), port=port)
    raise InvalidInputError(
        f"{text[:80]!r} is no host and no network: write api.example.org, *.example.org or 10.1.0.0/16"
    )


def _parse_all(texts: Iterable[str]) -> tuple[Place, ...]:
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
        return ip_address(text.strip("[]").partition("%")[0])
    except ValueError:
        return None


def _unwrap(address: _Address) -> Sequence[_Address]:
    """The address, and the IPv4 addresses that it leads to."""
    if isinstance(address, IPv4Address):
        return (address,)
    if address.ipv4_mapped is not None:
        return (address.ipv4_mapped,)
    found: list[_Address] = [address]
    if address.sixtofour is not None:
        found.append(address.sixtofour)
    if address.teredo is not None:
        found += address.teredo
    if address in _NAT64:
        found = [IPv4Address(int(address) & 0xFFFF_FFFF)]
    return found
