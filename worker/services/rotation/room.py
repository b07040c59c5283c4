"""The room of rotations: opened, admitted, advanced step by step, decided by people, taken back, retired."""

from dataclasses import dataclass

from worker.services.core import Core, WaysOut
from worker.services.notices.room import Notices
from worker.services.rotation.admission import Admission
from worker.services.rotation.advance import RotationDriver
from worker.services.rotation.comparison import Comparison
from worker.services.rotation.conclusions import Conclusions
from worker.services.rotation.counter_checks import CounterChecks
from worker.services.rotation.credential_checks import CredentialChecks
from worker.services.rotation.credential_question import CredentialQuestion
from worker.services.rotation.decisions import Decisions
from worker.services.rotation.document_uses import DocumentUses
from worker.services.rotation.end_on_new import EndOnNew
from worker.services.rotation.forward import ForwardSteps
from worker.services.rotation.jobs import Jobs
from worker.services.rotation.lease import LeaseKeeper
from worker.services.rotation.notices import RotationNotices
from worker.services.rotation.offboarding import Offboarding
from worker.services.rotation.opening import Opening
from worker.services.rotation.owner_changes import OwnerChanges
from worker.services.rotation.pickups import Pickups
from worker.services.rotation.proof import ConsumerProofs
from worker.services.rotation.replaced_versions import ReplacedVersions
from worker.services.rotation.rollback import Rollback
from worker.services.rotation.rotation_taker import RotationTaker
from worker.services.rotation.side_by_side import SideBySide
from worker.services.rotation.target_capacity import TargetCapacity
from worker.services.rotation.target_search import TargetSearch
from worker.services.rotation.value_tests import ValueTests
from worker.services.rotation.views import RotationViews
from worker.services.runs.room import RunsRoom
from worker.services.upkeep.room import Upkeep


@dataclass(frozen=True, kw_only=True)
class RotationRoom:
    pickups: Pickups
    jobs: Jobs
    proofs: ConsumerProofs
    forward: ForwardSteps
    rollback: Rollback
    comparison: Comparison
    credential_checks: CredentialChecks
    opening: Opening
    rotations: RotationDriver
    side_by_side: SideBySide
    target_capacity: TargetCapacity
    views: RotationViews
    decisions: Decisions
    offboarding: Offboarding
    owner_changes: OwnerChanges
    replaced_versions: ReplacedVersions


def build_pickups(core: Core, notices: Notices) -> Pickups:
    """Before the others: a caller's key ends them, and callers are heard in the room of runs."""
    return Pickups(
        database=core.database,
        versions=core.versions,
        audit=core.audit,
        keyring=core.keyring,
        outbox=notices.outbox,
        clock=core.clock,
    )


