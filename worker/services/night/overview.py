"""What a person looks at, and how they answer for a finding: it needs the vault, and no way out of it."""

from dataclasses import dataclass

from worker.services.core import Core
from worker.services.night.acknowledgements import Acknowledgements
from worker.services.night.calendar import Calendar
from worker.services.night.coming_days import ComingDays
from worker.services.night.measures import MeasureReader
from worker.services.night.outlook import OutlookReader
from worker.services.night.problems import Problems
from worker.services.night.status import StatusReader
from worker.services.night.summaries import NightSummaries
from worker.services.night.visible import VisibleProblems
from worker.services.night.workflow_views import WorkflowViews
from worker.services.upkeep.room import Upkeep


@dataclass(frozen=True, kw_only=True)
class Overview:
    problems: Problems
    status: StatusReader
    outlook: OutlookReader
    visible: VisibleProblems
    measures: MeasureReader
    acknowledgements: Acknowledgements
    calendar: Calendar
    night_summaries: NightSummaries
    workflows: WorkflowViews
    coming_days: ComingDays


def build_overview(core: Core, *, upkeep: Upkeep) -> Overview:
    database, clock, settings = core.database, core.clock, core.settings
    problems = Problems(settings=settings, clock=clock)
    visible = VisibleProblems(database=database, owners=core.owners)
    return Overview(
        problems=problems,
        status=StatusReader(
            database=database,
            owners=core.owners,
            problems=problems,
            anchors=upkeep.anchors,
            settings=settings,
            clock=clock,
        ),
        outlook=OutlookReader(
            database=database,
            owners=core.owners,
            problems=problems,
            visible=visible,
            settings=settings,
            clock=clock,
        ),
        visible=visible,
        measures=MeasureReader(database=database, problems=problems, clock=clock),
        acknowledgements=Acknowledgements(database=database, audit=core.audit, clock=clock),
        calendar=Calendar(database=database, vault=core.vault, owners=core.owners, clock=clock),
        night_summaries=NightSummaries(database=database, owners=core.owners),
        coming_days=ComingDays(database=database, owners=core.owners, settings=settings, clock=clock),
        workflows=WorkflowViews(
            database=database,
            versions=core.versions,
            references=core.references,
            clock=clock,
        ),
    )
