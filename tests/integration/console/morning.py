"""An organisation after a night, and its console: one rotation waits, one is watched, one was taken back."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

from tests.browsing import Browser, Page
from tests.conftest import Clock
from tests.ingress import Front, serve
from tests.organisation import Organisation
from tests.services.staging import stage
from vaultcore.access import Role
from vaultcore.model import PrincipalKind
from worker.bootstrap import Services
from worker.domain.saga import State

TICKETS, SALES, MAIL = "prod-ticketing-api-token", "prod-sales-api-token", "prod-mail-api-token"
HOSTILE = "<b onmouseover=alert(1)>sync & co"
DAY = timedelta(days=1)


class Morning:
    """An organisation after a night: one rotation waits for an approval, one is watched, one was taken back."""

    def __init__(self, organisation: Organisation, front: Front, clock: Any) -> None:
        self.organisation, self.front, self.clock = organisation, front, clock

    @property
    def services(self) -> Services:
        return self.organisation.services

    def browser(self, name: str | None = None) -> Browser:
        browser = Browser(self.front)
        assert browser.sign_in(self.services, name).status == 200
        return browser

    def rotation(self, item: str) -> str:
        return next(one.id for one in self.organisation.rotations() if one.item == item)

    def state(self, item: str) -> State:
        return next(one.state for one in self.organisation.rotations() if one.item == item)

    def open(self, item: str, name: str | None = None) -> tuple[Browser, Page]:
        browser = self.browser(name)
        return browser, browser.open(f"/console/rotations/{self.rotation(item)}")


@contextmanager
def make_morning(folder: Path) -> Iterator[Morning]:
    clock = Clock()
    with stage(folder, "", clock) as (organisation, _):
        prepare(organisation)
        services = organisation.services
        for role in (Role.VIEWER, Role.APPROVER, Role.OPERATOR, Role.OWNER):
            owners = ["sales"] if role is Role.OWNER else []
            services.access.principals.create(
                role, kind=PrincipalKind.PERSON, roles=[role], owners=owners, actor="test"
            )
        with serve(services) as front:
            yield Morning(organisation, front, clock)


def prepare(organisation: Organisation) -> None:
    organisation.add_owner("sales")
    organisation.add_token(TICKETS, "ticketing", mode="approve")
    organisation.add_token(SALES, "sales", owner="sales", consumers="required")
    organisation.add_workflow("sales-sync", SALES)
    organisation.add_token(MAIL, "mail", consumers="required")
    organisation.add_workflow(HOSTILE, MAIL, path="/v1/nothing-there")
    organisation.night()
