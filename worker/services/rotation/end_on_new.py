"""What the vault holds once a rotation has ended on its new value: the old one is gone."""

from sqlalchemy import Connection

from vaultcore.vault import Vault
from vaultcore.versions import Versions
from worker.domain.rotation import Rotation
from worker.services.rotation.pickups import Pickups
from worker.services.rotation.proof import ConsumerProofs


class EndOnNew:
    """The worker comes by here that has taken the old value away outside, and whoever vouches that it is."""

    def __init__(self, *, vault: Vault, versions: Versions, proofs: ConsumerProofs, pickups: Pickups) -> None:
        self._vault = vault
        self._versions = versions
        self._proofs = proofs
        self._pickups = pickups

    def record(self, connection: Connection, rotation: Rotation, *, actor: str, reason: str) -> None:
        """Every consumer follows the new version, its pickup waits on, and nothing holds the item back."""
        self._proofs.let_go(connection, rotation)
        self._versions.destroy(connection, rotation.item_id, rotation.old_number, actor=actor, reason=reason)
        self._pickups.wait_on(connection, rotation.id)
        self._vault.hold(connection, rotation.item_id, None)
