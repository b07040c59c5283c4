"""Documents taken from another engine: kept as they are, scanned, owned, and proven where they run."""

import json
from datetime import timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import func, select, update

from tests.organisation import Organisation
from tests.services.staging import TOKEN, begin_by_hand, get_rotation, step_to
from vaultcore.errors import InvalidInputError, RefusedError, UnreadableError
from vaultcore.model import Policy
from vaultcore.secret import Secret
from vaultcore.tables import audit, references
from worker.bootstrap import Services
from worker.domain.places import Place
from worker.domain.policies import PolicyChange
from worker.domain.proof import ConsumerProof, Proof
from worker.domain.saga import State
from worker.rows import rotation_steps as step_rows
from worker.rows import rotations as rotation_rows
from worker.rows.tables import workflows
from worker.services.runs.documents import Applied, DocumentChange
from worker.services.runs.reports import Report
from worker.wording.reasons import say, say_all

pytestmark = pytest.mark.rules

CORPUS = Path(__file__).parents[1] / "sdx"
HOUR = timedelta(hours=1)
ID, OTHER_ID = "fl_01hzy3v9k2m4n6p8q0r2s4t6v8", "fl_01hzy3v9k2m4n6p8q0r2s4t6v9"
START = {"id": "start", "type": "manual_trigger", "data": {"componentId": "manual_trigger"}}


def write(name: str = "Sync sites", *nodes: dict[str, Any], **more: Any) -> str:
    every = [START, *nodes]
    edges = [{"id": f"e{n}", "source": a["id"], "target": b["id"]} for n, (a, b) in enumerate(pairwise(every))]
    return json.dumps({"name": name, "nodes": every, "edges": edges, **more}, indent=1)


def script(**more: Any) -> dict[str, Any]:
    return {"id": "script", "type": "mikrotik_script", "data": {"componentId": "mikrotik_script", **more}}


def apply(services: Services, *texts: str, **how: Any) -> list[Applied]:
    files = [(f"{number}.json", text) for number, text in enumerate(texts)]
    return services.runs.documents.apply(files, actor="test", **how)


def count_audits(services: Services) -> int:
    with services.database.read() as connection:
        return connection.execute(select(func.count()).select_from(audit)).scalar_one()


def steps_of(services: Services, rotation_id: str) -> str:
    with services.database.read() as connection:
        return "\n".join(say_all(one.said) for one in step_rows.steps_of(connection, rotation_id))


def consumer_proofs_of(services: Services, rotation_id: str) -> tuple[ConsumerProof, ...]:
    with services.database.read() as connection:
        return services.rotation.proofs.consumer_proofs(
            connection, rotation_rows.get_rotation(connection, rotation_id)
        )


def reveals(services: Services) -> int:
    with services.database.read() as connection:
        return connection.execute(
            select(func.count()).select_from(audit).where(audit.c.action == "version.reveal")
        ).scalar_one()


def get_text(services: Services, name: str) -> str:
    with services.database.read() as connection:
        return services.runs.definitions.get(connection, name).text


def test_the_whole_corpus_is_applied_scanned_and_given_back_byte_for_byte(services: Services) -> None:
    expected = json.loads((CORPUS / "expected.json").read_text())
    texts = {name: (CORPUS / name).read_text() for name in expected["documents"]}
    applied = services.runs.documents.apply(list(texts.items()), actor="test")
    assert {one.change for one in applied} == {DocumentChange.CREATED}
    stale = {f.subject for f in services.night.nights.preview(services.clock()).findings if f.kind == "missing"}
    for one, (name, text) in zip(applied, texts.items(), strict=True):
        assert one.workflow is not None
        assert get_text(services, one.workflow.id) == text
        assert one.workflow.runs == expected["documents"][name]["runs"]
        named = {written for _, written in expected["documents"][name]["references"]}
        assert set(one.missing) == named
        if one.workflow.active:
            assert {f"{one.workflow.id} {written}" for written in named} <= stale
    before = count_audits(services)
    again = services.runs.documents.apply(list(texts.items()), actor="test")
    assert {one.change for one in again} == {DocumentChange.UNCHANGED}
    assert count_audits(services) == before


