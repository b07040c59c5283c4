"""Mail addresses as people write them in a route: read whole or not at all, their domains encoded. Pure.

Apprise drops what it cannot read, and reads `brien@example.org` in `o'brien@example.org`.
"""

import re
from dataclasses import dataclass

from worker.domain.idn import encode_domain

_LISTED = re.compile(r'(?:"[^"]*"|<[^<>]*>|[^,;"<]|["<])+')
"""What stands between commas or semicolons that are outside of quotes and angle brackets."""
_NAMED = re.compile(r'"?(?P<name>[^<>"]*?)"?\s*<\s*(?P<address>[^<>\s]+)\s*>')
_PREFIXED = re.compile(r"(?P<name>[^:@<>]+):(?P<address>[^:\s]+)")
"""As apprise writes a name and an address into a URL."""
_LOCAL = re.compile(r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+(\.[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+)*")
_DOMAIN = re.compile(
    r"(?=.{4,253}$)(([A-Za-z0-9]([A-Za-z0-9_-]{0,61}[A-Za-z0-9])?\.)+[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])"
    r"|[A-Za-z0-9][A-Za-z0-9_-]{5,62})"
)
_LOCAL_MAX = 64
_SHOWN_MAX = 80


@dataclass(frozen=True, kw_only=True)
class Address:
    """`address` in ASCII; where there is a `problem`, as it was written."""

    address: str
    name: str = ""
    problem: str | None = None


def read_addresses(text: str) -> list[Address]:
    """Each address of a list, separated by commas, semicolons or, where nothing has a name, blanks."""
    found: list[Address] = []
    for entry in (one.strip() for one in _LISTED.findall(text)):
        words = entry.split()
        if not entry:
            continue
        if len(words) > 1 and all("@" in word for word in words) and "<" not in entry:
            found.extend(_read(word) for word in words)
        else:
            found.append(_read(entry))
    return found


def _read(entry: str) -> Address:
    named = _NAMED.fullmatch(entry) or _PREFIXED.fullmatch(entry)
    name, written = (named["name"].strip(), named["address"]) if named else ("", entry)
    local, at, domain = written.rpartition("@")
    if not at or not local:
        return _refuse(written, "is not a mail address")
    if not local.isascii():
        return _refuse(
            written, "has letters outside ASCII before the @, which few mail servers take: give another address"
        )
    try:
        encoded = encode_domain(domain)
    except ValueError:
        return _refuse(written, "has a domain that cannot be encoded for DNS")
    if len(local) > _LOCAL_MAX or not _LOCAL.fullmatch(local) or not _DOMAIN.fullmatch(encoded):
        return _refuse(written, "is not a mail address")
    return Address(address=f"{local}@{encoded}", name=name)


def _refuse(written: str, why: str) -> Address:
    shown = "".join(c for c in written[:_SHOWN_MAX] if c.isprintable())
    return Address(address=shown, problem=f"{shown!r} {why}")
