"""The keyring: the keys that everything in the vault hangs on, in a file that only its owner reads.

    {"version": 1, "active": ID,
     "keys":  [{"id": ID, "created": TIME, "state": STATE, "check": …, "material": …}, …],
     "roots": {"audit": {"check": …, "material": …}, "derive": …, "pepper": …, "signing": …}}

An id is 32 hex digits, material 32 random bytes in base64. `check`, 32 hex digits, is derived from
the material and the rest of the entry, so that a damaged or exchanged entry is told when the file
is read, and not years later by a record that does not open. One key's state is `active`: it seals.
The others are `retired`: they only open. The file is never part of the database's backup.
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

from vaultcore.crypto.keyfile import make_folder, open_folder, read_file, write_new
from vaultcore.errors import ConfigurationError, SealError, TroubleError
from vaultcore.troubles import explain

_VERSION: Final = 1
_MATERIAL: Final = 32
_ID: Final = 16
_ROOTS: Final = ("audit", "derive", "pepper", "signing")
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
        self, *, active: str, keys: Mapping[str, KeyEncryptionKey], roots: Mapping[str, bytes]
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
        trouble: TroubleError | None = None
        try:
            make_folder(path.parent)
            with open_folder(path) as folder:
                written = write_new(folder, path.name, _make_document(datetime.now(UTC)))
            problem = None if written else "is there already, and is never replaced"
        except OSError as error:
            trouble = explain(error, where=f"keyring {path}")
            problem = f"cannot be written: {error.strerror}"
        if trouble is not None and trouble.can_retry:
            raise trouble
        if problem is not None:
            raise ConfigurationError(f"keyring {path} {problem}: choose another path")
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

    @property
    def active(self) -> KeyEncryptionKey:
        """The key that seals."""
        return self._keys[self._active]

    def key(self, key_id: str) -> KeyEncryptionKey:
        """The key that opens what it once sealed; `SealError` if this keyring has no such key."""
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


# The document


class _DamagedError(Exception):
    """Says where the file is at fault and how, never what stands there."""


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
        "roots": {name: _make_material({"root": name}) for name in _ROOTS},
    }
    return f"{json.dumps(document, indent=2)}\n".encode()


def _make_material(rest: Mapping[str, str]) -> dict[str, str]:
    material = secrets.token_bytes(_MATERIAL)
    return {"check": _check_value(material, rest), "material": b64encode(material).decode()}


def _check_value(material: bytes, rest: Mapping[str, str]) -> str:
    """Tells a damaged entry. `rest` is what the entry says beside its material."""
    canonical = json.dumps(rest, sort_keys=True, separators=(",", ":")).encode()
    return _derive(material, b"nightkey check value 1\0" + canonical, 16).hex()


def _parse(content: bytes) -> Keyring | str:
    """The keyring, or what is wrong with the file.

    The caller raises, because an error raised in here would hold keys: in its frames, or as the
    `doc` of a JSON error.
    """
    try:
        document = json.loads(content.decode())
    except (ValueError, RecursionError):
        return "is not JSON: restore it from its backup"
    try:
        return _read_document(document)
    except _DamagedError as error:
        return f"is damaged: {error}: restore it from its backup"


def _read_document(document: object) -> Keyring:
    if not isinstance(document, dict):
        raise _DamagedError("it is no object")
    if type(document.get("version")) is not int or document["version"] != _VERSION:
        raise _DamagedError(f"its version is not {_VERSION}, the only one that this release reads")
    fields = _read_fields(document, "the file", ("active", "keys", "roots", "version"))
    keys, active = _read_keys(fields["keys"])
    if fields["active"] != active:
        raise _DamagedError("active does not name the key whose state is active")
    entries = _read_fields(fields["roots"], "roots", _ROOTS)
    roots = {}
    for name in _ROOTS:
        where = f"roots.{name}"
        entry = _read_texts(entries[name], where, ("check", "material"))
        roots[name] = _read_material(entry, where, {"root": name})
    return Keyring(active=active, keys=keys, roots=roots)


def _read_keys(entries: object) -> tuple[dict[str, KeyEncryptionKey], str]:
    """The keys by their ids, and the id of the active one."""
    if not isinstance(entries, list):
        raise _DamagedError("keys is no list")
    keys: dict[str, KeyEncryptionKey] = {}
    active = []
    for place, found in enumerate(entries):
        where = f"keys[{place}]"
        entry = _read_texts(found, where, ("check", "created", "id", "material", "state"))
        rest = {name: entry[name] for name in ("created", "id", "state")}
        material = _read_material(entry, where, rest)
        if not _is_key_id(entry["id"]) or entry["id"] in keys:
            raise _DamagedError(f"{where} has no id of its own")
        if entry["state"] not in (_ACTIVE, _RETIRED):
            raise _DamagedError(f"{where} has a state that is neither {_ACTIVE} nor {_RETIRED}")
        if entry["state"] == _ACTIVE:
            active.append(entry["id"])
        keys[entry["id"]] = KeyEncryptionKey(id=entry["id"], material=material)
    if len(active) != 1:
        raise _DamagedError(f"keys has {len(active)} active keys, and must have one")
    return keys, active[0]


def _read_material(entry: Mapping[str, str], where: str, rest: Mapping[str, str]) -> bytes:
    try:
        material = b64decode(entry["material"], validate=True)
    except ValueError:
        material = b""
    # Base64 has spellings to spare: only the one that we write is taken.
    if len(material) != _MATERIAL or b64encode(material).decode() != entry["material"]:
        raise _DamagedError(f"{where}.material is not {_MATERIAL} bytes in base64")
    if _check_value(material, rest) != entry["check"]:
        raise _DamagedError(f"{where} does not agree with its check value")
    return material


def _read_texts(found: object, where: str, names: tuple[str, ...]) -> dict[str, str]:
    entry = _read_fields(found, where, names)
    for name in names:
        if not isinstance(entry[name], str):
            raise _DamagedError(f"{where}.{name} is no text")
    return entry


def _read_fields(found: object, where: str, names: tuple[str, ...]) -> dict[str, Any]:
    if not isinstance(found, dict) or set(found) != set(names):
        raise _DamagedError(f"{where} is no object of {', '.join(names)} and nothing else")
    return found


def _is_key_id(text: str) -> bool:
    return re.fullmatch("[0-9a-f]{32}", text) is not None


def _derive(material: bytes, info: bytes, length: int) -> bytes:
    return HKDF(algorithm=SHA512(), length=length, salt=None, info=info).derive(material)