@pytest.mark.both
def test_an_id_of_our_form_is_kept_and_another_is_mapped_and_remembered(services: Services) -> None:
    (kept,) = apply(services, write("one", id=ID))
    (mapped,) = apply(services, write("two", id="wf-123"))
    assert kept.workflow is not None
    assert mapped.workflow is not None
    assert (kept.workflow.id, kept.workflow.given_id) == (ID, None)
    assert (mapped.workflow.id != "wf-123", mapped.workflow.given_id) == (True, "wf-123")
    (renamed,) = apply(services, write("two of them", id="wf-123"))
    assert renamed.workflow is not None
    assert (renamed.change, renamed.workflow.id) == (DocumentChange.UPDATED, mapped.workflow.id)
    assert json.loads(get_text(services, "wf-123"))["name"] == "two of them"


def test_a_document_that_had_no_id_takes_the_one_that_its_engine_gives_it(services: Services) -> None:
    (first,) = apply(services, write("one"))
    (given,) = apply(services, write("one", id=ID))
    assert first.workflow is not None
    assert given.workflow is not None
    assert (given.workflow.id, given.workflow.given_id) == (first.workflow.id, ID)
    with pytest.raises(RefusedError, match=f"a workflow named one exists already with id {ID}"):
        apply(services, write("one", id=OTHER_ID))


def test_a_mapped_id_is_never_forgotten_and_leads_to_one_workflow(services: Services) -> None:
    (first,) = apply(services, write("alpha", id="wf-1"))
    assert first.workflow is not None
    apply(services, write("alpha"))
    apply(services, write("alpha", id=first.workflow.id))
    (renamed,) = apply(services, write("alpha renamed", id="wf-1"))
    assert renamed.workflow is not None
    assert (renamed.change, renamed.workflow.id) == (DocumentChange.UPDATED, first.workflow.id)
    with services.database.read() as connection:
        assert services.runs.definitions.get(connection, "wf-1").name == "alpha renamed"
        assert len(list(services.runs.definitions.walk(connection))) == 1
    with pytest.raises(RefusedError, match="exists already with id wf-1"):
        apply(services, write("alpha renamed", id="wf-2"))


def test_two_documents_of_one_workflow_and_a_name_like_an_id_are_refused(services: Services) -> None:
    for one, two in (
        (write("first", id=ID), write("second", id=ID)),
        (write("first", id="wf-1"), write("second", id="wf-1")),
    ):
        with pytest.raises(RefusedError, match="leave one of them out"):
            apply(services, one, two)
        foreseen = services.runs.documents.lint([("0.json", one), ("1.json", two)])
        assert isinstance(foreseen[1], RefusedError)
    with pytest.raises(InvalidInputError, match="looks like a workflow's id"):
        apply(services, write(ID))


def test_what_a_byte_order_mark_precedes_is_taken_and_given_back_with_it(services: Services) -> None:
    text = "\ufeff" + write("one")
    apply(services, text)
    assert get_text(services, "one") == text
    assert [one.change for one in apply(services, text)] == [DocumentChange.UNCHANGED]


@pytest.mark.both
def test_an_item_that_only_another_engine_uses_is_not_replaced_unless_somebody_brings_it_there(
    organisation: Organisation, clock: Any
) -> None:
    services = organisation.services
    apply(services, write("far", script(source="login {{ vault.prod-router-token }}")))
    policy = {"mode": "auto", "rotator": "random", "lifetime": "90d"}
    with pytest.raises(RefusedError, match=r"no active workflow here uses prod-router-token.*--consumers none"):
        services.items.creation.create(
            "prod-router-token",
            read_value=lambda: Secret("the-first-value"),
            owners=["support"],
            expires_at=clock() + timedelta(days=5),
            policy=PolicyChange(parts=policy),
            actor="test",
        )
    organisation.add_item(
        "prod-router-token", "the-first-value", days=5, **(policy | {"consumers": "required"})
    )
    assert organisation.night() == []
    found = {kind for kind, item in organisation.findings() if item == "prod-router-token"}
    assert "no-consumer" in found
    assert "unused" not in found


