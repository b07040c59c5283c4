"""Whether a route says what its writer meant: what apprise drops, or passes over, refuses it, in words."""

import difflib
import re
from collections.abc import Iterator
from urllib.parse import unquote

import apprise

from vaultcore.errors import InvalidInputError
from worker.delivery.listening import listen, say_reason
from worker.delivery.options import find_refused
from worker.delivery.reading import Fields, is_mail, make, read_url, service_of
from worker.delivery.splitting import count_calls, split
from worker.delivery.ways import find_refusals
from worker.domain.guard import Guard

_KNOWN = frozenset({"user", "pass", "password", "port"})
"""Parameters of every scheme that apprise's tables do not name."""
_NAME = re.compile(r"[+:-]?[A-Za-z][A-Za-z_-]{0,30}")
_RAW = frozenset({"url", "qsd", "qsd+", "qsd-", "qsd:", "query"})
"""Fields that hold the parameters as they were written."""


def check_url(text: str, asset: apprise.AppriseAsset, guard: Guard) -> tuple[str, ...]:
    """The names of the recipients. `InvalidInputError` says what is wrong, without a word of a token."""
    scheme = text.partition("://")[0].lower()
    service = service_of(scheme)
    if service is None:
        raise InvalidInputError(f"apprise knows no scheme {scheme[:20]!r}: see https://appriseit.com/services/")
    with listen() as heard:
        fields = read_url(text)
        made = None if fields is None else make(fields, asset)
    shares = [] if fields is None else split(fields, asset)
    problems = [share.recipient.problem for share in shares if share.recipient.problem]
    if made is None or fields is None:
        reason = say_reason(heard, text, spare=service.template_args) or f"it is not complete for {scheme}://"
        raise InvalidInputError(
            f"the route cannot be used: {'; '.join([reason, *problems])}: see {service.setup_url}"
        )
    problems += [*find_refused(fields, made), *find_refusals(made, guard), *_find_idle(text, fields, service)]
    if not problems and heard:
        problems = [say_reason(heard, text, spare=service.template_args) or "apprise would drop a part of it"]
    if not problems and not is_mail(fields) and 1 < count_calls(made) < len(shares):
        problems = [f"apprise would reach {count_calls(made)} of its {len(shares)} recipients"]
    if problems:
        raise InvalidInputError(f"the route cannot be used as it is: {'; '.join(problems)}")
    return tuple(share.recipient.name for share in shares)


def _find_idle(text: str, fields: Fields, service: type[apprise.NotifyBase]) -> Iterator[str]:
    """Parameters that stand twice, of which apprise takes one, and those that it does not know.

    Its tables are not complete: so one that is not in them and changes nothing is not known.
    """
    known = set(service.template_args) | _KNOWN
    names = [name for name, _ in _parameters(text)]
    for name in dict.fromkeys(names):
        shown = repr(name) if _NAME.fullmatch(name) else "one"
        if names.count(name) > 1:
            yield f"its parameter {shown} stands {names.count(name)} times, where one is used: write a list"
        elif name not in known and _strip(read_url(_leave_out(text, name))) == _strip(fields):
            near = difflib.get_close_matches(name, sorted(known), cutoff=0.5)
            there = near or sorted(set(service.template_args) - {"redirect"})
            hint = f"{'did you mean' if near else 'there are'} {', '.join(there)}{'?' if near else ''}"
            yield f"of its parameters, {fields['schema']}:// does not know {shown}: {hint}"


def _parameters(text: str) -> list[tuple[str, str]]:
    """Name and text of each, as apprise takes a query apart."""
    parts = re.split("[&;]", text.partition("?")[2])
    return [(unquote(part.partition("=")[0]).strip().lower(), part) for part in parts if part]


def _leave_out(text: str, name: str) -> str:
    kept = [part for named, part in _parameters(text) if named != name]
    return "?".join([text.partition("?")[0], *(["&".join(kept)] if kept else [])])


def _strip(fields: Fields | None) -> Fields | None:
    return None if fields is None else {name: value for name, value in fields.items() if name not in _RAW}
