"""What a run keeps while it waits, sealed as a value is and bound to the run: its outputs may hold values."""

import json
from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final

from sqlalchemy import Connection

from vaultcore.crypto.envelope import Binding, Sealed, open_sealed, seal
from vaultcore.crypto.keyring import Keyring
from vaultcore.errors import InvalidInputError, SealError
from vaultcore.secret import Secret
from worker.rows import states as state_rows

KEPT_MAX: Final = 16 * 1024 * 1024
"""Bytes of what one run keeps, as JSON."""
_PURPOSE = "run-state"


class SuspendedRuns:
    """Seals, and opens once. What is kept is JSON-like data."""

    def __init__(self, *, deployment_id: str, keyring: Keyring) -> None:
        self._deployment_id = deployment_id
        self._keyring = keyring

    def seal(self, run_id: str, kept: Mapping[str, Any]) -> Sealed:
        """`InvalidInputError` where it is not JSON, or too much. Its text quotes nothing."""
        try:
            text = json.dumps(kept)
        except (TypeError, ValueError, RecursionError):  # its text may quote a value
            text = None
        if text is None:
            raise InvalidInputError("what it would have to keep is nothing that JSON can hold")
        if len(text) > KEPT_MAX:
            raise InvalidInputError(
                f"it would have to keep {len(text):,} bytes of outputs, and {KEPT_MAX:,} are the most"
            )
        return seal(Secret(text), key=self._keyring.active, binding=self._binding(run_id), max_bytes=KEPT_MAX)

    def take(self, connection: Connection, run_id: str, *, due_by: datetime | None) -> Mapping[str, Any] | None:
        """What the run has kept; None: nothing (that is due by then), or somebody else has taken it.

        The row goes with the caller's transaction. `SealError` or `UnreadableError` where it is damaged.
        """
        sealed = state_rows.take(connection, run_id, due_by=due_by)
        return None if sealed is None else self._open(run_id, sealed)

    def _open(self, run_id: str, sealed: Sealed) -> Mapping[str, Any]:
        problem = False
        try:
            value = open_sealed(
                sealed,
                key=self._keyring.key(sealed.key_id),
                binding=self._binding(run_id),
                max_bytes=KEPT_MAX,
            )
        except SealError:
            problem = True
        if problem:
            raise SealError(f"what run {run_id} has kept")
        kept: Mapping[str, Any] = json.loads(value.expose())
        return kept

    def _binding(self, run_id: str) -> Binding:
        return Binding(deployment_id=self._deployment_id, subject_id=run_id, version=0, purpose=_PURPOSE)
