"""What a route may ask of apprise beside its address: nothing that weakens TLS, reads files, or steers a call.

Judged by what apprise has read, so that no way to write it matters.
"""

import re
from collections.abc import Iterator, Mapping
from typing import Any

import apprise
from apprise.plugins.email import NotifyEmail

from worker.delivery.reading import make

_METHODS = ("POST", "PUT", "PATCH")
_OTHER_METHODS = frozenset({"GET", "HEAD", "DELETE", "OPTIONS", "UPDATE"})
_PROVES = re.compile(r"(?!sec-|proxy-)(authorization|([a-z0-9]+-)*(token|key|secret|auth|apikey|id))")
"""Names of headers that say who calls, and steer nothing: what a place that takes messages may ask for."""
_MARKS = re.compile(r"x-[a-z0-9-]+|importance|priority|precedence|auto-submitted")
"""Names of headers of a mail that say what it is, and not where it goes."""
_SENDABLE = re.compile(r"[\x20-\x7e]*")
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
_PORT_MAX = 65_535
_NAME_MAX = 40
_FROM_ELSEWHERE = {"pgp_key": "pgppub=", "pgp_privkey": "pgpprv=", "use_wkd": "wkd="}


def find_refused(fields: Mapping[str, Any], made: apprise.NotifyBase) -> Iterator[str]:
    """A sentence for each option that is refused, without a word of its value."""
    if not made.verify_certificate or fields.get("verify", True) is not True:
        yield "verify= may not turn off the check of certificates: leave it out (see outbound_ca)"
    if made.redirects:
        yield "redirects are never followed: leave redirect= out"
    if isinstance(made, NotifyEmail) and _turns_encryption_off(fields, made):
        yield "mode=insecure may not turn off the encryption: leave it out"
    if any(isinstance(part, str) and _CONTROL.search(part) for part in fields.values()):
        yield "a part of it holds a line break, or another control character: leave that out"
    if isinstance(fields.get("port"), int) and not 0 < fields["port"] <= _PORT_MAX:
        yield f"there is no such port: a number from 1 to {_PORT_MAX}"
    method = str(fields.get("method") or "POST").upper()
    if method in _OTHER_METHODS:
        yield f"method={method} carries no message: use one of {', '.join(_METHODS)}"
    yield from _find_refused_parts(fields, by_mail=isinstance(made, NotifyEmail))
    template = getattr(made, "template", None)
    if isinstance(template, apprise.AppriseAttachment) and len(template):
        yield "template= is not taken: a route reads no file (see `nightkey notice template`)"


def _find_refused_parts(fields: Mapping[str, Any], *, by_mail: bool) -> Iterator[str]:
    """Of what a route adds to its message: headers, fields, and keys that it would fetch."""
    for name, text in (fields.get("headers") or {}).items():
        yield from _judge_header(str(name), str(text), by_mail=by_mail)
    for name, text in (fields.get("payload") or {}).items():
        if str(name).lower() == "message" and not str(text).strip():
            yield "an empty :message= would leave the message out: leave it out itself, or name another field"
    for name, shown in _FROM_ELSEWHERE.items():
        if fields.get(name):
            yield f"{shown} is not taken: a route reads no file, and asks no other host for keys"


def _turns_encryption_off(fields: Mapping[str, Any], made: NotifyEmail) -> bool:
    """Whether its `mode=` does. `mailto://` is in clear anyway, but with a provider that apprise knows."""
    if made.secure_mode != "insecure":
        return False
    by_itself = make({name: value for name, value in fields.items() if name != "secure_mode"}, made.asset)
    return not isinstance(by_itself, NotifyEmail) or by_itself.secure_mode != "insecure"


def _judge_header(name: str, text: str, *, by_mail: bool) -> Iterator[str]:
    shown = f"+{name}=" if re.fullmatch(r"[A-Za-z0-9-]+", name) and len(name) <= _NAME_MAX else "a header"
    if by_mail and not _MARKS.fullmatch(name.lower()):
        yield f"{shown} may change where a mail goes: take X-…, Importance, Priority or Auto-Submitted"
    elif not by_mail and not _PROVES.fullmatch(name.lower()):
        yield (
            f"{shown} is not taken: of headers, those that say who calls, which are Authorization and "
            "names that end in -Token, -Key, -Secret, -Auth or -Id"
        )
    if not _SENDABLE.fullmatch(text):
        yield f"{shown} holds what no header can: write printable ASCII on one line"
