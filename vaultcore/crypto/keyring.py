"""The keyring: the keys that everything in the vault hangs on, in a file that only its owner reads.

    {"version": 1, "active": ID,
     "keys":  [{"id": ID, "created": TIME, "state": STATE, "check": …, "material": …}, …],
     "roots": {"audit": {"check": …, "material": …}, "derive": …, "pepper": …, "signing": …}}

An id is 32 hex digits, material 32 random bytes in base64. `check`, 32 hex digits, is derived from
the material and the rest of the entry, so that a damaged or exchanged entry is told when the file
is read, and not years later by a record that does not open. One key's state is `active`: it seals.
The others are `retired`: they only open. A restricted keyring has no keys, and no active one: who has it
shows what the vault says of its items, and neither seals nor opens a value.
The file is never part of the database's backup.
"""

import errno
import hmac
import json
import re
import secrets
from base64 import b64decode, b64encode
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final, NoReturn

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.hashes import SHA512
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from pydantic import BaseModel, Field, ValidationError, ValidationInfo, field_validator, model_validator
from pydantic_core import PydanticCustomError

from vaultcore.canonical import write_canonical
from vaultcore.crypto.keyfile import make_folder, open_folder, read_file, write_new
from vaultcore.errors import ConfigurationError, NoKeyError, SealError, TroubleError
from vaultcore.troubles import explain

_VERSION: Final = 1
_MATERIAL: Final = 32
_ID: Final = 16
_ACTIVE, _RETIRED = "active", "retired"
_FINGERPRINT: Final = "record fingerprint"
_LIKENESS: Final = "value likeness"


@dataclass(frozen=True, kw_only=True)
class KeyEncryptionKey:
    """Wraps data keys. `id` is 32 lower-case hex digits, `material` 32 bytes."""

    id: str
    material: bytes = field(repr=False, compare=False)

    def __post_init__(self) -> None:
        if not _is_key_id(self.id) or len(self.material) != _MATERIAL:
            raise ConfigurationError(
                f"a key-encryption key has an id of {2 * _ID} lower-case hex digits and "
                f"{_MATERIAL} bytes of material: this one has not"
            )


