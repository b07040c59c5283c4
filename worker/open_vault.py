"""The vault, opened: whoever works with one comes by here. It refuses what is another vault, or not whole.

A part of it is made when it is first asked for, so that a command loads and checks what it needs, and no more.
Where there is no vault to open yet, `worker.installation` reads the keyring itself.
"""

import os
from collections.abc import Callable
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from sqlalchemy import Connection

from vaultcore.consumers import References
from vaultcore.crypto.keyring import Keyring
from vaultcore.database import Database
from vaultcore.errors import ConfigurationError, NightkeyError
from vaultcore.own_row import OwnRow, read_own_row
from vaultcore.row_macs import LABEL, RowMacs
from vaultcore.schema import check_schema
from vaultcore.signing_rows import TAKEN_AWAY, is_signed, was_signed
from worker.config import Settings
from worker.hardening import harden_process
from worker.locks import share_vault

if TYPE_CHECKING:  # each is loaded when it is asked for
    from vaultcore.audit import AuditLog
    from vaultcore.named_policies import NamedPolicies
    from vaultcore.owners import Owners
    from vaultcore.presented_keys import PresentedKeys
    from vaultcore.vault import Vault
    from vaultcore.versions import Versions
    from worker.services.core import Core
    from worker.services.upkeep.anchors import Anchors

Clock = Callable[[], datetime]


def utc_now() -> datetime:
    return datetime.now(UTC)


class OpenVault:
    """One per process; `clock` is for tests and the demo."""

    def __init__(self, settings: Settings, clock: Clock = utc_now) -> None:
        harden_process()
        self.settings = settings
        self.clock = clock
        self._lock: int | None = None

    def check(self, *, needs_key: bool = True) -> None:
        """Refuses a database, a schema or a keyring that it could never run with, and a database that is older
        than its anchors, before anything is done. `needs_key`: so is a keyring that opens nothing.
        """
        _ = self.deployment_id
        if needs_key:
            _ = self.keyring.active
        self.anchors.refuse_older()

    def close(self) -> None:
        """Gives back what is held open: the connections to the database."""
        if "database" in vars(self):
            self.database.dispose()
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    @cached_property
    def database(self) -> Database:
        if not self.settings.database_url and not self.settings.home.is_dir():
            raise ConfigurationError(
                f"there is no data folder {self.settings.home}: run `nightkey init`, "
                "or name another by --home or NIGHTKEY_HOME"
            )
        if not self.settings.database_url and not (self.settings.home / "nightkey.db").exists():
            raise ConfigurationError(
                f"the database {self.settings.home / 'nightkey.db'} holds no vault yet: run `nightkey init`"
            )
        self._lock = share_vault(self.settings.home)
        database = Database(self.settings.database)
        try:
            check_schema(database)
            database.keep_macs(self.row_macs)
        except NightkeyError:
            database.dispose()
            raise
        database.after_change = lambda head: self.anchors.anchor_quietly(head)  # noqa: PLW0108  # it needs the database
        return database

    @cached_property
    def keyring(self) -> Keyring:
        return Keyring.load(self.settings.keyring_path)

    @cached_property
    def row_macs(self) -> RowMacs:
        return RowMacs(self.keyring.derive(LABEL))

    @cached_property
    def deployment_id(self) -> str:
        """Which vault this is; a keyring of another is refused here, before it seals anything."""
        with self.database.read() as connection:
            found = find_deployment(connection, self.keyring, self.settings.keyring_path)
            taken_away = (found.mac is None or not is_signed(found)) and was_signed(connection, found)
        if taken_away:
            raise ConfigurationError(f"{TAKEN_AWAY}: nothing is done here; restore the vault from a backup")
        if found.mac is None:
            raise ConfigurationError(
                "the rows of this vault that decide have no keyed digests yet: run `nightkey init`, which "
                "makes them once"
            )
        if not found.is_ours(self.row_macs):
            raise ConfigurationError(
                "the vault's own row (table deployment) was changed behind its back: restore it from a backup"
            )
        if not is_signed(found):
            raise ConfigurationError(
                "rows of this vault that decide have no keyed digests yet, since an older release kept none of "
                "them: run `nightkey init`, which makes them once"
            )
        return str(found.id)

    @cached_property
    def audit(self) -> "AuditLog":
        from vaultcore.audit import AuditLog

        _ = self.deployment_id  # an audit row that another keyring chained would break the log
        return AuditLog(self.keyring.audit_key, self.keyring.signing_key)

    @cached_property
    def references(self) -> References:
        return References()

    @cached_property
    def owners(self) -> "Owners":
        from vaultcore.owners import Owners

        return Owners(
            deployment_id=self.deployment_id,
            keyring=self.keyring,
            audit=self.audit,
            clock=self.clock,
        )

    @cached_property
    def versions(self) -> "Versions":
        from vaultcore.versions import Versions

        return Versions(
            deployment_id=self.deployment_id,
            keyring=self.keyring,
            audit=self.audit,
            clock=self.clock,
        )

    @cached_property
    def presented_keys(self) -> "PresentedKeys":
        from vaultcore.presented_keys import PresentedKeys

        return PresentedKeys(keyring=self.keyring, clock=self.clock)

    @cached_property
    def vault(self) -> "Vault":
        from vaultcore.vault import Vault

        return Vault(versions=self.versions, audit=self.audit, references=self.references, clock=self.clock)

    @cached_property
    def _named_policies(self) -> "NamedPolicies":
        from vaultcore.named_policies import NamedPolicies

        return NamedPolicies(audit=self.audit, clock=self.clock)

    @cached_property
    def anchors(self) -> "Anchors":
        from worker.services.upkeep.anchors import ANCHORS_FILE, Anchors

        file = self.settings.home / ANCHORS_FILE
        return Anchors(database=self.database, audit=self.audit, clock=self.clock, file=file)

    @cached_property
    def core(self) -> "Core":
        from worker.services.core import Core

        return Core(
            settings=self.settings,
            clock=self.clock,
            deployment_id=self.deployment_id,
            keyring=self.keyring,
            database=self.database,
            audit=self.audit,
            versions=self.versions,
            presented_keys=self.presented_keys,
            vault=self.vault,
            references=self.references,
            owners=self.owners,
            named_policies=self._named_policies,
        )


def find_deployment(connection: Connection, keyring: Keyring, path: Path) -> OwnRow:
    """The vault's own row; `ConfigurationError` where the keyring at `path` is another vault's."""
    found = read_own_row(connection)
    if found is None:
        raise ConfigurationError(
            "the database does not say which vault it is (table deployment): restore it from its backup"
        )
    if found.keyring_check != keyring.fingerprint(found.id.encode()):
        raise ConfigurationError(
            f"the keyring {path} is not the one of this vault: put back the one that belongs to the database"
        )
    return found
