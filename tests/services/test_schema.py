"""The schema: what the migrations make is what the tables say, and nothing else is ever opened."""

import json
import os
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Column, Connection, column, insert, inspect, select, table, text, update

from tests.every_item import every_item
from tests.services.conftest import TOKEN, Moves
from vaultcore.audit import AuditLog, start_chain
from vaultcore.crypto.keyring import Keyring
from vaultcore.database import Database
from vaultcore.errors import ConfigurationError, RefusedError, TroubleError
from vaultcore.external_ids import pick_in_use
from vaultcore.model import Mode, Policy
from vaultcore.row_macs import LABEL, RowMacs
from vaultcore.rows import policy_to_json
from vaultcore.schema import MIGRATIONS, SCHEMA_REVISION, find_revision, migrate
from vaultcore.secret import Secret
from vaultcore.tables import deployment, item_accounts, items, metadata, owners, references, versions
from worker.bootstrap import Services
from worker.config import load_settings
from worker.domain.reasons import read_reason
from worker.installation import initialise
from worker.locks import share_vault
from worker.rotators.catalog import find_accounts
from worker.rows.rotation_steps import steps_of
from worker.rows.tables import deliveries, findings, pickups, workflows
from worker.rows.tables.indexes import INDEXES
from worker.services.runs.definitions import Definitions
from worker.wording.reasons import say, say_all
from worker.workflows.workflow import Workflow

EDITED = "none where one was changed behind the vault's back"
BY_EXPRESSION = {
    index.name for index in INDEXES if not all(isinstance(each, Column) for each in index.expressions)
}
"""Indexes that Alembic does not compare: it has no words of the database's own. `_describe` does."""
pytestmark = pytest.mark.filterwarnings("ignore:.*expression-based index")
"""On SQLite the inspectors pass them by, and say so."""


def test_the_revision_of_this_release_is_the_one_head_of_the_migrations() -> None:
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    assert ScriptDirectory.from_config(config).get_heads() == [SCHEMA_REVISION]


def test_the_migrations_make_what_the_tables_say(services: Services) -> None:
    with services.database.read() as connection:
        opts = {"compare_type": True, "include_object": lambda _, name, *__: name not in BY_EXPRESSION}
        context = MigrationContext.configure(connection, opts=opts)
        assert compare_metadata(context, metadata) == []
        assert set(inspect(connection).get_table_names()) == {*metadata.tables, "alembic_version"}
        made = {name for table in metadata.tables for name in _read_indexes(connection, table)}
        assert {index.name for index in INDEXES} <= made
    assert find_revision(services.database) == SCHEMA_REVISION


def test_the_migrations_make_every_constraint_and_partial_index_of_the_tables(services: Services) -> None:
    with services.database.write() as connection:
        migrated = _describe(connection)
        metadata.drop_all(connection)
        metadata.create_all(connection)
        assert _describe(connection) == migrated
    assert "uq_versions_one_pending" in str(migrated["versions"])
    assert "ck_versions_destroyed_is_empty" in str(migrated["versions"])


def begin_at(revision: str, folder: Path, database_url: str, clock: Any) -> Database:
    """A vault's database, empty and with the schema of that revision."""
    settings = load_settings(folder / "home", database_url=database_url)
    initialise(settings, clock)
    database = Database(settings.database)
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    with database.write() as connection:
        metadata.drop_all(connection)
        connection.execute(text("DROP TABLE alembic_version"))
        config.attributes["connection"] = connection
        command.upgrade(config, revision)
    return database


