"""Rows of every table with digests, found again by the key that a person or a finding names."""

import shlex
from typing import Any

import pytest
from sqlalchemy import and_, insert

from tests.services.staging import TOKEN, Staged, add_route, begin_by_hand, reopen, step_to
from tests.services.test_tampered import behind, edit, night, tampered
from vaultcore.access import Role
from vaultcore.errors import NotFoundError
from vaultcore.model import PrincipalKind
from vaultcore.named_policies import NamedPolicies
from vaultcore.row_macs import MAC, key_of
from vaultcore.signing_rows import kept_tables, page_after
from vaultcore.tables import item_accounts, references
from worker.bootstrap import Services
from worker.domain.notice_kinds import NoticeKind
from worker.domain.saga import State
from worker.rows import comparisons as comparison_rows
from worker.rows import credential_checks as credential_rows
from worker.rows.tables import checks, heartbeats, pickups, row_checks, waivers

pytestmark = pytest.mark.rules


NOBODYS = ["abc", "x y", "-1", "9" * 30, "1" * 5000, "a\0b", "\ud800", "", " "]


@pytest.fixture
def full(staged: Staged, clock: Any) -> Services:
    """Each table of rows that decide has a row."""
    organisation, _ = staged
    services = organisation.services
    organisation.add_token(TOKEN, "support")
    organisation.add_workflow("ticket-sync", TOKEN)
    add_route(organisation, "operators")
    rotation_id = begin_by_hand(organisation, TOKEN)
    step_to(organisation, clock, rotation_id, State.WATCHING)
    now = clock()
    with services.database.write() as connection:
        connection.execute(
            insert(waivers).values(rotation_id=rotation_id, workflow_id="fl_x", by="me", why="-", at=now)
        )
        connection.execute(insert(checks).values(digest="d" * 64, subject="x", tells_apart=True, asked_at=now))
        connection.execute(insert(pickups).values(id="clm_1", item_id="vlt_x", number=1, created_at=now))
        operators = services.notices.recipients.find_operators(connection)
        told = {"night": now, "problems": ["x"]}
        services.notices.outbox.post(
            connection, operators, kind=NoticeKind.NIGHT_FAILED, dedupe_key="x", data=told
        )
        beat = {"text": "x", "state": "sent", "attempts": 0, "posted_at": now}
        connection.execute(insert(heartbeats).values(slot=now, beat="start", **beat))
        item_id = organisation.item(TOKEN).id
        services.vault.update(connection, item_id, labels={"env": "prod"}, actor="test")
        connection.execute(insert(item_accounts).values(item_id=item_id, name="db.example.org:5432 role x"))
        credential_rows.enrol(connection, {item_id: now})
        policies = NamedPolicies(audit=services.audit, clock=services.clock)
        policies.create(connection, "monthly", {"lifetime": "30d"}, actor="me")
        comparison_rows.mark(connection, "rst_x", how="adopted", at=now, made_at=None, seq=1, by="me")
    services.access.principals.create(
        "bot", kind=PrincipalKind.SERVICE, roles=[Role.VIEWER], owners=[], actor="me"
    )
    services.access.principals.issue_token("bot", actor="me")
    services.access.sign_ins.make_link("bot", actor="me")
    services.rotation.offboarding.begin("support", emergency=False, actor="user:boss")
    services.upkeep.row_verification.check_some()
    return services


@pytest.mark.both
def test_a_row_of_every_table_is_found_again_and_answered_for(full: Services) -> None:
    checking = full.upkeep.row_verification
    for table in kept_tables():
        with behind(full) as connection:
            row = page_after(connection, table, None, size=1)[0]
        of_row = and_(*(column == getattr(row, column.name) for column in table.primary_key))
        key = key_of(table, row._asdict())
        edit(full, table, of_row, **{MAC: None})
        for _ in range(2):  # the second looks at what the first has found
            checking.check_some()
            left = [] if table is row_checks else [f"{table.name} {key}"]  # each check writes that one anew
        assert tampered(full) == left
        edit(full, table, of_row, **{MAC: None})
        checking.accept(table.name, key, shown=checking.show(table.name, key).digest, actor="test")
        assert tampered(full) == []
        assert checking.check_all().wrong == (), table.name
        for nobodys in NOBODYS:
            with pytest.raises(NotFoundError):
                checking.show(table.name, nobodys)


@pytest.mark.parametrize("name", ["x" * 400, "x y"])
def test_a_key_that_no_row_of_ours_has_stays_a_finding_till_somebody_answers_for_it(
    staged: Staged, name: str
) -> None:
    """The nights look at a table each: those after the one that found it have to find the row again."""
    organisation, _ = staged
    first = organisation.services
    item_id = organisation.add_token(TOKEN, "support") and organisation.item(TOKEN).id
    organisation.add_workflow("ticket-sync", TOKEN)
    with first.database.write() as connection:
        connection.execute(insert(item_accounts).values(item_id=item_id, name="x"))
    edit(first, item_accounts, item_accounts.c.item_id == item_id, name=name)
    edit(first, references, references.c.item_id == item_id, consumer_id="y z")
    with reopen(organisation, rows_checked=1) as services:
        checking = services.upkeep.row_verification
        for _ in range(2 * len(kept_tables())):
            checking.check_some()
        found = [subject.partition(" ")[0] for subject in tampered(services)]
        assert sorted(found) == ["item_accounts", "item_references"]
        for wrong in checking.check_all().wrong:
            _, table, key = shlex.split(wrong.command or "")[2:]
            checking.accept(table, key, shown=checking.show(table, key).digest, actor="test")
        assert tampered(services) == []


def test_a_place_that_was_edited_ends_no_later_night(staged: Staged, clock: Any) -> None:
    organisation, _ = staged
    services = organisation.services
    add_route(organisation, "operators")
    night(organisation)
    now = clock()
    edit(services, row_checks, row_checks.c.id == 1, begun_at=now.replace(year=2020))
    services.upkeep.row_verification.check_some()
    assert services.upkeep.row_verification.check_some().wrong == ()
    assert tampered(services) == []
