"""The vault's moves, one transaction each, for tests that look at what each of them leaves behind."""

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from threading import Barrier
from typing import Any, ClassVar, TypeVar

import pytest
from sqlalchemy import Row, select, text

from nightkey_demo.http_sink import HttpSink
from tests.conftest import Clock
from tests.organisation import Organisation
from tests.services.staging import Staged, add_route, make_services, stage, start_organisation
from vaultcore.audit import Anchor
from vaultcore.audit_verification import Verification
from vaultcore.ids import new_id
from vaultcore.model import ConsumerKind, Item, NodeReference, Policy
from vaultcore.schema import SCHEMA_REVISION, find_revision
from vaultcore.secret import Secret
from vaultcore.tables import audit, deployment
from vaultcore.vault import Created
from vaultcore.versions import Purpose
from worker.bootstrap import Services
from worker.domain.reasons import Code, Reason
from worker.domain.rotation import Rotation
from worker.domain.saga import State
from worker.rows import rotation_changes as change_rows
from worker.services.rotation.pickups import Collected

TOKEN = "prod-ticketing-api-token"
T = TypeVar("T")


@pytest.fixture
def staged(services: Services) -> Iterator[Staged]:
    """An organisation whose token service does what the test scripts, on each database."""
    with start_organisation(services) as made:
        yield made


@pytest.fixture
def on_file(tmp_path: Path, clock: Clock) -> Iterator[Staged]:
    """The same on SQLite alone, for what is decided without a look at the database."""
    with stage(tmp_path, "", clock) as made:
        yield made


@pytest.fixture
def with_operators(tmp_path: Path, database_url: str, clock: Clock) -> Iterator[Organisation]:
    """What the operators are told leaves, too."""
    with stage(tmp_path / "home", database_url, clock) as (made, _):
        add_route(made, "operators")
        yield made


@pytest.fixture
def organisation(staged: Staged) -> Organisation:
    return staged[0]


@pytest.fixture(autouse=True)
def every_row_is_signed_by_whoever_wrote_it(request: pytest.FixtureRequest) -> Iterator[None]:
    """After each test on an empty vault's services, so that no writer is forgotten. What a test changed by SQL
    as text, or by another connection, is its own business.
    """
    if "services" not in request.fixturenames:
        yield
        return
    services = request.getfixturevalue("services")
    yield
    if id(services) in Moves.edited or "test_tampered" in request.node.nodeid:
        return
    if find_revision(services.database) != SCHEMA_REVISION:  # there is no vault any more, or one from before
        return
    with services.database.read() as connection:
        if connection.execute(select(deployment.c.id)).first() is None:
            return
    wrong = services.upkeep.row_verification.check_all().wrong
    assert [one.detail for one in wrong if "accept-row" in str(one.command)] == []


