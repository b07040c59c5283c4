"""The room of the night: when it begins, what is found and opened in it, and how things stand afterwards."""

from dataclasses import dataclass

from worker.services.core import Core
from worker.services.night.departures import Departures
from worker.services.night.digest_preview import DigestPreview
from worker.services.night.dispatch import Dispatch
from worker.services.night.inline import InlineNight
from worker.services.night.night_schedule import NightSchedule
from worker.services.night.nights import Nights
from worker.services.night.overview import Overview
from worker.services.night.resume_sweep import ResumeSweep
from worker.services.night.scans import Scans
from worker.services.night.sweep_lease import SweepLease
from worker.services.notices.room import Notices
from worker.services.rotation.room import RotationRoom
from worker.services.runs.room import RunsRoom
from worker.services.upkeep.room import Upkeep


@dataclass(frozen=True, kw_only=True)
class NightRoom:
    nights: Nights
    dispatch: Dispatch
    inline_night: InlineNight
    departures: Departures
    resume_sweep: ResumeSweep
    night_schedule: NightSchedule
    digest_preview: DigestPreview


def build_night(
    core: Core,
    *,
    upkeep: Upkeep,
    overview: Overview,
    scans: Scans,
    notices: Notices,
    runs: RunsRoom,
    rotation: RotationRoom,
) -> NightRoom:
    database, clock, settings = core.database, core.clock, core.settings
    nights = Nights(
        database=database,
        vault=core.vault,
        opening=rotation.opening,
        replaced_versions=rotation.replaced_versions,
        outbox=notices.outbox,
        digests=notices.digests,
        anchors=upkeep.anchors,
        heartbeat=notices.heartbeat,
        pickup_reminders=notices.pickup_reminders,
        problems=overview.problems,
        pickups=rotation.pickups,
        comparison=rotation.comparison,
        credential_checks=rotation.credential_checks,
        row_verification=upkeep.row_verification,
        wording=notices.wording,
        scans=scans,
        page_size=settings.page_size,
        clock=clock,
    )
    resume_sweep = ResumeSweep(
        database=database,
        runs=runs.runs,
        pickups=rotation.pickups,
        credential_checks=rotation.credential_checks,
        target_capacity=rotation.target_capacity,
        nights=nights,
        delivery=notices.delivery,
        heartbeat=notices.heartbeat,
        clock_repair=upkeep.clock_repair,
        sweep_lease=SweepLease(database=database, clock=clock),
        at_once=rotation.side_by_side.at_once,
        clock=clock,
    )
    night_schedule = NightSchedule(
        database=database,
        cron=settings.night_at,
        zone=settings.zone,
        catch_up=settings.catch_up,
        clock=clock,
    )
    inline_night = InlineNight(
        database=database,
        vault=core.vault,
        nights=nights,
        opening=rotation.opening,
        rotations=rotation.rotations,
        side_by_side=rotation.side_by_side,
        credential_checks=rotation.credential_checks,
        delivery=notices.delivery,
        heartbeat=notices.heartbeat,
        problems=overview.problems,
        resume_sweep=resume_sweep,
        clock_repair=upkeep.clock_repair,
        clock=clock,
    )
    return NightRoom(
        nights=nights,
        dispatch=Dispatch(
            night_schedule=night_schedule,
            nights=nights,
            resume_sweep=resume_sweep,
            side_by_side=rotation.side_by_side,
            target_capacity=rotation.target_capacity,
            credential_checks=rotation.credential_checks,
            runs=runs.runs,
            delivery=notices.delivery,
            heartbeat=notices.heartbeat,
            clock=clock,
        ),
        inline_night=inline_night,
        departures=Departures(offboarding=rotation.offboarding, inline_night=inline_night),
        resume_sweep=resume_sweep,
        night_schedule=night_schedule,
        digest_preview=DigestPreview(
            database=database,
            owners=core.owners,
            nights=nights,
            recipients=notices.recipients,
            digests=notices.digests,
            letters=notices.letters,
            night_schedule=night_schedule,
            clock=clock,
        ),
    )
