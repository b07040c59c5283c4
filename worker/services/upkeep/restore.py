"""A vault is put back: from a backup, or one that somebody put back by hand and now answers for.

Everything of the backup is checked before anything here is changed, and what was here is kept beside. The vault
is then marked: nothing of it is rotated or revoked before its targets were asked
(`worker.services.rotation.comparison`).
"""

import os
import secrets
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from sqlalchemy import URL, Connection
from sqlalchemy.exc import DBAPIError

from vaultcore import postgres_copy, sqlite_copy
from vaultcore.archive import Archive, Manifest, digest_file, open_archive
from vaultcore.audit import Anchor, AuditLog
from vaultcore.crypto.keyring import Keyring
from vaultcore.database import Database
from vaultcore.errors import ConfigurationError, InvalidInputError, NightkeyError, RefusedError
from vaultcore.ids import new_id
from vaultcore.own_row import read_identity
from vaultcore.row_macs import LABEL, RowMacs
from vaultcore.schema import SCHEMA_REVISION, check_schema, find_revision, knows_schema, migrate
from vaultcore.signing_rows import sign_once
from worker.locks import take_vault
from worker.rows import comparisons as comparison_rows
from worker.rows import runs as run_rows

_PUT_BACK = "it waited when the vault was put back, and may have gone on before that: look, then run it again"


@dataclass(frozen=True, kw_only=True)
class Restored:
    """`kept` is where the database lies that was here before. `settings_differ`: the settings file here is not
    the one that stood beside the backup's vault.
    """

    made_at: datetime | None
    seq: int
    items: int
    kept: str | None
    settings_differ: bool