def build_rotation(
    core: Core, ways_out: WaysOut, *, upkeep: Upkeep, notices: Notices, runs: RunsRoom, pickups: Pickups
) -> RotationRoom:
    database, clock, settings = core.database, core.clock, core.settings
    vault, versions, audit, references = core.vault, core.versions, core.audit, core.references
    rotation_notices = RotationNotices(vault=vault, outbox=notices.outbox, clock=clock)
    jobs = Jobs(
        database=database,
        vault=vault,
        versions=versions,
        references=references,
        http=ways_out.http,
        network=ways_out.network,
        clock=clock,
    )
    document_uses = DocumentUses(clock=clock)
    proofs = ConsumerProofs(
        database=database,
        vault=vault,
        versions=versions,
        audit=audit,
        document_uses=document_uses,
        freezes=settings.freeze_windows,
        clock=clock,
    )
    counter_checks = CounterChecks(database=database, workflow_tests=runs.workflow_tests, clock=clock)
    value_tests = ValueTests(
        database=database,
        versions=versions,
        references=references,
        definitions=runs.definitions,
        workflow_tests=runs.workflow_tests,
        counter_checks=counter_checks,
        jobs=jobs,
        target_at_once=settings.target_at_once,
        clock=clock,
    )
    end_on_new = EndOnNew(vault=vault, versions=versions, proofs=proofs, pickups=pickups)
    forward = ForwardSteps(
        database=database,
        versions=versions,
        tests=value_tests,
        proofs=proofs,
        end_on_new=end_on_new,
        pickups=pickups,
        outbox=notices.outbox,
        rotation_notices=rotation_notices,
        jobs=jobs,
        clock=clock,
    )
    rollback = Rollback(
        database=database,
        vault=vault,
        versions=versions,
        proofs=proofs,
        pickups=pickups,
        jobs=jobs,
        failed_hold=settings.failed_hold,
        clock=clock,
    )
    comparison = Comparison(
        database=database,
        vault=vault,
        audit=audit,
        target_search=TargetSearch(database=database, jobs=jobs),
        outbox=notices.outbox,
        clock=clock,
    )
    opening = Opening(
        database=database,
        vault=vault,
        audit=audit,
        rotation_notices=rotation_notices,
        anchors=upkeep.anchors,
        comparison=comparison,
        freezes=settings.freeze_windows,
        clock=clock,
    )
    admission = Admission(
        proofs=proofs, rotation_notices=rotation_notices, breaker=settings.breaker, clock=clock
    )
    leases = LeaseKeeper(database, clock=clock)
    target_capacity = TargetCapacity(database=database, at_once=settings.target_at_once, clock=clock)
    taker = RotationTaker(
        database=database,
        anchors=upkeep.anchors,
        row_verification=upkeep.row_verification,
        target_capacity=target_capacity,
        lease=settings.lease,
        clock=clock,
    )
    rotations = RotationDriver(
        database=database,
        vault=vault,
        audit=audit,
        forward=forward,
        tests=value_tests,
        rollback=rollback,
        admission=admission,
        conclusions=Conclusions(
            vault=vault,
            rollback=rollback,
            proofs=proofs,
            admission=admission,
            rotation_notices=rotation_notices,
            row_verification=upkeep.row_verification,
            limits=settings.limits,
            clock=clock,
        ),
        comparison=comparison,
        jobs=jobs,
        taker=taker,
        leases=leases,
        patience=settings.limits.patience,
        lease=settings.lease,
        clock=clock,
    )
    owner_changes = OwnerChanges(
        database=database,
        vault=vault,
        owners=core.owners,
        outbox=notices.outbox,
        operators=settings.operators,
        roles=[rule.owner for rule in settings.role_rules if rule.owner is not None],
    )
    return RotationRoom(
        owner_changes=owner_changes,
        pickups=pickups,
        jobs=jobs,
        proofs=proofs,
        forward=forward,
        rollback=rollback,
        comparison=comparison,
        credential_checks=CredentialChecks(
            database=database,
            vault=vault,
            references=references,
            audit=audit,
            question=CredentialQuestion(jobs=jobs, counter_checks=counter_checks),
            anchors=upkeep.anchors,
            pace=settings.check_pace,
            leases=leases,
            lease=settings.lease,
            target_capacity=target_capacity,
            page_size=settings.page_size,
            clock=clock,
        ),
        opening=opening,
        rotations=rotations,
        side_by_side=SideBySide(
            database=database,
            taker=taker,
            rotations=rotations,
            at_once=settings.rotations_at_once,
            clock=clock,
        ),
        target_capacity=target_capacity,
        views=RotationViews(database=database, vault=vault, versions=versions, proofs=proofs),
        decisions=Decisions(
            database=database,
            vault=vault,
            versions=versions,
            audit=audit,
            definitions=runs.definitions,
            workflow_tests=runs.workflow_tests,
            proofs=proofs,
            rollback=rollback,
            end_on_new=end_on_new,
            rotation_notices=rotation_notices,
            clock=clock,
        ),
        offboarding=Offboarding(
            database=database,
            vault=vault,
            versions=versions,
            owners=core.owners,
            audit=audit,
            opening=opening,
            outbox=notices.outbox,
            recipients=notices.recipients,
            owner_changes=owner_changes,
            clock=clock,
        ),
        replaced_versions=ReplacedVersions(
            database=database,
            vault=vault,
            opening=opening,
            versions=versions,
            comparison=comparison,
            document_uses=document_uses,
            clock=clock,
        ),
    )
