"""Rotator `workflow-api-key`: a new `wfk_` key for callers of ours."""

from collections.abc import Mapping
from typing import Any, ClassVar, Final

from vaultcore.crypto import apikeys
from vaultcore.errors import Cause, TargetError
from vaultcore.model import Kind
from vaultcore.secret import Secret
from worker.rotators import base

_INSTALLED: Final = base.FixedSentence(
    "its digest is stored: from its activation on it opens beside the old key"
)
_VERIFIED: Final = base.FixedSentence("the key's checksum holds")
_REVOKED: Final = base.FixedSentence("the old key opens nothing from now on")
_NOT_UNDONE: Final = base.FixedSentence("nothing to undo outside")


class ApiKeySettings(base.RotatorSettings):
    """There is nothing to set."""


class WorkflowApiKeyRotator:
    """Makes a new `wfk_` key for callers of ours.

    It changes nothing outside: callers present the key to us, and both keys open while they overlap. The new
    key is kept sealed until its owner collects it with the token from their notice; until then, until the
    overlap is over, and until callers present the new one and no longer the old, the old key goes on working.
    It needs nothing. A crash half-way leaves at most a pending version, which is discarded.
    """

    Settings: ClassVar[type[base.RotatorSettings]] = ApiKeySettings
    kind: ClassVar[Kind] = Kind.API_KEY
    issues: ClassVar[bool] = False
    creates_here: ClassVar[bool] = True
    needs: ClassVar[tuple[str, str] | None] = None
    example: ClassVar[Mapping[str, Any]] = {}

    def asks_nobody(self, settings: base.RotatorSettings) -> bool:  # noqa: ARG002  # the contract's
        return True

    def overlaps(self, settings: base.RotatorSettings) -> bool:  # noqa: ARG002  # the contract's
        return True

    def target(self, settings: base.RotatorSettings) -> str | None:  # noqa: ARG002  # the contract's
        return None

    def create(self, job: base.Job) -> base.Candidate:  # noqa: ARG002  # the contract's
        return base.Candidate(value=apikeys.generate())

    def install(self, job: base.Job) -> str:  # noqa: ARG002  # the contract's
        return _INSTALLED

    def verify(self, job: base.Job, value: Secret) -> str:  # noqa: ARG002  # the contract's
        if not apikeys.looks_real(value.expose()):
            raise TargetError("the key's checksum is wrong", cause=Cause.REJECTED)
        return _VERIFIED

    def revoke(self, job: base.Job) -> str:  # noqa: ARG002  # the contract's
        return _REVOKED

    def undo(self, job: base.Job) -> str:  # noqa: ARG002  # the contract's
        return _NOT_UNDONE