def test_what_was_sent_comes_along_when_deliveries_name_who_got_them(
    tmp_path: Path, database_url: str, clock: Any
) -> None:
    database = begin_at("0004", tmp_path, database_url, clock)
    rows = [
        ("owners", {"id": "own_a", "name": "ann", "created_at": clock()}),
        ("notices", {"id": "ntc_1", "dedupe_key": "digest:1", "owner_id": "own_a", "owner": "ann",
                     "kind": "digest", "subject": "s", "body": "b", "created_at": clock()}),
        ("deliveries", {"notice_id": "ntc_1", "route_id": "r", "shown": "-", "state": "sent", "attempts": 2}),
    ]  # fmt: skip
    with database.write() as connection:
        for table, row in rows:
            values = ", ".join(f":{name}" for name in row)
            connection.execute(text(f"INSERT INTO {table} ({', '.join(row)}) VALUES ({values})"), row)
    migrate(database)
    with database.read() as connection:
        (left,) = connection.execute(select(deliveries)).all()  # nobody knows to whom: it is not sent again
        assert (left.notice_id, left.recipient, left.state, left.attempts) == ("ntc_1", "", "sent", 2)
        assert (left.parts_taken, left.draft) == (0, None)
    database.dispose()


def test_what_lists_sort_and_filter_by_is_filled_in_for_items_of_before(
    tmp_path: Path, database_url: str, clock: Any
) -> None:
    database = begin_at("0024", tmp_path, database_url, clock)
    stored = policy_to_json(Policy(mode=Mode.AUTO, rotator="http"))
    common = {"kind": "secret", "overlap_seconds": 1, "idle_seconds": 1, "hygiene": "", "created_at": clock(),
              "updated_at": clock()}  # fmt: skip
    rows = [
        *(
            ("owners", {"id": f"own_{n:02d}", "name": f"team-{n:02d}", "created_at": clock()})
            for n in range(21)
        ),
        ("items", {"id": "vlt_a", "name": "Prod-É", "policy": json.dumps(stored), **common}),
        ("items", {"id": "vlt_b", "name": "many", "policy": '{"mode": "odd"}', **common}),
        ("items", {"id": "vlt_c", "name": "nobodys", "policy": "[]", **common}),
        *(("item_owners", {"item_id": "vlt_a", "owner_id": owner}) for owner in ("own_03", "own_01")),
        *(("item_owners", {"item_id": "vlt_b", "owner_id": f"own_{n:02d}"}) for n in range(21)),
    ]
    with database.write() as connection:
        for table, row in rows:
            values = ", ".join(f":{name}" for name in row)
            connection.execute(text(f"INSERT INTO {table} ({', '.join(row)}) VALUES ({values})"), row)
    migrate(database)
    with database.read() as connection:
        columns = (items.c.sought, items.c.mode, items.c.rotator, items.c.first_owner, items.c.owned_by)
        found = [tuple(row) for row in connection.execute(select(*columns).order_by(items.c.id))]
    assert found == [
        ("prod-é", "auto", "http", "team-01", "own_01 own_03"),
        ("many", None, None, "team-00", None),  # too many owners for an index
        ("nobodys", None, None, None, ""),
    ]
    database.dispose()


@pytest.mark.parametrize(
    ("revision", "todo"),
    [
        ("0001", "no release ever had it, so make a new vault in another home"),
        ("0003", "no release ever had it, so make a new vault in another home"),
        ("9999", "use the release that made it, or a newer one"),
    ],
)
def test_a_schema_that_this_release_does_not_know_is_told_and_left_alone(
    services: Services, clock: Any, revision: str, todo: str
) -> None:
    with services.database.write() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = :at"), {"at": revision})
        before = _describe(connection)
    services.close()
    with pytest.raises(ConfigurationError, match=f"is at schema {revision}, and this release .*: {todo}"):
        initialise(services.settings, clock)
    database = Database(services.settings.database)
    with database.read() as connection:
        assert _describe(connection) == before
    assert find_revision(database) == revision
    database.dispose()