class Keyring:
    """What the keyring file holds. Made once by `create`, read at every start by `load`."""

    def __init__(
        self, *, active: str | None, keys: Mapping[str, KeyEncryptionKey], roots: Mapping[str, bytes]
    ) -> None:
        self._active = active
        self._keys = dict(keys)
        self._roots = dict(roots)

    def __repr__(self) -> str:
        return f"<Keyring of {len(self._keys)}, active {self._active}>"

    def __reduce__(self) -> NoReturn:
        raise TypeError("a Keyring never leaves its process: load it where it is needed")

    @classmethod
    def create(cls, path: Path) -> "Keyring":
        """A new keyring in a file of mode 0600; makes the folder (0700) where there is none.

        It is on the disk when this returns. `ConfigurationError` if anything is there already,
        which is never replaced, or if the folder is not its owner's alone. `TroubleError` if this machine
        has no room for it.
        """
        _write(path, _make_document(datetime.now(UTC)))
        return cls.load(path)

    @classmethod
    def load(cls, path: Path) -> "Keyring":
        """The keyring in that file.

        `ConfigurationError` names the file and the entry that is at fault, never what stands
        there. A symbolic link is refused for the file; the folder may be one, since what it leads
        to is checked.
        """
        trouble: TroubleError | None = None
        try:
            with open_folder(path) as folder:
                contents = _parse(read_file(folder, path))
        except FileNotFoundError:
            contents = "does not exist: restore it from its backup, or name the right path"
        except OSError as error:
            trouble = explain(error, where=f"keyring {path}")
            contents = (
                "is a symbolic link: name the file itself"
                if error.errno == errno.ELOOP
                else f"cannot be read: {error.strerror}"
            )
        if trouble is not None and trouble.can_retry:
            raise trouble
        if isinstance(contents, str):
            raise ConfigurationError(f"keyring {path} {contents}")
        return contents

    def write_restricted(self, path: Path) -> None:
        """The same without its key-encryption keys, in a new file of mode 0600; errors as for `create`."""
        _write(path, _make_restricted(self._roots))

    @property
    def active(self) -> KeyEncryptionKey:
        """The key that seals; `NoKeyError` in a restricted keyring."""
        if self._active is None:
            raise NoKeyError
        return self._keys[self._active]

    @property
    def keys(self) -> tuple[KeyEncryptionKey, ...]:
        """Every key that opens what it once sealed, the active one among them; none in a restricted keyring."""
        return tuple(self._keys.values())

    @property
    def is_restricted(self) -> bool:
        """Whether it neither seals nor opens anything."""
        return self._active is None

    def key(self, key_id: str) -> KeyEncryptionKey:
        """The key that opens what it once sealed; `SealError` if this keyring has no such key, `NoKeyError`
        in a restricted one.
        """
        if self._active is None:
            raise NoKeyError
        found = self._keys.get(key_id)
        if found is None:
            raise SealError
        return found

    @property
    def pepper(self) -> bytes:
        """The key of API-key digests, 32 bytes."""
        return self._roots["pepper"]

    @property
    def audit_key(self) -> bytes:
        """The key of the audit chain, 32 bytes."""
        return self._roots["audit"]

    @property
    def signing_key(self) -> Ed25519PrivateKey:
        """Signs audit anchors."""
        return Ed25519PrivateKey.from_private_bytes(self._roots["signing"])

    def derive(self, label: str) -> bytes:
        """32 bytes of the vault's own for one use, which the label names: HKDF-SHA512."""
        return _derive(self._roots["derive"], b"nightkey derived key 1\0" + label.encode(), 32)

    def likeness(self, value: bytes) -> bytes:
        """A keyed digest of a value, 32 bytes, the same for the same value. Its label is kept for it."""
        return hmac.digest(self.derive(_LIKENESS), value, "sha256")

    def fingerprint(self, record: bytes) -> str:
        """A keyed digest of a sealed record, 64 hex digits. Its label is kept for it."""
        return hmac.digest(self.derive(_FINGERPRINT), record, "sha256").hex()


def _write(path: Path, content: bytes) -> None:
    trouble: TroubleError | None = None
    try:
        make_folder(path.parent)
        with open_folder(path) as folder:
            written = write_new(folder, path.name, content)
        problem = None if written else "is there already, and is never replaced"
    except OSError as error:
        trouble = explain(error, where=f"keyring {path}")
        problem = f"cannot be written: {error.strerror}"
    if trouble is not None and trouble.can_retry:
        raise trouble
    if problem is not None:
        raise ConfigurationError(f"keyring {path} {problem}: choose another path")


# The document


class _Object(BaseModel, strict=True, extra="forbid", hide_input_in_errors=True):
    pass


class _Entry(_Object):
    check: str
    material: str = Field(repr=False)

    def agree(self, rest: Mapping[str, str]) -> None:
        """Tells a damaged entry. `rest` is what it says beside its material."""
        try:
            material = b64decode(self.material, validate=True)
        except ValueError:
            material = b""
        # Base64 has spellings to spare: only the one that we write is taken.
        if len(material) != _MATERIAL or b64encode(material).decode() != self.material:
            raise PydanticCustomError("damaged", f".material is not {_MATERIAL} bytes in base64")
        if _check_value(material, rest) != self.check:
            raise PydanticCustomError("damaged", " does not agree with its check value")


class _Key(_Entry):
    created: str
    id: str
    state: str

    @model_validator(mode="after")
    def _agree(self) -> "_Key":
        self.agree(self.model_dump(include={"created", "id", "state"}))
        if not _is_key_id(self.id):
            raise PydanticCustomError("damaged", " has no id of its own")
        if self.state not in (_ACTIVE, _RETIRED):
            raise PydanticCustomError("damaged", f" has a state that is neither {_ACTIVE} nor {_RETIRED}")
        return self


class _Roots(_Object):
    audit: _Entry
    derive: _Entry
    pepper: _Entry
    signing: _Entry

    @field_validator("*")
    @classmethod
    def _agree(cls, entry: _Entry, info: ValidationInfo) -> _Entry:
        entry.agree({"root": str(info.field_name)})
        return entry


