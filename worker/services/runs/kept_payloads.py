"""What runs began with, and what their nodes gave: kept sealed for a time, for who runs them again.

What callers send is theirs, and may be personal: so it is sealed as a value is, bounded, and goes after
`payload_days`. No value of the vault is in it (`worker.workflows.run.Run.note`): what was destroyed here lives
on in none of it.
"""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Final

from sqlalchemy import Connection

from vaultcore.crypto.envelope import Binding, Sealed, open_sealed, seal
from vaultcore.crypto.keyring import Keyring
from vaultcore.errors import InvalidInputError, RefusedError, SealError
from vaultcore.secret import Secret
from worker.rows import payloads as payload_rows
from worker.workflows.others import Resumption

PAYLOAD_MAX: Final = 1_048_576
"""Bytes of what is kept of one run, as JSON."""
_PURPOSE = "run-payload"


@dataclass(frozen=True, kw_only=True)
class KeptPayload:
    """As `Run.note` has it."""

    run_id: str
    noted: Mapping[str, Any] = field(repr=False)

    def context(self) -> dict[str, Any]:
        """What it began with; `RefusedError` where that held a value of the vault."""
        found = self.noted["context"]
        if found is None:
            raise RefusedError(
                f"what run {self.run_id} began with held a value of the vault, and is kept nowhere: "
                "start the workflow anew"
            )
        return dict(found)

    def done_until(self, node_id: str) -> Resumption:
        """Its steps up to that node; `RefusedError` where nobody can go on behind it."""
        context, steps, outputs = self.context(), list[Mapping[str, Any]](), self.noted["outputs"]
        for step in self.noted["steps"]:
            steps.append(step)
            if step["node_id"] == node_id:
                break
        if not steps or steps[-1]["node_id"] != node_id:
            raise RefusedError(f"run {self.run_id} did not come to node {node_id[:60]!r}: run it again whole")
        if steps[-1]["failure"] is not None:
            raise RefusedError(f"node {node_id} failed in run {self.run_id}: go on behind one that succeeded")
        if steps[-1]["ends"]:
            raise RefusedError(f"node {node_id} ended run {self.run_id}: nothing follows it")
        missing = [step["node_id"] for step in steps if step["node_id"] not in outputs]
        if missing or self.noted["shape"] is None:
            raise RefusedError(
                f"what node {(missing or [node_id])[0]} gave in run {self.run_id} held a value of the vault, "
                "or was too large, and is kept nowhere: run it again whole"
            )
        return Resumption(
            shape=self.noted["shape"],
            context=context,
            steps=steps,
            outputs={step["node_id"]: outputs[step["node_id"]] for step in steps},
        )


class KeptPayloads:
    """`kept`: for how long; nothing is kept where that is no time."""

    def __init__(
        self, *, deployment_id: str, keyring: Keyring, kept: timedelta, clock: Callable[[], datetime]
    ) -> None:
        self._deployment_id = deployment_id
        self._keyring = keyring
        self._kept = kept
        self._clock = clock

    def seal(self, run_id: str, note: Callable[[], Mapping[str, Any]]) -> Sealed | None:
        """None: nothing is kept of it, since it is too much, or nothing that JSON can hold."""
        if not self._kept:
            return None
        noted = note()
        text = _write(noted) or _write({**noted, "outputs": {}})
        if text is None:
            return None
        try:
            return seal(
                Secret(text), key=self._keyring.active, binding=self._binding(run_id), max_bytes=PAYLOAD_MAX
            )
        except InvalidInputError:  # half a character, which a workflow may give
            return None

    def keep(self, connection: Connection, run_id: str, sealed: Sealed) -> None:
        now = self._clock()
        payload_rows.keep(connection, run_id, sealed, at=now, ends_at=now + self._kept)

    def find(self, connection: Connection, run_id: str) -> KeptPayload | None:
        """None: nothing was kept, or not any more. `SealError` or `UnreadableError` where it is damaged."""
        sealed = payload_rows.find(connection, run_id, self._clock())
        if sealed is None:
            return None
        problem = False
        try:
            value = open_sealed(
                sealed,
                key=self._keyring.key(sealed.key_id),
                binding=self._binding(run_id),
                max_bytes=PAYLOAD_MAX,
            )
        except SealError:
            problem = True
        if problem:
            raise SealError(f"what run {run_id} began with")
        return KeptPayload(run_id=run_id, noted=json.loads(value.expose()))

    def _binding(self, run_id: str) -> Binding:
        return Binding(deployment_id=self._deployment_id, subject_id=run_id, version=0, purpose=_PURPOSE)


def _write(noted: Mapping[str, Any]) -> str | None:
    try:
        text = json.dumps(noted)
    except (TypeError, ValueError, RecursionError):  # its text may quote what was sent
        return None
    return text if len(text) <= PAYLOAD_MAX else None
