"""How a rotation stands, as a person sees it who decides of it."""

from dataclasses import dataclass

from sqlalchemy import Connection

from vaultcore.database import Database
from vaultcore.errors import NotFoundError
from vaultcore.model import Version
from vaultcore.vault import Vault
from vaultcore.versions import Versions
from worker.domain.advice import Advice, advise
from worker.domain.proof import ConsumerProof
from worker.domain.rotation import Rotation
from worker.domain.tracks import StepRecord
from worker.rotators.catalog import works_beside
from worker.rows import rotation_steps as step_rows
from worker.rows import rotations as rotation_rows
from worker.services.rotation.proof import ConsumerProofs


@dataclass(frozen=True, kw_only=True)
class Leeway:
    """`has_new`: there is a new value here, which could be accepted. `beside`: the old one works beside it.
    `given`: the version that a person has given since.
    """

    has_new: bool
    beside: bool
    given: int | None


@dataclass(frozen=True, kw_only=True)
class RotationView:
    """`steps`: what was done and what came of it, in order. `choices`: what a person can do, safest first."""

    rotation: Rotation
    consumer_proofs: tuple[ConsumerProof, ...]
    steps: tuple[StepRecord, ...]
    choices: tuple[Advice, ...]


class RotationViews:
    def __init__(self, *, database: Database, vault: Vault, versions: Versions, proofs: ConsumerProofs) -> None:
        self._database = database
        self._vault = vault
        self._versions = versions
        self._proofs = proofs

    def view(self, rotation_id: str) -> RotationView:
        """How a rotation stands, and what a person can build upon who decides of it."""
        with self._database.read() as connection:
            rotation = rotation_rows.get_rotation(connection, rotation_id)
            consumer_proofs = self._proofs.consumer_proofs(connection, rotation)
            leeway = self.find_leeway(connection, rotation)
            steps = tuple(step_rows.steps_of(connection, rotation_id))
        choices = advise(
            rotation.id,
            rotation.state,
            rotation.stuck_in,
            rotation.failing_since is not None,
            consumer_proofs,
            item=rotation.item,
            number=rotation.new_number,
            has_new=leeway.has_new,
            one_way=rotation.one_way,
            beside=leeway.beside,
            given=leeway.given,
            old_dead=rotation.old_dead,
        )
        return RotationView(rotation=rotation, consumer_proofs=consumer_proofs, steps=steps, choices=choices)

    def find_leeway(self, connection: Connection, rotation: Rotation) -> Leeway:
        """What a person can build upon, for what they are advised."""
        try:
            item = self._vault.get(connection, rotation.item_id)
        except NotFoundError:
            return Leeway(has_new=False, beside=False, given=None)
        return Leeway(
            has_new=find_new(connection, self._versions, rotation) is not None,
            beside=not rotation.is_old_dead and works_beside(item.policy, rotation.rotator),
            given=item.version if rotation.is_overtaken(item.version) else None,
        )


def find_new(connection: Connection, versions: Versions, rotation: Rotation) -> Version | None:
    """The new version, once it holds a value."""
    if rotation.new_number is None:
        return None
    found = versions.get(connection, rotation.item_id, rotation.new_number)
    return found if found.filled else None
