"""What an approval is bound to, and how its request ends: pure."""

import hashlib
import json
from dataclasses import asdict

from vaultcore.model import Item

NOBODY_APPROVED = "nobody approved it in time"
"""Why a rotation was cancelled whose request expired."""


def digest_request(item: Item) -> str:
    """A digest of what is approved: which value is replaced, by what, sent where. 64 hex digits.

    Whoever changes the value or the policy afterwards changes the digest, and the approval no longer holds.
    """
    asked = {"item": item.id, "version": item.version, "policy": asdict(item.policy)}
    return hashlib.sha256(json.dumps(asked, sort_keys=True, default=str).encode()).hexdigest()
