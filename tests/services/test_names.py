"""Names in the vault: one spelling, no two that look alike, and older ones that go on working."""

import json
import shlex
from datetime import timedelta
from typing import Any

import pytest
from alembic import command
from alembic.config import Config
from alembic.script import ScriptDirectory
from icalendar import Calendar
from sqlalchemy import select, text, update

from tests.services.conftest import Moves
from vaultcore.errors import InvalidInputError, RefusedError
from vaultcore.names import skeleton
from vaultcore.schema import MIGRATIONS
from vaultcore.tables import items, owners
from worker.bootstrap import Services
from worker.delivery.formats import to_html, to_text
from worker.rows.tables import workflows
from worker.services.runs.documents import DocumentChange

COMPOSED, DECOMPOSED = "prod-caf\u00e9", "prod-cafe\u0301"
APOSTROPHE = "My App's API Token"
CALLED = "127.0.0.1:9 cannot be reached, or broke off"
"""What a run ends with whose values were all found: nobody answers there."""


def apply(services: Services, name: str, template: str = "-", **extra: Any) -> Any:
    nodes = [
        {"id": "start", "type": "trigger", "data": {"componentId": "manual_trigger"}},
        {
            "id": "call",
            "type": "action",
            "data": {"componentId": "webhook", "url": "http://127.0.0.1:9/", "headers": {"X-Key": template}},
        },
    ]
    document = {"name": name, "nodes": nodes, "edges": [{"id": "e", "source": "start", "target": "call"}]}
    (applied,) = services.runs.documents.apply([("w.json", json.dumps(document | extra))], actor="test")
    return applied


def test_an_item_has_one_spelling_and_is_found_by_both(moves: Moves) -> None:
    made = moves.add(DECOMPOSED).item
    assert made.name == COMPOSED
    assert moves.get(DECOMPOSED) == moves.get(COMPOSED) == made
    for again in (COMPOSED, DECOMPOSED):
        with pytest.raises(RefusedError, match=f"an item named {COMPOSED} exists already"):
            moves.add(again)


@pytest.mark.parametrize("first", ["item", "workflow"])
@pytest.mark.parametrize("written", [COMPOSED, DECOMPOSED])
def test_a_template_finds_the_item_by_whatever_spelling_it_has(moves: Moves, first: str, written: str) -> None:
    template = f"{{{{ vault['{written}'] }}}}"
    if first == "item":
        moves.add(COMPOSED, "the-value")
    applied = apply(moves.services, "sync", template)
    assert applied.missing == (() if first == "item" else (written,))
    if first == "workflow":
        moves.add(DECOMPOSED, "the-value")
    item = moves.get(COMPOSED)
    with moves.services.database.read() as connection:
        (found,) = moves.services.references.of_item(connection, item.id)
    assert (found.consumer_name, found.written) == ("sync", written)
    with pytest.raises(RefusedError, match="is named in sync"):
        moves.update(COMPOSED, name="prod-other")
    outcome = moves.services.runs.runs.start("sync", payload=None, actor="test")
    assert outcome.error_message == CALLED, "the value was found, and the call was made"


def test_an_apostrophe_is_a_name_from_end_to_end(moves: Moves) -> None:
    item = moves.add(APOSTROPHE, "the-value").item
    assert item.name == APOSTROPHE
    assert apply(moves.services, "sync", f'{{{{ vault["{APOSTROPHE}"] }}}}').missing == ()
    outcome = moves.services.runs.runs.start("sync", payload=None, actor="test")
    assert outcome.error_message == CALLED


def test_what_looks_like_an_items_name_is_refused_with_the_difference(moves: Moves) -> None:
    item = moves.add("prod-pop-token").item
    lookalike = "prod-\u0440\u043e\u0440-token"
    says = "looks like 'prod-pop-token', which exists already .at position 6 it has U\\+0440 CYRILLIC SMALL"
    with pytest.raises(RefusedError, match=says):
        moves.add(lookalike)
    moves.add("prod-mail-token")
    with pytest.raises(RefusedError, match=says):
        moves.update("prod-mail-token", name=lookalike)
    assert moves.update(item.id, name="Prod-Pop-Token").name == "Prod-Pop-Token", (
        "it is no look-alike of itself"
    )


