"""A vault whose rows say in words why things are as they are: it comes along, and nothing forged is signed."""

from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import JSON, Column, Connection, MetaData, Table, Text, insert, select, update

from tests.services.conftest import TOKEN
from tests.services.test_schema import begin_at
from tests.unit.test_wording import OLD
from vaultcore.audit import AuditLog, start_chain
from vaultcore.crypto.keyring import Keyring
from vaultcore.database import Database
from vaultcore.errors import NightkeyError
from vaultcore.model import Policy
from vaultcore.row_macs import LABEL, RowMacs, name_in_digest
from vaultcore.rows import policy_to_json
from vaultcore.tables import UtcDateTime, deployment, item_accounts, items, owners
from vaultcore.twins import accounts_of
from worker.bootstrap import Services
from worker.config import load_settings
from worker.domain.reasons import Code
from worker.domain.rotation import Rotation
from worker.domain.saga import State
from worker.installation import initialise
from worker.rows import comparisons as comparison_rows
from worker.rows import findings as finding_rows
from worker.rows import nights as night_rows
from worker.rows import rotations as rotation_rows
from worker.rows.tables import comparisons, restorations, rotations
from worker.wording.reasons import say, say_each

ITEM = "vlt_01k0000000000000000000000a"
TONIGHT = "replaces it in this night"
SAID = "verify: the service answered 502"
OURS, THEIRS, UNSIGNED = "rot_1", "rot_2", "rot_3"
SIGNED_THEN = ("deployment", "items", "owners", "rotations", "comparisons", "item_accounts")


def old(table: Table, **texts: Any) -> Table:
    """The table as it was and was called, with these columns in words."""
    columns = [Column(name_in_digest(one), texts.get(one.name, one.type)) for one in table.columns]
    return Table(name_in_digest(table), MetaData(), *columns)


def rotation_row(rotation_id: str, reason: str, now: datetime, **more: Any) -> dict[str, Any]:
    return {
        "id": rotation_id, "item_id": ITEM, "item": TOKEN, "rotator": "random", "state": "done",
        "reason": reason, "emergency": False, "gated": False, "old_number": 1, "candidates": 0,
        "asked_by": "somebody",
        "issuing": False, "one_way": False, "old_dead": False, "attempts": 0, "outages": 0, "polls": 0,
        "waits_for": [], "fence": 0, "created_at": now, "finished_at": now,
    } | more  # fmt: skip


@pytest.fixture
def vault(tmp_path: Path, database_url: str, clock: Any) -> "Vault":
    return Vault(tmp_path, database_url, clock)


class Vault:
    """One of schema 0021, whose rows are signed as that release did."""

    def __init__(self, folder: Path, database_url: str, clock: Any) -> None:
        self.clock = clock
        self.database = begin_at("0021", folder, database_url, clock)
        self.settings = load_settings(folder / "home", database_url=database_url)
        keyring = Keyring.load(self.settings.keyring_path)
        self.macs = RowMacs(keyring.derive(LABEL))
        log = AuditLog(keyring.audit_key, keyring.signing_key)
        now = clock()
        own = {"id": "dep_a", "keyring_check": keyring.fingerprint(b"dep_a"), "created_at": now, "signed": 3}
        operators = {"id": "own_a", "name": "operators", "zone": "UTC", "created_at": now}
        item = {"id": ITEM, "name": TOKEN, "kind": "secret", "policy": policy_to_json(Policy()),
                "overlap_seconds": 1, "idle_seconds": 1, "hygiene": "no-plan", "created_at": now,
                "updated_at": now}  # fmt: skip
        with self.database.write() as connection:
            for table, row in ((deployment, own), (items, item), (owners, operators)):
                connection.execute(insert(table).values(row | {"mac": self.macs.make(table, row)}))
            start_chain(connection)
            log.append(
                connection, at=now, actor="init", action="vault.sign-rows", subject="dep_a",
                **dict.fromkeys(SIGNED_THEN, 1),
            )  # fmt: skip

    def put(self, table: Table, row: Mapping[str, Any], **texts: Any) -> None:
        """A row as that release wrote it, with its digest of then."""
        signed = {"mac": self.macs.make(table, row)} if "mac" in table.columns else {}
        then = old(table, **texts)
        with self.database.write() as connection:
            named = {name_in_digest(table.c[name]): value for name, value in {**row, **signed}.items()}
            connection.execute(insert(then).values(named))

    def rotation(self, rotation_id: str, reason: str, **more: Any) -> None:
        row = rotation_row(rotation_id, reason, self.clock(), **more)
        self.put(rotations, row, reason=Text(), last_error=Text())

    def initialise(self) -> list[str]:
        self.database.dispose()
        return initialise(self.settings, self.clock)

    def wrong(self) -> list[str]:
        services = Services(self.settings, self.clock)
        try:
            services.check()
            return sorted(one.subject for one in services.upkeep.row_verification.check_all().wrong)
        finally:
            services.close()