class _Document(_Object):
    version: int = Field(ge=_VERSION, le=_VERSION)
    active: Any
    keys: list[_Key]
    roots: _Roots

    @model_validator(mode="after")
    def _agree(self) -> "_Document":
        ids = [key.id for key in self.keys]
        for place, key_id in enumerate(ids):
            if key_id in ids[:place]:
                raise PydanticCustomError("damaged", f"keys[{place}] has no id of its own")
        active = [key.id for key in self.keys if key.state == _ACTIVE]
        if not ids and self.active is None:
            return self
        if len(active) != 1:
            raise PydanticCustomError("damaged", f"keys has {len(active)} active keys, and must have one")
        if self.active != active[0]:
            raise PydanticCustomError("damaged", "active does not name the key whose state is active")
        return self


def _make_document(now: datetime) -> bytes:
    key = {
        "id": secrets.token_hex(_ID),
        "created": now.isoformat(timespec="microseconds"),
        "state": _ACTIVE,
    }
    document = {
        "version": _VERSION,
        "active": key["id"],
        "keys": [key | _make_material(key)],
        "roots": {name: _make_material({"root": name}) for name in _Roots.model_fields},
    }
    return f"{json.dumps(document, indent=2)}\n".encode()


def _make_restricted(roots: Mapping[str, bytes]) -> bytes:
    entries = {
        name: {"check": _check_value(material, {"root": name}), "material": b64encode(material).decode()}
        for name, material in roots.items()
    }
    document: dict[str, Any] = {"version": _VERSION, "active": None, "keys": [], "roots": entries}
    return f"{json.dumps(document, indent=2)}\n".encode()


def _make_material(rest: Mapping[str, str]) -> dict[str, str]:
    material = secrets.token_bytes(_MATERIAL)
    return {"check": _check_value(material, rest), "material": b64encode(material).decode()}


def _check_value(material: bytes, rest: Mapping[str, str]) -> str:
    """Tells a damaged entry. `rest` is what the entry says beside its material."""
    canonical = write_canonical(rest).encode()
    return _derive(material, b"nightkey check value 1\0" + canonical, 16).hex()


def _parse(content: bytes) -> Keyring | str:
    """The keyring, or what is wrong with the file.

    The caller raises, because an error raised in here would hold keys: in its frames, or as the
    `doc` of a JSON error.
    """
    try:
        document = _Document.model_validate_json(content)
    except ValidationError as error:
        first = error.errors(include_url=False, include_context=False, include_input=False)[0]
        if first["type"] == "json_invalid":
            return "is not JSON: restore it from its backup"
        return f"is damaged: {_explain(first['type'], first['loc'], first['msg'])}: restore it from its backup"
    return Keyring(
        active=document.active,
        keys={key.id: KeyEncryptionKey(id=key.id, material=b64decode(key.material)) for key in document.keys},
        roots={name: b64decode(entry.material) for name, entry in document.roots},
    )


def _explain(problem: str, loc: tuple[int | str, ...], message: str) -> str:
    """By the place and the kind of what is wrong."""
    if loc == ("version",):
        return f"its version is not {_VERSION}, the only one that this release reads"
    where = "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in loc).removeprefix(".")
    if problem == "damaged":
        return where + message
    if problem == "list_type":
        return f"{where} is no list"
    if problem == "string_type":
        return f"{where} is no text"
    if problem in ("missing", "extra_forbidden"):
        loc, where = loc[:-1], where.rpartition(".")[0]
    model = _Document if not loc else _Key if loc[0] == "keys" else _Roots if len(loc) == 1 else _Entry
    return f"{where or 'the file'} is no object of {', '.join(sorted(model.model_fields))} and nothing else"


def _is_key_id(text: str) -> bool:
    return re.fullmatch("[0-9a-f]{32}", text) is not None


def _derive(material: bytes, info: bytes, length: int) -> bytes:
    return HKDF(algorithm=SHA512(), length=length, salt=None, info=info).derive(material)
