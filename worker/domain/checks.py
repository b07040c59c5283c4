"""What makes a check the same one, and for how long it is believed that it can tell good from bad. Pure."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

_ASKED_AGAIN = timedelta(days=1)
"""Of one that could not tell: what it asks may have been mended where we do not see it."""


class Sight(StrEnum):
    """What a check was shown to be."""

    SEES = "sees"
    """It has refused a made-up value."""
    BLIND = "blind"
    """It takes a made-up value, too."""
    UNKNOWN = "unknown"
    """No made-up value could be formed, or nobody has judged it."""


class ShownBy(StrEnum):
    """What has accepted a new value, and could have refused it; a node test is kept with its WORKFLOW/NODE."""

    VERIFICATION = "verification"
    NODE_TEST = "node-test"
    HERE_ALONE = "here-alone"
    """Nobody else is to accept it."""
    DIGEST = "digest"
    """A key of ours, which we tell apart ourselves."""


@dataclass(frozen=True, kw_only=True)
class Known:
    """`tells_apart`: a made-up value was refused when it was asked."""

    tells_apart: bool
    asked_at: datetime

    def holds(self, now: datetime) -> bool:
        return self.tells_apart or now - self.asked_at < _ASKED_AGAIN


def digest_check(*parts: str | Mapping[str, Any] | Sequence[Any]) -> str:
    """The same for the same target and settings; whatever changes in them makes it another check."""
    written = json.dumps(parts, sort_keys=True, default=str)
    return hashlib.sha256(written.encode()).hexdigest()
