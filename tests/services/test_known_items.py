"""What a unit of work knows of items is what anybody else would read: after its own writes, and in its next
transaction, whatever others have done between the two.
"""

from collections.abc import Callable
from datetime import timedelta
from typing import NamedTuple

import pytest
from sqlalchemy import Connection

from tests.counting import count_on
from tests.services.conftest import TOKEN, Moves
from vaultcore.errors import ConflictError, NotFoundError, TamperedError
from vaultcore.model import ConsumerKind, Consumers, Item, Mode, NodeReference, Policy, Reference, Version
from vaultcore.secret import Secret
from vaultcore.versions import Purpose
from worker.bootstrap import Services
from worker.domain.findings import Finding, FindingKind
from worker.domain.reasons import Code, Reason
from worker.domain.rotation import Rotation
from worker.rows import consumers as consumer_rows
from worker.rows import findings as finding_rows
from worker.rows.around_rotation import look_around
from worker.rows.comparisons import find as find_comparison
from worker.rows.comparisons import mark as mark_restored
from worker.rows.consumers import consumers_of

REFUSED = FindingKind.REFUSED


class NoHolder:
    """Of a unit that stores nothing of its own."""

    adds = frozenset[str]()
    is_ahead = False

    def begin(self, connection: Connection) -> None:
        """Nothing is locked."""

    def store(self, connection: Connection) -> None:
        """Nothing is stored."""

    def end(self, *, kept: bool) -> None:
        """Nobody hears of it."""


class Read(NamedTuple):
    item: Item
    versions: list[Version]
    users: list[Reference]
    uses: list[Reference]


def read_all(services: Services, item_id: str) -> Read:
    with services.database.read() as connection:
        return Read(
            services.vault.get(connection, item_id),
            services.versions.of_item(connection, item_id),
            services.references.of_item(connection, item_id),
            services.references.of_consumer(connection, item_id),
        )


def reveal(services: Services, item_id: str, number: int) -> str:
    with services.database.write() as connection:
        return services.versions.reveal(
            connection, item_id, number, purpose=Purpose.ROTATION, actor="test"
        ).expose()


def replace_value(services: Services, item_id: str, value: str) -> None:
    """As a rotation does: begun, filled, made current."""
    versions = services.versions
    with services.database.write() as connection:
        old = services.vault.get(connection, item_id).version or 0
        new = versions.begin_pending(connection, item_id, actor="test")
    with services.database.write() as connection:
        ends = services.clock() + timedelta(days=50)
        versions.fill_pending(
            connection, item_id, new, Secret(value), expires_at=ends, external={"id": [1, "é"]}, actor="test"
        )
    with services.database.write() as connection:
        versions.activate(connection, item_id, new=new, old=old, actor="test")


def test_what_it_wrote_itself_is_known_as_others_read_it(services: Services, moves: Moves) -> None:
    item = moves.add(days=30).item
    moves.use("orders", TOKEN)
    with services.database.unit(NoHolder()):
        read_all(services, item.id)
        replace_value(services, item.id, "the-second-value")
        within = read_all(services, item.id)
        assert reveal(services, item.id, 2) == "the-second-value"
        with services.database.apart():
            assert read_all(services, item.id) == within
        replace_value(services, item.id, "the-third-value")
        with services.database.write() as connection:
            services.versions.destroy(connection, item.id, 1, actor="test", reason="retired")
        within = read_all(services, item.id)
        with services.database.apart():
            assert read_all(services, item.id) == within
        assert read_all(services, item.id) == within
    assert [version.stage for version in within.versions] == ["destroyed", "previous", "current"]


def test_what_stands_is_read_once_and_asked_for_by_one_statement_in_each_transaction_after(
    services: Services, moves: Moves
) -> None:
    item, other = moves.add(days=30).item, moves.add("prod-crm-password").item
    with services.database.unit(NoHolder()):
        first = [read_all(services, one.id) for one in (item, other)]
        with services.database.apart():
            pass
        with count_on(services.database.engine) as counted:
            for _ in range(2):
                assert [read_all(services, one.id) for one in (item, other)] == first
        assert len(counted.statements) == 1


def give_value(moves: Moves) -> None:
    moves.update(TOKEN, value="given-by-its-owner")


