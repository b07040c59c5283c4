"""A route's URL as apprise reads it: fields, and the service made of them. Nothing of it is logged."""

import re
from collections.abc import Callable, Mapping
from functools import cache
from typing import Any
from urllib.parse import unquote

import apprise
from apprise.plugins import N_MGR

from vaultcore.errors import InvalidInputError
from worker.delivery.routes import HOST_IS_A_HOST
from worker.domain.idn import encode_domain, encode_domains

Fields = dict[str, Any]

_AUTHORITY = re.compile(r"(?P<before>[^:/?#]+://(?:[^/?#]*@)?)(?P<host>[^/?#@:\[\]]+)(?P<after>.*)", re.DOTALL)
_WITH_ADDRESSES = ("targets", "cc", "bcc", "from_addr", "reply_to")


def read_url(text: str) -> Fields | None:
    """The fields, with internationalised domains encoded; None for what apprise cannot read."""
    service = service_of(text.partition("://")[0].lower()) if "://" in text else None
    if service is None:
        return None
    text = _encode_host(text).replace("/#", "/%23")  # as apprise does, so that it is no fragment
    try:
        found = service.parse_url(text)
    except Exception:  # noqa: BLE001  # its parsers stumble over what is half a URL
        return None
    if not found:
        return None
    fields: Fields = dict(found)
    if is_mail(fields):
        for name in _WITH_ADDRESSES:
            if name in fields:
                fields[name] = _encode_addresses(fields[name])
        if fields.get("smtp_host"):
            fields["smtp_host"] = _try(encode_domain, fields["smtp_host"])
    return fields


def make(fields: Mapping[str, Any], asset: apprise.AppriseAsset) -> apprise.NotifyBase | None:
    """The service, ready to send; None where apprise refuses the fields."""
    copied = {name: list(value) if isinstance(value, list) else value for name, value in fields.items()}
    try:
        return apprise.Apprise.instantiate(copied, asset=asset, suppress_exceptions=False)
    except Exception:  # noqa: BLE001  # its plugins raise what they like
        return None


@cache
def service_of(scheme: str) -> type[apprise.NotifyBase] | None:
    """The plugin of a scheme; None: apprise has none."""
    apprise.Apprise()  # finds its plugins
    return N_MGR[scheme] if scheme in N_MGR else None  # noqa: SIM401  # it is no dictionary


def is_mail(fields: Mapping[str, Any]) -> bool:
    """Whether its recipients are mail addresses."""
    service = service_of(str(fields["schema"]))
    return service is not None and "bcc" in service.template_args


def _encode_host(text: str) -> str:
    parts = _AUTHORITY.fullmatch(text)
    if parts is None or parts["before"].partition(":")[0].lower() not in HOST_IS_A_HOST:
        return text
    host = unquote(parts["host"])
    if host.isascii():
        return text
    problem = ""
    try:
        return parts["before"] + encode_domain(host) + parts["after"]
    except ValueError:
        problem = "the host of the route cannot be encoded for DNS"
    raise InvalidInputError(problem)


def _encode_addresses(value: Any) -> Any:  # noqa: ANN401  # a text or several
    if isinstance(value, list):
        return [_encode_addresses(one) for one in value]
    return _try(encode_domains, value) if isinstance(value, str) else value


def _try(encode: Callable[[str], str], text: str) -> str:
    try:
        return encode(text)
    except ValueError:
        return text  # and then it is refused with the address
