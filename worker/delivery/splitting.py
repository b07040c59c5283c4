"""Whom a route leads to, one by one, and the service that serves each of them alone.

Where apprise would make several calls, a failed one would fail all, and a second try reach some twice.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import apprise
from apprise.plugins.email import NotifyEmail

from worker.delivery.addresses import Address, read_addresses
from worker.delivery.listening import listen
from worker.delivery.mail import Readers
from worker.delivery.reading import Fields, is_mail, make
from worker.domain.recipients import WHOLE, Recipient

_SECRET_TARGETS = {"ntfy": "topic", "ntfys": "topic"}
"""Schemes where who knows the name of a target may read and write there: what stands for the name."""
_SHOWN_MAX = 60
_LISTS = re.compile(r"[\s,;]+")


@dataclass(frozen=True, kw_only=True)
class Share:
    """One recipient's part of a route: fields that lead to them alone; None where there is a problem."""

    recipient: Recipient
    fields: Fields | None


def split(fields: Fields, asset: apprise.AppriseAsset) -> list[Share]:
    """Each recipient once, in the order of the URL. One that is `WHOLE`, where the service cannot be asked for
    each alone.
    """
    if make(fields, asset) is None:
        return [_whole(fields)]
    if is_mail(fields):
        return list(_split_mail(fields, asset) if _is_smtp(fields) else _split_addresses(fields, asset))
    if len(_targets_of(fields)) < 2:
        return [_whole(fields)]
    with listen() as heard:
        made = make(fields, asset)
    shares = [_try_alone(name, one, asset) for name, one in _each_target(fields)]
    alone = not any(share.recipient.problem for share in shares)
    if made is not None and not heard and (count_calls(made) == 1 or not alone):
        return [_whole(fields)]  # it is called once, or needs one of them for another
    return shares


def find_share(fields: Fields, name: str, asset: apprise.AppriseAsset) -> Share:
    """A recipient's share; with a problem where the route does not lead to them, or cannot."""
    shares: Iterable[Share] = [_whole(fields)]
    if name != WHOLE and not is_mail(fields):
        shares = (_try_alone(named, one, asset) for named, one in _each_target(fields) if named == name)
    elif name != WHOLE:
        shares = _split_mail(fields, asset) if _is_smtp(fields) else _split_addresses(fields, asset)
    found = next((share for share in shares if share.recipient.name == name), None)
    return found or Share(
        recipient=Recipient(name=name, problem=f"the route no longer leads to {name!r}"), fields=None
    )


def readers_of(fields: Mapping[str, Any]) -> Readers:
    """Whom a share of a mail names in its headers."""
    to, cc = (tuple(_addresses_of(fields.get(name))) for name in ("targets", "cc"))
    return Readers(to=to, cc=cc)


def count_calls(made: apprise.NotifyBase) -> int:
    """How many calls the service makes for one message."""
    calls: int = len(made) // (made.retry + 1)
    return calls


# Inside


def _whole(fields: Fields) -> Share:
    return Share(recipient=Recipient(name=WHOLE), fields=fields)


def _is_smtp(fields: Mapping[str, Any]) -> bool:
    return fields["schema"] in ("mailto", "mailtos")


def _split_mail(fields: Fields, asset: apprise.AppriseAsset) -> list[Share]:
    """By our own reading of the addresses; each share keeps them where its reader may see them."""
    to, cc, bcc = (_addresses_of(fields.get(name)) for name in ("targets", "cc", "bcc"))
    good_to, good_cc = (_as_list(addresses) for addresses in (to, cc))
    shared = {**fields, "targets": good_to, "cc": ", ".join(good_cc), "bcc": ""}
    if not to:
        made = make({**fields, "targets": []}, asset)
        to = [Address(address=str(made.from_addr[1]))] if isinstance(made, NotifyEmail) else []
    return [_share(one, shared) for one in _unique([*to, *cc, *bcc])]


def _split_addresses(fields: Fields, asset: apprise.AppriseAsset) -> Iterator[Share]:
    """Services that send mail: each address is their only one."""
    found = _unique([one for name in ("targets", "cc", "bcc") for one in _addresses_of(fields.get(name))])
    if not found:
        yield _whole(fields)
    for one in found:
        if one.problem is None:
            yield _try_alone(one.address, {**_without_copies(fields), "targets": [one.address]}, asset)
        else:
            yield _share(one, fields)


def _without_copies(fields: Fields) -> Fields:
    return {name: value for name, value in fields.items() if name not in ("cc", "bcc")}


def _share(one: Address, fields: Fields) -> Share:
    recipient = Recipient(name=one.address, problem=one.problem)
    return Share(recipient=recipient, fields=None if one.problem else fields)


def _addresses_of(value: Any) -> list[Address]:  # noqa: ANN401  # a text or several
    texts = value if isinstance(value, list) else [value or ""]
    return [address for text in texts for address in read_addresses(text)]


def _as_list(addresses: list[Address]) -> list[str]:
    good = [one for one in addresses if one.problem is None]
    return [f'"{one.name}" <{one.address}>' if one.name else one.address for one in good]


def _unique(addresses: list[Address]) -> list[Address]:
    first: dict[str, Address] = {}
    for one in addresses:
        first.setdefault(one.address.lower(), one)
    return list(first.values())


def _targets_of(fields: Mapping[str, Any]) -> list[str]:
    """Each target as it is written, once: lists within a target are taken apart."""
    targets = fields.get("targets") or []
    texts = targets if isinstance(targets, list) else [targets]
    return list(dict.fromkeys(part for text in texts for part in _LISTS.split(str(text)) if part))


def _each_target(fields: Fields) -> Iterator[tuple[str, Fields]]:
    """Name and fields of each: what may be a secret, or looks like one, is named by its place."""
    stands_for = _SECRET_TARGETS.get(fields["schema"])
    for place, target in enumerate(_targets_of(fields), start=1):
        name = target
        if stands_for or len(target) > _SHOWN_MAX or not target.isprintable():
            name = f"{stands_for or 'target'} {place}"
        yield name, {**fields, "targets": [target]}


def _try_alone(name: str, fields: Fields, asset: apprise.AppriseAsset) -> Share:
    with listen() as heard:
        made = make(fields, asset)
    if made is not None and not heard:
        return Share(recipient=Recipient(name=name), fields=fields)
    problem = f"{name!r} is not a recipient that {fields['schema']}:// can reach"
    return Share(recipient=Recipient(name=name, problem=problem), fields=None)
