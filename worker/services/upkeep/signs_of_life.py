"""Signs of life of this vault's workers and beat."""

import os
import socket
import time
from collections.abc import Callable
from datetime import datetime, timedelta

from vaultcore.database import Database
from vaultcore.ids import new_id
from worker.domain.pulses import PulseKind
from worker.domain.signs import SignOfLife, begun_at, is_there
from worker.rows import signs as sign_rows

EVERY = timedelta(minutes=1)
_KEPT = timedelta(days=40)


class SignsOfLife:
    """Says that this process lives, and who else does."""

    def __init__(self, *, database: Database, silence: timedelta, clock: Callable[[], datetime]) -> None:
        self._database = database
        self._silence = silence
        self._kept = max(_KEPT, 2 * silence)
        self._clock = clock

    def begin(self, kind: PulseKind) -> Callable[[], None]:
        """Says that this process works from now on. What it gets, it calls every minute while it does.

        Its row is right again one minute after the wall clock is.
        """
        began = time.monotonic()
        begun = seen = self._clock()
        sign_id = new_id("sgn", begun)

        def renew(*, first: bool = False) -> None:
            nonlocal begun, seen
            now = self._clock()
            age = timedelta(seconds=time.monotonic() - began)
            begun = begun_at(begun, seen, now, age=age, silence=self._silence)
            seen = now
            with self._database.write() as connection:
                if first:
                    sign_rows.forget(connection, before=now - self._kept, now=now)
                sign_rows.save(
                    connection,
                    SignOfLife(
                        id=sign_id,
                        kind=kind,
                        host=socket.gethostname(),
                        pid=os.getpid(),
                        started_at=begun,
                        seen_at=now,
                        every=EVERY,
                    ),
                )

        renew(first=True)
        return renew

    def list_living(self) -> list[SignOfLife]:
        """Of workers, beats and servers that are there now."""
        now = self._clock()
        with self._database.read() as connection:
            return [sign for sign in sign_rows.list_signs(connection) if may_live(sign, now)]


def may_live(sign: SignOfLife, now: datetime) -> bool:
    """Whether the process may still be there: of one on this machine the system says so, of others its sign."""
    if not is_there(sign, now):
        return False
    if sign.host != socket.gethostname():
        return True
    try:
        os.kill(sign.pid, 0)
    except (ProcessLookupError, OverflowError):  # the second: a number that is none of a process
        return False
    except PermissionError:
        return True
    return True