def change_policy(moves: Moves) -> None:
    moves.update(TOKEN, policy=Policy(lead=timedelta(days=3)))


def rename(moves: Moves) -> None:
    moves.use("invoices")
    moves.update(TOKEN, name="prod-ticketing-other-token")


def label(moves: Moves) -> None:
    moves.update(TOKEN, labels={"tier": "one"})


def disown(moves: Moves) -> None:
    moves.update(TOKEN, owner_ids=())


def rename_owner(moves: Moves) -> None:
    with moves.services.database.write() as connection:
        owners = moves.services.owners
        owners.rename(connection, owners.get(connection, "platform"), "platforms", actor="test")


def use_it(moves: Moves) -> None:
    moves.use("orders", TOKEN)


def lead_nowhere(moves: Moves) -> None:
    moves.use("invoices")


def destroy_old(moves: Moves) -> None:
    moves.destroy(moves.get(TOKEN).id, 1)


@pytest.mark.parametrize(
    "change",
    [give_value, change_policy, rename, label, disown, rename_owner, use_it, lead_nowhere, destroy_old],
    ids=lambda one: one.__name__,
)
def test_what_another_did_between_two_transactions_is_seen(
    services: Services, moves: Moves, change: Callable[[Moves], None]
) -> None:
    with services.database.write() as connection:
        owner = services.owners.create(connection, "platform", actor="test")
    item = moves.add(days=30, owner_ids=(owner.id,)).item
    moves.update(TOKEN, value="the-second-value")
    moves.use("invoices", TOKEN)
    with services.database.unit(NoHolder()):
        before = read_all(services, item.id)
        with services.database.apart():
            change(moves)
        after = read_all(services, item.id)
        with services.database.apart():
            assert read_all(services, item.id) == after
    assert after != before


class Around(NamedTuple):
    """What may hang on a rotation's item."""

    comparison: object
    uses: int
    users: int
    stale_copies: list[str]
    refused: bool
    """Whether there was a finding of it, which is resolved by asking."""
    waivers: int


def read_around(services: Services, rotation: Rotation) -> Around:
    item_id = rotation.item_id
    with services.database.write() as connection:
        look_around(connection, rotation)
        return Around(
            find_comparison(connection, item_id),
            len(services.references.of_consumer(connection, item_id)),
            len(services.references.of_item(connection, item_id)),
            consumer_rows.stale_copies(connection, item_id, 1),
            finding_rows.resolve_about(connection, REFUSED, item_id, [item_id], services.clock()),
            len(consumer_rows.waivers_of(connection, rotation.id)),
        )


def make_comparison(moves: Moves, _: Rotation) -> None:
    with moves.services.database.write() as connection:
        at = moves.services.clock()
        mark_restored(connection, "rst_1", how="test", at=at, made_at=None, seq=1, by="test")


def use_another(moves: Moves, rotation: Rotation) -> None:
    moves.add("prod-admin-password")
    with moves.services.database.write() as connection:
        moves.services.references.record(
            connection, consumer=ConsumerKind.ROTATOR, consumer_id=rotation.item_id, consumer_name=TOKEN,
            active=True, found=[NodeReference(node_id="rotator", name="prod-admin-password", item_id=None)],
            now=moves.services.clock(),
        )  # fmt: skip


def be_used(moves: Moves, _: Rotation) -> None:
    moves.use("orders", TOKEN)


def be_copied(moves: Moves, rotation: Rotation) -> None:
    moves.add("prod-a-copy", "another-value", policy=Policy(copy_of=rotation.item_id))
    moves.use("orders", "prod-a-copy")


def be_refused(moves: Moves, rotation: Rotation) -> None:
    found = Finding(
        kind=REFUSED, subject=rotation.item_id, item_id=rotation.item_id, item=TOKEN, workflow=None, level=1,
        detail=Reason.of(Code.DELETED),
    )  # fmt: skip
    with moves.services.database.write() as connection:
        finding_rows.record(connection, found, moves.services.clock())


def be_answered_for(moves: Moves, rotation: Rotation) -> None:
    with moves.services.database.write() as connection:
        consumer_rows.waive(
            connection, rotation.id, "fl_orders", by="test", why="so", at=moves.services.clock()
        )


