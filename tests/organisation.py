"""A small organisation for tests: real target systems, services, and the moves of a night one by one."""

import json
import re
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from nightkey_demo.target_systems import TargetSystems
from tests.every_item import every_item
from vaultcore.model import Item
from vaultcore.secret import Secret
from worker.bootstrap import Services
from worker.domain.policies import build_policy
from worker.domain.rotation import Rotation
from worker.domain.saga import is_moving
from worker.rows import findings as finding_rows
from worker.rows import rotations as rotation_rows
from worker.rows.notices import Notice, list_notices
from worker.services.rotation.pickups import Collected

_TOKEN = re.compile(r"nightkey pickup\b.*?\b(clm_\w+)", re.DOTALL)
ADMIN = "prod-tokenhub-admin-token"


@dataclass
class Organisation:
    """`services` on an empty vault, and the targets that its items are for."""

    services: Services
    targets: TargetSystems

    def add_owner(self, name: str) -> None:
        services = self.services
        with services.database.write() as connection:
            owner = services.owners.create(connection, name, actor="test")
            url = f"json://{self.targets.sink.url[7:]}/{name}"
            services.owners.add_route(connection, owner, Secret(url), shown="json://sink", actor="test")

    def add_item(
        self, name: str, value: str | None, *, days: float, owner: str | None = "support", **policy: Any
    ) -> Item:
        """One that is replaced here is read by nobody, unless a test says so: many look at a rotation alone."""
        services = self.services
        if policy.get("mode") in ("auto", "approve"):
            policy = {"consumers": "none"} | policy
        with services.database.write() as connection:
            created = services.vault.create(
                connection,
                name=name,
                value=None if value is None else Secret(value),
                owner_ids=() if owner is None else (services.owners.get(connection, owner).id,),
                expires_at=services.clock() + timedelta(days=days),
                policy=build_policy(None, policy),
                actor="test",
            )
        return created.item

    def add_token(self, name: str, account: str, *, days: float = 5, **policy: Any) -> str:
        """A token that the token service issued, with a policy that replaces it there. The token."""
        service = self.targets.token_service
        if not self.has_item(ADMIN):
            self.add_item(ADMIN, service.admin_token, days=300, mode="notify")
        _, token = service.issue(account)
        self.add_item(name, token, days=days, **(self.token_policy(account) | policy))
        return token

    def token_policy(self, account: str) -> dict[str, Any]:
        url = self.targets.token_service.url
        admin = {"Authorization": f"Bearer {{{{ vault.{ADMIN} }}}}"}
        return {
            "mode": "auto", "rotator": "http", "lifetime": "90d", "lead": "14d",
            "overlap": "1d", "propagation": "0s",
            "settings": {
                "value": "token", "id": "id", "expires": "expires_at", "verify_id": "token_id",
                "find_ids": "tokens.*.id", "inventory_gone": "revoked",
                "issue": {
                    "method": "POST", "url": f"{url}/v1/tokens", "headers": admin,
                    "body": {"account": account, "label": "{{ rotation.label }}"},
                },
                "verify": {
                    "method": "GET", "url": f"{url}/v1/account",
                    "headers": {"Authorization": "Bearer {{ rotation.value }}"},
                },
                "revoke": {
                    "method": "DELETE", "url": f"{url}/v1/tokens/{{{{ rotation.id }}}}", "headers": admin,
                },
                "find": {
                    "method": "GET",
                    "url": f"{url}/v1/tokens?account={account}&label={{{{ rotation.label }}}}",
                    "headers": admin,
                },
            },
        }  # fmt: skip

    def add_workflow(
        self,
        name: str,
        item: str,
        *,
        path: str = "/v1/account",
        method: str = "GET",
        waits: timedelta | None = None,
        trigger: str = "manual_trigger",
        **extra: Any,
    ) -> None:
        """A workflow that calls the token service with an item as its bearer token, after a delay if any."""
        document = {
            "name": name,
            "nodes": [
                {"id": "start", "type": "trigger", "data": {"componentId": trigger}},
                {
                    "id": "call",
                    "type": "action",
                    "data": {
                        "componentId": "webhook",
                        "method": method,
                        "url": f"{self.targets.token_service.url}{path}",
                        "headers": {"Authorization": f"Bearer {{{{ vault.{item} }}}}"},
                    },
                },
            ],
            "edges": [{"id": "e1", "source": "start", "target": "call"}],
            **extra,
        }
        if waits is not None:
            data = {"componentId": "delay", "duration": int(waits.total_seconds()), "unit": "seconds"}
            document["nodes"].append({"id": "wait", "type": "action", "data": data})
            document["edges"] = [
                {"id": "e1", "source": "start", "target": "wait"},
                {"id": "e2", "source": "wait", "target": "call"},
            ]
        self.services.runs.documents.apply([(f"{name}.json", json.dumps(document))], actor="test")

    def night(self) -> list[Rotation]:
        """One night from its scan to its last notice: the rotations that it opened, as they are then."""
        slot = self.services.clock()
        self.services.night.nights.begin(slot)
        self.drive()
        self.services.night.nights.close(slot)
        self.deliver()
        return [rotation for rotation in self.rotations() if rotation.night == slot]

    def drive(self) -> None:
        """Drives every rotation until none is due."""
        while due := self.due():
            for rotation_id in due:
                self.services.rotation.rotations.drive(rotation_id)

    def due(self) -> list[str]:
        with self.services.database.read() as connection:
            return rotation_rows.due_rotations(connection, self.services.clock())

    def deliver(self) -> None:
        self.services.notices.delivery.deliver()

    def collect(self, token: str, *, actor: str = "test") -> Collected:
        """The owner does what a notice says, and sees the key."""
        return self.services.rotation.pickups.collect(token, actor=actor, show=lambda _: None)

    def present(self, key: str) -> tuple[str, int] | None:
        """A caller presents a key: whose it is, if it opens."""
        return self.services.runs.caller_keys.check(Secret(key))

    def rotations(self) -> list[Rotation]:
        with self.services.database.read() as connection:
            return rotation_rows.list_rotations(connection)

    def moving(self) -> bool:
        return any(is_moving(one.state, one.waits_for) for one in self.rotations())

    def item(self, name: str) -> Item:
        with self.services.database.read() as connection:
            return self.services.vault.get(connection, name)

    def has_item(self, name: str) -> bool:
        with self.services.database.read() as connection:
            return any(item.name == name for item in every_item(self.services.vault, connection))

    def stages(self, name: str) -> list[str]:
        with self.services.database.read() as connection:
            item = self.services.vault.get(connection, name)
            return [version.stage.value for version in self.services.versions.of_item(connection, item.id)]

    def findings(self) -> set[tuple[str, str | None]]:
        with self.services.database.read() as connection:
            return {(row.kind, row.item) for row in finding_rows.list_open(connection)}

    def notices(self) -> list[Notice]:
        with self.services.database.read() as connection:
            return list_notices(connection)


def read_token(text: str) -> str:
    """The last token that stands behind the command that asks for it; empty where there is none."""
    return next(reversed(_TOKEN.findall(text)), "")
