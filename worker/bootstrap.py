"""The one place that builds adapters and wires services. Nothing else reads the keyring or settings."""

import os
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from functools import cached_property
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Row, insert, select

from vaultcore.audit import AuditLog, start_chain
from vaultcore.consumers import References
from vaultcore.crypto.keyfile import write_new
from vaultcore.crypto.keyring import Keyring
from vaultcore.database import SCHEMA_REVISION, Database
from vaultcore.enrolling import Enrolling
from vaultcore.errors import ConfigurationError, NightkeyError, TroubleError
from vaultcore.ids import new_id
from vaultcore.names import spellings
from vaultcore.owners import Owners
from vaultcore.row_checks import RowChecks
from vaultcore.row_macs import LABEL, RowMacs
from vaultcore.signing_rows import TAKEN_AWAY, sign_once, was_signed
from vaultcore.stored import unreadable_fields
from vaultcore.tables import deployment, owners
from vaultcore.troubles import explain
from vaultcore.vault import Vault
from vaultcore.versions import Versions
from worker.config import SETTINGS_FILE, Settings
from worker.delivery.letters import Letters
from worker.delivery.sender import AppriseSender
from worker.hardening import harden_process
from worker.home import find_database
from worker.locks import share_vault, take_vault
from worker.outbound import HttpClient, Network
from worker.services.items import Items
from worker.services.night.acknowledgements import Acknowledgements
from worker.services.night.calendar import Calendar
from worker.services.night.digest_preview import DigestPreview
from worker.services.night.inline import InlineNight
from worker.services.night.night_schedule import NightSchedule
from worker.services.night.nights import Nights
from worker.services.night.problems import Problems
from worker.services.night.resume_sweep import ResumeSweep
from worker.services.night.status import StatusReader
from worker.services.notices.delivery import Delivery
from worker.services.notices.digests import Digests
from worker.services.notices.foreign_messages import ForeignMessages
from worker.services.notices.heartbeat import Heartbeat
from worker.services.notices.outbox import Outbox
from worker.services.notices.pickup_reminders import PickupReminders
from worker.services.notices.recipients import Recipients
from worker.services.notices.retries import Retries
from worker.services.notices.route_test import RouteTest
from worker.services.notices.send_pool import SendPool
from worker.services.rotation.admission import Admission
from worker.services.rotation.advance import Rotations
from worker.services.rotation.comparison import Comparison
from worker.services.rotation.counter_checks import CounterChecks
from worker.services.rotation.decisions import Decisions
from worker.services.rotation.forward import ForwardSteps
from worker.services.rotation.jobs import Jobs
from worker.services.rotation.notices import RotationNotices
from worker.services.rotation.offboarding import Offboarding
from worker.services.rotation.opening import Opening
from worker.services.rotation.pickups import Pickups
from worker.services.rotation.proof import ConsumerProofs
from worker.services.rotation.retirement import Retirement
from worker.services.rotation.rollback import Rollback
from worker.services.rotation.supersession import Supersession
from worker.services.rotation.target_search import TargetSearch
from worker.services.rotation.value_tests import ValueTests
from worker.services.runs.caller_keys import CallerKeys
from worker.services.runs.definitions import Definitions
from worker.services.runs.documents import Documents
from worker.services.runs.execution import Execution
from worker.services.runs.inbound import InboundCalls
from worker.services.runs.key_sets import KeySets
from worker.services.runs.pins import Pins
from worker.services.runs.reports import RunReports
from worker.services.runs.runs import Runs
from worker.services.runs.subworkflows import Subworkflows
from worker.services.runs.suspended_runs import SuspendedRuns
from worker.services.runs.template_values import TemplateValues
from worker.services.upkeep.anchors import ANCHORS_FILE, Anchors
from worker.services.upkeep.backup import Backups
from worker.services.upkeep.clock_repair import ClockRepair
from worker.services.upkeep.item_import import ItemImport
from worker.services.upkeep.pace import SharedPace
from worker.services.upkeep.restore import Restores
from worker.services.upkeep.row_verification import RowVerification
from worker.services.upkeep.signs_of_life import SignsOfLife
from worker.workflows.runner import Runner