COMINGS = [make_comparison, use_another, be_used, be_copied, be_refused, be_answered_for]


@pytest.mark.parametrize("within", [False, True], ids=["by-another", "by-itself"])
@pytest.mark.parametrize("come", COMINGS, ids=lambda one: one.__name__)
def test_what_is_not_there_is_known_by_one_look_until_it_comes(
    services: Services, moves: Moves, come: Callable[[Moves, Rotation], None], within: bool
) -> None:
    policy = Policy(mode=Mode.AUTO, rotator="random", stated=True, consumers=Consumers.NONE)
    moves.add(days=30, policy=policy)
    rotation = services.rotation.opening.request(TOKEN, asked_by="test")
    with services.database.unit(NoHolder()):
        with count_on(services.database.engine) as counted:
            before = read_around(services, rotation)
        assert before == Around(None, 0, 0, [], False, 0)
        assert len(counted.statements) == 1
        if within:
            come(moves, rotation)
        else:
            with services.database.apart():
                come(moves, rotation)
        after = read_around(services, rotation)
    assert after != before
    with services.database.unit(NoHolder()):
        assert read_around(services, rotation) == after._replace(refused=False)


def test_an_item_that_is_gone_is_known_no_more(services: Services, moves: Moves) -> None:
    item = moves.add(days=30).item
    with services.database.unit(NoHolder()):
        read_all(services, item.id)
        with services.database.apart():
            moves.delete(TOKEN)
        with pytest.raises(NotFoundError):
            read_all(services, item.id)


def test_what_was_undone_is_not_known(services: Services, moves: Moves) -> None:
    item = moves.add(days=30).item

    def fail() -> None:
        replace_value(services, item.id, "the-second-value")
        with services.database.write():
            raise ConflictError("told by the test")

    with services.database.unit(NoHolder()):
        before = read_all(services, item.id)
        with pytest.raises(ConflictError):
            fail()
        assert read_all(services, item.id) == before


@pytest.mark.parametrize(
    "edit",
    [
        "UPDATE versions SET expires_at = NULL WHERE number = 1",
        "UPDATE versions SET mac = NULL WHERE number = 1",
        "UPDATE items SET name = 'prod-another-token'",
        "UPDATE items SET overlap_seconds = 1",
    ],
)
def test_what_was_edited_behind_its_back_is_not_made_honest(
    services: Services, moves: Moves, edit: str
) -> None:
    item = moves.add(days=30).item
    with services.database.unit(NoHolder()):
        read_all(services, item.id)
        with services.database.apart():
            moves.sql(edit)
        with pytest.raises((TamperedError, ConflictError)):
            replace_value(services, item.id, "the-second-value")
    with pytest.raises(TamperedError):
        read_all(services, item.id)


@pytest.mark.parametrize("table", ["owners", "item_owners", "item_labels"])
def test_a_digest_that_is_none_keeps_nothing_from_one_transaction_to_the_next(
    services: Services, moves: Moves, table: str
) -> None:
    """Labels decide nothing, nor does the row of an owner: what is wrong with those ends no rotation."""
    with services.database.write() as connection:
        owner = services.owners.create(connection, "platform", actor="test")
    item = moves.add(days=30, owner_ids=(owner.id,)).item
    moves.update(TOKEN, labels={"tier": "one"})
    moves.sql(f"UPDATE {table} SET mac = 'x'")
    with services.database.unit(NoHolder()):
        for _ in range(2):
            if table == "item_owners":
                with pytest.raises(TamperedError):
                    read_all(services, item.id)
            else:
                assert read_all(services, item.id).item.owners == ("platform",)
            with services.database.apart():
                pass


def test_consumers_are_judged_by_the_references_that_were_checked(services: Services, moves: Moves) -> None:
    item = moves.add(days=30).item
    moves.use("orders", TOKEN)
    with services.database.unit(NoHolder()):
        with services.database.read() as connection:
            before = consumers_of(connection, item.id)
        with services.database.apart():
            moves.sql("UPDATE item_references SET active = :off", off=False)
        with services.database.read() as connection:
            assert consumers_of(connection, item.id) == before
    with services.database.read() as connection, pytest.raises(TamperedError):
        consumers_of(connection, item.id)