@pytest.mark.both
def test_an_item_that_came_while_nobody_looked_is_linked_by_applying_the_same_again(services: Services) -> None:
    text = write("one", script(source="login {{ vault.prod-router-token }}"))
    apply(services, text)
    with services.database.write() as connection:
        services.vault.create(
            connection,
            name="prod-router-token",
            value=Secret("the-first-value"),
            owner_ids=(),
            expires_at=None,
            policy=Policy(),
            actor="test",
        )
        connection.execute(update(references).values(item_id=None))  # as two at one moment may leave it
    (again,) = apply(services, text)
    assert again.change is DocumentChange.UPDATED
    with services.database.read() as connection:
        (reference,) = services.references.of_consumer(connection, str(again.workflow and again.workflow.id))
    assert reference.item_id is not None


@pytest.mark.both
def test_a_rejection_of_another_item_is_none_of_what_its_node_only_mentions(
    organisation: Organisation, clock: Any
) -> None:
    services = organisation.services
    organisation.add_token(TOKEN, "ticketing", overlap="1d")
    _, works = organisation.targets.token_service.issue("other")
    organisation.add_item("prod-other-token", works, days=300, mode="notify")
    other = call(organisation, description=f"unlike {{{{ vault.{TOKEN} }}}}")
    other["data"]["headers"] = {"Authorization": "Bearer {{ vault.prod-other-token }}"}
    apply(services, write("both", call(organisation), other | {"id": "other"}))
    clock.advance(HOUR)
    rotation = step_to(organisation, clock, begin_by_hand(organisation, TOKEN), State.WATCHING).id
    with services.database.write() as connection:
        services.vault.update(connection, "prod-other-token", value=Secret("what-is-refused"), actor="test")
    outcome = services.runs.runs.start("both", actor="test")
    assert (outcome.status, outcome.error_node) == ("failed", "other")
    organisation.drive()
    assert get_rotation(organisation, rotation).state is State.WATCHING


@pytest.mark.both
def test_a_list_is_taken_and_what_has_no_nodes_changes_what_is_known_and_is_left_out_else(
    services: Services,
) -> None:
    both = f"[{write('one', id=ID)},\n {write('two')}]"
    assert [one.change for one in apply(services, both)] == [DocumentChange.CREATED] * 2
    assert get_text(services, "one") == write("one", id=ID), "as it stood in the list"
    listed = json.dumps([{"id": ID, "name": "one", "is_active": False}, {"id": "fl_x", "name": "unknown"}])
    changed, left_out = apply(services, listed)
    assert changed.workflow is not None
    assert (changed.change, changed.workflow.active) == (DocumentChange.UPDATED, False)
    assert json.loads(get_text(services, "one"))["nodes"] == json.loads(write("one"))["nodes"]
    assert (left_out.name, left_out.change) == ("unknown", DocumentChange.LEFT_OUT)
    assert "GET /workflows/ID" in str(left_out.why)
    assert [one.change for one in apply(services, listed)] == [
        DocumentChange.UNCHANGED,
        DocumentChange.LEFT_OUT,
    ]


def test_all_of_them_are_applied_or_none_and_every_file_says_what_is_wrong(services: Services) -> None:
    wrong = write("two", {"id": "call", "type": "webhook", "data": {"componentId": "webhook", "url": 5}})
    with pytest.raises(InvalidInputError) as caught:
        apply(services, write("one"), wrong, "[1, {}]")
    lines = str(caught.value).split("\n")
    assert lines[0] == "1.json: node call, field data.url: it should be text"
    assert any(line.startswith("2.json (number 1): ") for line in lines)
    assert any(line.startswith("2.json (number 2): ") for line in lines)
    with pytest.raises(RefusedError, match=r"1\.json: 0\.json is of workflow one, too"):
        apply(services, write("one"), write("one"))
    with services.database.read() as connection:
        assert list(services.runs.definitions.walk(connection)) == []


@pytest.mark.both
def test_lint_says_what_would_happen_and_changes_nothing(services: Services) -> None:
    apply(services, write("there"))
    before = count_audits(services)
    texts = (write("there"), write("new", script(a="{{ vault.prod-x }}")), write("bad", critical="perhaps"))
    there, new, bad = services.runs.documents.lint([(f"{n}.json", text) for n, text in enumerate(texts)])
    assert isinstance(there, Applied)
    assert isinstance(new, Applied)
    assert (there.change, new.change, new.missing) == (
        DocumentChange.UNCHANGED,
        DocumentChange.CREATED,
        ("prod-x",),
    )
    assert new.workflow is not None
    assert new.workflow.runs is Place.ELSEWHERE
    assert str(bad).startswith("2.json: field critical")
    assert count_audits(services) == before
    (refused,) = services.runs.documents.lint([("1.json", texts[1])], strict=True)
    assert (
        str(refused)
        == "1.json: node script, field data.componentId: component mikrotik_script is not known here"
    )