def test_what_was_collected_and_what_waits_come_along_when_pickups_may_be_repeated(
    tmp_path: Path, database_url: str, clock: Any
) -> None:
    database = begin_at("0004", tmp_path, database_url, clock)
    pickup = {"item_id": "vlt_a", "rotation_id": "rot_a", "created_at": clock(), "number": 2}
    with database.write() as connection:
        connection.execute(
            text(
                "INSERT INTO claims (id, item_id, rotation_id, created_at, number, claimed_at) "
                "VALUES (:id, :item_id, :rotation_id, :created_at, :number, :arrived_at)"
            ),
            [pickup | {"id": "clm_1", "arrived_at": clock()}, pickup | {"id": "clm_2", "arrived_at": None}],
        )
    migrate(database)
    with database.read() as connection:
        there = connection.execute(select(pickups).order_by(pickups.c.id)).all()
        assert [(row.id, row.taken_by, row.taken_at, row.arrived_at, row.ended_at) for row in there] == [
            ("clm_1", None, clock(), clock(), clock()),
            ("clm_2", None, None, None, None),
        ]
    database.dispose()


def test_a_vault_that_is_made_again_is_left_as_it_is(moves: Moves, clock: Any) -> None:
    item = moves.add().item
    before = (moves.services.deployment_id, len(moves.log()))
    assert initialise(moves.services.settings, clock) == []
    again = Services(moves.services.settings, clock)
    assert (again.deployment_id, len(moves.log())) == before
    assert Moves(again).reveal(item.id, 1) == "the-first-value"
    again.close()


def test_a_database_without_a_vault_is_refused_with_what_to_do(database_url: str, tmp_path: Path) -> None:
    services = Services(load_settings(tmp_path / "home", database_url=database_url))
    with pytest.raises(ConfigurationError, match="holds no vault yet: run `nightkey init`"):
        _ = services.database
    database = Database(database_url)
    assert find_revision(database) is None
    database.dispose()


def test_a_database_of_another_release_is_refused_before_anything_is_read(services: Services) -> None:
    with services.database.write() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    fresh = Services(services.settings)
    with pytest.raises(ConfigurationError, match=f"at schema 9999, this release needs {SCHEMA_REVISION}"):
        _ = fresh.vault


def test_a_vault_whose_keyring_is_gone_is_not_given_a_new_one(moves: Moves, clock: Any) -> None:
    moves.add()
    keyring = moves.services.settings.keyring_path
    kept = keyring.rename(keyring.with_name("kept.json"))
    with pytest.raises(ConfigurationError, match="put it back from its backup"):
        initialise(moves.services.settings, clock)
    assert not keyring.exists()
    kept.rename(keyring)
    assert initialise(moves.services.settings, clock) == []


def test_an_unreachable_database_is_said_without_its_password(tmp_path: Path) -> None:
    for url in (
        f"sqlite:///{tmp_path}/nowhere/test.db",
        f"postgresql+psycopg://somebody:a-password@/nightkey?host={tmp_path}",
    ):
        database = Database(url)
        with pytest.raises(TroubleError, match="cannot be reached") as caught:
            find_revision(database)
        assert "a-password" not in str(caught.value)
        assert len(str(caught.value).splitlines()) == 1
        database.dispose()
    for url in ("mysql://somebody:a-password@host/name", "no address, a-password"):
        with pytest.raises(ConfigurationError, match="not one of ours") as refused:
            Database(url)
        assert "a-password" not in str(refused.value)


def test_a_transaction_that_raises_keeps_nothing_and_a_read_keeps_nothing(moves: Moves) -> None:
    services = moves.services

    def create_twice(transaction: Any) -> None:
        with transaction as connection:
            _create(moves, connection)
            _create(moves, connection)

    for transaction in (services.database.write(), services.database.read()):
        with pytest.raises(RefusedError, match="exists already"):
            create_twice(transaction)
    with services.database.read() as connection:
        _create(moves, connection)
        assert [item.name for item in every_item(services.vault, connection)] == [TOKEN]
    with services.database.read() as connection:
        assert every_item(services.vault, connection) == []
    assert moves.verify().whole


