"""What passes between a channel and the broker: sealed on its way there, opened when it comes from there.

Whoever reads what lies at the broker sees that it is ours, and neither task nor id; whoever writes there makes
nothing that is taken for a message. One that is put there again opens, and is known by its number where the
task begins (`worker.tasks`): there the database can be asked, and all workers ask the same.
"""

from collections.abc import Callable
from datetime import datetime
from typing import Any

from vaultcore.crypto.keyring import Keyring
from vaultcore.crypto.messages import MessageKeys
from worker.domain.messages import MessageFault, Ring, read_call, read_ring, write_ring
from worker.domain.parcels import SEALED_ENCODING, SEALED_TYPE

_USE = "ring"


class Seals:
    """Seals and opens the messages of one vault. `NoKeyError` for a restricted keyring: who has one rings
    nothing.
    """

    def __init__(self, keyring: Keyring, *, deployment_id: str, clock: Callable[[], datetime]) -> None:
        self._keys = MessageKeys(keyring, deployment_id=deployment_id, use=_USE)
        self._clock = clock

    def __repr__(self) -> str:
        """Kombu tells connections apart by it, and may log it."""
        return f"<Seals by {self._keys!r}>"

    def seal(self, task: str, ids: tuple[str, ...]) -> bytes:
        return self._keys.seal(write_ring(task, ids, sent_at=self._clock()))

    def open(self, sealed: bytes) -> Ring | MessageFault:
        opened = self._keys.open(sealed)
        if opened is None:
            return MessageFault.FOREIGN if self._keys.is_foreign(sealed) else MessageFault.FORGED
        return read_ring(opened.said, number=opened.number, now=self._clock())


class SealingChannel:
    """Beside a channel of kombu's: whatever that is given to send goes out sealed, and nothing beside it.

    A message that is sent once more, since the first time may have come to nothing, gets another number.
    """

    @property
    def seals(self) -> Seals:
        raise NotImplementedError

    def prepare_message(  # noqa: PLR0917  # kombu's
        self,
        body: Any,  # noqa: ANN401  # as above
        priority: int | None = None,
        content_type: str | None = None,  # noqa: ARG002  # as above
        content_encoding: str | None = None,  # noqa: ARG002  # as above
        headers: dict[str, Any] | None = None,
        properties: dict[str, Any] | None = None,  # noqa: ARG002  # as above
    ) -> Any:  # noqa: ANN401  # as above
        sealed = self.seals.seal(*read_call(headers or {}, body))
        above: Any = super()
        return above.prepare_message(sealed, priority, SEALED_TYPE, SEALED_ENCODING, {}, {"delivery_mode": 2})
