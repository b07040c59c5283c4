"""Rotator `random`: a value drawn here, for secrets that only our own workflows share.

It changes nothing on any other side: the workflows that use the item are its only users, and each
resolves the new version from its next run on. Needs nothing. A crash half-way leaves at most a
pending version, which is discarded.
"""

import secrets
import string
from typing import ClassVar, Literal

from pydantic import Field, field_validator

from vaultcore.model import Kind
from vaultcore.rules import VALUE_MAX
from vaultcore.secret import Secret
from worker.rotators import base

ALPHABETS = {
    "base62": string.ascii_letters + string.digits,
    "hex": "0123456789abcdef",
    "digits": string.digits,
    "printable": string.ascii_letters + string.digits + "!#$*+-./:=?@_~",
}


class RandomSettings(base.Settings):
    """`length` in characters; `alphabet` is base62, hex, digits, printable or a set of your own
    given as `characters` (2 or more different ones).
    """

    length: int = Field(default=40, ge=8, le=VALUE_MAX)
    alphabet: Literal["base62", "hex", "digits", "printable"] = "base62"
    characters: str | None = Field(default=None, min_length=2, max_length=200)

    @field_validator("characters")
    @classmethod
    def _check_variety(cls, characters: str | None) -> str | None:
        if characters is not None and len(set(characters)) < 2:
            raise ValueError("one character over and over is no secret: give 2 or more different ones")
        return characters


class RandomRotator:
    Settings: ClassVar[type[base.Settings]] = RandomSettings
    kind: ClassVar[Kind] = Kind.SECRET
    issues: ClassVar[bool] = False
    overlaps: ClassVar[bool] = True

    def counterpart(self, settings: base.Settings) -> str | None:  # noqa: ARG002  # the contract's
        return None

    def create(self, job: base.Job) -> base.Candidate:
        settings = RandomSettings.model_validate(job.settings.model_dump())
        letters = sorted(set(settings.characters or ALPHABETS[settings.alphabet]))
        drawn = "".join(secrets.choice(letters) for _ in range(settings.length))
        return base.Candidate(value=Secret(drawn))

    def install(self, job: base.Job) -> str:  # noqa: ARG002  # the contract's
        return "nothing to install: the workflows are its only users"

    def verify(self, job: base.Job, value: Secret) -> str:  # noqa: ARG002  # the contract's
        return "nothing to ask: the workflows are its only users"

    def revoke(self, job: base.Job) -> str:  # noqa: ARG002  # the contract's
        return "nothing to revoke outside"

    def undo(self, job: base.Job) -> str:  # noqa: ARG002  # the contract's
        return "nothing to undo outside"