def test_a_read_sees_one_state_while_others_write(moves: Moves) -> None:
    moves.add()
    with moves.services.database.read() as connection:
        before = moves.services.vault.get(connection, TOKEN)
        moves.update(TOKEN, value="the-second-value")
        assert moves.services.vault.get(connection, TOKEN) == before
    assert moves.get(TOKEN).version == 2


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_sqlite_is_opened_as_the_design_says(services: Services) -> None:
    with services.database.read() as connection:
        found = {
            name: connection.exec_driver_sql(f"PRAGMA {name}").scalar()
            for name in ("journal_mode", "synchronous", "foreign_keys", "secure_delete")
        }
    assert found == {"journal_mode": "wal", "synchronous": 2, "foreign_keys": 1, "secure_delete": 1}


def _create(moves: Moves, connection: Connection) -> None:
    moves.services.vault.create(
        connection,
        name=TOKEN,
        value=Secret("a-value"),
        owner_ids=(),
        policy=Policy(),
        actor="test",
    )


def _read_indexes(connection: Connection, table: str) -> dict[str, str]:
    """Those of the table by name, as the database itself has them: with expressions and conditions."""
    asked = (
        "SELECT name, sql FROM sqlite_master WHERE type = 'index' AND tbl_name = :table AND sql IS NOT NULL"
        if connection.dialect.name == "sqlite"
        else "SELECT indexname, indexdef FROM pg_indexes WHERE tablename = :table"
    )
    return {row[0]: row[1] for row in connection.execute(text(asked), {"table": table})}


def _describe(connection: Connection) -> dict[str, list[list[str]]]:
    """Each table's columns, keys, checks and indexes as the database itself tells them."""
    found = inspect(connection)
    ask = (
        found.get_columns,
        found.get_foreign_keys,
        found.get_unique_constraints,
        found.get_check_constraints,
    )
    return {
        table: [sorted(_write_out(part) for part in get(table)) for get in ask]
        + [[_write_out(found.get_pk_constraint(table))], sorted(_read_indexes(connection, table).values())]
        for table in metadata.tables
    }


def _write_out(part: Any) -> str:
    """A description as text: types and conditions are objects that tell only so what they are."""
    return json.dumps(part, sort_keys=True, default=str)


def test_definitions_become_documents_that_hold_what_they_held(
    tmp_path: Path, database_url: str, clock: Any
) -> None:
    """Half a character, which an earlier release took into a description, included."""
    database = begin_at("0012", tmp_path, database_url, clock)
    nodes = [{"id": "start", "type": "trigger", "data": {"componentId": "manual_trigger"}}]
    kept = [
        {"name": f"w{number}", "description": description, "nodes": nodes, "edges": [], "critical": number == 2}
        for number, description in enumerate(("Zoë", "\ud800", "line\nbreak"))
    ]
    row = {"active": True, "schedule_type": "manual", "created_at": clock(), "updated_at": clock()}
    with database.write() as connection:
        connection.execute(
            text(
                "INSERT INTO workflows (id, name, definition, active, schedule_type, created_at, updated_at) "
                "VALUES (:id, :name, :definition, :active, :schedule_type, :created_at, :updated_at)"
            ),
            [
                row | {"id": f"fl_{number}", "name": one["name"], "definition": json.dumps(one)}
                for number, one in enumerate(kept)
            ],
        )
        connection.execute(
            text(
                "INSERT INTO item_references (consumer, consumer_id, consumer_name, active, node_id, written) "
                "VALUES ('workflow', 'fl_0', 'w0', :yes, 'start', 'prod-x')"
            ),
            {"yes": True},
        )
    migrate(database)
    with database.read() as connection:
        found = [one for one in Definitions().walk(connection) if isinstance(one, Workflow)]
        assert len(found) == 3
        assert [json.loads(one.text) for one in found] == kept
        assert [(one.runs_here, one.stays_away, one.given_id) for one in found] == [(True, False, None)] * 3
        criticals = connection.execute(select(workflows.c.critical).order_by(workflows.c.name)).scalars().all()
        assert criticals == [False, False, True]
        (reference,) = connection.execute(select(references.c.mentioned, references.c.elsewhere)).all()
        assert tuple(reference) == (False, False)
    database.dispose()