def read(vault: Vault) -> dict[str, Rotation]:
    database = Database(vault.settings.database)
    with database.read() as connection:
        found = {one.id: one for one in rotation_rows.list_rotations(connection)}
    database.dispose()
    return found


def test_each_sentence_of_a_rotation_becomes_its_code_and_its_row_stays_ours(vault: Vault) -> None:
    today = {sentence: say(reason) for reason, sentence in OLD if sentence}
    sentences = list(today)
    reasons = [sentence for sentence in sentences if len(sentence) <= 100]
    for number, sentence in enumerate(reasons):
        vault.rotation(f"rot_a{number:03d}", sentence)
    vault.rotation("rot_b", "a word that nobody of us wrote", waits_for=sentences, last_error=SAID)
    for number, sentence in enumerate(sentences):
        vault.rotation(f"rot_c{number:03d}", "compromised", last_error=sentence)
    made = vault.initialise()
    assert f"keyed digests of {len(reasons) + len(sentences) + 1} rows" in made[-1]
    assert vault.wrong() == []
    found = read(vault)
    assert [say(found[f"rot_a{number:03d}"].reason) for number in range(len(reasons))] == [
        today[sentence] for sentence in reasons
    ]
    assert all(found[f"rot_a{number:03d}"].reason.code is not Code.OTHER for number in range(len(reasons)))
    assert say_each(found["rot_b"].waits_for) == list(today.values())
    assert all(one.code is not Code.OTHER for one in found["rot_b"].waits_for)
    assert (found["rot_b"].reason.code, found["rot_b"].last_error) != (Code.OTHER, None)
    assert say(found["rot_b"].reason) == "a word that nobody of us wrote"
    assert [say(found[f"rot_c{number:03d}"].last_error) for number in range(len(sentences))] == list(
        today.values()
    )
    assert {one.last_error.code for one in found.values() if one.last_error} >= {
        Code.NIGHT_STOPPED,
        Code.NOBODY_APPROVED,
        Code.FAILED,
    }
    assert vault.initialise() == []


def test_what_was_signed_under_a_name_of_before_is_ours(vault: Vault) -> None:
    now = vault.clock()
    resolved = {"item_id": ITEM, "restoration_id": "rst_1", "result": "agrees", "next_at": now, "detail": "-",
                "resolved_at": now, "resolved_by": "ann"}  # fmt: skip
    restoration = {"id": "rst_1", "how": "restored", "at": now, "seq": 1, "by": "ann"}
    vault.put(restorations, restoration)
    vault.put(comparisons, resolved, detail=Text())
    vault.put(item_accounts, {"item_id": ITEM, "name": "db.example.org:5432 role orders"})
    vault.initialise()
    assert vault.wrong() == []
    database = Database(vault.settings.database)
    with database.write() as connection:
        assert accounts_of(connection, [ITEM])[ITEM] == frozenset({"db.example.org:5432 role orders"})
        connection.execute(update(item_accounts).values(name="db.example.org:5432 role x"))
    database.dispose()
    assert vault.wrong() == [f"item_accounts {ITEM} db.example.org:5432 role x"]


def test_a_rotation_of_an_owners_is_one_still(vault: Vault) -> None:
    vault.rotation(OURS, "its owner replaced it", state="retiring", finished_at=None)
    vault.initialise()
    rotation = read(vault)[OURS]
    assert (rotation.by_owner, rotation.state) == (True, State.RETIRING)


