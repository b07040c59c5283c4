"""Requests that begin something, once: the same key of the same principal gives the same answer for a day.

A request is written down before it is done, and its answer is stored after that, sealed, since it may show what
is personal. One whose process died between the two is not done again: nobody knows what came of it, and that
is said.
"""

import hashlib
import hmac
import json
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final

from vaultcore.crypto.envelope import Binding, Sealed, open_sealed, seal
from vaultcore.crypto.keyring import Keyring
from vaultcore.database import Database
from vaultcore.errors import ConflictError, InvalidInputError, SealError
from vaultcore.secret import Secret
from worker.rows import requests as request_rows

ANSWER_MAX: Final = 2 * 1_048_576
_LABEL = "nightkey requests 1"
_PURPOSE = "request"


@dataclass(frozen=True, kw_only=True)
class StoredAnswer:
    """`body` is the text of the answer, as it was given."""

    status: int
    media_type: str
    body: str = field(repr=False)


class Requests:
    def __init__(
        self, *, database: Database, deployment_id: str, keyring: Keyring, clock: Callable[[], datetime]
    ) -> None:
        self._database = database
        self._deployment_id = deployment_id
        self._keyring = keyring
        self._clock = clock

    def name(self, place: str, key: str) -> str:
        """Under what a request is known: the same key at another place is another."""
        return self._digest(f"{key} {place}".encode())

    def begin(self, actor: str, key: str, asked: bytes) -> StoredAnswer | None:
        """None: do it, then `end` or `give_up`. Otherwise the answer that was given to it.

        `key` is a `name`, and `asked` what makes the request what it is beside its place. `InvalidInputError`
        where another was made under this key, `ConflictError` where it is under way, or its answer was lost.
        """
        now, digest = self._clock(), self._digest(asked)
        with self._database.write() as connection:
            request_rows.forget_old(connection, before=now - request_rows.ASKED_ONCE, now=now)
            before = request_rows.take(connection, actor, key, digest, at=now)
        if before is None:
            return None
        if not hmac.compare_digest(before.digest, digest):
            raise InvalidInputError(
                "Idempotency-Key: another request was made with this key within a day: take a new one for each"
            )
        if before.answer is None:
            raise ConflictError(
                f"Idempotency-Key: this request was made at {before.asked_at:%Y-%m-%d %H:%M:%S} UTC, and is "
                "under way, or its answer was lost: look what came of it; nothing was begun a second time"
            )
        return self._open(actor, key, before.answer)

    def end(self, actor: str, key: str, answer: StoredAnswer) -> None:
        """What is too large to be kept is known to have been done, all the same."""
        text = json.dumps(vars(answer))
        if len(text) > ANSWER_MAX:
            return
        sealed = seal(
            Secret(text),
            key=self._keyring.active,
            binding=self._binding(actor, key),
            max_bytes=ANSWER_MAX,
        )
        with self._database.write() as connection:
            request_rows.answer(connection, actor, key, sealed)

    def give_up(self, actor: str, key: str) -> None:
        """It was refused, and nothing begun: the same key may be used again."""
        with self._database.write() as connection:
            request_rows.give_up(connection, actor, key)

    def _digest(self, what: bytes) -> str:
        """Keyed: what was asked for may be guessed."""
        return hmac.new(self._keyring.derive(_LABEL), what, hashlib.sha256).hexdigest()

    def _open(self, actor: str, key: str, sealed: Sealed) -> StoredAnswer:
        problem = False
        try:
            value = open_sealed(
                sealed,
                key=self._keyring.key(sealed.key_id),
                binding=self._binding(actor, key),
                max_bytes=ANSWER_MAX,
            )
        except SealError:
            problem = True
        if problem:
            raise SealError("the answer to a request")
        return StoredAnswer(**json.loads(value.expose()))

    def _binding(self, actor: str, key: str) -> Binding:
        return Binding(
            deployment_id=self._deployment_id, subject_id=f"{actor} {key}", version=0, purpose=_PURPOSE
        )
