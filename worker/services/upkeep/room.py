"""The room of upkeep: the vault kept whole, backed up and provable. It needs no other room."""

from dataclasses import dataclass

from vaultcore.enrolment import Enrolment
from worker.config import SETTINGS_FILE
from worker.services.core import Core
from worker.services.upkeep.anchors import Anchors
from worker.services.upkeep.audit_export import AuditExport
from worker.services.upkeep.backup import Backups
from worker.services.upkeep.clock_repair import ClockRepair
from worker.services.upkeep.item_import import ItemImport
from worker.services.upkeep.row_verification import RowVerification
from worker.services.upkeep.signs_of_life import SignsOfLife
from worker.services.upkeep.taken_messages import TakenMessages


@dataclass(frozen=True, kw_only=True)
class Upkeep:
    anchors: Anchors
    audit_export: AuditExport
    backups: Backups
    row_verification: RowVerification
    clock_repair: ClockRepair
    signs_of_life: SignsOfLife
    taken_messages: TakenMessages
    item_import: ItemImport


def build_upkeep(core: Core, *, anchors: Anchors, row_verification: RowVerification) -> Upkeep:
    settings = core.settings
    return Upkeep(
        anchors=anchors,
        audit_export=AuditExport(
            database=core.database,
            audit=core.audit,
            key=core.keyring.signing_key,
            deployment_id=core.deployment_id,
            clock=core.clock,
        ),
        backups=Backups(
            database=core.database,
            audit=core.audit,
            anchors=anchors,
            keyring=core.keyring,
            keyring_file=settings.keyring_path,
            settings_file=settings.home / SETTINGS_FILE,
            deployment_id=core.deployment_id,
            clock=core.clock,
        ),
        row_verification=row_verification,
        clock_repair=ClockRepair(database=core.database, lease=settings.lease, clock=core.clock),
        signs_of_life=SignsOfLife(database=core.database, silence=settings.catch_up, clock=core.clock),
        taken_messages=TakenMessages(database=core.database),
        item_import=ItemImport(
            database=core.database,
            enrolment=Enrolment(
                audit=core.audit, references=core.references, versions=core.versions, clock=core.clock
            ),
            versions=core.versions,
            owners=core.owners,
            audit=core.audit,
            clock=core.clock,
        ),
    )
