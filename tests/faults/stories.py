"""The lives of a rotation that are cut off at every point: what is set up, and what a worker then does.

A worker goes by the bells alone, as the tasks do, so that it does not matter how often it was killed.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta

from sqlalchemy import select

from tests.faults.clock import START, SharedClock
from tests.organisation import Organisation
from worker.bootstrap import Services
from worker.tables import deliveries, rotations

ITEM, ACCOUNT, WORKFLOW = "prod-billing-api-token", "billing", "invoice-export"
_PAST_THE_OVERLAP = timedelta(hours=25)
_ROUNDS = 12
_RINGS = 200


@dataclass(frozen=True, kw_only=True)
class Story:
    """`tested` and `produced` are what the workflow asks the service for in its tests and in
    production; `granted` is what new tokens may do there (None: everything).
    """

    tested: str
    produced: str
    granted: list[str] | None
    ends: str
    scopes: Mapping[str, list[str]] = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "scopes", {} if self.granted is None else {ACCOUNT: self.granted})

    def run(self, services: Services) -> str:
        """A production run of the workflow, by its status, with the reason if it is no success."""
        ran = services.running.start(WORKFLOW, payload={"path": self.produced}, actor="test")
        return ran.status if ran.status == "completed" else f"{ran.status}: {ran.error_message}"


STORIES = {
    "good": Story(tested="invoices", produced="invoices", granted=None, ends="done"),
    "rejected by a test": Story(
        tested="invoices", produced="invoices", granted=["tickets"], ends="rolled-back"
    ),
    "rejected in production": Story(
        tested="account", produced="invoices", granted=["tickets"], ends="rolled-back"
    ),
}


def set_up(organisation: Organisation, story: Story) -> None:
    """An owner, a token that is about to expire, and the workflow that uses it."""
    organisation.add_owner("support")
    organisation.add_token(ITEM, ACCOUNT)
    organisation.add_workflow(
        WORKFLOW,
        ITEM,
        path="/v1/{{ webhook_payload.path }}",
        sample_context={"webhook_payload": {"path": story.tested}},
    )


def play(services: Services, clock: SharedClock, story: Story) -> None:
    """From the night to the end of its rotation: the bells, a production run, a day. Then again, if need be."""
    for _ in range(_ROUNDS):
        services.nights.begin(START)
        answer_bells(services)
        if is_over(services):
            return
        story.run(services)
        answer_bells(services)
        clock.advance(_PAST_THE_OVERLAP)


def answer_bells(services: Services) -> None:
    """What the resume sweep rings for, until it rings no more."""
    for _ in range(_RINGS):
        waiting = services.resuming.find_waiting()
        for rotation_id in waiting.rotations:
            services.rotations.advance(rotation_id)
        for run_id in waiting.runs:
            services.running.execute(run_id, actor="schedule")
        for notice_id in waiting.notices:
            services.notifying.deliver(notice_id)
        if not (waiting.rotations or waiting.runs or waiting.notices):
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


def endings(services: Services) -> list[str]:
    """How the rotations ended, in order."""
    with services.database.read() as connection:
        return list(connection.execute(select(rotations.c.state).order_by(rotations.c.id)).scalars())