def test_findings_comparisons_and_problems_of_nights_come_along(vault: Vault) -> None:
    now, finding = vault.clock(), {"kind": "expiring", "item": TOKEN, "level": 1, "topic": "t"}
    metadata = MetaData()
    with vault.database.write() as connection:
        for table, rows in _old_rows(finding, now).items():
            texts = [Column(name, _type_of(value)) for name, value in rows[0].items()]
            connection.execute(insert(Table(table, metadata, *texts)), rows)
    comparison = {"item_id": ITEM, "restoration_id": "rst_1", "result": "more-outside", "next_at": now,
                  "detail": "version 1 is accepted; unknown here, and there: tok_2"}  # fmt: skip
    vault.put(comparisons, comparison, detail=Text())
    vault.initialise()
    assert vault.wrong() == []
    database = Database(vault.settings.database)
    with database.read() as connection:
        first, second = finding_rows.list_open(connection)
        assert (first.detail.code, say(first.detail)) == (Code.EXPIRES, "expires in 3 days")
        assert (first.does and first.does.code) == Code.DOES_REPLACE_TONIGHT
        assert (second.detail.code, say(second.detail), second.does) == (Code.OTHER, "{some} words", None)
        compared = comparison_rows.find_open(connection, ITEM)
        assert compared is not None
        assert compared.detail.parameters == {"version": 1, "unknown": ("tok_2",)}
        (night,) = night_rows.get_night(connection, now).problems
        assert night == {
            "kind": "stuck",
            "subject": TOKEN,
            "id": "rot_1",
            "error": {"code": "failed", "text": SAID},
        }
    database.dispose()


def _old_rows(finding: dict[str, Any], now: datetime) -> dict[str, list[dict[str, Any]]]:
    seen = finding | {"opened_at": now, "seen_at": now}
    problem = {"kind": "stuck", "subject": TOKEN, "id": "rot_1", "error": SAID}
    return {
        "findings": [
            seen
            | {"id": "fnd_1", "subject": "a", "detail": "expires in 3 days", "does": TONIGHT},
            seen | {"id": "fnd_2", "subject": "b", "detail": "{some} words", "does": None},
        ],
        "restorations": [{"id": "rst_1", "how": "restored", "at": now, "seq": 1, "by": "ann"}],
        "sweeps": [
            {"job": "night", "slot": now, "lease_until": now, "started_at": now, "counts": {},
             "problems": [problem]}
        ],
    }  # fmt: skip


def _type_of(value: object) -> Any:
    if isinstance(value, datetime):
        return UtcDateTime()
    return JSON() if isinstance(value, dict | list) else None


def test_what_was_edited_before_or_on_the_way_is_not_signed(
    vault: Vault, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`init` ends between the migration and the digests, and somebody edits the codes before it runs again."""
    for rotation_id in (OURS, THEIRS, UNSIGNED):
        vault.rotation(rotation_id, "its owner replaced it")
    vault.rotation("rot_4", "asked for by hand")
    _edit(vault.database, THEIRS, old(rotations, reason=Text()), reason="asked for by hand")

    def stop(*_: object, **__: object) -> None:
        raise NightkeyError("it ended here")

    with monkeypatch.context() as patched:
        patched.setattr("worker.installation.sign_once", stop)
        with pytest.raises(NightkeyError, match="it ended here"):
            vault.initialise()
    database = Database(vault.settings.database)
    _edit(database, UNSIGNED, rotations, reason={"code": "other", "text": "its owner replaced it"})
    _edit(database, "rot_4", rotations, reason={"code": "by-owner"})
    database.dispose()
    vault.initialise()
    assert vault.wrong() == [f"rotations {one}" for one in (THEIRS, UNSIGNED, "rot_4")]


def test_a_vault_whose_own_row_is_put_back_is_not_signed_again(vault: Vault) -> None:
    vault.rotation(OURS, "asked for by hand")
    with vault.database.read() as connection:
        before = _own(connection)
    vault.initialise()
    database = Database(vault.settings.database)
    with database.write() as connection:
        connection.execute(update(old(deployment)).values(signed=before["signed"], mac=before["mac"]))
    database.dispose()
    with pytest.raises(Exception, match="was taken away or changed behind the vault's back"):
        vault.initialise()


def _own(connection: Connection) -> dict[str, Any]:
    return dict(connection.execute(select(deployment)).one()._mapping)


def _edit(database: Database, rotation_id: str, table: Table, **values: Any) -> None:
    with database.write() as connection:
        connection.execute(update(table).where(table.c.id == rotation_id).values(**values))
