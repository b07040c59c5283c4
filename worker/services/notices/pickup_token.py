"""The token of a pickup: derived where a notice is written and where it is presented, and stored nowhere."""

import hmac

from vaultcore.crypto.keyring import Keyring


def pickup_token(keyring: Keyring, pickup_id: str) -> str:
    """`clm_…_` and 32 hex digits that only the keyring can make: nothing to steal is stored."""
    proof = hmac.digest(keyring.derive("claim"), pickup_id.encode(), "sha256").hex()[:32]
    return f"{pickup_id}_{proof}"
