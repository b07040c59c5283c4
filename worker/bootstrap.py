"""The one place that opens the vault and wires the services. Nothing else reads the keyring or settings.

Each room of `worker.services` has a builder of its own, in its `room.py`; here they are called in the order in
which they stand on each other.
"""

import os
from collections.abc import Callable
from datetime import UTC, datetime
from functools import cached_property
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING

from sqlalchemy import Connection

from vaultcore.consumers import References
from vaultcore.crypto.keyring import Keyring
from vaultcore.database import Database
from vaultcore.errors import ConfigurationError, NightkeyError
from vaultcore.own_row import OwnRow, read_own_row
from vaultcore.row_macs import LABEL, RowMacs
from vaultcore.signing_rows import TAKEN_AWAY, is_signed, was_signed
from worker.config import Settings
from worker.hardening import harden_process
from worker.locks import share_vault

if TYPE_CHECKING:  # each is loaded when it is asked for: a command waits for no room that it does not enter
    from vaultcore.audit import AuditLog
    from vaultcore.named_policies import NamedPolicies
    from vaultcore.owners import Owners
    from vaultcore.presented_keys import PresentedKeys
    from vaultcore.principals import Principals
    from vaultcore.sessions import Sessions
    from vaultcore.vault import Vault
    from vaultcore.versions import Versions
    from worker.services.core import Core, WaysOut
    from worker.services.deeds_at_once import DeedsAtOnce
    from worker.services.identities import Identities
    from worker.services.impacts import Impacts
    from worker.services.items.room import ItemsRoom
    from worker.services.items_at_once import ItemsAtOnce
    from worker.services.lists import Lists
    from worker.services.metadata import MetadataExchange
    from worker.services.night.overview import Overview
    from worker.services.night.room import NightRoom
    from worker.services.night.scans import Scans
    from worker.services.notices.room import Notices
    from worker.services.page_changes import PageChanges
    from worker.services.principals import PrincipalAccess
    from worker.services.requests import Requests
    from worker.services.rotation.pickups import Pickups
    from worker.services.rotation.room import RotationRoom
    from worker.services.runs.room import RunsRoom
    from worker.services.sessions import SignIns
    from worker.services.upkeep.anchors import Anchors
    from worker.services.upkeep.room import Upkeep
    from worker.services.upkeep.row_verification import RowVerification
    from worker.services.views import Views

Clock = Callable[[], datetime]


_ROOMS = (
    "night.room",
    "night.scans",
    "deeds_at_once",
    "identities",
    "identity_provider",
    "impacts",
    "items.room",
    "items_at_once",
    "lists",
    "metadata",
    "page_changes",
    "principals",
    "requests",
    "sessions",
    "upkeep.pace",
    "views",
)


def utc_now() -> datetime:
    return datetime.now(UTC)