def test_where_a_workflow_runs_may_be_said_and_is_remembered(services: Services) -> None:
    text = write("one", schedule_type="daily", schedule_value="09:00")
    (here,) = apply(services, text)
    (away,) = apply(services, text, place=Place.ELSEWHERE)
    (again,) = apply(services, text)
    (changed,) = apply(services, write("one", schedule_type="daily", schedule_value="10:00"))
    places = [one.workflow.runs for one in (here, away, again, changed) if one.workflow is not None]
    assert places == [Place.HERE, *[Place.ELSEWHERE] * 3]
    assert again.change is DocumentChange.UNCHANGED
    with services.database.read() as connection:
        assert services.runs.definitions.get(connection, "one").next_run_at is None
    (back,) = apply(services, text, place=Place.HERE)
    assert back.workflow is not None
    assert (back.change, back.workflow.runs) == (DocumentChange.UPDATED, Place.HERE)
    with services.database.read() as connection:
        assert services.runs.definitions.get(connection, "one").next_run_at is not None
    with pytest.raises(RefusedError, match="it cannot run here: node script"):
        apply(services, write("two", script()), place=Place.HERE)
    (said,) = apply(services, write("three", runs="elsewhere"))
    assert said.workflow is not None
    assert said.workflow.runs is Place.ELSEWHERE


@pytest.mark.both
def test_what_runs_elsewhere_is_neither_run_nor_called_nor_scheduled_here(
    services: Services, clock: Any
) -> None:
    apply(services, write("away", script(), schedule_type="interval", schedule_value="5 minutes"))
    clock.advance(HOUR)
    assert services.runs.runs.open_due() == []
    with pytest.raises(RefusedError, match=r"runs elsewhere: node script.*nightkey run report away"):
        services.runs.runs.start("away", actor="test")
    with services.database.read() as connection:
        workflow = services.runs.definitions.get(connection, "away")
    with pytest.raises(RefusedError, match="runs elsewhere"):
        services.runs.workflow_tests.test_workflow(workflow, overrides={}, actor="test")
    with pytest.raises(RefusedError, match="cannot be tested here: component mikrotik_script"):
        services.runs.workflow_tests.test_node(workflow, "script", overrides={}, actor="test")


def call(organisation: Organisation, **more: Any) -> dict[str, Any]:
    data = {
        "componentId": "webhook",
        "method": "GET",
        "url": f"{organisation.targets.token_service.url}/v1/account",
        "headers": [{"key": "Authorization", "value": f"Bearer {{{{ vault.{TOKEN} }}}}"}],
    }
    return {"id": "call", "type": "webhook", "data": data | more}


@pytest.mark.both
def test_a_rotation_is_tested_by_the_nodes_known_here_and_proven_by_reported_runs_alone(
    organisation: Organisation, clock: Any
) -> None:
    services = organisation.services
    organisation.add_token(TOKEN, "ticketing", overlap="1d")
    text = write("away", call(organisation), script(source=f"login {{{{ vault.{TOKEN} }}}}"))
    apply(services, text)
    clock.advance(HOUR)
    rotation = begin_by_hand(organisation, TOKEN)
    rotation = step_to(organisation, clock, rotation, State.WATCHING).id
    messages = steps_of(services, rotation)
    assert "passed: away/call; not tried alone: away/script (it runs elsewhere, and component" in messages
    assert "passed: none; run elsewhere: away" in messages
    clock.advance(timedelta(days=2))
    organisation.drive()
    (consumer_proof,) = consumer_proofs_of(services, rotation)
    assert consumer_proof.proof is Proof.UNPROVABLE
    assert say(consumer_proof.why) == (
        "a report (nightkey run report) of the first good run of away elsewhere, which did not come during the "
        "overlap"
    )
    guess = Report(workflow="away", status="completed", started_at=clock(), used={})
    assert (
        services.runs.run_reports.report(guess, actor="engine").used == {}
    )  # only its engine knows what it had
    organisation.drive()
    assert get_rotation(organisation, rotation).state is State.WATCHING
    report = Report(workflow="away", status="completed", started_at=clock(), used={TOKEN: 2})
    services.runs.run_reports.report(report, actor="engine")
    organisation.drive()
    assert get_rotation(organisation, rotation).state is State.DONE