def test_what_items_change_on_the_other_side_is_named_when_names_come(
    tmp_path: Path, database_url: str, clock: Any
) -> None:
    """As `find_accounts` names it for a policy that is stored from then on."""
    database = begin_at("0014", tmp_path, database_url, clock)
    login = {
        "host": "Files.example.org",
        "username": "robot",
        "host_key": "SHA256:" + "A" * 43,
        "command": "passwd",
    }
    policies = {
        "vlt_role": Policy(
            mode=Mode.AUTO, rotator="postgres-role", settings={"host": "DB.example.org", "roles": ["orders"]}
        ),
        "vlt_pooled": Policy(
            mode=Mode.AUTO,
            rotator="postgres-role",
            settings={"host": "pooler", "roles": ["a b"]},
            target="db.example.org:5433",
        ),
        "vlt_user": Policy(mode=Mode.AUTO, rotator="ssh-password", settings=login),
        "vlt_other": Policy(mode=Mode.AUTO, rotator="random"),
    }
    stored = {item_id: json.dumps(policy_to_json(policy)) for item_id, policy in policies.items()}
    with database.write() as connection:
        for item_id, policy in [
            *stored.items(),
            ("vlt_damaged", '{"rotator": "postgres-role", "settings": 1}'),
        ]:
            row = {"id": item_id, "name": item_id, "kind": "secret", "policy": policy, "overlap_seconds": 1,
                   "idle_seconds": 1, "hygiene": "", "created_at": clock(), "updated_at": clock()}  # fmt: skip
            values = ", ".join(f":{name}" for name in row)
            connection.execute(text(f"INSERT INTO items ({', '.join(row)}) VALUES ({values})"), row)
    migrate(database)
    with database.read() as connection:
        named = connection.execute(select(item_accounts.c.item_id, item_accounts.c.name)).all()
    assert {tuple(row) for row in named} == {
        (item_id, name) for item_id, policy in policies.items() for name in find_accounts(policy)
    }
    assert len(named) == 3
    assert ("vlt_pooled", "pooler:5432 role a b") in {tuple(row) for row in named}
    database.dispose()


def test_what_was_said_of_steps_comes_along_when_they_hold_reasons(
    tmp_path: Path, database_url: str, clock: Any
) -> None:
    database = begin_at("0029", tmp_path, database_url, clock)
    words = ["version 2 is pending", 'passed: "sync"\\, \u00e9', ""]
    rotation = {
        "id": "rot_1", "item_id": "vlt_1", "item": "prod-a", "rotator": "random", "state": "done",
        "reason": '{"code": "by-hand"}', "asked_by": "user:ann", "old_number": 1, "attempts": 0,
        "waits_for": "[]", "fence": 0, "created_at": clock(),
    }  # fmt: skip
    steps = [
        {"rotation_id": "rot_1", "number": number, "step": "create", "result": "done", "message": one,
         "at": clock()}
        for number, one in enumerate(words, 1)
    ]  # fmt: skip
    with database.write() as connection:
        for table, row in [("rotations", rotation), *(("rotation_steps", step) for step in steps)]:
            values = ", ".join(f":{name}" for name in row)
            connection.execute(text(f"INSERT INTO {table} ({', '.join(row)}) VALUES ({values})"), row)
    migrate(database)
    with database.read() as connection:
        assert [say_all(one.said) for one in steps_of(connection, "rot_1")] == words
    database.dispose()