Clock = Callable[[], datetime]

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


def utc_now() -> datetime:
    return datetime.now(UTC)


class Services:
    """Everything, made when it is first asked for. One per process; `clock` is for tests and the demo."""

    def __init__(self, settings: Settings, clock: Clock = utc_now) -> None:
        harden_process()
        self.settings = settings
        self.clock = clock
        self._lock: int | None = None

    def check(self) -> None:
        """Refuses a database, a schema or a keyring that it could never run with, and a database that is older
        than its anchors, before anything is done.
        """
        _ = self.deployment_id
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
            database.check_schema()
            database.keep_macs(self.row_macs)
        except NightkeyError:
            database.dispose()
            raise
        database.after_change = lambda: self.anchors.anchor_quietly()  # noqa: PLW0108  # it needs the database
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
            found = _find_deployment(connection, self.keyring, self.settings.keyring_path)
            signed = was_signed(connection) if found.mac is None else False
        if signed:
            raise ConfigurationError(f"{TAKEN_AWAY}: nothing is done here; restore the vault from a backup")
        if found.mac is None:
            raise ConfigurationError(
                "the rows of this vault that decide have no keyed digests yet: run `nightkey init`, which "
                "makes them once"
            )
        if not self.row_macs.holds(deployment, dict(found._mapping)):  # noqa: SLF001  # SQLAlchemy's public way
            raise ConfigurationError(
                "the vault's own row (table deployment) was changed behind its back: restore it from a backup"
            )
        return str(found.id)

    @cached_property
    def audit(self) -> AuditLog:
        _ = self.deployment_id  # an audit row that another keyring chained would break the log
        return AuditLog(self.keyring.audit_key, self.keyring.signing_key)

    @cached_property
    def references(self) -> References:
        return References()

    @cached_property
    def owners(self) -> Owners:
        return Owners(
            deployment_id=self.deployment_id,
            keyring=self.keyring,
            audit=self.audit,
            clock=self.clock,
        )

    @cached_property
    def versions(self) -> Versions:
        return Versions(
            deployment_id=self.deployment_id,
            keyring=self.keyring,
            audit=self.audit,
            clock=self.clock,
        )

    @cached_property
    def vault(self) -> Vault:
        return Vault(versions=self.versions, audit=self.audit, references=self.references, clock=self.clock)

    @cached_property
    def items(self) -> Items:
        return Items(
            database=self.database,
            vault=self.vault,
            versions=self.versions,
            owners=self.owners,
            references=self.references,
            pickups=self.pickups,
            audit=self.audit,
            supersession=Supersession(versions=self.versions, clock=self.clock),
            clock=self.clock,
        )

    @cached_property
    def item_import(self) -> ItemImport:
        enrolling = Enrolling(audit=self.audit, references=self.references, clock=self.clock)
        return ItemImport(database=self.database, enrolling=enrolling, owners=self.owners, clock=self.clock)

    @cached_property
    def http(self) -> HttpClient:
        settings = self.settings
        return HttpClient(
            self.network,
            timeout=settings.http_timeout_seconds,
            max_bytes=settings.http_max_bytes,
            redirects=settings.outbound_redirects,
            proxy=settings.outbound_proxy,
            pace=SharedPace(database=lambda: self.database, clock=self.clock),
            clock=self.clock,
        )

    @cached_property
    def network(self) -> Network:
        return Network(self.settings.guard, ca_file=self.settings.outbound_ca)

    @cached_property
    def sender(self) -> AppriseSender:
        settings = self.settings
        http = HttpClient(
            self.network, max_bytes=settings.http_max_bytes, redirects=0, proxy=settings.outbound_proxy
        )
        return AppriseSender(self.network, http)

    @cached_property
    def definitions(self) -> Definitions:
        return Definitions()

    @cached_property
    def documents(self) -> Documents:
        return Documents(
            database=self.database,
            definitions=self.definitions,
            references=self.references,
            audit=self.audit,
            clock=self.clock,
        )

    @cached_property
    def runs(self) -> Runs:
        return Runs(
            database=self.database,
            references=self.references,
            definitions=self.definitions,
            template_values=self.template_values,
            suspended_runs=self.suspended_runs,
            execution=self.execution,
            runner=self.runner,
            caller_keys=self.caller_keys,
            clock=self.clock,
        )

    @cached_property
    def runner(self) -> Runner:
        return Runner(self.http, self.network)

    @cached_property
    def template_values(self) -> TemplateValues:
        return TemplateValues(
            vault=self.vault, versions=self.versions, references=self.references, clock=self.clock
        )

    @cached_property
    def suspended_runs(self) -> SuspendedRuns:
        return SuspendedRuns(deployment_id=self.deployment_id, keyring=self.keyring)

    @cached_property
    def execution(self) -> Execution:
        return Execution(
            database=self.database,
            references=self.references,
            subworkflows=self.subworkflows,
            template_values=self.template_values,
            suspended_runs=self.suspended_runs,
            runner=self.runner,
            clock=self.clock,
        )

    @cached_property
    def subworkflows(self) -> Subworkflows:
        return Subworkflows(
            database=self.database,
            definitions=self.definitions,
            suspended_runs=self.suspended_runs,
            clock=self.clock,
        )

    @cached_property
    def inbound_calls(self) -> InboundCalls:
        return InboundCalls(
            database=self.database,
            caller_keys=self.caller_keys,
            definitions=self.definitions,
            runs=self.runs,
        )

    @cached_property
    def pickups(self) -> Pickups:
        return Pickups(
            database=self.database,
            vault=self.vault,
            versions=self.versions,
            audit=self.audit,
            keyring=self.keyring,
            outbox=self.outbox,
            clock=self.clock,
        )

    @cached_property
    def caller_keys(self) -> CallerKeys:
        return CallerKeys(
            database=self.database,
            versions=self.versions,
            audit=self.audit,
            pickups=self.pickups,
            clock=self.clock,
        )

    @cached_property
    def outbox(self) -> Outbox:
        return Outbox(recipients=self.recipients, letters=self.letters, clock=self.clock)

    @cached_property
    def recipients(self) -> Recipients:
        return Recipients(owners=self.owners, operators=self.settings.operators)

    @cached_property
    def letters(self) -> Letters:
        return Letters(self.settings.templates_path)

    @cached_property
    def digests(self) -> Digests:
        return Digests(recipients=self.recipients, outbox=self.outbox, letters=self.letters, clock=self.clock)

    @cached_property
    def digest_preview(self) -> DigestPreview:
        return DigestPreview(
            database=self.database,
            owners=self.owners,
            nights=self.nights,
            recipients=self.recipients,
            digests=self.digests,
            letters=self.letters,
        )

    @cached_property
    def route_test(self) -> RouteTest:
        return RouteTest(database=self.database, owners=self.owners, letters=self.letters, sender=self.sender)

    @cached_property
    def calendar(self) -> Calendar:
        return Calendar(database=self.database, vault=self.vault, owners=self.owners, clock=self.clock)

    @cached_property
    def delivery(self) -> Delivery:
        return Delivery(
            database=self.database,
            owners=self.owners,
            keyring=self.keyring,
            recipients=self.recipients,
            outbox=self.outbox,
            digests=self.digests,
            letters=self.letters,
            send_pool=SendPool(
                self.sender,
                threads=self.settings.delivery_threads,
                deadline=self.settings.delivery_timeout_seconds,
            ),
            retries=Retries(
                recipients=self.recipients,
                outbox=self.outbox,
                pause=timedelta(seconds=self.settings.delivery_retry_seconds),
                tries=self.settings.delivery_tries,
                clock=self.clock,
            ),
            clock=self.clock,
        )

    @cached_property
    def jobs(self) -> Jobs:
        return Jobs(
            database=self.database,
            vault=self.vault,
            versions=self.versions,
            references=self.references,
            http=self.http,
            network=self.network,
            clock=self.clock,
        )

    @cached_property
    def forward(self) -> ForwardSteps:
        return ForwardSteps(
            database=self.database,
            vault=self.vault,
            versions=self.versions,
            tests=self.value_tests,
            proofs=self.proofs,
            pickups=self.pickups,
            outbox=self.outbox,
            rotation_notices=self.rotation_notices,
            jobs=self.jobs,
            clock=self.clock,
        )

    @cached_property
    def value_tests(self) -> ValueTests:
        return ValueTests(
            database=self.database,
            versions=self.versions,
            references=self.references,
            definitions=self.definitions,
            runs=self.runs,
            counter_checks=CounterChecks(database=self.database, runs=self.runs, clock=self.clock),
            jobs=self.jobs,
            clock=self.clock,
        )

    @cached_property
    def rollback(self) -> Rollback:
        return Rollback(
            database=self.database,
            vault=self.vault,
            versions=self.versions,
            proofs=self.proofs,
            pickups=self.pickups,
            jobs=self.jobs,
            failed_hold=self.settings.failed_hold,
            clock=self.clock,
        )

    @cached_property
    def rotations(self) -> Rotations:
        return Rotations(
            database=self.database,
            vault=self.vault,
            audit=self.audit,
            forward=self.forward,
            tests=self.value_tests,
            rollback=self.rollback,
            proofs=self.proofs,
            admission=self.admission,
            rotation_notices=self.rotation_notices,
            anchors=self.anchors,
            comparison=self.comparison,
            row_verification=self.row_verification,
            limits=self.settings.limits,
            lease=self.settings.lease,
            clock=self.clock,
        )

    @cached_property
    def rotation_notices(self) -> RotationNotices:
        return RotationNotices(vault=self.vault, outbox=self.outbox, clock=self.clock)

    @cached_property
    def proofs(self) -> ConsumerProofs:
        return ConsumerProofs(
            database=self.database,
            vault=self.vault,
            versions=self.versions,
            audit=self.audit,
            freezes=self.settings.freeze_windows,
            clock=self.clock,
        )

    @cached_property
    def admission(self) -> Admission:
        return Admission(
            proofs=self.proofs,
            rotation_notices=self.rotation_notices,
            breaker=self.settings.breaker,
            clock=self.clock,
        )

    @cached_property
    def opening(self) -> Opening:
        return Opening(
            database=self.database,
            vault=self.vault,
            audit=self.audit,
            rotation_notices=self.rotation_notices,
            anchors=self.anchors,
            comparison=self.comparison,
            freezes=self.settings.freeze_windows,
            clock=self.clock,
        )

    @cached_property
    def comparison(self) -> Comparison:
        return Comparison(
            database=self.database,
            vault=self.vault,
            audit=self.audit,
            asking=TargetSearch(database=self.database, jobs=self.jobs),
            outbox=self.outbox,
            clock=self.clock,
        )

    @cached_property
    def pins(self) -> Pins:
        return Pins(
            database=self.database,
            vault=self.vault,
            versions=self.versions,
            references=self.references,
            definitions=self.definitions,
            audit=self.audit,
            clock=self.clock,
        )

    @cached_property
    def decisions(self) -> Decisions:
        return Decisions(
            database=self.database,
            vault=self.vault,
            versions=self.versions,
            audit=self.audit,
            definitions=self.definitions,
            runs=self.runs,
            proofs=self.proofs,
            rollback=self.rollback,
            rotation_notices=self.rotation_notices,
            clock=self.clock,
        )

    @cached_property
    def offboarding(self) -> Offboarding:
        return Offboarding(
            database=self.database,
            vault=self.vault,
            versions=self.versions,
            owners=self.owners,
            audit=self.audit,
            opening=self.opening,
            outbox=self.outbox,
            clock=self.clock,
        )

    @cached_property
    def run_reports(self) -> RunReports:
        return RunReports(
            database=self.database,
            vault=self.vault,
            versions=self.versions,
            references=self.references,
            definitions=self.definitions,
            audit=self.audit,
            clock=self.clock,
        )

    @cached_property
    def acknowledgements(self) -> Acknowledgements:
        return Acknowledgements(database=self.database, audit=self.audit, clock=self.clock)

    @cached_property
    def pickup_reminders(self) -> PickupReminders:
        return PickupReminders(database=self.database, outbox=self.outbox, clock=self.clock)

    @cached_property
    def heartbeat(self) -> Heartbeat:
        return Heartbeat(database=self.database, http=self.http, url=self.settings.heartbeat, clock=self.clock)

    @cached_property
    def key_sets(self) -> KeySets:
        return KeySets(database=self.database, vault=self.vault, versions=self.versions)

    @cached_property
    def retirement(self) -> Retirement:
        return Retirement(
            database=self.database,
            vault=self.vault,
            opening=self.opening,
            versions=self.versions,
            comparison=self.comparison,
            clock=self.clock,
        )

    @cached_property
    def anchors(self) -> Anchors:
        return Anchors(
            database=self.database,
            audit=self.audit,
            clock=self.clock,
            file=self.settings.home / ANCHORS_FILE,
        )

    @cached_property
    def backups(self) -> Backups:
        return Backups(
            database=self.database,
            audit=self.audit,
            anchors=self.anchors,
            keyring=self.keyring,
            keyring_file=self.settings.keyring_path,
            settings_file=self.settings.home / SETTINGS_FILE,
            deployment_id=self.deployment_id,
            clock=self.clock,
        )

    @cached_property
    def row_verification(self) -> RowVerification:
        return RowVerification(
            database=self.database,
            checks=RowChecks(versions=self.versions, owners=self.owners),
            macs=self.row_macs,
            audit=self.audit,
            budget=self.settings.rows_checked,
            clock=self.clock,
        )

    @cached_property
    def nights(self) -> Nights:
        return Nights(
            database=self.database,
            vault=self.vault,
            opening=self.opening,
            retirement=self.retirement,
            outbox=self.outbox,
            digests=self.digests,
            anchors=self.anchors,
            heartbeat=self.heartbeat,
            pickup_reminders=self.pickup_reminders,
            problems=self.problems,
            pickups=self.pickups,
            comparison=self.comparison,
            row_verification=self.row_verification,
            caps=self.settings.caps,
            freezes=self.settings.freeze_windows,
            page_size=self.settings.page_size,
            clock=self.clock,
        )

    @cached_property
    def inline_night(self) -> InlineNight:
        return InlineNight(
            database=self.database,
            vault=self.vault,
            nights=self.nights,
            opening=self.opening,
            rotations=self.rotations,
            delivery=self.delivery,
            heartbeat=self.heartbeat,
            problems=self.problems,
            resume_sweep=self.resume_sweep,
            clock_repair=self.clock_repair,
            clock=self.clock,
        )

    @cached_property
    def clock_repair(self) -> ClockRepair:
        return ClockRepair(database=self.database, lease=self.settings.lease, clock=self.clock)

    @cached_property
    def signs_of_life(self) -> SignsOfLife:
        return SignsOfLife(database=self.database, silence=self.settings.catch_up, clock=self.clock)

    @cached_property
    def foreign_messages(self) -> ForeignMessages:
        return ForeignMessages(database=self.database, outbox=self.outbox, clock=self.clock)

    @cached_property
    def night_schedule(self) -> NightSchedule:
        settings = self.settings
        return NightSchedule(
            database=self.database,
            cron=settings.night_at,
            zone=settings.zone,
            catch_up=settings.catch_up,
            clock=self.clock,
        )

    @cached_property
    def status(self) -> StatusReader:
        return StatusReader(
            database=self.database,
            problems=self.problems,
            anchors=self.anchors,
            settings=self.settings,
            clock=self.clock,
        )

    @cached_property
    def problems(self) -> Problems:
        return Problems(settings=self.settings, clock=self.clock)

    @cached_property
    def resume_sweep(self) -> ResumeSweep:
        return ResumeSweep(
            database=self.database,
            runs=self.runs,
            pickups=self.pickups,
            nights=self.nights,
            delivery=self.delivery,
            heartbeat=self.heartbeat,
            clock_repair=self.clock_repair,
            clock=self.clock,
        )


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
        _make_private(database_file)
    had_schema = database.revision() is not None
    had_keyring = settings.keyring_path.exists()
    if had_schema and not had_keyring:
        database.dispose()
        raise ConfigurationError(
            f"the database holds a vault, but there is no keyring at {settings.keyring_path}: "
            "put it back from its backup; no other opens these values"
        )
    if not had_schema and (settings.home / ANCHORS_FILE).exists():
        database.dispose()
        raise ConfigurationError(
            f"there was a vault in {settings.home} ({ANCHORS_FILE} knows it), and its database is gone: "
            "`nightkey restore FILE` puts its backup back; for a new vault, name another home"
        )
    if not had_keyring:
        Keyring.create(settings.keyring_path)
        made.append(f"keyring {settings.keyring_path} (back it up, apart from the database)")
    if database.revision() != SCHEMA_REVISION:
        _migrate_alone(database, settings.home)
    if not had_schema:
        made.append("database schema")
    with database.write() as connection:
        if connection.execute(select(deployment.c.id)).first() is None:
            now = clock()
            deployment_id = new_id("dep", now)
            check = Keyring.load(settings.keyring_path).fingerprint(deployment_id.encode())
            connection.execute(insert(deployment).values(id=deployment_id, keyring_check=check, created_at=now))
            start_chain(connection)
    try:
        keyring = Keyring.load(settings.keyring_path)
        with database.read() as connection:
            _find_deployment(connection, keyring, settings.keyring_path)
        made += _sign_rows(database, keyring, clock())
    except NightkeyError:
        database.dispose()
        raise
    services = Services(settings, clock)
    _ = services.deployment_id
    with services.database.write() as connection:
        found = connection.execute(
            select(owners.c.id).where(owners.c.name.in_(spellings(settings.operators)))
        ).first()
        if found is None:
            services.owners.create(connection, settings.operators, actor="init")
            made.append(f"owner {settings.operators}")
    services.close()
    if _write_settings(settings.home):
        made.append(f"settings {settings.home / SETTINGS_FILE}")
    database.dispose()
    return made


