"""The lives of a rotation that are cut off at every point: what is set up, and what a worker then does.

A worker goes by the bells alone, as the tasks do, so that it does not matter how often it was killed.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from sqlalchemy import select

from tests.faults.clock import START, SharedClock
from tests.organisation import Organisation
from vaultcore.versions import Purpose
from worker.bootstrap import Services
from worker.domain.work import RESUME, Task, Work
from worker.rows.tables import deliveries, rotations
from worker.services.runs.execution import RunOutcome

ITEM, ACCOUNT, SPARE = "prod-billing-api-token", "billing", "prod-billing-spare-token"
_PAST_THE_OVERLAP = timedelta(hours=25)
_ROUNDS = 12
_RINGS = 200


def begin_night(services: Services) -> None:
    services.night.nights.begin(START)


def begin_each_night(services: Services) -> None:
    services.night.nights.begin(services.clock())


def emergency(services: Services) -> None:
    """Somebody else knows the value: a person asks for another one at once."""
    if not _rotations(services):
        services.rotation.opening.request_emergency(ITEM, asked_by="test")


def replace_by_hand(services: Services) -> None:
    """The owner brings a token of their own, and the nights go on."""
    with services.database.write() as connection:
        item = services.vault.get(connection, ITEM)
        if item.version == 1:
            theirs = services.versions.reveal(
                connection, services.vault.get(connection, SPARE).id, 1, purpose=Purpose.ROTATION, actor="test"
            )
            services.vault.update(connection, item.id, value=theirs, actor="test")
    begin_each_night(services)


@dataclass(frozen=True, kw_only=True)
class Scenario:
    """`tested` and `produced` are what the workflows ask the service for in their tests and in
    production; `granted` is what new tokens may do there (None: everything). `begins` is what sets it
    going, safe to repeat. `spare`: the owner has a second token at hand. `waits`: the workflows come to a delay
    before they ask.
    """

    tested: str = "invoices"
    produced: str = "invoices"
    granted: list[str] | None = None
    ends: str = "done"
    policy: Mapping[str, Any] = field(default_factory=dict)
    workflows: tuple[str, ...] = ("invoice-export",)
    begins: Callable[[Services], None] = begin_night
    spare: bool = False
    waits: timedelta | None = None
    scopes: Mapping[str, list[str]] = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "scopes", {} if self.granted is None else {ACCOUNT: self.granted})

    def run(self, services: Services) -> str:
        """A production run of each workflow: by its status, with the reason if one is no success."""
        for workflow in self.workflows:
            ran = services.runs.runs.start(workflow, payload={"path": self.produced}, actor="test")
            if ran.status == "running":
                ran = self._go_on(services, ran)
            if ran.status != "completed":
                return f"{workflow} {ran.status}: {ran.error_message}"
        return "completed"

    def _go_on(self, services: Services, waiting: RunOutcome) -> RunOutcome:
        """Its time comes, and with it that of others, which workers who were killed have left."""
        assert isinstance(services.clock, SharedClock)
        assert self.waits is not None
        services.clock.advance(self.waits)
        ended = {
            one: services.runs.runs.execute(one, actor="schedule") for one in services.runs.runs.due_runs()
        }
        return ended[waiting.run_id] or waiting


_TWO = ("invoice-export", "invoice-import")

SCENARIOS = {
    "good": Scenario(),
    "rejected by a test": Scenario(granted=["tickets"], ends="rolled-back"),
    "rejected in production": Scenario(tested="account", granted=["tickets"], ends="rolled-back"),
    "one goes first": Scenario(policy={"canary": "auto"}, workflows=_TWO),
    "one goes first and fails": Scenario(
        tested="account", granted=["tickets"], ends="rolled-back", policy={"canary": "auto"}, workflows=_TWO
    ),
    "compromised": Scenario(begins=emergency),
    "replaced by its owner": Scenario(begins=replace_by_hand, spare=True),
    "runs that wait": Scenario(waits=timedelta(minutes=5)),
    "runs that wait and are refused": Scenario(
        tested="account", granted=["tickets"], ends="rolled-back", waits=timedelta(minutes=5)
    ),
}


def set_up(organisation: Organisation, story: Scenario) -> None:
    """An owner, a token that is about to expire, and the workflows that use it. One good answer is believed:
    to be killed between several is to be killed at one point.
    """
    organisation.add_owner("support")
    organisation.add_token(ITEM, ACCOUNT, answers=1, **story.policy)
    if story.spare:
        _, token = organisation.targets.token_service.issue(ACCOUNT, label="by hand")
        organisation.add_item(SPARE, token, days=300, mode="notify")
    for workflow in story.workflows:
        organisation.add_workflow(
            workflow,
            ITEM,
            path="/v1/{{ webhook_payload.path }}",
            sample_context={"webhook_payload": {"path": story.tested}},
            waits=story.waits,
        )


def play(services: Services, clock: SharedClock, story: Scenario) -> None:
    """From its beginning to the end of its rotation: the bells, a production run, a day. Then again, if need
    be.
    """
    for _ in range(_ROUNDS):
        story.begins(services)
        answer_bells(services)
        if is_over(services):
            return
        story.run(services)
        answer_bells(services)
        clock.advance(_PAST_THE_OVERLAP)


def answer_bells(services: Services) -> None:
    """What the resume sweep and the schedule call for, until they call no more."""
    for _ in range(_RINGS):
        do = services.night.dispatch.do
        due = [*do(RESUME), *do(Work(Task.SCHEDULE))]
        for work in due:
            do(work)
        if all(work.task is Task.BEAT for work in due):
            return


def is_over(services: Services) -> bool:
    """Every rotation there was has finished, and everybody was told."""
    with services.database.read() as connection:
        open_rotation = select(rotations.c.id).where(rotations.c.finished_at.is_(None)).limit(1)
        untold = select(deliveries.c.notice_id).where(deliveries.c.state == "waiting").limit(1)
        any_rotation = select(rotations.c.id).limit(1)
        return (
            connection.execute(any_rotation).first() is not None
            and connection.execute(open_rotation).first() is None
            and connection.execute(untold).first() is None
        )


def _rotations(services: Services) -> int:
    with services.database.read() as connection:
        return len(connection.execute(select(rotations.c.id)).all())


def endings(services: Services) -> list[str]:
    """How the rotations ended, in order."""
    with services.database.read() as connection:
        return list(connection.execute(select(rotations.c.state).order_by(rotations.c.id)).scalars())


ON_ONE = {"runs that wait": "sqlite", "runs that wait and are refused": "postgresql"}
"""These pass hundreds of points: each is tried on one database, so that all of them take their time once."""
