"""A backup as one file: a tar of a signed manifest and the copy of the database that it describes.

    manifest.json   what the copy is of, its size and digest, the audit log's head, all signed by the keyring
    database        a SQLite file, or what `pg_dump` makes

Nothing in it opens a value: for that it takes the keyring, which is never in it.
"""

import hashlib
import io
import json
import os
import tarfile
from base64 import b64decode, b64encode
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, Any

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from vaultcore.canonical import write_canonical
from vaultcore.errors import InvalidInputError, raise_alone

FORMAT = "nightkey backup 1"
_MANIFEST, _CONTENT = "manifest.json", "database"
_MANIFEST_MAX = 64 * 1024
_CHUNK = 1024 * 1024


@dataclass(frozen=True, kw_only=True)
class Manifest:
    """`keyring_check` tells which keyring belongs to it, `anchor` is the signed line of the log's head,
    `settings` a digest of the settings file that stood beside it (None: there was none).
    """

    deployment_id: str
    keyring_check: str
    database: str
    revision: str
    made_at: datetime
    program: str
    counts: dict[str, int]
    anchor: str
    settings: str | None
    size: int
    sha256: str

    def body(self) -> dict[str, Any]:
        made_at = self.made_at.astimezone(UTC).isoformat(timespec="microseconds")
        return {"format": FORMAT, **vars(self), "made_at": made_at}


def digest_file(file: Path) -> tuple[int, str]:
    """Size and SHA-256."""
    digest, size = hashlib.sha256(), 0
    with file.open("rb") as stream:
        while chunk := stream.read(_CHUNK):
            digest.update(chunk)
            size += len(chunk)
    return size, digest.hexdigest()


def write_archive(target: IO[bytes], manifest: Manifest, content: Path, key: Ed25519PrivateKey) -> None:
    """Writes the whole archive and has it on the disk."""
    body = manifest.body()
    document = {**body, "signature": b64encode(key.sign(_canonical(body))).decode()}
    text = f"{json.dumps(document, indent=2)}\n".encode()
    with tarfile.open(fileobj=target, mode="w", format=tarfile.PAX_FORMAT) as archive:
        archive.addfile(_describe(_MANIFEST, len(text), manifest.made_at), io.BytesIO(text))
        with content.open("rb") as stream:
            archive.addfile(_describe(_CONTENT, manifest.size, manifest.made_at), stream)
    target.flush()
    os.fsync(target.fileno())


@contextmanager
def open_archive(file: Path) -> Iterator["Archive"]:
    """`InvalidInputError` for whatever is no backup of ours, or is damaged: here, and when it is read."""
    with ExitStack() as stack:
        with _reading(file):
            stream = stack.enter_context(file.open("rb"))
            archive = stack.enter_context(tarfile.open(fileobj=stream, mode="r:"))
        yield Archive(archive, file)


@contextmanager
def _reading(file: Path) -> Iterator[None]:
    problem = ""
    try:
        yield
    except OSError as error:
        problem = error.strerror or "it ends too early"
    except (tarfile.TarError, EOFError, ValueError):
        problem = "it is not a backup, or is damaged"
    if problem:
        raise_alone(InvalidInputError(f"{file} cannot be read as a backup: {problem}"))


class Archive:
    """What `write_archive` wrote, read in its order: first the manifest, then its content."""

    def __init__(self, archive: tarfile.TarFile, file: Path) -> None:
        self._archive = archive
        self._file = file

    def read_manifest(self, key: Ed25519PrivateKey, *, keyring_check: Callable[[str], str]) -> Manifest:
        """The manifest, once its signature is found right. `keyring_check` is what the keyring at hand makes of
        a deployment's id: it tells a backup of another vault from one that was changed.
        """
        document = self._read_document()
        signature = document.pop("signature", None)
        try:
            manifest = _parse(document)
        except (KeyError, TypeError, ValueError):
            raise self._damaged("its manifest is not one that this release reads") from None
        if manifest.keyring_check != keyring_check(manifest.deployment_id):
            raise InvalidInputError(
                f"{self._file} is a backup of the vault {manifest.deployment_id}, and the keyring here is not "
                "that vault's: put back the keyring that belongs to it first"
            )
        if not _is_signed(document, signature, key):
            raise self._damaged("its manifest was changed after it was signed")
        return manifest

    def read_content(self, manifest: Manifest, into: IO[bytes] | None = None) -> None:
        """The copy, whose size and digest must be those of the manifest; written down where it is wanted."""
        digest, size = hashlib.sha256(), 0
        source = self._next(_CONTENT)
        while size <= manifest.size:
            with _reading(self._file):
                chunk = source.read(_CHUNK)
            if not chunk:
                break
            digest.update(chunk)
            size += len(chunk)
            if into is not None:
                into.write(chunk)
        if (size, digest.hexdigest()) != (manifest.size, manifest.sha256):
            raise self._damaged("its content is not what was backed up")

    def extract(self, manifest: Manifest, target: Path) -> None:
        """The copy, into a new file that is on the disk then."""
        descriptor = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
        with os.fdopen(descriptor, "wb") as stream:
            self.read_content(manifest, stream)
            stream.flush()
            os.fsync(stream.fileno())

    def _read_document(self) -> dict[str, Any]:
        source = self._next(_MANIFEST)
        with _reading(self._file):
            document = json.loads(source.read(_MANIFEST_MAX))
        if not isinstance(document, dict) or document.get("format") != FORMAT:
            raise self._damaged("its manifest is not one that this release reads")
        return document

    def _next(self, name: str) -> IO[bytes]:
        with _reading(self._file):
            member = self._archive.next()
            stream = None if member is None or not member.isreg() else self._archive.extractfile(member)
        if member is None or stream is None or member.name != name:
            raise self._damaged(f"it has no {name} where it belongs")
        return stream

    def _damaged(self, what: str) -> InvalidInputError:
        return InvalidInputError(f"{self._file} is not a complete backup: {what}")


def _describe(name: str, size: int, at: datetime) -> tarfile.TarInfo:
    described = tarfile.TarInfo(name)
    described.size, described.mode, described.mtime = size, 0o600, int(at.timestamp())
    return described


def _parse(document: dict[str, Any]) -> Manifest:
    fields = {name: part for name, part in document.items() if name != "format"}
    manifest = Manifest(**{**fields, "made_at": datetime.fromisoformat(fields["made_at"])})
    texts = (manifest.deployment_id, manifest.keyring_check, manifest.database, manifest.revision,
             manifest.program, manifest.anchor, manifest.sha256)  # fmt: skip
    if not all(isinstance(text, str) for text in texts) or type(manifest.size) is not int:
        raise TypeError
    if manifest.made_at.tzinfo is None or not isinstance(manifest.counts, dict):
        raise TypeError
    return manifest


def _is_signed(document: dict[str, Any], signature: object, key: Ed25519PrivateKey) -> bool:
    try:
        key.public_key().verify(b64decode(str(signature), validate=True), _canonical(document))
    except (ValueError, InvalidSignature):
        return False
    return True


def _canonical(body: dict[str, Any]) -> bytes:
    return write_canonical(body).encode()
