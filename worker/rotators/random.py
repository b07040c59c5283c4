"""Rotator `random`: a value drawn here."""

import secrets
import string
from collections.abc import Mapping
from typing import Any, ClassVar, Final, Literal

from pydantic import Field, field_validator

from vaultcore.forms import VALUE_MAX
from vaultcore.model import Kind
from vaultcore.secret import Secret
from worker.rotators import base

ALPHABETS = {
    "base62": string.ascii_letters + string.digits,
    "hex": "0123456789abcdef",
    "digits": string.digits,
    "printable": string.ascii_letters + string.digits + "!#$*+-./:=?@_~",
}
_NOT_INSTALLED: Final = base.FixedSentence("nothing to install: the workflows are its only users")
_NOT_ASKED: Final = base.FixedSentence("nothing to ask: the workflows are its only users")
_NOT_REVOKED: Final = base.FixedSentence("nothing to revoke outside")
_NOT_UNDONE: Final = base.FixedSentence("nothing to undo outside")


class RandomSettings(base.RotatorSettings):
    length: int = Field(default=40, ge=8, le=VALUE_MAX, description="in characters")
    alphabet: Literal["base62", "hex", "digits", "printable"] = "base62"
    characters: str | None = Field(
        default=None,
        min_length=2,
        max_length=200,
        description="instead of an alphabet, 2 or more",
    )

    @field_validator("characters")
    @classmethod
    def _check_variety(cls, characters: str | None) -> str | None:
        if characters is not None and len(set(characters)) < 2:
            raise ValueError("one character over and over is no secret: give 2 or more different ones")
        return characters


def draw(settings: RandomSettings) -> Secret:
    """A value of that length, each character drawn by itself from the operating system's source."""
    letters = sorted(set(settings.characters or ALPHABETS[settings.alphabet]))
    return Secret("".join(secrets.choice(letters) for _ in range(settings.length)))


class RandomRotator:
    """Draws a value here, for secrets that only workflows of ours share.

    It changes nothing on any other side: the workflows that use the item are its only users, and each
    resolves the new version from its next run on. It needs nothing. A crash half-way leaves at most a
    pending version, which is discarded.
    """

    Settings: ClassVar[type[base.RotatorSettings]] = RandomSettings
    kind: ClassVar[Kind] = Kind.SECRET
    issues: ClassVar[bool] = False
    creates_here: ClassVar[bool] = True
    needs: ClassVar[tuple[str, str] | None] = None
    example: ClassVar[Mapping[str, Any]] = {"length": 48, "alphabet": "base62"}

    def asks_nobody(self, settings: base.RotatorSettings) -> bool:  # noqa: ARG002  # the contract's
        return True

    def overlaps(self, settings: base.RotatorSettings) -> bool:  # noqa: ARG002  # the contract's
        return True

    def target(self, settings: base.RotatorSettings) -> str | None:  # noqa: ARG002  # the contract's
        return None

    def create(self, job: base.Job) -> base.Candidate:
        return base.Candidate(value=draw(RandomSettings.model_validate(job.settings.model_dump())))

    def install(self, job: base.Job) -> str:  # noqa: ARG002  # the contract's
        return _NOT_INSTALLED

    def verify(self, job: base.Job, value: Secret) -> str:  # noqa: ARG002  # the contract's
        return _NOT_ASKED

    def revoke(self, job: base.Job) -> str:  # noqa: ARG002  # the contract's
        return _NOT_REVOKED

    def undo(self, job: base.Job) -> str:  # noqa: ARG002  # the contract's
        return _NOT_UNDONE
