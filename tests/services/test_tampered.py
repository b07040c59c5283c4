"""Rows that decide, changed behind the vault's back: nothing is done by them, and that is told."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import Table, delete, insert, select, update

from tests.organisation import ADMIN, Organisation
from tests.services.staging import (
    TOKEN,
    Staged,
    add_route,
    begin_by_hand,
    get_rotation,
    step_to,
    told,
    what_is_wrong,
)
from vaultcore.database import Database
from vaultcore.errors import NightkeyError, NotFoundError, RefusedError, TamperedError
from vaultcore.row_macs import MAC
from vaultcore.tables import deployment, item_owners, items, owners, references, routes, versions
from worker.bootstrap import Services
from worker.domain.findings import FindingKind
from worker.domain.notice_kinds import NoticeKind
from worker.domain.saga import State
from worker.domain.states import RunPurpose, RunTrigger
from worker.installation import initialise
from worker.rows import checks as check_rows
from worker.rows import findings as finding_rows
from worker.rows import row_checks as row_check_rows
from worker.rows import runs as run_rows
from worker.rows.consumers import CHECK
from worker.rows.row_checks import CheckedUpTo
from worker.rows.tables import checks, rotations, row_checks, waivers, workflows
from worker.wording.reasons import say

pytestmark = pytest.mark.rules


WORKFLOW = "ticket-sync"
Edit = Callable[[Any, Organisation], None]


@contextmanager
def behind(services: Services) -> Iterator[Any]:
    """A connection of somebody who may write the database and has no keyring."""
    database = Database(services.settings.database)
    try:
        with database.write() as connection:
            yield connection
    finally:
        database.dispose()


def edit(services: Services, table: Table, where: Any, **values: Any) -> None:
    with behind(services) as connection:
        assert connection.execute(update(table).where(where).values(values)).rowcount >= 1


def read(services: Services, *columns: Any, where: Any) -> Any:
    with services.database.read() as connection:
        return connection.execute(select(*columns).where(where)).one()


@pytest.fixture
def ours(staged: Staged) -> Staged:
    """One token, due tonight, that a workflow uses; the operators have a route."""
    organisation, service = staged
    organisation.add_token(TOKEN, "support")
    organisation.add_workflow(WORKFLOW, TOKEN)
    add_route(organisation, "operators")
    return organisation, service


def elsewhere(organisation: Organisation, text: str) -> str:
    """The same, leading to somebody who writes down what he is given."""
    sink = organisation.targets.sink.url
    changed = text.replace(organisation.targets.token_service.url, sink)
    assert changed != text
    return changed


def lead_workflow_away(connection: Any, organisation: Organisation) -> None:
    document = connection.execute(select(workflows.c.document)).scalar_one()
    connection.execute(update(workflows).values(document=elsewhere(organisation, document)))


def lead_policy_away(connection: Any, organisation: Organisation) -> None:
    import json  # noqa: PLC0415  # here alone

    policy = connection.execute(select(items.c.policy).where(items.c.name == TOKEN)).scalar_one()
    policy["settings"] = json.loads(elsewhere(organisation, json.dumps(policy["settings"])))
    connection.execute(update(items).where(items.c.name == TOKEN).values(policy=policy))


def change_mode(connection: Any, _: Organisation) -> None:
    policy = connection.execute(select(items.c.policy).where(items.c.name == TOKEN)).scalar_one()
    policy["mode"] = "approve"
    connection.execute(update(items).where(items.c.name == TOKEN).values(policy=policy))


def prolong(connection: Any, organisation: Organisation) -> None:
    later = organisation.services.clock() + timedelta(days=3650)
    connection.execute(update(items).where(items.c.name == TOKEN).values(expires_at=later, due_at=later))


def take_route(connection: Any, _: Organisation) -> None:
    operators = connection.execute(select(owners.c.id).where(owners.c.name == "operators")).scalar_one()
    support = select(owners.c.id).where(owners.c.name == "support").scalar_subquery()
    connection.execute(update(routes).where(routes.c.owner_id == support).values(owner_id=operators))


def flip_record(connection: Any, _: Organisation) -> None:
    of_admin = versions.c.item_id == select(items.c.id).where(items.c.name == ADMIN).scalar_subquery()
    record = connection.execute(select(versions.c.record).where(of_admin)).scalar_one()
    flipped = record[:-1] + bytes([record[-1] ^ 1])
    connection.execute(update(versions).where(of_admin).values(record=flipped))


def prove(connection: Any, _: Organisation) -> None:
    connection.execute(update(references).where(references.c.consumer == "workflow").values(proven_version=7))


def call_otherwise(connection: Any, _: Organisation) -> None:
    of_token = versions.c.item_id == select(items.c.id).where(items.c.name == TOKEN).scalar_subquery()
    connection.execute(update(versions).where(of_token).values(external={"id": "tok_of_somebody"}))


def make_deputy(connection: Any, _: Organisation) -> None:
    operators = connection.execute(select(owners.c.id).where(owners.c.name == "operators")).scalar_one()
    connection.execute(update(owners).where(owners.c.name == "support").values(deputy_id=operators))


def make_owner(connection: Any, _: Organisation) -> None:
    operators = connection.execute(select(owners.c.id).where(owners.c.name == "operators")).scalar_one()
    item_id = connection.execute(select(items.c.id).where(items.c.name == TOKEN)).scalar_one()
    connection.execute(insert(item_owners).values(item_id=item_id, owner_id=operators))


def forget_digest(connection: Any, _: Organisation) -> None:
    connection.execute(update(items).where(items.c.name == TOKEN).values(mac=None))


EDITS: dict[str, tuple[Edit, str]] = {
    "workflow-url": (lead_workflow_away, "workflows fl_"),
    "policy-url": (lead_policy_away, "items vlt_"),
    "mode": (change_mode, "items vlt_"),
    "expiry": (prolong, "items vlt_"),
    "route-owner": (take_route, "routes rte_"),
    "record": (flip_record, "versions vlt_"),
    "proof": (prove, "item_references fl_"),
    "outside-id": (call_otherwise, "versions vlt_"),
    "deputy": (make_deputy, "owners own_"),
    "owner": (make_owner, "item_owners vlt_"),
    "digest": (forget_digest, "items vlt_"),
}


def night(organisation: Organisation) -> str | None:
    """How it ended."""
    slot = organisation.services.clock()
    organisation.services.night.nights.begin(slot)
    organisation.drive()
    outcome = organisation.services.night.nights.close(slot)
    organisation.deliver()
    return outcome


def tampered(services: Services) -> list[str]:
    with services.database.read() as connection:
        rows = finding_rows.list_open(connection)
    return [row.subject for row in rows if row.kind == FindingKind.TAMPERED]


@contextmanager
def edited(services: Services, organisation: Organisation, change: Edit) -> Iterator[None]:
    """Put right afterwards, by the same hand."""
    tables = (owners, routes, items, versions, references, workflows)
    with behind(services) as connection:
        before = {table: connection.execute(select(table)).all() for table in tables}
        owned = connection.execute(select(item_owners)).all()
        change(connection, organisation)
    yield
    with behind(services) as connection:
        for table, rows in before.items():
            for row in rows:
                stored = row._asdict()
                where = [column == stored[column.name] for column in table.primary_key]
                connection.execute(update(table).where(*where).values(stored))
        connection.execute(delete(item_owners))
        connection.execute(insert(item_owners), [row._asdict() for row in owned])


def test_every_edited_row_is_named_by_the_check_and_by_no_log(ours: Staged) -> None:
    organisation, _ = ours
    services = organisation.services
    checking = services.upkeep.row_verification
    for name, (change, subject) in EDITS.items():
        assert checking.check_all().wrong == (), name
        with edited(services, organisation, change):
            (found,) = checking.check_all().wrong
            assert found.subject.startswith(subject), name
            assert found in services.night.nights.preview(services.clock()).findings
            assert services.upkeep.anchors.verify().whole, "of which the log says nothing"
    assert checking.check_all().wrong == ()


@pytest.mark.parametrize("name", ["workflow-url", "route-owner", "record"])
def test_an_edited_row_makes_the_night_red_and_the_operators_are_told_once(
    ours: Staged, clock: Any, name: str
) -> None:
    organisation, service = ours
    services, (change, subject) = organisation.services, EDITS[name]
    with behind(services) as connection:
        change(connection, organisation)
    assert night(organisation) == "failed"
    (found,) = tampered(services)
    assert found.startswith(subject)
    (notice,) = told(organisation, "night-failed")
    assert notice[0] == "operators"
    assert ("does not open" if name == "record" else "changed behind the vault's back") in notice[1]
    assert any("audit verify --rows" in problem for problem in what_is_wrong(services))
    clock.advance(timedelta(hours=1))
    assert night(organisation) == "failed"
    assert len(told(organisation, "night-failed")) == 1
    assert service.calls("DELETE") == 0


def test_nothing_is_sent_to_where_an_edited_row_leads(ours: Staged) -> None:
    organisation, service = ours
    services = organisation.services
    with edited(services, organisation, lead_workflow_away):
        with pytest.raises(TamperedError, match=r"workflow ticket-sync .* accept-row workflows fl_"):
            services.runs.runs.start(WORKFLOW, actor="test")
        workflow_id = read(services, workflows.c.id, where=workflows.c.name == WORKFLOW).id
        with services.database.write() as connection:
            waiting = run_rows.open_run(
                connection,
                workflow_id,
                WORKFLOW,
                purpose=RunPurpose.PRODUCTION,
                trigger=RunTrigger.SCHEDULE,
                at=services.clock(),
            ).id
        assert services.runs.runs.execute(waiting, actor="test") is None
    with edited(services, organisation, lead_policy_away):
        with pytest.raises(TamperedError, match=r"item prod-ticketing-api-token .* accept-row items vlt_"):
            services.rotation.opening.request(TOKEN, asked_by="test")
        ran = services.runs.runs.start(WORKFLOW, actor="test")
        assert (ran.status, ran.used) == ("failed", ())
        assert "changed behind the vault's back" in (ran.error_message or "")
        assert night(organisation) == "failed"
    assert {post.path for post in organisation.targets.sink.requests} <= {"/support", "/operators"}
    assert service.requests == []
    assert organisation.stages(TOKEN) == ["current"]
    assert organisation.rotations() == []


def test_a_rotation_under_way_stops_where_it_is_when_its_policy_is_edited(ours: Staged, clock: Any) -> None:
    organisation, service = ours
    rotation_id = begin_by_hand(organisation, TOKEN)
    step_to(organisation, clock, rotation_id, State.INSTALLED)
    before = len(service.requests)
    with behind(organisation.services) as connection:
        lead_policy_away(connection, organisation)
    organisation.drive()
    stopped = get_rotation(organisation, rotation_id)
    assert (stopped.state, stopped.stuck_in) == (State.STUCK, State.INSTALLED)
    assert "changed behind the vault's back" in say(stopped.last_error)
    assert len(service.requests) == before
    assert organisation.targets.sink.requests == []
    ((owner, text),) = told(organisation, "rotation-stuck")
    assert owner == "support"
    assert "accept-row" in text


def retire_current(connection: Any, organisation: Organisation, number: int) -> None:
    """As somebody would who wants the value in use to be revoked."""
    connection.execute(
        insert(rotations).values(
            id="rot_01K0000000000000000000000F",
            item_id=select(items.c.id).where(items.c.name == TOKEN).scalar_subquery(),
            item=TOKEN, rotator="http", state="retiring", reason={"code": "by-hand"}, asked_by="somebody",
            old_number=number, new_number=number + 1, attempts=0, waits_for=[], fence=0,
            next_at=organisation.services.clock(), created_at=organisation.services.clock(),
            activated_at=organisation.services.clock(),
        ),
    )  # fmt: skip


def test_a_rotation_that_nobody_of_us_opened_revokes_nothing(ours: Staged, clock: Any) -> None:
    organisation, service = ours
    services = organisation.services
    edit(services, items, items.c.name == TOKEN, hold_until=clock() + timedelta(days=2))  # decides nothing
    with behind(services) as connection:
        retire_current(connection, organisation, 1)
    assert night(organisation) == "failed"
    assert service.calls("DELETE") == 0
    assert organisation.stages(TOKEN) == ["current"]
    assert tampered(services) == ["rotations rot_01K0000000000000000000000F"]
    assert organisation.due() == [], "it is put off, and stops nobody"


@pytest.mark.parametrize("state", [State.RETIRING, State.DISCARDING, State.UNDOING])
def test_a_rotation_of_ours_does_not_take_away_what_is_in_use(ours: Staged, clock: Any, state: State) -> None:
    """Whatever its row says, and though its digest is right."""
    organisation, service = ours
    services = organisation.services
    rotation_id = begin_by_hand(organisation, TOKEN)
    with services.database.write() as connection:
        values = {"state": state.value, "old_number": 1, "new_number": None}
        if state is not State.RETIRING:
            values |= {"old_number": 0, "new_number": 1}
        connection.execute(update(rotations).values(values))
    organisation.drive()
    found = get_rotation(organisation, rotation_id)
    assert found.state is State.STUCK
    assert "asks nothing of the other side" in say(found.last_error)
    assert service.requests == [], "not even what could be asked without harm"
    assert organisation.stages(TOKEN) == ["current"]


def test_what_would_be_revoked_outside_is_what_the_vault_has_written_down(ours: Staged, clock: Any) -> None:
    organisation, service = ours
    rotation_id = begin_by_hand(organisation, TOKEN)
    step_to(organisation, clock, rotation_id, State.WATCHING)
    organisation.services.runs.runs.start(WORKFLOW, actor="test")
    clock.advance(timedelta(days=2))
    with behind(organisation.services) as connection:
        call_otherwise(connection, organisation)
    organisation.drive()
    assert service.calls("DELETE") == 0
    assert get_rotation(organisation, rotation_id).state is State.STUCK


def test_a_waiver_or_a_check_that_none_of_us_wrote_answers_for_nothing(ours: Staged, clock: Any) -> None:
    organisation, service = ours
    services = organisation.services
    rotation_id = begin_by_hand(organisation, TOKEN)
    step_to(organisation, clock, rotation_id, State.WATCHING)
    workflow_id = read(services, workflows.c.id, where=workflows.c.name == WORKFLOW).id
    given = {"rotation_id": rotation_id, "by": "somebody", "why": "-", "at": clock()}
    with behind(services) as connection:
        for waived in (workflow_id, CHECK):
            connection.execute(insert(waivers).values(workflow_id=waived, **given))
        connection.execute(update(checks).values(tells_apart=False))
    clock.advance(timedelta(days=2))
    organisation.drive()
    assert get_rotation(organisation, rotation_id).state is State.WATCHING, "the workflow has yet to run"
    assert service.calls("DELETE") == 0
    with services.database.read() as connection:
        known = connection.execute(select(checks.c.digest)).scalars().all()
        assert [check_rows.find(connection, digest) for digest in known] == [None] * len(known)
    wrong = {one.subject.split(" ")[0] for one in services.upkeep.row_verification.check_all().wrong}
    assert wrong == ({"waivers", "checks"} if known else {"waivers"})


def test_a_value_is_revealed_to_nobody_by_an_edited_row(ours: Staged) -> None:
    organisation, _ = ours
    services = organisation.services
    item_id = organisation.item(TOKEN).id
    for table, where, values in (
        (versions, versions.c.item_id == item_id, {"expires_at": None}),
        (items, items.c.id == item_id, {"copy_of": "vlt_x"}),
    ):
        before = read(services, *(table.c[name] for name in values), where=where)
        edit(services, table, where, **values)
        with pytest.raises(TamperedError), services.database.write() as connection:
            services.versions.reveal(connection, item_id, 1, purpose="run", actor="test")  # type: ignore[arg-type]
        edit(services, table, where, **dict(before._mapping))
    assert services.upkeep.row_verification.check_all().wrong == ()


@pytest.mark.both
def test_a_notice_does_not_leave_by_a_route_that_was_given_to_another(ours: Staged) -> None:
    organisation, _ = ours
    services = organisation.services
    with behind(services) as connection:
        take_route(connection, organisation)
    with services.database.write() as connection:
        operators = services.notices.recipients.find_operators(connection)
        services.notices.outbox.post(
            connection, operators, kind=NoticeKind.NIGHT_FAILED, dedupe_key="x",
            data={"night": services.clock(), "problems": ["a secret of the operators"]},
        )  # fmt: skip
    organisation.deliver()
    assert {post.path for post in organisation.targets.sink.requests} == {"/operators"}


def test_an_honest_write_does_not_make_a_forged_row_honest(ours: Staged) -> None:
    organisation, _ = ours
    services = organisation.services
    with behind(services) as connection:
        lead_policy_away(connection, organisation)
    item_id = read(services, items.c.id, where=items.c.name == TOKEN).id
    with pytest.raises(TamperedError), services.database.write() as connection:
        connection.execute(update(items).where(items.c.id == item_id).values(name="prod-another-name"))
    with services.database.write() as connection:
        services.vault.hold(connection, item_id, None)  # which decides nothing
    (found,) = services.upkeep.row_verification.check_all().wrong
    assert found.item == TOKEN


def test_a_person_answers_for_a_row_as_it_was_shown(ours: Staged) -> None:
    organisation, _ = ours
    services = organisation.services
    checking = services.upkeep.row_verification
    with behind(services) as connection:
        prolong(connection, organisation)
    assert night(organisation) == "failed"
    key = read(services, items.c.id, where=items.c.name == TOKEN).id
    shown = checking.show("items", key)
    assert shown.columns["name"] == TOKEN
    assert shown.columns["expires_at"].startswith("2036-")
    edit(services, items, items.c.name == TOKEN, hygiene="no-owner")
    with pytest.raises(RefusedError, match="changed again meanwhile"):
        checking.accept("items", key, shown=shown.digest, actor="test")
    checking.accept("items", key, shown=checking.show("items", key).digest, actor="test")
    assert checking.check_all().wrong == ()
    assert tampered(services) == []
    assert organisation.item(TOKEN).name == TOKEN
    assert services.upkeep.anchors.verify().whole
    with pytest.raises(RefusedError, match="nothing to answer for"):
        checking.show("items", key)
    for table, wrong, error in (("audit", key, NightkeyError), ("items", "vlt_x", NotFoundError)):
        with pytest.raises(error):
            checking.show(table, wrong)


def test_for_a_record_that_does_not_open_nobody_can_answer(ours: Staged) -> None:
    organisation, _ = ours
    with behind(organisation.services) as connection:
        flip_record(connection, organisation)
    (found,) = organisation.services.upkeep.row_verification.check_all().wrong
    assert found.command == f"nightkey item update {ADMIN} --value-file PATH"
    with pytest.raises(RefusedError, match="nobody can answer for that"):
        organisation.services.upkeep.row_verification.show(*found.subject.split(" ", 1))


def test_what_was_put_right_is_no_finding_any_more(ours: Staged, clock: Any) -> None:
    organisation, _ = ours
    services = organisation.services
    before = read(services, owners.c.deputy_id, where=owners.c.name == "support").deputy_id
    with behind(services) as connection:
        make_deputy(connection, organisation)
    night(organisation)
    assert len(tampered(services)) == 1
    edit(services, owners, owners.c.name == "support", deputy_id=before)
    clock.advance(timedelta(days=1))
    night(organisation)
    assert tampered(services) == []


@pytest.mark.both
def test_nights_with_a_small_budget_come_to_every_row_in_turn(ours: Staged, monkeypatch: Any) -> None:
    organisation, _ = ours
    services = organisation.services
    checking = services.upkeep.row_verification
    monkeypatch.setattr("worker.services.upkeep.row_verification._PAGE", 1)
    monkeypatch.setattr(checking, "_budget", 1)
    all_rows = checking.check_all().rows
    with behind(services) as connection:
        lead_workflow_away(connection, organisation)
    seen, nights = 0, 0
    while not tampered(services):
        seen += checking.check_some().rows
        nights += 1
        assert nights <= 2 * all_rows
    assert seen < all_rows
    for stored in (("a", "b"), (7,), (), None):  # whatever a hand has written there
        with behind(services) as connection:
            connection.execute(update(row_checks).values(table_name="rotations", key=stored))
        checking.check_some()
        assert read(services, row_checks.c.table_name, where=row_checks.c.id == 1).table_name == "deployment"
        with services.database.write() as connection:
            connection.execute(delete(row_checks))
            row_check_rows.write_place(connection, CheckedUpTo(table="items", key=stored), now=services.clock())
        assert checking.check_some().rows == 1
    for _ in range(2 * all_rows):  # round after round
        checking.check_some()
    assert len(tampered(services)) == 1


def test_digests_that_were_taken_away_with_the_mark_are_not_made_anew(ours: Staged) -> None:
    organisation, _ = ours
    services = organisation.services
    with behind(services) as connection:
        lead_workflow_away(connection, organisation)
        for table in (workflows, items, versions, deployment):
            connection.execute(update(table).values({MAC: None}))
    again = Services(services.settings, services.clock)
    with pytest.raises(NightkeyError, match="taken away or changed behind the vault's back") as told_so:
        again.check()
    assert "nightkey init" not in str(told_so.value), "which would sign nothing"
    again.close()
    with pytest.raises(RefusedError, match="nothing is signed again"):
        initialise(services.settings, services.clock)


def test_what_a_statement_makes_of_a_deciding_column_must_be_known_before(ours: Staged) -> None:
    """Else its digest could not be: who writes so is told at once, and not by a night."""
    services = ours[0].services
    for statement in (
        update(items).values(name=items.c.name + "-x"),
        update(rotations).values(old_number=rotations.c.old_number + 1),
    ):
        with pytest.raises(TypeError, match="a deciding column of"), services.database.write() as connection:
            connection.execute(statement)
    with services.database.write() as connection:
        connection.execute(update(rotations).values(fence=rotations.c.fence + 1))  # which decides nothing
        connection.execute(update(items).where(items.c.name == "nobody").values(name="somebody"))
    assert services.upkeep.row_verification.check_all().wrong == ()


def test_where_all_that_a_rotation_opens_was_edited_its_own_item_is_named(ours: Staged) -> None:
    organisation, _ = ours
    rotation_id = begin_by_hand(organisation, TOKEN)
    with behind(organisation.services) as connection:
        connection.execute(update(versions).values(external={"id": "tok_of_somebody"}))
    organisation.drive()
    rotation = get_rotation(organisation, rotation_id)
    assert rotation.state is State.STUCK
    assert tampered(organisation.services) == [f"versions {organisation.item(TOKEN).id} 1"]
