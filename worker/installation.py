"""A vault is made, or what is missing of it: folder, keyring, schema, digests, operators, settings."""

import os
from datetime import datetime
from pathlib import Path

from vaultcore.audit import AuditLog, start_chain
from vaultcore.crypto.keyfile import write_new
from vaultcore.crypto.keyring import Keyring
from vaultcore.database import Database
from vaultcore.errors import ConfigurationError, NightkeyError
from vaultcore.ids import new_id
from vaultcore.own_row import has_own_row, write_own_row
from vaultcore.row_macs import LABEL, RowMacs
from vaultcore.schema import SCHEMA_REVISION, find_revision, migrate
from vaultcore.signing_rows import sign_once
from vaultcore.sqlite_copy import make_private
from vaultcore.troubles import explain
from worker.bootstrap import Services
from worker.config import SETTINGS_FILE, Settings
from worker.hardening import harden_process
from worker.home import find_database
from worker.locks import take_vault
from worker.open_vault import Clock, find_deployment, utc_now
from worker.rows.owners import is_owner
from worker.services.upkeep.anchors import ANCHORS_FILE
from worker.services.upkeep.move import Moves
from worker.services.upkeep.restore import Restores
from worker.wording.parts import say_count

_SETTINGS_TEMPLATE = """\
# Nightkey's settings. Each can also be given as NIGHTKEY_<NAME>, which wins over this file.
# night_at = "0 2 * * *"         # cron: when the night begins
# time_zone = "UTC"              # in this zone
# catch_up_hours = 24            # one missed while nothing ran for so long at most is made up at start
# operators = "operators"        # the owner who hears of what has no owner, and of failed nights
# templates = "/etc/nightkey/templates"   # messages of your own: `nightkey notice template`
# night_cap = 500                # at most so many rotations a night
# outbound_private = ["10.1.0.0/16", "vault.internal"]   # private addresses that may be called
# freezes = ["0 0 20 12 * for 14d in Europe/Zurich"]   # when nothing is to change
# database_url = "postgresql+psycopg://nightkey@/nightkey"   # default: nightkey.db beside this file
"""


def initialise(settings: Settings, clock: Clock = utc_now) -> list[str]:
    """Makes what is missing of a vault: folder, keyring, schema, deployment, operators. Says what it made.

    A database without its keyring, or with another's, is refused: making a keyring anew would look
    like success and open nothing.
    """
    harden_process()
    made = []
    _make_home(settings.home)
    database = Database(settings.database)
    database_file = find_database(settings)
    if database_file is not None:
        make_private(database_file)
    had_schema = find_revision(database) is not None
    had_keyring = settings.keyring_path.exists()
    lost = _explain_lost(settings, had_schema=had_schema, had_keyring=had_keyring)
    if lost is not None:
        database.dispose()
        raise ConfigurationError(lost)
    if not had_keyring:
        Keyring.create(settings.keyring_path)
        made.append(f"keyring {settings.keyring_path} (back it up, apart from the database)")
    if find_revision(database) != SCHEMA_REVISION:
        _migrate_alone(database, settings.home)
        made.append("database schema" + (", brought up to this release" if had_schema else ""))
    with database.write() as connection:
        if not has_own_row(connection):
            now = clock()
            deployment_id = new_id("dep", now)
            check = Keyring.load(settings.keyring_path).fingerprint(deployment_id.encode())
            write_own_row(connection, deployment_id, keyring_check=check, at=now)
            start_chain(connection)
    try:
        keyring = Keyring.load(settings.keyring_path)
        with database.read() as connection:
            find_deployment(connection, keyring, settings.keyring_path)
        made += _sign_rows(database, keyring, clock())
    except NightkeyError:
        database.dispose()
        raise
    services = Services(settings, clock)
    _ = services.deployment_id
    with services.database.write() as connection:
        if not is_owner(connection, settings.operators):
            services.owners.create(connection, settings.operators, actor="init")
            made.append(f"owner {settings.operators}")
    services.close()
    if _write_settings(settings.home):
        made.append(f"settings {settings.home / SETTINGS_FILE}")
    database.dispose()
    return made


def _explain_lost(settings: Settings, *, had_schema: bool, had_keyring: bool) -> str | None:
    """What a vault that was here has lost, and must have back before anything is made."""
    if had_schema and not had_keyring:
        return (
            f"the database holds a vault, but there is no keyring at {settings.keyring_path}: "
            "put it back from its backup; no other opens these values"
        )
    if not had_schema and (settings.home / ANCHORS_FILE).exists():
        return (
            f"there was a vault in {settings.home} ({ANCHORS_FILE} knows it), and its database is gone: "
            "`nightkey restore FILE` puts its backup back; for a new vault, name another home"
        )
    return None


def _migrate_alone(database: Database, home: Path) -> None:
    """Whoever is still at work with an older release would write rows without their digests."""
    try:
        with take_vault(home):
            migrate(database)
    except NightkeyError:
        database.dispose()
        raise


def _sign_rows(database: Database, keyring: Keyring, now: datetime) -> list[str]:
    """Once for each vault: of one that was just made, or is from a release that kept no digests of its rows."""
    audit = AuditLog(keyring.audit_key, keyring.signing_key)
    with database.write() as connection:
        signed = sign_once(connection, RowMacs(keyring.derive(LABEL)), audit, at=now, actor="init")
    rows = sum(signed.counts.values()) - 1  # all but the vault's own
    passed = f"; none where one was changed behind the vault's back: {signed.passed}" if signed.passed else ""
    made = f"keyed digests of {say_count(rows, 'row')} that decide (nightkey audit verify --rows){passed}"
    return [made] if rows > 0 or signed.passed else []


def make_restores(settings: Settings, clock: Clock = utc_now) -> Restores:
    """What puts a vault back: it needs the keyring and no vault."""
    harden_process()
    _make_home(settings.home)
    return Restores(
        home=settings.home,
        address=settings.database,
        keyring=Keyring.load(settings.keyring_path),
        anchors_file=settings.home / ANCHORS_FILE,
        settings_file=settings.home / SETTINGS_FILE,
        clock=clock,
    )


def make_moves(settings: Settings, clock: Clock = utc_now) -> Moves:
    """What moves a vault that is here, with all of its keyring, to another database."""
    services = Services(settings, clock)
    try:
        deployment_id = services.deployment_id
        _ = services.keyring.active
    finally:
        services.close()
    return Moves(
        home=settings.home,
        address=settings.database,
        keyring=services.keyring,
        deployment_id=deployment_id,
        anchors_file=settings.home / ANCHORS_FILE,
        page_size=settings.page_size,
        clock=clock,
    )


def _write_settings(home: Path) -> bool:
    """The file is there whole, or not at all: one that ends in the middle would stop every command."""
    folder = os.open(home, os.O_RDONLY | os.O_DIRECTORY)
    try:
        return write_new(folder, SETTINGS_FILE, _SETTINGS_TEMPLATE.encode())
    except OSError as error:
        trouble = explain(error, where=f"the settings {home / SETTINGS_FILE}")
        if trouble is None:
            raise
    finally:
        os.close(folder)
    raise trouble


def _make_home(folder: Path) -> None:
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        trouble = explain(error)
        if trouble is not None and trouble.can_retry:
            raise trouble from None
        problem = error.strerror or type(error).__name__
        told = f"the data folder {folder} cannot be made: {problem}; name another by --home"
        raise ConfigurationError(told) from None
