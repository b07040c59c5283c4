"""Sends a message to a recipient of an apprise URL, and says why when that fails, without a word of the URL."""

import re
from collections.abc import Callable
from typing import Any, NoReturn

import apprise
from apprise.plugins.email import NotifyEmail

from vaultcore.errors import Cause, TargetError
from vaultcore.secret import Secret
from worker.delivery.calls import Way, calling_by, calls_by_http
from worker.delivery.checking import check_url
from worker.delivery.formats import to_html, to_text
from worker.delivery.listening import listen
from worker.delivery.mail import send_mail
from worker.delivery.options import find_refused
from worker.delivery.parts import COUNT_MAX, cut, shorten_subject
from worker.delivery.private import find_secret
from worker.delivery.reading import Fields, is_mail, make, read_url
from worker.delivery.splitting import find_share, readers_of, split
from worker.delivery.ways import judge
from worker.domain.notices import Message
from worker.domain.recipients import WHOLE, Recipient, RecipientRefusedError
from worker.outbound import HttpClient, Network

_TIMEOUT_SECONDS = 20.0
_STATUS = re.compile(r"error=(\d{3})")
_UNSENT = "apprise took the notice and called nobody: look at the route (for opsgenie, set action=new)"
_UNREADABLE = "apprise cannot read the route: give another"


class AppriseSender:
    """The port `worker.services.notices.send_pool.Sender`, by apprise."""

    def __init__(self, network: Network, http: HttpClient) -> None:
        """By the same ways out as every other call: `http` for what goes over HTTP, `network` for the rest."""
        self._network = network
        self._http = http
        self._asset = apprise.AppriseAsset(
            app_id="Nightkey",
            async_mode=False,
            http_redirects=False,
            secure_logging=True,
            storage_mode=apprise.PersistentStoreMode.MEMORY,
            service_timeout=_TIMEOUT_SECONDS,
            allow_templates=False,
        )

    def check(self, url: Secret) -> tuple[str, ...]:
        """The names of its recipients; refuses a URL of which apprise would drop a part, or make nothing."""
        with listen():
            return check_url(url.expose().strip(), self._asset, self._network.guard)

    def find_secret(self, url: Secret) -> str | None:
        """What in the URL is a secret, in words; None: nothing."""
        with listen():
            return find_secret(url.expose().strip())

    def recipients(self, url: Secret) -> tuple[Recipient, ...]:
        """Whom it leads to, those included to whom nothing can be sent."""
        with listen():
            return tuple(share.recipient for share in split(self._read(url), self._asset))

    def send(self, url: Secret, message: Message, *, recipient: str = WHOLE, part: int = 1) -> int:
        """Sends one part to one recipient, in the form that the service likes best. How many parts there are.

        What failed has a cause, and a mistake is not worth a retry. Many threads may send at once. How long it
        takes is bounded by who calls.
        """
        with listen() as heard, calling_by(self._http) as way:
            parts = self._send(url, message, recipient, part, heard=heard, way=way)
        if parts is None:
            _raise(heard, way.failures)
        return parts

    def _send(
        self, url: Secret, message: Message, recipient: str, part: int, *, heard: list[str], way: Way
    ) -> int | None:
        """None: it was not taken. The service ends with this: some log out then."""
        share = find_share(self._read(url), recipient, self._asset)
        if share.fields is None:
            raise RecipientRefusedError(share.recipient.problem or _UNREADABLE, cause=Cause.MISTAKE)
        made = make(share.fields, self._asset)
        by_mail = isinstance(made, NotifyEmail)  # whose addresses are read here, and name each recipient
        if made is None or (recipient == WHOLE if by_mail else _drops_any(heard)):
            raise TargetError(_UNREADABLE, cause=Cause.MISTAKE)
        for refused in find_refused(share.fields, made):
            raise TargetError(f"the route is not used as it is: {refused}", cause=Cause.MISTAKE, acted=False)
        judge(made, self._network)
        if isinstance(made, NotifyEmail):
            send_mail(made, recipient, message, readers_of(share.fields), self._network)
            return 1
        parts = [message] if is_mail(share.fields) else _cut(made, message)
        if part <= len(parts):
            if not _notify(made, parts[part - 1]):
                return None
            if way.calls == 0 and calls_by_http(type(made)):
                raise TargetError(_UNSENT, cause=Cause.MISTAKE, acted=False)
        return len(parts)

    def _read(self, url: Secret) -> Fields:
        fields = read_url(url.expose().strip())
        if fields is None:
            raise TargetError(_UNREADABLE, cause=Cause.MISTAKE)
        return fields


def _drops_any(heard: list[str]) -> bool:
    """A route that was added before such routes were refused."""
    return any(line.startswith("Dropped") for line in heard)


def _cut(made: apprise.NotifyBase, message: Message) -> list[Message]:
    """The parts in which the service takes it. A route with `overflow=truncate` asks for the first alone."""
    if made.overflow_mode == apprise.OverflowMode.TRUNCATE:
        return [message]
    form, write = _form_of(made)
    beside = len(message.subject) + COUNT_MAX
    room = made.body_maxlen
    if made.title_maxlen == 0:
        room -= 2 * beside  # it becomes a line of the text, in the markup of the service
    elif made.overflow_amalgamate_title:
        room -= beside

    return cut(message, lambda body: len(made.dialect_convert(write(body), form)), room)


def _notify(made: apprise.NotifyBase, message: Message) -> bool:
    if made.overflow_mode == apprise.OverflowMode.UPSTREAM:  # should a part be too long all the same
        made.overflow_mode = apprise.OverflowMode.SPLIT
    form, write = _form_of(made)
    subject = shorten_subject(message.subject, made.title_maxlen) if made.title_maxlen > 0 else message.subject
    return bool(made.notify(title=subject, body=write(message.body), body_format=form))


def _form_of(made: apprise.NotifyBase) -> tuple[apprise.NotifyFormat, Callable[[str], str]]:
    likes: Any = made.notify_format  # one, or several with the best first
    best = likes[0] if isinstance(likes, tuple) else likes
    return _FORMS.get(best, _FORMS[apprise.NotifyFormat.TEXT])


_FORMS: dict[apprise.NotifyFormat, tuple[apprise.NotifyFormat, Callable[[str], str]]] = {
    apprise.NotifyFormat.TEXT: (apprise.NotifyFormat.TEXT, to_text),
    apprise.NotifyFormat.HTML: (apprise.NotifyFormat.HTML, to_html),
    apprise.NotifyFormat.MARKDOWN: (apprise.NotifyFormat.MARKDOWN, str),
}


def _raise(heard: list[str], failures: list[TargetError]) -> NoReturn:
    """`failures`: of calls that were not made, or not answered. What does not answer is away."""
    if failures:
        last = failures[-1]
        raise TargetError(str(last), cause=last.cause, acted=last.acted and last.cause is not Cause.OUTAGE)
    status = next((int(found[1]) for found in map(_STATUS.search, heard) if found), None)
    if status is None:
        raise TargetError("the service could not be reached", cause=Cause.OUTAGE, acted=False)
    if status in range(400, 500) and status not in (408, 429):
        raise TargetError(f"the service answered {status}", cause=Cause.MISTAKE)
    raise TargetError(f"the service answered {status}", cause=Cause.OUTAGE)
