"""The sender that services hold. Apprise is loaded when it is first needed: it takes its time, and some ten MiB
that whoever tells nobody need not hold.
"""

from functools import cached_property
from typing import TYPE_CHECKING

from vaultcore.secret import Secret
from worker.domain.notices import Message
from worker.domain.recipients import WHOLE, Recipient
from worker.outbound import HttpClient, Network

if TYPE_CHECKING:
    from worker.delivery.sender import AppriseSender


class LateSender:
    """Does what `AppriseSender` does."""

    def __init__(self, network: Network, http: HttpClient) -> None:
        self._network = network
        self._http = http

    def check(self, url: Secret) -> tuple[str, ...]:
        return self._loaded.check(url)

    def find_secret(self, url: Secret) -> str | None:
        return self._loaded.find_secret(url)

    def recipients(self, url: Secret) -> tuple[Recipient, ...]:
        return self._loaded.recipients(url)

    def send(self, url: Secret, message: Message, *, recipient: str = WHOLE, part: int = 1) -> int:
        return self._loaded.send(url, message, recipient=recipient, part=part)

    @cached_property
    def _loaded(self) -> "AppriseSender":
        from worker.delivery.sender import AppriseSender  # noqa: PLC0415  # see above

        return AppriseSender(self._network, self._http)