class Services:
    """Everything, made when it is first asked for. One per process; `clock` is for tests and the demo."""

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

    @staticmethod
    def load() -> None:
        """The code of every room, for a process that stays: a release that is put in its place while it runs is
        then not mixed with it.
        """
        for name in _ROOMS:
            import_module(f"worker.services.{name}")

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
            database.check_schema()
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
        from vaultcore.audit import AuditLog  # noqa: PLC0415  # as above

        _ = self.deployment_id  # an audit row that another keyring chained would break the log
        return AuditLog(self.keyring.audit_key, self.keyring.signing_key)

    @cached_property
    def references(self) -> References:
        return References()

    @cached_property
    def owners(self) -> "Owners":
        from vaultcore.owners import Owners  # noqa: PLC0415  # as above

        return Owners(
            deployment_id=self.deployment_id,
            keyring=self.keyring,
            audit=self.audit,
            clock=self.clock,
        )

    @cached_property
    def versions(self) -> "Versions":
        from vaultcore.versions import Versions  # noqa: PLC0415  # as above

        return Versions(
            deployment_id=self.deployment_id,
            keyring=self.keyring,
            audit=self.audit,
            clock=self.clock,
        )

    @cached_property
    def presented_keys(self) -> "PresentedKeys":
        from vaultcore.presented_keys import PresentedKeys  # noqa: PLC0415  # as above

        return PresentedKeys(keyring=self.keyring, clock=self.clock)

    @cached_property
    def vault(self) -> "Vault":
        from vaultcore.vault import Vault  # noqa: PLC0415  # as above

        return Vault(versions=self.versions, audit=self.audit, references=self.references, clock=self.clock)

    @cached_property
    def _named_policies(self) -> "NamedPolicies":
        from vaultcore.named_policies import NamedPolicies  # noqa: PLC0415  # as above

        return NamedPolicies(audit=self.audit, clock=self.clock)

    @cached_property
    def core(self) -> "Core":
        from worker.services.core import Core  # noqa: PLC0415  # as above

        return Core(
            settings=self.settings,
            clock=self.clock,
            deployment_id=self.deployment_id,
            keyring=self.keyring,
            macs=self.row_macs,
            database=self.database,
            audit=self.audit,
            versions=self.versions,
            presented_keys=self.presented_keys,
            vault=self.vault,
            references=self.references,
            owners=self.owners,
        )

    @cached_property
    def ways_out(self) -> "WaysOut":
        from worker.outbound import HttpClient, Network  # noqa: PLC0415  # as above
        from worker.services.core import WaysOut  # noqa: PLC0415  # as above
        from worker.services.upkeep.pace import SharedPace  # noqa: PLC0415  # as above

        settings, clock, database = self.settings, self.clock, self.database
        network = Network(settings.guard, ca_file=settings.outbound_ca)
        http = HttpClient(
            network,
            timeout=settings.http_timeout_seconds,
            max_bytes=settings.http_max_bytes,
            redirects=settings.outbound_redirects,
            proxy=settings.outbound_proxy,
            pace=SharedPace(database=lambda: database, clock=clock),
            clock=clock,
        )
        return WaysOut(network=network, http=http)

    @cached_property
    def upkeep(self) -> "Upkeep":
        from worker.services.upkeep.room import build_upkeep  # noqa: PLC0415  # as above

        return build_upkeep(self.core, anchors=self.anchors, row_verification=self.row_verification)

    @cached_property
    def anchors(self) -> "Anchors":
        from worker.services.upkeep.anchors import ANCHORS_FILE, Anchors  # noqa: PLC0415  # as above

        file = self.settings.home / ANCHORS_FILE
        return Anchors(database=self.database, audit=self.audit, clock=self.clock, file=file)

    @cached_property
    def row_verification(self) -> "RowVerification":
        from vaultcore.row_checks import RowChecks  # noqa: PLC0415  # as above
        from worker.services.upkeep.row_verification import RowVerification  # noqa: PLC0415  # as above

        return RowVerification(
            database=self.database,
            checks=RowChecks(versions=self.versions, owners=self.owners),
            macs=self.row_macs,
            audit=self.audit,
            budget=self.settings.rows_checked,
            clock=self.clock,
        )

    @cached_property
    def overview(self) -> "Overview":
        from worker.services.night.overview import build_overview  # noqa: PLC0415  # as above

        return build_overview(self.core, upkeep=self.upkeep)

    @cached_property
    def notices(self) -> "Notices":
        from worker.services.notices.room import build_notices  # noqa: PLC0415  # as above

        return build_notices(self.core, self.upkeep, self.ways_out)

    @cached_property
    def runs(self) -> "RunsRoom":
        from worker.services.runs.room import build_runs  # noqa: PLC0415  # as above

        return build_runs(self.core, self.ways_out, pickups=self._pickups)

    @cached_property
    def rotation(self) -> "RotationRoom":
        from worker.services.rotation.room import build_rotation  # noqa: PLC0415  # as above

        return build_rotation(
            self.core,
            self.ways_out,
            upkeep=self.upkeep,
            notices=self.notices,
            runs=self.runs,
            pickups=self._pickups,
        )

    @cached_property
    def night(self) -> "NightRoom":
        from worker.services.night.room import build_night  # noqa: PLC0415  # as above

        return build_night(
            self.core,
            upkeep=self.upkeep,
            overview=self.overview,
            scans=self.scans,
            notices=self.notices,
            runs=self.runs,
            rotation=self.rotation,
        )

    @cached_property
    def scans(self) -> "Scans":
        from worker.services.night.scans import Scans  # noqa: PLC0415  # as above

        settings = self.settings
        return Scans(
            database=self.database,
            references=self.references,
            row_verification=self.row_verification,
            caps=settings.caps,
            freezes=settings.freeze_windows,
            page_size=settings.page_size,
            clock=self.clock,
        )

    @cached_property
    def items(self) -> "ItemsRoom":
        from worker.services.items.room import build_items  # noqa: PLC0415  # as above

        return build_items(self.core, rotation=self.rotation, named_policies=self._named_policies)

    @cached_property
    def principals(self) -> "PrincipalAccess":
        from worker.services.principals import PrincipalAccess  # noqa: PLC0415  # as above

        return PrincipalAccess(
            database=self.database,
            vault=self.vault,
            versions=self.versions,
            principals=self._principals,
            items=self.items,
            caller_keys=self.runs.caller_keys,
            operators=self.settings.operators,
        )

    @cached_property
    def items_at_once(self) -> "ItemsAtOnce":
        from worker.services.items_at_once import ItemsAtOnce  # noqa: PLC0415  # as above

        return ItemsAtOnce(
            database=self.database,
            items=self.items,
            lists=self.lists,
            principals=self.principals,
            page_changes=self._page_changes,
        )

    @cached_property
    def deeds_at_once(self) -> "DeedsAtOnce":
        from worker.services.deeds_at_once import DeedsAtOnce  # noqa: PLC0415  # as above

        return DeedsAtOnce(
            database=self.database,
            items=self.items,
            opening=self.rotation.opening,
            principals=self.principals,
        )

    @cached_property
    def _page_changes(self) -> "PageChanges":
        from worker.services.page_changes import PageChanges  # noqa: PLC0415  # as above

        return PageChanges(database=self.database, items=self.items, principals=self.principals)

    @cached_property
    def impacts(self) -> "Impacts":
        from worker.services.impacts import Impacts  # noqa: PLC0415  # as above

        return Impacts(database=self.database, vault=self.vault, principals=self.principals, clock=self.clock)

    @cached_property
    def metadata(self) -> "MetadataExchange":
        from worker.services.metadata import MetadataExchange  # noqa: PLC0415  # as above

        return MetadataExchange(
            database=self.database,
            vault=self.vault,
            owners=self.owners,
            policies=self._named_policies,
            audit=self.audit,
            items=self.items,
            address_book=self.notices.address_book,
            principals=self.principals,
            page_changes=self._page_changes,
        )

    @cached_property
    def sign_ins(self) -> "SignIns":
        from worker.services.sessions import SignIns  # noqa: PLC0415  # as above

        return SignIns(
            database=self.database,
            principals=self._principals,
            sessions=self._sessions,
        )

    @cached_property
    def identities(self) -> "Identities | None":
        """None: no identity provider is set."""
        from worker.services.identities import Identities  # noqa: PLC0415  # as above
        from worker.services.identity_provider import IdentityProvider  # noqa: PLC0415  # as above

        settings = self.settings
        if not settings.oidc_client_id and not settings.jwt_audience:
            return None
        provider = IdentityProvider(
            issuer=settings.oidc_issuer,
            client_id=settings.oidc_client_id,
            client_secret=settings.client_secret,
            algorithms=settings.jwt_algorithms,
            http=self.ways_out.http,
            clock=self.clock,
        )
        return Identities(
            provider=provider,
            issuer=settings.oidc_issuer,
            client_id=settings.oidc_client_id,
            audience=settings.jwt_audience,
            rules=settings.role_rules,
            groups_claim=settings.oidc_groups_claim,
            back_to=f"{settings.console_url}/console/oidc/callback",
            database=self.database,
            principals=self._principals,
            sessions=self._sessions,
            owners=self.owners,
            audit=self.audit,
            keyring=self.keyring,
            clock=self.clock,
        )

    @cached_property
    def requests(self) -> "Requests":
        from worker.services.requests import Requests  # noqa: PLC0415  # as above

        return Requests(
            database=self.database, deployment_id=self.deployment_id, keyring=self.keyring, clock=self.clock
        )

    @cached_property
    def views(self) -> "Views":
        from worker.services.notices.recipients import Recipients  # noqa: PLC0415  # as above
        from worker.services.views import Views  # noqa: PLC0415  # as above

        return Views(
            database=self.database,
            vault=self.vault,
            owners=self.owners,
            references=self.references,
            recipients=Recipients(owners=self.owners, operators=self.settings.operators),
            clock=self.clock,
        )

    @cached_property
    def _principals(self) -> "Principals":
        from vaultcore.principals import Principals  # noqa: PLC0415  # as above

        return Principals(owners=self.owners, audit=self.audit, clock=self.clock)

    @cached_property
    def _sessions(self) -> "Sessions":
        from vaultcore.sessions import Sessions  # noqa: PLC0415  # as above

        return Sessions(principals=self._principals, audit=self.audit, clock=self.clock)

    @cached_property
    def lists(self) -> "Lists":
        from worker.services.lists import Lists  # noqa: PLC0415  # as above

        return Lists(database=self.database, owners=self.owners, clock=self.clock)

    @cached_property
    def _pickups(self) -> "Pickups":
        from worker.services.rotation.room import build_pickups  # noqa: PLC0415  # as above

        return build_pickups(self.core, self.notices)


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
