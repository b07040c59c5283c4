"""Where a route goes, and whether it may: the same guard as for every other call."""

from collections.abc import Iterator

import apprise
from apprise.plugins.email import NotifyEmail

from vaultcore.errors import Cause, TargetError
from worker.delivery.calls import calls_by_http
from worker.delivery.routes import HOST_IS_A_HOST
from worker.domain.guard import Guard, is_plain_address
from worker.outbound import Network

_STAYS_HERE = frozenset("blink1 dbus glib gnome kde macosx qt syslog windows".split())
"""Schemes that reach nothing beyond this machine; none of them is allowed unless `route_schemes` names it."""
_PORTS = {True: 443, False: 80}


def find_refusals(made: apprise.NotifyBase, guard: Guard) -> Iterator[str]:
    """What can be said before a name is looked up: of an address, and of a name that is on no list.

    Where a service has another host, what stands there may be the number of an account.
    """
    host, port = _place(made)
    if host and (made.schema in HOST_IS_A_HOST or is_plain_address(host)):
        refusal = guard.refuse_name(host, port)
        if refusal is not None:
            yield refusal


def judge(made: apprise.NotifyBase, network: Network) -> None:
    """Before a message leaves by a plugin that calls by itself: `TargetError` where it may not go there.

    The plugin looks the name up once more, and is not held to what was judged. What goes over HTTP or SMTP is
    judged, and held to that, as it connects.
    """
    if isinstance(made, NotifyEmail) or calls_by_http(type(made)) or made.schema in _STAYS_HERE:
        return
    host, port = _place(made)
    if not host or "host" not in made.template_tokens:
        problem = f"no route of {made.schema}:// says where it goes, so that it could be guarded: give another"
        raise TargetError(problem, cause=Cause.MISTAKE, acted=False)
    network.resolve(host, port)


def _place(made: apprise.NotifyBase) -> tuple[str, int]:
    """Host and port as its URL has them; 0, which is on no list, where only its plugin knows the port."""
    if isinstance(made, NotifyEmail):
        return str(made.smtp_host or ""), int(made.port or 0)
    port = made.port or (_PORTS[bool(made.secure)] if calls_by_http(type(made)) else 0)
    return str(made.host or ""), int(port)
