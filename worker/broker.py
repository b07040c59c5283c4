"""The embedded broker: kombu's folder of messages, in which each is there whole or not at all.

Kombu writes a message under its last name, so that whoever looks at the wrong moment reads an empty one,
and its worker ends with that. Here a message gets its name when it is written, and one that cannot be read
is passed over: messages only ring, and what was rung for is found by the resume sweep.
"""

import time
import uuid
from pathlib import Path
from queue import Empty
from typing import Any

from kombu.transport import TRANSPORT_ALIASES, filesystem
from kombu.utils.json import dumps

SCHEME = "filesystem"


_Channel: Any = filesystem.Channel  # kombu has no types
_Transport: Any = filesystem.Transport
_dumps: Any = dumps


class Channel(_Channel):  # type: ignore[misc]  # as above
    def _put(self, queue: str, payload: Any, **_: Any) -> None:  # noqa: ANN401  # kombu's
        folder = Path(self.data_folder_out)
        name = f"{round(time.monotonic() * 1000)}_{uuid.uuid4()}"
        part = folder / f"{name}.part"
        try:
            part.write_bytes(_dumps(payload).encode())
            part.replace(folder / f"{name}.{queue}.msg")
        except OSError:
            part.unlink(missing_ok=True)
            raise

    def _get(self, queue: str) -> Any:  # noqa: ANN401  # kombu's
        try:
            return super()._get(queue)
        except ValueError:  # no JSON, or no text
            pass
        raise Empty


class Transport(_Transport):  # type: ignore[misc]  # as above
    Channel = Channel


def use_whole_messages() -> None:
    """From now on, broker URLs of kombu's folder lead here."""
    TRANSPORT_ALIASES[SCHEME] = f"{__name__}:Transport"
