"""What an approval is bound to. Pure."""

import hashlib
import json
from dataclasses import asdict

from vaultcore.model import Item

_CAME_LATER = {"answers": 3, "renew": False, "copy_of": None}
"""Parts that a policy did not have when some approvals were given: as they were then, they change none."""

_DIGESTED_AS = {"pickup": "claim", "propagation": "settle", "target": "counterpart"}
"""Parts that had another name when some approvals were given: digests keep it."""


def digest_request(item: Item) -> str:
    """A digest of what is approved: which value is replaced, by what, sent where. 64 hex digits.

    Whoever changes the value or the policy afterwards changes the digest, and the approval no longer holds.
    """
    policy = asdict(item.policy)
    del policy["named"]  # what it says stands in the policy itself
    for name, then in _CAME_LATER.items():
        if policy[name] == then:
            del policy[name]
    named = {_DIGESTED_AS.get(name, name): value for name, value in policy.items()}
    asked = {"item": item.id, "version": item.version, "policy": named}
    return hashlib.sha256(json.dumps(asked, sort_keys=True, default=str).encode()).hexdigest()