def test_a_node_of_a_workflow_elsewhere_that_needs_what_is_not_given_is_not_tried(
    organisation: Organisation, clock: Any
) -> None:
    services = organisation.services
    organisation.add_token(TOKEN, "ticketing", overlap="1d")
    url = f"{organisation.targets.token_service.url}/v1/account?run={{{{ n1.run_id }}}}"
    apply(services, write("away", call(organisation, url=url), script()))
    clock.advance(HOUR)
    rotation = step_to(organisation, clock, begin_by_hand(organisation, TOKEN), State.WATCHING).id
    messages = steps_of(services, rotation)
    assert (
        "away/call (it runs elsewhere, and it needs n1.run_id, which sample_context does not have)" in messages
    )


@pytest.mark.both
def test_what_is_only_mentioned_holds_nothing_back_and_is_not_looked_up(
    organisation: Organisation, clock: Any
) -> None:
    services = organisation.services
    organisation.add_token(TOKEN, "ticketing", overlap="1d")
    organisation.add_item("prod-other-token", "the-other-value", days=300, mode="notify")
    text = write(
        "notes", description=f"Calls with {{{{ vault.{TOKEN} }}}} and {{{{ vault.prod-other-token }}}}"
    )
    apply(services, text)
    clock.advance(HOUR)
    rotation = step_to(organisation, clock, begin_by_hand(organisation, TOKEN), State.WATCHING).id
    clock.advance(timedelta(days=2))
    organisation.drive()
    assert get_rotation(organisation, rotation).state is State.DONE
    before = reveals(services)
    services.runs.runs.start("notes", actor="test")
    assert reveals(services) == before
    with services.database.write() as connection:
        services.vault.delete(connection, "prod-other-token", actor="test")
    assert {f.item for f in services.night.nights.preview(clock()).findings if f.kind == "missing"} == {
        "prod-other-token"
    }


@pytest.mark.both
def test_a_workflow_that_is_started_and_is_not_there_is_told(services: Services) -> None:
    starts = {
        "id": "go",
        "type": "trigger_workflow",
        "data": {"componentId": "trigger_workflow", "workflowId": "other"},
    }
    other = write("other").replace("manual_trigger", "workflow_trigger")
    (foreseen,) = services.runs.documents.lint([("1.json", write("one", starts))])
    assert isinstance(foreseen, Applied)
    assert foreseen.unknown == ("other",)
    first, second = apply(services, write("one", starts), other)
    assert (first.unknown, second.unknown) == ((), ())


def test_a_mention_of_what_is_not_there_is_told_and_fails_no_night(
    organisation: Organisation, clock: Any
) -> None:
    services = organisation.services
    apply(services, write("notes", description="Calls with {{ vault.prod-gone-token }}"))
    slot = clock()
    services.night.nights.begin(slot)
    assert services.night.nights.close(slot) == "good"
    assert ("missing", "prod-gone-token") in organisation.findings()
    organisation.deliver()
    used = call(organisation, headers={"X": "{{ vault.prod-gone-token }}"})
    apply(services, write("notes", used, description="Calls with {{ vault.prod-gone-token }}"))
    clock.advance(timedelta(days=1))
    slot = clock()
    services.night.nights.begin(slot)
    assert services.night.nights.close(slot) == "failed"


@pytest.mark.both
def test_a_stored_document_that_is_damaged_is_told_and_made_whole_by_applying_it_again(
    services: Services,
) -> None:
    (applied,) = apply(services, write("one", id=ID))
    assert applied.workflow is not None
    with services.database.write() as connection:
        connection.execute(update(workflows).values(document="{cut off"))
    found = services.night.nights.preview(services.clock()).findings
    assert [(one.kind, one.workflow) for one in found] == [("unreadable", "one")]
    with services.database.read() as connection, pytest.raises(UnreadableError, match="workflow one"):
        services.runs.definitions.get(connection, "one")
    (again,) = apply(services, write("one", id=ID))
    assert again.change is DocumentChange.UPDATED
    assert get_text(services, "one") == write("one", id=ID)