def test_owners_and_workflows_are_judged_alike(moves: Moves) -> None:
    services = moves.services
    with services.database.write() as connection:
        assert services.owners.create(connection, "Zoe\u0301", actor="test").name == "Zo\u00e9"
        assert services.owners.get(connection, "Zoe\u0301").name == "Zo\u00e9"
        with pytest.raises(RefusedError, match="owner name 'zo\u00e9' looks like 'Zo\u00e9'"):
            services.owners.create(connection, "zo\u00e9", actor="test")
        with pytest.raises(
            InvalidInputError, match="owner name 'a\\\\u202eb' holds U\\+202E RIGHT-TO-LEFT OVERRIDE"
        ):
            services.owners.create(connection, "a\u202eb", actor="test")
    assert apply(services, "Ticket Sync").workflow.name == "Ticket Sync"
    with pytest.raises(RefusedError, match="workflow name 'ticket sync' looks like 'Ticket Sync'"):
        apply(services, "ticket sync")
    with pytest.raises(
        InvalidInputError, match=r"^w.json: field name: workflow name .* holds U\+200B ZERO WIDTH"
    ):
        apply(services, "Ticket\u200bSync")


def test_names_of_an_older_release_go_on_working(moves: Moves) -> None:
    services = moves.services
    item = moves.add("prod-old", "the-value").item
    applied = apply(services, "old")
    odd = "prod\u00a0cafe\u0301\u200b"
    with services.database.write() as connection:
        connection.execute(update(items).values(name=odd, skeleton=None))
        connection.execute(update(workflows).values(name=odd, skeleton=None))
    assert moves.get(odd).id == item.id
    assert moves.update(odd, value="the-second-value").version == 2
    again = apply(services, odd, f"{{{{ vault['{odd}'] }}}}")
    assert (again.workflow.id, again.change, again.missing) == (applied.workflow.id, DocumentChange.UPDATED, ())
    assert services.runs.runs.start(odd, payload=None, actor="test").error_message == CALLED


def test_older_rows_get_what_a_reader_sees_of_their_names(moves: Moves) -> None:
    for number in range(3):
        moves.add(f"prod-{number}-Token")
    apply(moves.services, "Ticket Sync")
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    before = ScriptDirectory.from_config(config).get_revision("0011").down_revision
    with moves.services.database.write() as connection:
        for table in (items, owners, workflows):
            connection.execute(text(f"DROP INDEX ix_{table.name}_skeleton"))
            connection.execute(text(f"ALTER TABLE {table.name} DROP COLUMN skeleton"))
        connection.execute(text("UPDATE alembic_version SET version_num = :before"), {"before": before})
        config.attributes["connection"] = connection
        command.upgrade(config, "0011")
    with moves.services.database.read() as connection:
        for table, count in ((items, 3), (owners, 1), (workflows, 1)):
            rows = connection.execute(select(table.c.name, table.c.skeleton)).all()
            assert len(rows) == count
            assert all(row.skeleton == skeleton(row.name) for row in rows)


def test_what_is_shown_is_escaped_for_where_it_is_shown(moves: Moves) -> None:
    """In a digest as HTML and as text, in the command that it says to type, and in a calendar."""
    services = moves.services
    with services.database.write() as connection:
        owner = services.owners.create(connection, "team <i>x</i>", actor="test")
    for name in ("prod-<b>x</b>-token", APOSTROPHE):
        moves.add(name, "the-value", days=3, owner_ids=[owner.id])
    message = services.night.digest_preview.preview(owner.name, services.clock() + timedelta(hours=1))
    html, plain = to_html(message.body), to_text(message.body)
    assert "&lt;b&gt;x&lt;/b&gt;" in html
    assert "<b>" not in html
    assert "<i>" not in html
    assert "prod-<b>x</b>-token" in plain
    commands = [line.strip() for line in plain.splitlines() if line.strip().startswith("nightkey item update ")]
    assert {shlex.split(command)[3] for command in commands} == {APOSTROPHE, "prod-<b>x</b>-token"}
    written, problems = services.overview.calendar.write(owner.name)
    assert problems == []
    events = Calendar.from_ical(written).walk("VEVENT")
    assert {str(event["summary"]) for event in events} == {
        f"{APOSTROPHE} lapses",
        "prod-<b>x</b>-token lapses",
    }