@dataclass
class Moves:
    """`days` are from now until the expiry; values are plain text, since they are made up."""

    services: Services
    edited: ClassVar[set[int]] = set()
    """The services (by `id`) on whose database a test has written behind the vault's back."""

    def add(
        self,
        name: str = TOKEN,
        value: str | None = "the-first-value",
        *,
        days: float | None = None,
        owner_ids: Sequence[str] = (),
        policy: Policy | None = None,
    ) -> Created:
        with self.services.database.write() as connection:
            return self.services.vault.create(
                connection,
                name=name,
                value=None if value is None else Secret(value),
                owner_ids=owner_ids,
                expires_at=self._after(days),
                policy=policy or Policy(),
                actor="test",
            )

    def get(self, name_or_id: str) -> Item:
        with self.services.database.read() as connection:
            return self.services.vault.get(connection, name_or_id)

    def update(self, name_or_id: str, *, value: str | None = None, **changes: Any) -> Item:
        secret = None if value is None else Secret(value)
        with self.services.database.write() as connection:
            return self.services.vault.update(connection, name_or_id, value=secret, actor="test", **changes)

    def delete(self, name_or_id: str) -> Item:
        with self.services.database.write() as connection:
            return self.services.vault.delete(connection, name_or_id, actor="test")

    def use(self, workflow: str, *written: str, node: str = "call", active: bool = True) -> str:
        """The workflow's one node names these items, by name or id, and no others. Its id."""
        consumer_id = f"fl_{workflow}"
        with self.services.database.write() as connection:
            self.services.references.record(
                connection,
                consumer=ConsumerKind.WORKFLOW,
                consumer_id=consumer_id,
                consumer_name=workflow,
                active=active,
                found=[
                    NodeReference(
                        node_id=node,
                        name=None if name.startswith("vlt_") else name,
                        item_id=name if name.startswith("vlt_") else None,
                    )
                    for name in written
                ],
                now=self.services.clock(),
            )
        return consumer_id

    def insert_due(self, next_at: datetime, target: str | None, *, emergency: bool = False) -> str:
        """A rotation by hand of an item that is none, due then; its id."""
        now = self.services.clock()
        rotation = Rotation(
            id=new_id("rot", now),
            item_id=new_id("vlt", now),
            item=TOKEN,
            rotator="http",
            target=target,
            state=State.PLANNED,
            reason=Reason.of(Code.BY_HAND),
            asked_by="test",
            emergency=emergency,
            old_number=1,
            next_at=next_at,
            created_at=now,
        )
        with self.services.database.write() as connection:
            change_rows.insert_rotation(connection, rotation)
        return rotation.id

    def begin(self, item_id: str) -> int:
        with self.services.database.write() as connection:
            return self.services.versions.begin_pending(connection, item_id, actor="test")

    def fill(self, item_id: str, number: int, value: str, *, days: float | None = None) -> None:
        with self.services.database.write() as connection:
            self.services.versions.fill_pending(
                connection,
                item_id,
                number,
                Secret(value),
                expires_at=self._after(days),
                external={"id": f"outside-{number}"},
                actor="test",
            )

    def stage(self, item_id: str, value: str, *, days: float | None = None) -> int:
        """A pending version with that value: its number."""
        number = self.begin(item_id)
        self.fill(item_id, number, value, days=days)
        return number

    def activate(self, item_id: str, *, new: int, old: int) -> None:
        with self.services.database.write() as connection:
            self.services.versions.activate(connection, item_id, new=new, old=old, actor="test")

    def reactivate(self, item_id: str, *, good: int, bad: int) -> None:
        with self.services.database.write() as connection:
            self.services.versions.reactivate(connection, item_id, good=good, bad=bad, actor="test")

    def destroy(self, item_id: str, number: int) -> None:
        with self.services.database.write() as connection:
            self.services.versions.destroy(connection, item_id, number, actor="test", reason="a test")

    def reveal(self, item_id: str, number: int, purpose: Purpose = Purpose.RUN) -> str:
        with self.services.database.write() as connection:
            return self.services.versions.reveal(
                connection, item_id, number, purpose=purpose, actor="test"
            ).expose()

    def check_key(self, key: str) -> tuple[str, int] | None:
        with self.services.database.read() as connection:
            return self.services.presented_keys.check_key(connection, Secret(key))

    def present(self, key: str) -> tuple[str, int] | None:
        """As a caller does."""
        return self.services.runs.caller_keys.check(Secret(key))

    def collect(self, token: str, *, actor: str = "partner") -> Collected:
        """Somebody collects a key, and sees it."""
        return self.services.rotation.pickups.collect(token, actor=actor, show=lambda _: None)

    def stages(self, item_id: str) -> list[str]:
        with self.services.database.read() as connection:
            return [version.stage.value for version in self.services.versions.of_item(connection, item_id)]

    def sql(self, statement: Any, **values: Any) -> Sequence[Row[*tuple[Any, ...]]]:
        """A statement behind the vault's back, text or SQLAlchemy's: committed. Its rows, if it has any."""
        if isinstance(statement, str):
            Moves.edited.add(id(self.services))
        prepared = text(statement) if isinstance(statement, str) else statement
        with self.services.database.write() as connection:
            result = connection.execute(prepared, values)
            return result.all() if result.returns_rows else []

    def log(self) -> list[Row[*tuple[Any, ...]]]:
        with self.services.database.read() as connection:
            return list(connection.execute(select(audit).order_by(audit.c.seq)))

    def verify(self, *anchors: Anchor) -> Verification:
        with self.services.database.read() as connection:
            return self.services.audit.verify(connection, anchors)

    def _after(self, days: float | None) -> Any:
        return None if days is None else self.services.clock() + timedelta(days=days)


@pytest.fixture
def moves(services: Services) -> Moves:
    return Moves(services)


@pytest.fixture
def sink() -> Iterator[HttpSink]:
    with HttpSink() as started:
        yield started


@pytest.fixture
def here(tmp_path: Path, clock: Clock) -> Iterator[Services]:
    """On a vault's own database, which is a file."""
    made = make_services(tmp_path / "home", "", clock)
    yield made
    made.close()


def race(count: int, call: Callable[[int], T]) -> list[T | Exception]:
    """What each of `count` threads got of `call(its number)`, let go at the same moment; or what it raised."""
    barrier = Barrier(count)

    def run(number: int) -> T | Exception:
        barrier.wait(timeout=120)
        try:
            return call(number)
        except Exception as error:  # noqa: BLE001  # the test looks at each
            return error

    with ThreadPoolExecutor(count) as pool:
        return list(pool.map(run, range(count)))
