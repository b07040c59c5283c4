"""Internationalised domain names, as DNS and SMTP have them. Pure."""

import re

import idna

_DOMAIN = re.compile(r"@([^\s@,;<>\"'/]+)")


def encode_domain(domain: str) -> str:
    """In ASCII; `ValueError` for what cannot be encoded."""
    if domain.isascii():
        return domain
    return idna.encode(domain, uts46=True).decode()  # its errors are ValueErrors


def encode_domains(text: str) -> str:
    """The same for each domain behind an @ in a text; `ValueError` as before."""
    return _DOMAIN.sub(lambda found: "@" + encode_domain(found[1]), text)