class Restores:
    """`address` is the database's, `anchors_file` and `settings_file` lie in `home`, whose lock is taken."""

    def __init__(
        self,
        *,
        home: Path,
        address: str,
        keyring: Keyring,
        anchors_file: Path,
        settings_file: Path,
        clock: Callable[[], datetime],
    ) -> None:
        self._home = home
        self._address = address
        self._keyring = keyring
        self._audit = AuditLog(keyring.audit_key, keyring.signing_key)
        self._anchors_file = anchors_file
        self._settings_file = settings_file
        self._clock = clock

    def restore(self, file: Path, *, replace: bool, actor: str) -> Restored:
        """The vault as it was at the backup's time. One that is here makes room for it only if `replace`."""
        stamp = self._clock().astimezone(UTC).strftime("%Y%m%dT%H%M%SZ")
        with open_archive(file) as archive:
            manifest = archive.read_manifest(
                self._keyring.signing_key, keyring_check=lambda of: self._keyring.fingerprint(of.encode())
            )
            _check_revision(manifest.revision)
            with self._target(manifest) as target, take_vault(self._home):
                put = self._put_file if target.is_sqlite else self._put_tables
                seq, kept = put(target, archive, manifest, stamp, replace=replace, actor=actor)
                self._renew_anchors(target, stamp, manifest.anchor)
                return self._report(target, manifest, seq=seq, kept=kept)

    def adopt(self, *, actor: str) -> Restored:
        """The database that is here, whatever the anchors beside it know: it is marked as one put back."""
        stamp = self._clock().astimezone(UTC).strftime("%Y%m%dT%H%M%SZ")
        database = Database(self._address)
        try:
            with take_vault(self._home):
                check_schema(database)
                self._check_vault(database)
                seq = self._mark(database, how="adopted", made_at=None, actor=actor)
                self._renew_anchors(database, stamp)
                return self._report(database, None, seq=seq, kept=None)
        finally:
            database.dispose()

    # SQLite: another file takes the place

    def _put_file(
        self, target: Database, archive: Archive, manifest: Manifest, stamp: str, *, replace: bool, actor: str
    ) -> tuple[int, str | None]:
        file = Path(str(target.engine.url.database))
        if file.exists() and file.stat().st_size and not replace:
            raise _refuse_present(str(file))
        copy = file.with_name(f".{file.name}.{secrets.token_hex(4)}")
        kept = file.with_name(f"{file.name}.before-{stamp}")
        try:
            archive.extract(manifest, copy)
            damage = sqlite_copy.find_damage(copy)
            if damage is not None:
                raise InvalidInputError(f"the database in the backup is damaged: {damage}")
            database = Database(URL.create("sqlite", database=str(copy)))
            try:
                seq = self._prepare(database, manifest, actor)
            finally:
                database.dispose()
            sqlite_copy.drop_log(copy)
            target.dispose()
            had = sqlite_copy.put_in_place(copy, file, kept=kept)
        finally:
            for side in ("", "-wal", "-shm", "-journal"):
                copy.with_name(copy.name + side).unlink(missing_ok=True)
        return seq, str(kept) if had else None

    # PostgreSQL: the tables move into a schema of their own, and others take their place

    def _put_tables(
        self, target: Database, archive: Archive, manifest: Manifest, stamp: str, *, replace: bool, actor: str
    ) -> tuple[int, str | None]:
        kept = f"nightkey_before_{stamp.lower()}"
        dump = self._home / f".restoring-{secrets.token_hex(4)}"
        with target.write() as connection:
            postgres_copy.refuse_pooler(target, connection)
            postgres_copy.check_client(connection, "pg_restore")
            tables = postgres_copy.list_tables(connection)
            if tables and not replace:
                raise _refuse_present("the database of this home")
            _refuse_sessions(connection)
        try:
            archive.extract(manifest, dump)
            damage = postgres_copy.find_damage(target, dump)
            if damage is not None:
                raise InvalidInputError(f"the database in the backup is damaged: {damage}")
            self._move_away(target, tables, kept)
            try:
                target.dispose()
                postgres_copy.restore_database(target, dump)
                seq = self._prepare(target, manifest, actor)
            except BaseException:
                self._move_back(target, tables, kept)
                raise
        finally:
            dump.unlink(missing_ok=True)
        return seq, f"schema {kept}" if tables else None

    def _move_away(self, target: Database, tables: list[str], kept: str) -> None:
        problem = ""
        try:
            with target.write() as connection:
                if tables:
                    postgres_copy.move_tables(connection, tables, to=kept)
        except DBAPIError as error:
            problem = type(error.orig).__name__
        if problem:
            raise ConfigurationError(
                f"the tables that are here cannot be moved into a schema {kept} ({problem}): the role must own "
                "them, and may make schemas in the database"
            )

    def _move_back(self, target: Database, tables: list[str], kept: str) -> None:
        target.dispose()
        with target.write() as connection:
            postgres_copy.drop_tables(connection)
            if tables:
                postgres_copy.move_back(connection, tables, kept=kept)

    # Both

    @contextmanager
    def _target(self, manifest: Manifest) -> Iterator[Database]:
        database = Database(self._address)
        try:
            here = "sqlite" if database.is_sqlite else "postgresql"
            if here != manifest.database:
                raise InvalidInputError(
                    f"the backup is of a vault in {manifest.database}, and database_url here names {here}: "
                    "set database_url to a database of its kind first"
                )
            yield database
        finally:
            database.dispose()

    def _prepare(self, database: Database, manifest: Manifest, actor: str) -> int:
        """It is what the manifest says; brought to this release's schema, and marked. Its log's last row."""
        if find_revision(database) != manifest.revision:
            raise InvalidInputError("the database in the backup is at another schema than its manifest says")
        self._check_vault(database, manifest)
        migrate(database)
        with database.write() as connection:  # of a release that kept no digests of its rows
            sign_once(
                connection, RowMacs(self._keyring.derive(LABEL)), self._audit, at=self._clock(), actor=actor
            )
        return self._mark(database, how="restored", made_at=manifest.made_at, actor=actor)

    def _check_vault(self, database: Database, manifest: Manifest | None = None) -> None:
        """Its keyring is ours and its log is whole, up to the head that was signed."""
        anchors: tuple[Anchor, ...] = ()
        if manifest is not None:
            anchors = (self._audit.read_anchor(manifest.anchor, source="the manifest"),)
        with database.read() as connection:
            found = read_identity(connection)
            verdict = self._audit.verify(connection, anchors)
        if found is None or found.keyring_check != self._keyring.fingerprint(found.id.encode()):
            raise ConfigurationError("the keyring is not the one of the vault in this database")
        if manifest is not None and found.id != manifest.deployment_id:
            raise InvalidInputError("the database in the backup is of another vault than its manifest says")
        if not verdict.whole:
            raise NightkeyError(f"the audit log of this database is not whole: {verdict.problems[0]}")

    def _mark(self, database: Database, *, how: str, made_at: datetime | None, actor: str) -> int:
        """The row that says when it was put back, and from which head; each item waits for its comparison.

        Runs that waited then, or were to begin, may have gone on since: nobody does what they would do twice.
        """
        now = self._clock()
        restoration_id = new_id("rst", now)
        database.keep_macs(RowMacs(self._keyring.derive(LABEL)))
        with database.write() as connection:
            seq = self._audit.make_anchor(connection, now).seq
            comparison_rows.mark(
                connection, restoration_id, how=how, at=now, made_at=made_at, seq=seq, by=actor
            )
            run_rows.fail_waiting_runs(connection, why=_PUT_BACK, at=now)
            self._audit.append(
                connection,
                at=now,
                actor=actor,
                action="vault.restore",
                subject=restoration_id,
                how=how,
                from_row=seq,
            )
        return seq

    def _renew_anchors(self, database: Database, stamp: str, *lines: str) -> None:
        """Those from before belong to what was here before, and are kept beside it."""
        with database.read() as connection:
            head = self._audit.sign(self._audit.make_anchor(connection, self._clock()))
        file = self._anchors_file
        made = file.with_name(f".{file.name}.{secrets.token_hex(4)}")
        descriptor = os.open(made, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
        with os.fdopen(descriptor, "w") as stream:
            stream.write("".join(f"{line}\n" for line in (*lines, head)))
            stream.flush()
            os.fsync(stream.fileno())
        with suppress(FileNotFoundError):
            shutil.copy2(file, file.with_name(f"{file.name}.before-{stamp}"))
        made.replace(file)
        sqlite_copy.sync_folder(file.parent)

    def _report(self, database: Database, manifest: Manifest | None, *, seq: int, kept: str | None) -> Restored:
        with database.read() as connection:
            waiting = comparison_rows.count_all(connection)
        here = digest_file(self._settings_file)[1] if self._settings_file.is_file() else None
        return Restored(
            made_at=None if manifest is None else manifest.made_at,
            seq=seq,
            items=waiting,
            kept=kept,
            settings_differ=manifest is not None and manifest.settings != here,
        )


def _check_revision(revision: str) -> None:
    """An older schema is migrated; one that this release does not know is a newer release's."""
    if not knows_schema(revision):
        raise InvalidInputError(
            f"the backup has schema {revision[:20]}, which this release ({SCHEMA_REVISION}) does not know: "
            "restore it with the release that made it, or a newer one"
        )


def _refuse_sessions(connection: Connection) -> None:
    """Somebody else is connected to the database, from this machine or another: they may be at work on it."""
    others = postgres_copy.count_other_sessions(connection)
    if others:
        raise RefusedError(
            f"{others} other {'session is' if others == 1 else 'sessions are'} connected to the database: stop "
            "what works on it (`nightkey up`, `serve`, other commands), then repeat this"
        )


def _refuse_present(where: str) -> RefusedError:
    return RefusedError(
        f"there is a vault already ({where}): add --replace, and the backup takes its place; it is kept beside"
    )
