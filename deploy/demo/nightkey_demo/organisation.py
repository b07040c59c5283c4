"""Sets the sample up in a vault as if it had been there for months: the same services, a dated clock."""

import secrets
from collections.abc import Mapping
from datetime import datetime, timedelta

from nightkey_demo.sample import Sample, SampleItem, SampleWorkflow
from nightkey_demo.token_service import TokenService
from vaultcore.model import Kind
from vaultcore.rules import kind_of
from vaultcore.secret import Secret
from worker.bootstrap import Services, utc_now
from worker.config import Settings
from worker.delivery.routes import check_route
from worker.domain.policies import PolicyChange

ACTOR = "demo"


class DatedClock:
    """The present, shifted: `ago` is how long ago it now is."""

    def __init__(self) -> None:
        self.ago = timedelta(0)

    def __call__(self) -> datetime:
        return utc_now() - self.ago


class Organisation:
    """Makes owners, workflows and items in the order of their age: what uses an item comes first.

    Keeps the first values, for the proof.

    `values` are those that work at the targets, by the names that the sample has for them.
    """

    def __init__(self, settings: Settings, token_service: TokenService, values: Mapping[str, str]) -> None:
        self._clock = DatedClock()
        self._services = Services(settings, self._clock)
        self._token_service = token_service
        self._values = {"admin": token_service.admin_token, **values}
        self.first_values: dict[str, Secret] = {}

    def set_up(self, sample: Sample) -> None:
        self._add_owners(sample)
        todo: list[tuple[timedelta, int, SampleItem | SampleWorkflow]] = [
            (item.age, 1, item) for item in sample.items
        ]
        todo += [(workflow.age, 0, workflow) for workflow in sample.workflows]
        todo += [(w.ran, 2, w) for w in sample.workflows if w.ran is not None]
        todo += [(i.replaced, 3, i) for i in sample.items if i.replaced is not None]
        for ago, what, thing in sorted(todo, key=lambda entry: (-entry[0], entry[1])):
            self._clock.ago = ago
            if isinstance(thing, SampleItem):
                self._add_item(thing) if what == 1 else self._replace(thing)
            elif what == 0:
                self._services.runs.documents.apply([(thing.source, thing.text)], actor=ACTOR)
            else:
                self._services.runs.runs.start(thing.source.removesuffix(".json"), actor=ACTOR)
        self._services.close()

    def _add_owners(self, sample: Sample) -> None:
        services = self._services
        with services.database.write() as connection:
            known = {owner.name for owner in services.owners.all(connection)}
            for name, routes in sample.owners.items():
                owner = (
                    services.owners.get(connection, name)
                    if name in known
                    else services.owners.create(connection, name, actor=ACTOR)
                )
                for route in routes:
                    url = Secret(route)
                    shown = check_route(url, schemes=services.settings.route_schemes)
                    names = services.notices.sender.check(url)
                    services.owners.add_route(
                        connection, owner, url, shown=shown, recipients=names, actor=ACTOR
                    )

    def _add_item(self, item: SampleItem) -> None:
        _, first = self._services.items.creation.create(
            item.name,
            read_value=None if kind_of(item.name) is Kind.API_KEY else lambda: self._first_value(item),
            owners=[item.owner],
            expires_at=None if item.expires_in is None else utc_now() + item.expires_in,
            policy=PolicyChange(parts=item.policy or {}),
            actor=ACTOR,
        )
        if first is not None:  # its callers have it
            self._services.rotation.pickups.deliver(first, actor=ACTOR, show=lambda _: None)

    def _replace(self, item: SampleItem) -> None:
        services = self._services
        with services.database.write() as connection:
            services.vault.update(
                connection,
                item.name,
                value=Secret(secrets.token_urlsafe(24)),
                expires_at=utc_now() + (item.expires_in or timedelta(days=90)),
                actor=ACTOR,
            )

    def _first_value(self, item: SampleItem) -> Secret:
        source = item.value or ""
        value = self._values.get(source) or secrets.token_urlsafe(24)
        if source.startswith("token:"):
            _, value = self._token_service.issue(source.removeprefix("token:"))
        self.first_values[item.name] = Secret(value)
        return self.first_values[item.name]