def test_findings_of_one_account_say_so_and_what_is_no_code_is_left(
    tmp_path: Path, database_url: str, clock: Any
) -> None:
    database = begin_at("0024", tmp_path, database_url, clock)
    details = [
        '{"code": "same-principal", "items": ["prod-a"], "principal": "db role x"}',
        '{"code": "same-value", "items": ["principal"]}',
        '["same-principal"]',
    ]
    row = {"kind": "shared", "level": 1, "topic": "t", "opened_at": clock(), "seen_at": clock()}
    values = ", ".join(f":{name}" for name in row)
    with database.write() as connection:
        for number, detail in enumerate(details):
            connection.execute(
                text(
                    f"INSERT INTO findings (id, subject, detail, {', '.join(row)}) "
                    f"VALUES (:id, :id, :detail, {values})"
                ),
                row | {"id": f"fnd_{number}", "detail": detail},
            )
    migrate(database)
    with database.read() as connection:
        shared, *others = connection.execute(select(findings.c.detail).order_by(findings.c.id)).scalars()
    assert say(read_reason(shared)).startswith("it changes db role x, as does prod-a: when one of them")
    assert others == [json.loads(detail) for detail in details[1:]]
    database.dispose()


def test_versions_of_before_are_found_by_their_ids_whatever_stands_beside_these(
    tmp_path: Path, database_url: str, clock: Any
) -> None:
    database = begin_at("0039", tmp_path, database_url, clock)
    item = {"id": "vlt_a", "name": TOKEN, "kind": "secret", "policy": "{}", "overlap_seconds": 1,
            "idle_seconds": 1, "hygiene": "", "created_at": clock(), "updated_at": clock()}  # fmt: skip
    told = ['{"id": "a\\u0000b"}', '{"id": 7, "more": "\\ud800"}', '{"id": "\\u00e9"}', "{}", '["id"]']
    if database.is_sqlite:
        told += ["", '{"id": "torn']
    with database.write() as connection:
        connection.execute(insert(items).values(item))
        for number, external in enumerate(told):
            connection.execute(
                text(
                    "INSERT INTO versions (item_id, number, stage, created_at, external) "
                    "VALUES ('vlt_a', :number, 'previous', :now, :external)"
                ),
                {"number": number, "now": clock(), "external": external},
            )
    migrate(database)
    with database.read() as connection:
        found = pick_in_use(connection, ["a\0b", "7", "é", "torn"], beside=None)
    assert found == {"a\0b", "7", "é"}
    database.dispose()


def test_rows_of_before_get_their_digests_once_when_init_brings_the_schema(
    tmp_path: Path, database_url: str, clock: Any
) -> None:
    """From the schema in which no row had one."""
    database = begin_at("0017", tmp_path, database_url, clock)
    settings = load_settings(tmp_path / "home", database_url=database_url)
    keyring = Keyring.load(settings.keyring_path)
    item_id = "vlt_01k0000000000000000000000a"
    row = {"id": item_id, "name": TOKEN, "kind": "secret", "policy": policy_to_json(Policy()),
           "overlap_seconds": 1, "idle_seconds": 1, "hygiene": "no-plan", "created_at": clock(),
           "updated_at": clock()}  # fmt: skip
    version = {"item_id": item_id, "number": 1, "stage": "current", "created_at": clock(), "external": {}}
    with database.write() as connection:
        check = keyring.fingerprint(b"dep_a")
        connection.execute(insert(deployment).values(id="dep_a", keyring_check=check, created_at=clock()))
        start_chain(connection)
        connection.execute(insert(items).values(row))
        connection.execute(insert(versions).values(version))
        connection.execute(insert(owners).values(id="own_a", name="operators", created_at=clock()))
    database.dispose()
    at_work = share_vault(settings.home)
    assert at_work is not None
    with pytest.raises(RefusedError, match="something works on the vault"):  # and would write rows without
        initialise(settings, clock)
    os.close(at_work)
    made = initialise(settings, clock)
    assert made == [
        "database schema, brought up to this release",
        "keyed digests of 3 rows that decide (nightkey audit verify --rows)",
    ]
    services = Services(settings, clock)
    services.check()
    checked = services.upkeep.row_verification.check_all()
    assert (checked.rows, checked.wrong) == (4, ())
    (signed,) = Moves(services).log()
    assert (signed.action, signed.details["items"], signed.details["workflows"]) == ("vault.sign-rows", 1, 0)
    assert Moves(services).get(TOKEN).version == 1
    Moves(services).update(TOKEN, expires_at=clock() + timedelta(days=9))
    assert services.upkeep.row_verification.check_all().wrong == ()
    services.close()
    assert initialise(settings, clock) == []