def _find_deployment(connection: Connection, keyring: Keyring, path: Path) -> Row[*tuple[Any, ...]]:
    """The vault's own row; `ConfigurationError` where the keyring at `path` is another vault's."""
    rows = connection.execute(select(deployment.c.id, deployment.c.keyring_check, deployment.c.mac)).all()
    if len(rows) != 1 or unreadable_fields(rows[0]):
        raise ConfigurationError(
            "the database does not say which vault it is (table deployment): restore it from its backup"
        )
    if rows[0].keyring_check != keyring.fingerprint(rows[0].id.encode()):
        raise ConfigurationError(
            f"the keyring {path} is not the one of this vault: put back the one that belongs to the database"
        )
    return rows[0]


def _migrate_alone(database: Database, home: Path) -> None:
    """Whoever is still at work with an older release would write rows without their digests."""
    try:
        with take_vault(home):
            database.migrate()
    except NightkeyError:
        database.dispose()
        raise


def _sign_rows(database: Database, keyring: Keyring, now: datetime) -> list[str]:
    """Once for each vault: of one that was just made, or is from a release that kept no digests of its rows."""
    audit = AuditLog(keyring.audit_key, keyring.signing_key)
    with database.write() as connection:
        counts = sign_once(connection, RowMacs(keyring.derive(LABEL)), audit, at=now, actor="init")
    rows = sum(counts.values()) - 1  # all but the vault's own
    return [f"keyed digests of {rows} rows that decide (nightkey audit verify --rows)"] if rows > 0 else []


def make_restoring(settings: Settings, clock: Clock = utc_now) -> Restores:
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
    trouble: TroubleError | None = None
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        trouble = explain(error)
        problem = error.strerror or type(error).__name__
    else:
        return
    if trouble is not None and trouble.can_retry:
        raise trouble
    raise ConfigurationError(f"the data folder {folder} cannot be made: {problem}; name another by --home")


def _make_private(file: Path) -> None:
    """Before anything is in it: its log takes its mode from it. What cannot be made, who opens it tells."""
    with suppress(OSError):
        os.close(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600))
    if file.is_file():
        with suppress(OSError):
            file.chmod(0o600)
