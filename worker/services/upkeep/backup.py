"""A backup of the vault as one file: taken while others work, signed, and verified after it was written."""

import secrets
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from importlib import metadata
from pathlib import Path

from sqlalchemy import URL, Connection

from vaultcore import postgres_copy, sqlite_copy
from vaultcore.archive import Manifest, digest_file, open_archive, write_archive
from vaultcore.audit import AuditLog
from vaultcore.crypto.keyring import Keyring
from vaultcore.database import Database
from vaultcore.errors import InvalidInputError, NightkeyError, RefusedError
from vaultcore.schema import SCHEMA_REVISION
from worker.rows.counts import count_backed_up
from worker.services.upkeep.anchors import Anchors


@dataclass(frozen=True, kw_only=True)
class Backup:
    """What was written, and what was verified of it, as sentences."""

    file: Path
    manifest: Manifest
    verified: tuple[str, ...]
    beside_keyring: bool


class Backups:
    def __init__(
        self,
        *,
        database: Database,
        audit: AuditLog,
        anchors: Anchors,
        keyring: Keyring,
        keyring_file: Path,
        settings_file: Path,
        deployment_id: str,
        clock: Callable[[], datetime],
    ) -> None:
        self._database = database
        self._audit = audit
        self._anchors = anchors
        self._keyring = keyring
        self._keyring_file = keyring_file
        self._settings_file = settings_file
        self._deployment_id = deployment_id
        self._clock = clock

    def back_up(self, file: Path, *, replace: bool, actor: str) -> Backup:
        """Writes the backup, whole or not at all; one that is there already stays unless `replace`.

        `RefusedError` for a vault that is older than its anchors, `NightkeyError` for one that is damaged:
        neither is what somebody wants to have kept.
        """
        if file.exists() and not replace:
            raise RefusedError(f"{file} is there already: name another file, or add --replace")
        if not file.parent.is_dir():
            raise InvalidInputError(f"there is no folder {file.parent}: make it, or name another file")
        self._anchors.refuse_older()
        with _folder_beside(file) as folder:
            content = folder / "database"
            manifest, verified = self._copy(content)
            written = folder / "archive"
            with written.open("xb") as stream:
                written.chmod(0o600)
                write_archive(stream, manifest, content, self._keyring.signing_key)
            self._check(written, manifest)
            if file.exists() and not replace:
                raise RefusedError(f"{file} is there already: name another file, or add --replace")
            written.replace(file)
        sqlite_copy.sync_folder(file.parent)
        with self._database.write() as connection:
            self._audit.append(
                connection,
                at=self._clock(),
                actor=actor,
                action="vault.backup",
                subject=self._deployment_id,
                sha256=manifest.sha256,
            )
        beside = file.resolve().parent == self._keyring_file.resolve().parent
        return Backup(file=file, manifest=manifest, verified=verified, beside_keyring=beside)

    def _copy(self, content: Path) -> tuple[Manifest, tuple[str, ...]]:
        """One state of the database, looked at as it was written."""
        if not self._database.is_sqlite:
            with self._database.read() as connection:
                postgres_copy.dump_database(self._database, connection, content)
                parts = self._describe(connection)
            _refuse_damage(postgres_copy.find_damage(self._database, content))
            return self._make_manifest(content, parts), (
                "the log's chain in the snapshot that was dumped",
                "pg_restore reads the whole dump",
                "digest and signature",
            )
        sqlite_copy.copy_database(self._database, content)
        _refuse_damage(sqlite_copy.find_damage(content))
        copy = Database(URL.create("sqlite", database=str(content)))
        try:
            with copy.read() as connection:
                parts = self._describe(connection)
        finally:
            copy.dispose()
        sqlite_copy.drop_log(content)
        return self._make_manifest(content, parts), (
            "SQLite's integrity check of the copy",
            "the log's chain in the copy",
            "digest and signature",
        )

    def _describe(self, connection: Connection) -> tuple[str, dict[str, int]]:
        """The signed head of the log, which is whole up to there, and how much there is."""
        verdict = self._audit.verify(connection)
        if not verdict.whole:
            raise NightkeyError(
                f"the audit log is not whole, so no backup was written: {verdict.problems[0]} "
                "(nightkey audit verify)"
            )
        counts = count_backed_up(connection)
        return self._audit.sign(self._audit.make_anchor(connection, self._clock())), counts

    def _make_manifest(self, content: Path, parts: tuple[str, dict[str, int]]) -> Manifest:
        size, sha256 = digest_file(content)
        settings = digest_file(self._settings_file)[1] if self._settings_file.is_file() else None
        return Manifest(
            deployment_id=self._deployment_id,
            keyring_check=self._keyring.fingerprint(self._deployment_id.encode()),
            database="sqlite" if self._database.is_sqlite else "postgresql",
            revision=SCHEMA_REVISION,
            made_at=self._clock(),
            program=metadata.version("nightkey"),
            anchor=parts[0],
            counts=parts[1],
            settings=settings,
            size=size,
            sha256=sha256,
        )

    def _check(self, written: Path, manifest: Manifest) -> None:
        """Opened again, as a restore would: the copy that was looked at is what lies in it."""
        with open_archive(written) as archive:
            found = archive.read_manifest(
                self._keyring.signing_key, keyring_check=lambda of: self._keyring.fingerprint(of.encode())
            )
            archive.read_content(found)
        if found != manifest:
            raise NightkeyError("the backup does not read as it was written: look at the disk, and repeat it")


@contextmanager
def _folder_beside(file: Path) -> Iterator[Path]:
    """For what is half-made, on the same file system and its owner's alone; gone afterwards."""
    folder = Path(tempfile.mkdtemp(prefix=f".nightkey-{secrets.token_hex(4)}-", dir=file.parent))
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _refuse_damage(problem: str | None) -> None:
    if problem is not None:
        raise NightkeyError(f"the copy of the database is damaged, so no backup was written: {problem}")
