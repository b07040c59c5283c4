"""The interface for tests: a real server, and a token of a principal for each role."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from tests.ingress import PATIENT, Answered, Front, serve
from tests.postgres import create_database, show_for_sqlalchemy
from tests.services.conftest import Moves
from tests.services.staging import make_services
from vaultcore.access import Role
from vaultcore.model import PrincipalKind
from vaultcore.secret import Secret
from worker.bootstrap import Services, utc_now
from worker.domain.policies import PolicyChange

VALUE = "the-value-of-the-secret"
NAME = "prod-crm-token"
VAULT = "/workflows/vault"


@dataclass
class Desk:
    """A server, and a token of a principal for each role; the one with the role `owner` answers for `team`."""

    services: Services
    moves: Moves
    front: Front
    tokens: dict[Role, str] = field(default_factory=dict, repr=False)

    def ask(self, role: Role | None, method: str, path: str, body: Any = None, **headers: str) -> Answered:
        key = None if role is None else self.tokens[role]
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return self.front.ask(method, path, body, key=key, headers=named)

    def create(self, name: str = NAME, *, owner: str = "team") -> str:
        answered = self.ask(
            Role.ADMIN, "POST", VAULT, {"name": name, "secret": f"{VALUE} of {name}", "owners": [owner]}
        )
        assert answered.status == 201, answered
        return str(answered.body["id"])

    def log(self, action: str) -> list[Any]:
        return [row for row in self.moves.log() if row.action == action]


BOTH = ["sqlite", pytest.param("postgresql", marks=pytest.mark.long)]
"""Databases, for a fixture of a module."""


def name_database(request: pytest.FixtureRequest) -> str:
    """Of a fixture with these parameters: an address; empty: the vault's own file."""
    if request.param == "sqlite":
        return ""
    name = f"desk_{request.module.__name__.rpartition('.')[2]}"
    return show_for_sqlalchemy(create_database(request.getfixturevalue("postgres"), name))


def make_bot(services: Services, role: Role, *, owners: Sequence[str] = ()) -> str:
    """A service with that role, called by it and `-bot`: its token."""
    services.access.principals.create(
        f"{role}-bot", kind=PrincipalKind.SERVICE, roles=[role], owners=owners, actor="test"
    )
    _, first = services.access.principals.issue_token(f"{role}-bot", actor="test")
    assert first is not None
    return first.key.expose()


def add_rotated(desk: Desk, name: str, owner: str = "team", **parts: Any) -> str:
    """An item that Nightkey replaces, and nothing here needs to read: its id. `parts` are of its policy."""
    policy = {"mode": "auto", "rotator": "random", "consumers": "none", "lifetime": "90d", **parts}
    item, _ = desk.services.items.creation.create(
        name,
        read_value=lambda: Secret(f"{VALUE} of {name}"),
        owners=[owner],
        expires_at=None,
        policy=PolicyChange(parts=policy),
        actor="test",
    )
    return item.id


@contextmanager
def open_desk(folder: Path, database_url: str = "") -> Iterator[Desk]:
    services = make_services(folder / "home", database_url, utc_now)
    with services.database.write() as connection:
        for owner in ("team", "others"):
            services.owners.create(connection, owner, actor="test")
    with serve(services, PATIENT) as front:
        made = Desk(services, Moves(services), front)
        for role in Role:
            made.tokens[role] = make_bot(services, role, owners=["team"] if role is Role.OWNER else [])
        yield made
    services.close()
