"""An outbox for tests: services on an empty vault, and the few moves of who posts and delivers."""

from dataclasses import dataclass

from vaultcore.quiet import parse_quiet
from vaultcore.secret import Secret
from worker.bootstrap import Services
from worker.domain.notice_kinds import NoticeKind
from worker.rows.notices import Notice, list_notices

TOO_LONG = 2.5
"""How long a send may take in these tests, in seconds."""


@dataclass
class Outbox:
    """Services on an empty vault, and the few moves of who posts and delivers."""

    services: Services

    def add_owner(self, name: str, *routes: str, deputy: str | None = None, quiet: str | None = None) -> None:
        services = self.services
        with services.database.write() as connection:
            services.owners.find_or_create(connection, name, actor="test")
            services.owners.update(
                connection,
                name,
                quiet=None if quiet is None else parse_quiet(quiet),
                deputy=deputy,
                actor="test",
            )
            owner = services.owners.get(connection, name)
            for route in routes:
                services.owners.add_route(
                    connection, owner, Secret(route), shown=route.partition("?")[0], actor="test"
                )

    def post(self, owner: str, *, key: str = "1", urgent: bool = False) -> str:
        services = self.services
        with services.database.write() as connection:
            posted = services.notices.outbox.post(
                connection,
                services.owners.get(connection, owner).id,
                kind=NoticeKind.TEST,
                dedupe_key=f"{owner}:{key}",
                data={},
                urgent=urgent,
            )
        assert posted is not None
        return posted

    def deliver(self) -> None:
        self.services.notices.delivery.deliver()

    def notices(self, *, failed: bool = False) -> list[Notice]:
        with self.services.database.read() as connection:
            return list_notices(connection, failed=failed)

    def states(self) -> dict[str, list[tuple[str, int]]]:
        """State and tries of each route, by owner."""
        return {
            notice.owner: [(one.state, one.attempts) for one in notice.deliveries] for notice in self.notices()
        }