def test_rows_of_a_release_that_signed_fewer_tables_get_theirs_once_and_what_was_edited_stays_so(
    tmp_path: Path, database_url: str, clock: Any
) -> None:
    """From the schema in which pickups had no digest, and a version's uses were no part of its own."""
    database = begin_at("0019", tmp_path, database_url, clock)
    settings = load_settings(tmp_path / "home", database_url=database_url)
    keyring = Keyring.load(settings.keyring_path)
    macs, log = RowMacs(keyring.derive(LABEL)), AuditLog(keyring.audit_key, keyring.signing_key)
    item_id, check, now = "vlt_01k0000000000000000000000a", keyring.fingerprint(b"dep_a"), clock()
    row = {"id": item_id, "name": TOKEN, "kind": "secret", "policy": policy_to_json(Policy()),
           "overlap_seconds": 1, "idle_seconds": 1, "hygiene": "no-plan", "created_at": now,
           "updated_at": now}  # fmt: skip
    version = {"item_id": item_id, "number": 1, "stage": "previous", "created_at": now, "external": {}}
    own = {"id": "dep_a", "keyring_check": check, "created_at": now}
    operators = {"id": "own_a", "name": "operators", "zone": "UTC", "created_at": now}
    pickup = {"id": "clm_a", "item_id": item_id, "number": 1, "created_at": now}
    with database.write() as connection:
        for kept, values in ((deployment, own), (items, row), (versions, version), (owners, operators)):
            connection.execute(insert(kept).values(values | {"mac": macs.make(kept, values)}))
        used = version | {"number": 2, "stage": "current"}
        mac = macs.make(versions, used)
        connection.execute(insert(versions).values(used | {"used_at": now, "last_used_at": now, "mac": mac}))
        connection.execute(update(versions).where(versions.c.number == 1).values(expires_at=now))  # since then
        claims = table("claims", *(column(name, pickups.c[name].type) for name in pickup))  # its name before
        connection.execute(insert(claims).values(pickup))
        start_chain(connection)
        old = {"deployment": 1, "items": 1, "owners": 1, "versions": 2}
        log.append(connection, at=now, actor="init", action="vault.sign-rows", subject="dep_a", **old)
    database.dispose()
    made = initialise(settings, clock)
    assert made == [
        "database schema, brought up to this release",
        f"keyed digests of 2 rows that decide (nightkey audit verify --rows); {EDITED}: 1",
    ]
    services = Services(settings, clock)
    services.check()
    (wrong,) = services.upkeep.row_verification.check_all().wrong
    assert wrong.subject == f"versions {item_id} 1", "it was edited before, and is not signed"
    assert [one.action for one in Moves(services).log()] == ["vault.sign-rows"] * 2
    services.close()
    assert initialise(settings, clock) == []
    database = Database(settings.database)
    with database.write() as connection:  # its own row, put back as it was before
        connection.execute(update(deployment).values(signed=None, mac=macs.make(deployment, own)))
        connection.execute(update(pickups).values(number=2, mac=None))
    database.dispose()
    again = Services(settings, clock)
    with pytest.raises(ConfigurationError, match="was taken away or changed behind the vault's back"):
        again.check()
    again.close()
    with pytest.raises(RefusedError, match="nothing is signed again"):
        initialise(settings, clock)
